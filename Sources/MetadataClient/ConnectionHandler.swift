import NIOCore
import Wire

/// One connection to a node: bytes to frames and back. What the frames mean is decided in `ClientMachine`.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let connection: ConnectionID
    private let core: ClientCore
    private var decoder = FrameDecoder(kind: .client, side: .dialler)
    /// Frames of this batch. Kept between batches for its memory.
    private var outbound = ByteBuffer()
    private var context: ChannelHandlerContext?
    /// Why the connection ends, when this end knows.
    private var problem: String?
    private var now = NIODeadline.now()

    init(core: ClientCore, connection: ConnectionID) {
        self.core = core
        self.connection = connection
    }

    // MARK: From the core

    /// Adds a frame to the batch, or nothing when it cannot be sent. Answers whether it is the first: then `flush` has to
    /// follow.
    func enqueue(_ frame: ClientRequestFrame) throws(WireError) -> Bool {
        let isFirst = outbound.readableBytes == 0
        try frame.encode(into: &outbound)
        return isFirst
    }

    /// Writes the batch, as one buffer.
    func flush() {
        guard let context, outbound.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(outbound), promise: nil)
        // When the socket took it all, nobody else holds the memory and it is used again; one large batch is not kept.
        if outbound.capacity > ConnectionHandler.keptBytesMax { outbound = ByteBuffer() } else { outbound.clear() }
    }

    func disconnect() { context?.close(promise: nil) }

    // MARK: From the channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        ConnectionPreamble.write(for: .client, into: &outbound)
        core.connected(connection, self)
        flush()
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        core.connectionLost(connection, reason: problem ?? "the node closed the connection")
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard problem == nil else { return }
        now = .now()
        var bytes = unwrapInboundIn(data)
        decoder.append(&bytes)
        do {
            while let body = try decoder.next() {
                core.received(connection, try ClientResponseFrame(decoding: body), now: now)
            }
        } catch {
            close(because: "\(error)")
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        core.endOfRead(now: now)
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        core.writabilityChanged(connection, isWritable: context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(because: describe(error)) }

    private func close(because reason: String) {
        if problem == nil { problem = reason }
        context?.close(promise: nil)
    }

    /// A write buffer larger than this is not kept for the next batch.
    private static let keptBytesMax = 1 << 20
}
