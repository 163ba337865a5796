import Logging
import NIOCore
import RaftCore
import Replica
import Wire

/// The listening side of a peer's connection: that member speaks, this one listens. Confined to the node's event loop.
final class PeerConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// Exits: `open` by a hello that fits, closed by anything else.
        case greeting
        case open(PeerHello)
    }

    private let node: Node
    private let logger: Logger
    private var decoder = FrameDecoder(kind: .peer)
    private var state = State.greeting
    /// Who said hello, let in or not.
    private var caller: NodeID?
    private var context: ChannelHandlerContext?

    /// A connection that has not said hello after this is closed: it holds a descriptor.
    static let greetingTimeout: TimeAmount = .seconds(5)

    init(node: Node, logger: Logger) {
        self.node = node
        self.logger = logger
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: PeerConnection.greetingTimeout) {
            if case .greeting = bound.value.state { bound.value.close() }
        }
        context.fireChannelActive()
    }

    func close() { context?.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        decoder.append(&buffer)
        do {
            while let bytes = try decoder.next() { try received(PeerFrame(decoding: bytes), context) }
        } catch let refusal as PeerRefusal {
            refuse(refusal, context)
        } catch {
            let remote = context.remoteAddress.map { "\($0)" } ?? "unknown"
            logger.warning("closing a peer connection", metadata: ["remote": "\(remote)", "reason": "\(error)"])
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        if case .open(let hello) = state { node.peerHungUp(hello.node, self) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func received(_ frame: PeerFrame, _ context: ChannelHandlerContext) throws {
        switch (state, frame) {
        case (.greeting, .hello(let hello)):
            caller = hello.node
            let admission = try node.judge(hello).get()
            state = .open(hello)
            var answer = context.channel.allocator.buffer(capacity: 64)
            PeerFrame.hello(node.peerHello(to: hello.node)).encode(into: &answer)
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
            node.peerCalled(hello, as: admission, on: self)
        case (.greeting, _):
            throw ConnectionRefused(reason: "the first frame is not a hello")
        case (.open, .hello):
            throw ConnectionRefused(reason: "a second hello")
        case (.open(let hello), .messages(let messages, let traced)):
            guard messages.allSatisfy({ $0.from == hello.node }) else {
                throw ConnectionRefused(reason: "node \(hello.node) speaks for another node")
            }
            if let objection = node.objection(to: messages) {
                throw ConnectionRefused(reason: "node \(hello.node) is not believed: \(objection)")
            }
            let admission = try node.judge(hello).get()
            node.traces.received(traced)
            node.received(messages, as: admission)
        case (.open(let hello), .snapshotChunk(let chunk)):
            _ = try node.judge(hello).get()
            node.received(chunk, from: hello.node)
        case (.open(let hello), .snapshotProgress(let progress)):
            _ = try node.judge(hello).get()
            node.received(progress, from: hello.node)
        case (.open(let hello), .notice(let notice)):
            // What another disk says of itself, or counts, is not that of the known one.
            guard case .member = try node.judge(hello).get() else { return }
            node.received(notice, from: hello.node)
        case (.open, .refusal):
            throw ConnectionRefused(reason: "the dialling side refuses what it dialled")
        }
    }

    /// Tells the other side why, or it would try for ever and its operator would not know.
    private func refuse(_ refusal: PeerRefusal, _ context: ChannelHandlerContext) {
        if let caller { node.refuses(caller, refusal) }
        var frame = context.channel.allocator.buffer(capacity: 256)
        PeerFrame.refusal(refusal).encode(into: &frame)
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        context.close(promise: nil)
    }
}
