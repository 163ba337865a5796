import Logging
import MetadataModel
import NIOCore
import RaftCore
import Replica
import Resilience
import Telemetry
import Tracing
import Wire

/// One client's connection: frames in, frames out. It knows nothing of Raft; requests go to the node, which answers through
/// `send` whenever and in whatever order it likes. Confined to the node's event loop.
final class ClientConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Answers that a client does not take are kept up to this many bytes; then the connection is closed.
    static let unsentBytesMax = 64 << 20

    /// A connection that has not said hello after this is closed: it holds a place.
    static let greetingTimeout: TimeAmount = .seconds(5)

    let id: UInt64
    private let node: Node
    private let logger: Logger
    private var decoder = FrameDecoder(kind: .client)
    private var outbound: ByteBuffer
    private var context: ChannelHandlerContext?
    private var greeted = false
    /// Requests that were read and will be answered once, by their ids. Watches are not among them: they have no last answer.
    private var open: [UInt64: OpenRequest] = [:]
    /// Of those, what counts against the bounds.
    private(set) var admission: Admission
    /// What the client calls itself.
    private(set) var clientName = ""

    init(id: UInt64, node: Node, logger: Logger, allocator: ByteBufferAllocator) {
        self.id = id
        self.node = node
        self.logger = logger
        admission = Admission(node.settings.gate.perConnection)
        self.outbound = allocator.buffer(capacity: 16 << 10)
    }

    /// Whether the client waits for the answer no more, by what it said when it asked.
    func isLate(_ request: UInt64) -> Bool {
        guard let open = open[request] else { return true }
        return open.deadline < .now()
    }

    /// The request counts against the bounds until it is answered.
    func admit(_ request: UInt64, through permit: CircuitBreaker.Permit? = nil) {
        guard var admitted = open[request] else { return }
        admitted.isAdmitted = true
        admitted.permit = permit
        open[request] = admitted
        admission.begin(bytes: admitted.bytes)
        node.gate.began(bytes: admitted.bytes)
    }

    /// The request may wait so long before it has to come to anything, and says nothing of writes: others may probe meanwhile.
    func waitsForTurn(_ request: UInt64, _ patience: TimeAmount) {
        guard var waiting = open[request] else { return }
        waiting.turnPatience = patience
        if let permit = waiting.permit { node.gate.proposals.record(.neutral, of: permit) }
        waiting.permit = nil
        open[request] = waiting
    }

    /// The client is gone: what became of its writes is not seen here.
    func abandonPermits() {
        for permit in open.values.compactMap(\.permit) { node.gate.proposals.record(.neutral, of: permit) }
    }

    /// Somebody wants to know who did this, and what came of it.
    func audit(_ request: UInt64, as what: String) { open[request]?.audited = what }

    func bytes(of request: UInt64) -> Int { open[request]?.bytes ?? 0 }

    /// Whether an answer is still owed.
    func isOpen(_ request: UInt64) -> Bool { open[request] != nil }

    /// Writes that have waited for their outcome since before this instant; and since when the oldest of the others waits.
    func writesOpen(since instant: NIODeadline) -> (late: [UInt64], oldest: NIODeadline?) {
        var late: [UInt64] = []
        var oldest: NIODeadline?
        for (id, request) in open where request.operation.isWrite {
            if request.hurriesSince <= instant {
                late.append(id)
            } else {
                oldest = min(oldest ?? request.hurriesSince, request.hurriesSince)
            }
        }
        return (late.sorted(), oldest)
    }

    /// True while the client takes what it is sent.
    var isWritable: Bool { context?.channel.isWritable ?? false }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        node.opened(self)
        let bound = NIOLoopBound((connection: self, context: context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: ClientConnection.greetingTimeout) {
            if !bound.value.connection.greeted { bound.value.context.close(promise: nil) }
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        node.closed(self)
        context.fireChannelInactive()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flush() }
        context.fireChannelWritabilityChanged()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        decoder.append(&buffer)
        let now = NIODeadline.now()
        do {
            while let frame = try decoder.next() {
                try received(ClientRequestFrame(decoding: frame), bytes: frame.readableBytes, now: now)
            }
        } catch {
            refuse(context, error)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("client connection failed", metadata: ["remote": "\(remote(context))", "error": "\(error)"])
        context.close(promise: nil)
    }

    /// Queues an answer; it leaves with `flush`.
    func send(_ response: ClientResponse, to request: UInt64) {
        var response = response
        if case .failure(let failure) = response { response = .failure(explained(failure, request)) }
        ClientResponseFrame(id: request, response: response).encode(into: &outbound)
        if let status = OperationStatus(response) { answered(request, status) }
    }

    /// With where and when it failed, and under which name the log has the request.
    private func explained(_ failure: ServiceFailure, _ request: UInt64) -> ServiceFailure {
        var failure = failure
        failure.requestID = requestID(request)
        if let open = open[request] { failure.context = node.context(of: failure, in: open.operation) }
        logger.debug(
            "request failed",
            metadata: correlation(of: request).merging([
                "error": "\(failure.code.rawValue)", "detail": "\(failure.detail)",
            ]) { $1 })
        return failure
    }

    private func requestID(_ request: UInt64) -> String {
        RequestToken(connection: id, request: request).text(on: node.settings.id)
    }

    /// What lines about a request have in common, so that they are found by what its client was told.
    func correlation(of request: UInt64) -> Logger.Metadata {
        var facts: Logger.Metadata = ["request_id": "\(requestID(request))", "remote": "\(remote)"]
        guard let open = open[request] else { return facts }
        facts["operation"] = "\(open.operation.name)"
        facts["duration_ms"] = .stringConvertible(Double((NIODeadline.now() - open.since).nanoseconds / 1_000) / 1_000)
        if let span = open.span { facts["trace_id"] = "\(span.trace.traceID)" }
        return facts
    }

    /// Queues what several connections are told alike. Not the answer to an open request.
    func send(_ response: ClientResponseFrame.Shared, to request: UInt64) {
        response.encode(id: request, into: &outbound)
    }

    /// Queues the answer to a read that was encoded elsewhere.
    func send(encoded frame: inout ByteBuffer, to request: UInt64, _ status: OperationStatus) {
        outbound.writeBuffer(&frame)
        answered(request, status)
    }

    /// What waits for the client to take it.
    var unsentBytes: Int { outbound.readableBytes }
    /// Whether a request waits for its answer, or an answer for its way out. A client that does not take answers is not waited
    /// for.
    var owesAnswers: Bool { !open.isEmpty || hasUnsent && isWritable }
    var hasUnsent: Bool { outbound.readableBytes > 0 }

    func flush() {
        guard hasUnsent, let context else { return }
        guard context.channel.isWritable else {
            // Kept here, where it is counted, until the client reads again.
            guard outbound.readableBytes > ClientConnection.unsentBytesMax else { return }
            logger.warning("client does not read its answers; closing", metadata: ["remote": "\(remote(context))"])
            context.close(promise: nil)
            return
        }
        let full = outbound
        outbound = context.channel.allocator.buffer(capacity: max(4 << 10, min(full.readableBytes, 256 << 10)))
        context.writeAndFlush(wrapOutboundOut(full), promise: nil)
    }

    func close() { context?.close(promise: nil) }

    /// The node stops. Requests that it could not answer in time are told that nobody knows what becomes of them; their clients
    /// find out elsewhere, under the same sequence numbers.
    func end() {
        for (request, open) in open.sorted(by: { $0.key < $1.key }) {
            send(
                .failure(
                    ServiceFailure(
                        code: .shuttingDown, detail: "node \(node.settings.id) has stopped before the answer was known",
                        isDefinite: !open.mayChangeSomething)),
                to: request)
        }
        flush()
        close()
    }

    private func answered(_ request: UInt64, _ status: OperationStatus) {
        // A watch that was refused is not among them.
        guard let ended = open.removeValue(forKey: request) else { return }
        if let span = ended.span {
            node.traces.answered(RequestToken(connection: id, request: request))
            if status != .ok { span.setStatus(SpanStatus(code: .error, message: status.name)) }
            span.end()
        }
        let now = NIODeadline.now()
        node.operations.ended(ended.operation, status, after: now - ended.since)
        if status == .timeout || ended.deadline < now { node.gate.late(ended.operation.name) }
        if let what = ended.audited { node.audit(what, by: clientName, from: remote, result: status) }
        if let permit = ended.permit {
            let hadItsTime = now - ended.hurriesSince >= TimeAmount(node.settings.gate.proposalTimeout)
            node.gate.proposals.record(status.saysOfProposals(hadItsTime: hadItsTime), of: permit)
        }
        guard ended.isAdmitted else { return }
        admission.end(bytes: ended.bytes)
        node.gate.ended(bytes: ended.bytes)
    }

    private func received(_ frame: ClientRequestFrame, bytes: Int, now: NIODeadline) throws {
        if var request = OpenRequest(frame.request, bytes: bytes, since: now) {
            request.span = node.tracer.request(request.operation.name, traceparent: frame.traceparent)
            if let span = request.span, case .write = frame.request {
                node.traces.gathered(RequestToken(connection: id, request: frame.id), under: span)
            }
            guard open.updateValue(request, forKey: frame.id) == nil else {
                throw ConnectionRefused(reason: "a second request \(frame.id) while the first is open")
            }
        }
        if !greeted {
            guard case .hello(let hello) = frame.request else {
                throw ConnectionRefused(reason: "the first frame is not a hello")
            }
            if let failure = node.objection(to: hello) {
                send(.failure(failure), to: frame.id)
                flush()
                throw ConnectionRefused(reason: failure.detail)
            }
            greeted = true
            clientName = String(hello.clientName.prefix(ClientConnection.nameMax))
            send(.hello(node.serverHello), to: frame.id)
            node.hasUnsent(self)
            return
        }
        node.received(frame, on: self)
    }

    private func refuse(_ context: ChannelHandlerContext, _ error: any Error) {
        logger.warning(
            "closing a client connection", metadata: ["remote": "\(remote(context))", "reason": "\(error)"])
        context.close(promise: nil)
    }

    private func remote(_ context: ChannelHandlerContext) -> String {
        context.remoteAddress.map { "\($0)" } ?? "unknown"
    }

    /// Where the client is.
    var remote: String { context.map(remote) ?? "unknown" }

    /// Of a name that a client gives itself, so much is kept.
    private static let nameMax = 128
}

extension OperationStatus {
    /// What the end of a write says about writes: only one without an outcome is a failure, and only when not its client was in a
    /// hurry.
    fileprivate func saysOfProposals(hadItsTime: Bool) -> CircuitBreaker.Outcome {
        switch self {
        case .ok, .refused: .success
        case .timeout: hadItsTime ? .failure : .neutral
        case .redirected, .overloaded, .unavailable, .invalid: .neutral
        }
    }
}

extension RequestToken {
    /// The name of the request for people: unique among those of this life of the node.
    func text(on node: NodeID) -> String { "\(node)-\(connection)-\(request)" }
}

/// A request on its way.
private struct OpenRequest {
    let operation: Operation
    let since: NIODeadline
    /// Until when the client waits.
    let deadline: NIODeadline
    /// Of its frame.
    let bytes: Int
    /// Counted against the bounds.
    var isAdmitted = false
    /// How long it may wait for its turn.
    var turnPatience = TimeAmount.zero
    /// Since when it is to come to something.
    var hurriesSince: NIODeadline { since + turnPatience }
    /// Of the breaker around proposals.
    var permit: CircuitBreaker.Permit?
    /// What is said of it in the audit, when it has ended.
    var audited: String?
    /// Whether it may have an effect without an answer.
    let mayChangeSomething: Bool
    /// When its way is traced.
    var span: RecordedSpan?

    init?(_ request: ClientRequest, bytes: Int, since: NIODeadline) {
        guard let operation = Operation(request) else { return nil }
        self.operation = operation
        self.bytes = bytes
        self.since = since
        switch request {
        case .hello, .read, .watch, .cancelWatch, .nodeStatus, .members, .breakers: mayChangeSomething = false
        case .write, .heartbeat, .changeMembers, .transferLeadership, .control, .controlBreaker:
            mayChangeSomething = true
        }
        let timeout: UInt32 =
            switch request {
            case .write(let write): write.timeoutMilliseconds
            case .read(let read): read.timeoutMilliseconds
            case .hello, .watch, .cancelWatch, .heartbeat, .nodeStatus, .members, .changeMembers, .transferLeadership,
                .breakers, .controlBreaker, .control:
                0
            }
        // Zero: not said.
        deadline = timeout == 0 ? .distantFuture : since + .milliseconds(Int64(timeout))
    }
}

/// Why a connection is closed before it began.
struct ConnectionRefused: Error, CustomStringConvertible {
    var reason: String
    var description: String { reason }
}
