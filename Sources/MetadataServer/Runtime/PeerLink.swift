import Logging
import NIOCore
import NIOPosix
import RaftCore
import Resilience
import Wire

/// The dialling side of a connection to a peer: this member speaks. It dials again for ever, soon after a break and then ever
/// more seldom, and at once when the peer has called in; also where the peer said it is, if that is not where the configuration
/// has it. While it is down messages are dropped: Raft sends them again.
/// Confined to the node's event loop.
final class PeerLink {
    /// Between two attempts to dial, at most.
    static let pauseMax: TimeAmount = .milliseconds(500)
    static let pauseMin: TimeAmount = .milliseconds(20)
    /// After the peer said that it does not listen: by itself that does not change soon, and a change calls us.
    static let refusalPause: TimeAmount = .seconds(5)
    static let connectTimeout: TimeAmount = .milliseconds(500)
    /// A connection whose peer does not answer hello, or whose bytes nobody acknowledges, for this long is given up. TCP alone
    /// would double its pauses for minutes, and a healed partition would stay one.
    static let silenceMax: TimeAmount = .seconds(2)
    /// Bytes that may wait for a peer that does not read before further messages are dropped.
    static let unsentBytesMax = 32 << 20

    private enum State {
        /// Exits: `dialling` when the pause is over or the peer calls.
        case down(retry: Scheduled<Void>?)
        /// Exits: `up` by a fitting answer to hello, `down` by failure.
        case dialling(CircuitBreaker.Permit)
        /// Exits: `down` when the connection closes.
        case up(any Channel)
        /// The node is stopping. No exit.
        case stopped
    }

    private(set) var peer: Member
    /// Where the peer said it is; nil while that is what the configuration says too.
    private var calledFrom: String?
    /// The next attempt goes to `calledFrom`.
    private var triesCaller = false
    private let node: Node
    private let logger: Logger
    private let breaker: SharedCircuitBreaker
    private var state = State.down(retry: nil)
    private var pause = PeerLink.pauseMin
    private var queued: [Message] = []
    private var queuedBytes = 0

    init(peer: Member, node: Node, logger: Logger) {
        self.peer = peer
        self.node = node
        self.logger = logger
        breaker = node.breakers.breaker(PeerLink.breakerName(peer.id), options: node.settings.peerBreaker)
    }

    private static func breakerName(_ peer: NodeID) -> String { "peer-\(peer)" }

    var isUp: Bool {
        if case .up = state { return true }
        return false
    }

    func start() { dial() }

    func stop() {
        switch state {
        case .down(let retry): retry?.cancel()
        case .up(let channel): channel.close(promise: nil)
        case .dialling, .stopped: break
        }
        state = .stopped
        node.breakers.remove(breaker.name)
    }

    /// The configuration says something else of the peer now. What is connected to the same disk stays so.
    func update(_ member: Member) {
        let isSame = peer.disk == member.disk && peer.peerAddress == member.peerAddress
        peer = member
        if calledFrom == member.peerAddress { calledFrom = nil }
        guard !isSame else { return }
        triesCaller = false
        breaker.reset()
        switch state {
        case .up(let channel): channel.close(promise: nil)
        case .down(let retry):
            retry?.cancel()
            pause = PeerLink.pauseMin
            dial()
        case .dialling: pause = PeerLink.pauseMin
        case .stopped: break
        }
    }

    /// The peer has just connected to us, so it is there: no reason to wait.
    func peerCalled(from address: String) {
        calledFrom = address.isEmpty || address == peer.peerAddress ? nil : address
        guard case .down(let retry) = state else { return }
        // It may have moved; if it has not, the next attempt goes to the known address again.
        triesCaller = calledFrom != nil
        retry?.cancel()
        pause = PeerLink.pauseMin
        breaker.probeSoon()
        dial()
    }

    func queue(_ message: Message) {
        guard case .up = state else { return }
        queued.append(message)
        queuedBytes += PeerFrame.approximateBytes(of: message)
        if queuedBytes >= WireLimits.peerBatchBytes { flush() }
    }

    func flush() {
        guard !queued.isEmpty else { return }
        let batch = queued
        queued.removeAll(keepingCapacity: true)
        queuedBytes = 0
        send(.messages(batch, traced: node.traces.beside(batch)))
    }

    /// Sends a frame; false when the link is down or the peer does not read.
    @discardableResult
    func send(_ frame: PeerFrame) -> Bool {
        guard case .up(let channel) = state, channel.isWritable else { return false }
        var buffer = channel.allocator.buffer(capacity: 4 << 10)
        frame.encode(into: &buffer)
        channel.writeAndFlush(buffer, promise: nil)
        return true
    }

    private func dial() {
        let permit: CircuitBreaker.Permit
        do {
            permit = try breaker.admit()
        } catch {
            state = .down(retry: retryLater(after: max(TimeAmount(error.retryAfter), PeerLink.pauseMin)))
            return
        }
        let target = triesCaller ? calledFrom ?? peer.peerAddress : peer.peerAddress
        triesCaller = !triesCaller && calledFrom != nil
        state = .dialling(permit)
        guard let address = NetworkAddress(parsing: target) else {
            logger.error("peer address is not host:port", metadata: ["peer": "\(peer.id)", "address": "\(target)"])
            return wentDown(nil, refused: false)
        }
        let greeter = PeerGreeter(link: self)
        let bound = NIOLoopBound(greeter, eventLoop: node.eventLoop)
        // The name is resolved at each attempt: a member may have moved.
        ClientBootstrap(group: node.eventLoop)
            .resolver(NameLookup(on: node.eventLoop))
            .connectTimeout(PeerLink.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.userTimeout, value: Int(PeerLink.silenceMax.nanoseconds / 1_000_000))
            .channelOption(
                .writeBufferWaterMark, value: .init(low: 1 << 20, high: PeerLink.unsentBytesMax)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(bound.value) }
            }
            .connect(host: address.host, port: address.port)
            .assumeIsolated()
            .whenFailure { [self] error in wentDown(error, refused: isRefusal(error)) }
    }

    fileprivate func greet(_ context: ChannelHandlerContext) {
        var buffer = context.channel.allocator.buffer(capacity: 128)
        ConnectionPreamble.write(for: .peer, into: &buffer)
        PeerFrame.hello(node.peerHello(to: peer.id)).encode(into: &buffer)
        context.writeAndFlush(NIOAny(buffer), promise: nil)
        let bound = NIOLoopBound((link: self, channel: context.channel), eventLoop: node.eventLoop)
        node.eventLoop.scheduleTask(in: PeerLink.silenceMax) {
            guard case .dialling = bound.value.link.state else { return }
            bound.value.channel.close(promise: nil)
        }
    }

    fileprivate func answered(_ hello: PeerHello, on channel: any Channel) throws {
        guard hello.node == peer.id else {
            throw ConnectionRefused(reason: "dialled node \(peer.id) and reached node \(hello.node)")
        }
        guard case .dialling(let permit) = state else {
            throw ConnectionRefused(reason: "the link was given up meanwhile")
        }
        if case .failure(let refusal) = node.judge(hello) {
            node.refuses(peer.id, refusal)
            throw refusal
        }
        breaker.record(.success, of: permit)
        state = .up(channel)
        pause = PeerLink.pauseMin
        node.linkUp(hello)
    }

    /// The peer does not listen, whatever is sent.
    fileprivate func refused(_ refusal: PeerRefusal) {
        pause = PeerLink.refusalPause
        node.linkRefused(by: peer.id, refusal)
    }

    fileprivate func wentDown(_ error: (any Error)?, refused: Bool) {
        switch state {
        case .stopped, .down:
            return
        case .up:
            break
        case .dialling(let permit):
            // Who says why it does not listen is there; silence, a refused connection or another node's answer is a failure.
            breaker.record(pause == PeerLink.refusalPause ? .neutral : .failure, of: permit)
        }
        queued.removeAll()
        queuedBytes = 0
        if case .up = state, pause < PeerLink.refusalPause {
            logger.info("peer connection lost", metadata: ["peer": "\(peer.id)"])
            // Find out at once whether anybody is still there.
            dial()
            node.linkDown(peer.id, refused: false)
            return
        }
        let wait = pause
        pause = pause == PeerLink.refusalPause ? PeerLink.pauseMin : min(pause * 2, PeerLink.pauseMax)
        state = .down(retry: retryLater(after: wait))
        logger.debug(
            "peer not reached", metadata: ["peer": "\(peer.id)", "error": "\(error.map { "\($0)" } ?? "closed")"])
        if refused { node.linkDown(peer.id, refused: true) }
    }

    private func retryLater(after wait: TimeAmount) -> Scheduled<Void> {
        let bound = NIOLoopBound(self, eventLoop: node.eventLoop)
        return node.eventLoop.scheduleTask(in: wait) { bound.value.retry() }
    }

    private func retry() {
        guard case .down = state else { return }
        dial()
        // Not while the breaker is open.
        if case .dialling = state { node.operations.retried(.dialPeer) }
    }
}

/// Waits for the answer to hello on a dialled connection, then for its end.
private final class PeerGreeter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let link: PeerLink
    private var decoder = FrameDecoder(kind: .peer, side: .dialler)

    init(link: PeerLink) { self.link = link }

    func channelActive(context: ChannelHandlerContext) {
        link.greet(context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        decoder.append(&buffer)
        do {
            while let bytes = try decoder.next() {
                switch try PeerFrame(decoding: bytes) {
                case .hello(let hello): try link.answered(hello, on: context.channel)
                case .refusal(let refusal): link.refused(refusal)
                case .messages, .snapshotChunk, .snapshotProgress, .notice:
                    throw ConnectionRefused(reason: "the listening side sent more than its hello")
                }
            }
        } catch {
            context.fireErrorCaught(error)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        link.wentDown(nil, refused: false)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Nobody listens at the address: the process is gone, or not there yet.
private func isRefusal(_ error: any Error) -> Bool {
    if let error = error as? IOError { return error.errnoCode == ECONNREFUSED }
    if let error = error as? NIOConnectionError {
        return error.connectionErrors.contains { ($0.error as? IOError)?.errnoCode == ECONNREFUSED }
    }
    return false
}
