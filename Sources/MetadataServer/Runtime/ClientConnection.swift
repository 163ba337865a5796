import Logging
import MetadataModel
import NIOCore
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

    init(id: UInt64, node: Node, logger: Logger, allocator: ByteBufferAllocator) {
        self.id = id
        self.node = node
        self.logger = logger
        self.outbound = allocator.buffer(capacity: 16 << 10)
    }

    var openRequests: Int { open.count }

    /// Whether the client waits for the answer no more, by what it said when it asked.
    func isLate(_ request: UInt64) -> Bool {
        guard let open = open[request] else { return true }
        return open.deadline < .now()
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
            while let frame = try decoder.next() { try received(ClientRequestFrame(decoding: frame), now: now) }
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
        ClientResponseFrame(id: request, response: response).encode(into: &outbound)
        if let status = OperationStatus(response) { answered(request, status) }
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

    private func answered(_ request: UInt64, _ status: OperationStatus) {
        // A watch that was refused is not among them.
        guard let ended = open.removeValue(forKey: request) else { return }
        node.operations.ended(ended.operation, status, after: .now() - ended.since)
    }

    private func received(_ frame: ClientRequestFrame, now: NIODeadline) throws {
        if let request = OpenRequest(frame.request, since: now) {
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
}

/// A request on its way.
private struct OpenRequest {
    let operation: Operation
    let since: NIODeadline
    /// Until when the client waits.
    let deadline: NIODeadline

    init?(_ request: ClientRequest, since: NIODeadline) {
        guard let operation = Operation(request) else { return nil }
        self.operation = operation
        self.since = since
        let timeout: UInt32 =
            switch request {
            case .write(let write): write.timeoutMilliseconds
            case .read(let read): read.timeoutMilliseconds
            case .hello, .watch, .cancelWatch, .heartbeat, .nodeStatus, .members, .changeMembers, .transferLeadership:
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
