import Foundation
import Logging
import NIOCore

/// A process without a descriptor left cannot take the connections that wait, and would be told of them again and again, without
/// a pause, by the system: it stops asking for a moment instead. To be the first handler of a channel that listens: those
/// behind it do not hear of the shortage, which some servers would take for the end of the listener.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let pause = TimeAmount.milliseconds(100)
    /// What accept(2) fails with for want of descriptors or memory.
    private static let shortages: Set<CInt> = [EMFILE, ENFILE, ENOBUFS, ENOMEM]

    private let logger: Logger
    /// So that the shortage is said once, and its end too.
    private var isShort = false

    init(logger: Logger) { self.logger = logger }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isShort { logger.notice("connections are taken again") }
        isShort = false
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let code = (error as? IOError)?.errnoCode, AcceptPause.shortages.contains(code) else {
            return context.fireErrorCaught(error)
        }
        if !isShort { logger.error("connections wait: none can be taken", metadata: ["error": "\(error)"]) }
        isShort = true
        let channel = context.channel
        channel.setOption(.autoRead, value: false).whenSuccess {
            channel.eventLoop.scheduleTask(in: AcceptPause.pause) {
                // A channel that was closed meanwhile has no options any more, and needs none.
                _ = channel.setOption(.autoRead, value: true)
            }
        }
    }
}
