import Logging
import NIOCore
import RaftCore
import Wire

/// The listening side of a peer's connection: that member speaks, this one listens. Confined to the node's event loop.
final class PeerConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// Exits: `open` by a hello that fits, closed by anything else.
        case greeting
        case open(NodeID)
    }

    private let node: Node
    private let logger: Logger
    private var decoder = FrameDecoder(kind: .peer)
    private var state = State.greeting

    init(node: Node, logger: Logger) {
        self.node = node
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        decoder.append(&buffer)
        do {
            while let bytes = try decoder.next() { try received(PeerFrame(decoding: bytes), context) }
        } catch {
            let remote = context.remoteAddress.map { "\($0)" } ?? "unknown"
            logger.warning("closing a peer connection", metadata: ["remote": "\(remote)", "reason": "\(error)"])
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .open(let peer) = state { node.peerHungUp(peer) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func received(_ frame: PeerFrame, _ context: ChannelHandlerContext) throws {
        switch (state, frame) {
        case (.greeting, .hello(let hello)):
            if let objection = node.objection(to: hello) { throw ConnectionRefused(reason: objection) }
            state = .open(hello.node)
            var answer = context.channel.allocator.buffer(capacity: 64)
            PeerFrame.hello(node.peerHello(to: hello.node)).encode(into: &answer)
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
            node.peerCalled(hello)
        case (.greeting, _):
            throw ConnectionRefused(reason: "the first frame is not a hello")
        case (.open, .hello):
            throw ConnectionRefused(reason: "a second hello")
        case (.open(let peer), .messages(let messages)):
            guard messages.allSatisfy({ $0.from == peer }) else {
                throw ConnectionRefused(reason: "node \(peer) speaks for another node")
            }
            if let objection = node.objection(to: messages) {
                throw ConnectionRefused(reason: "node \(peer) is not believed: \(objection)")
            }
            node.received(messages)
        case (.open(let peer), .snapshotChunk(let chunk)):
            node.received(chunk, from: peer)
        case (.open(let peer), .snapshotProgress(let progress)):
            node.received(progress, from: peer)
        case (.open(let peer), .notice(let notice)):
            node.received(notice, from: peer)
        }
    }
}
