import NIOCore
import NIOHTTP1
import NIOPosix

/// Sends one document over a connection of its own.
enum HTTPPost {
    /// Hung up before an answer.
    struct NoAnswer: Error, CustomStringConvertible {
        var description: String { "no answer" }
    }

    private static let connectTimeout = TimeAmount.seconds(5)

    /// Waits for the answer until the task is cancelled.
    /// - Returns: the status of the answer.
    static func send(_ json: [UInt8], to endpoint: CollectorEndpoint) async throws -> Int {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let answered = loop.makePromise(of: Int.self)
        let connection = ClientBootstrap(group: loop)
            .connectTimeout(connectTimeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(
                        Exchange(json, endpoint: endpoint, answered: answered))
                }
            }
            .connect(host: endpoint.host, port: endpoint.port)
        connection.whenFailure { answered.fail($0) }
        return try await withTaskCancellationHandler {
            try await answered.futureResult.get()
        } onCancel: {
            connection.whenSuccess { $0.close(promise: nil) }
        }
    }

    /// One request and the head of its answer; nobody reads the rest.
    private final class Exchange: ChannelInboundHandler {
        typealias InboundIn = HTTPClientResponsePart
        typealias OutboundOut = HTTPClientRequestPart

        private let json: [UInt8]
        private let endpoint: CollectorEndpoint
        private let answered: EventLoopPromise<Int>

        init(_ json: [UInt8], endpoint: CollectorEndpoint, answered: EventLoopPromise<Int>) {
            self.json = json
            self.endpoint = endpoint
            self.answered = answered
        }

        func channelActive(context: ChannelHandlerContext) {
            var head = HTTPRequestHead(version: .http1_1, method: .POST, uri: endpoint.path)
            head.headers.add(name: "Host", value: endpoint.authority)
            head.headers.add(name: "Content-Type", value: "application/json")
            head.headers.add(name: "Content-Length", value: "\(json.count)")
            head.headers.add(name: "Connection", value: "close")
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: json)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .head(let head) = unwrapInboundIn(data) else { return }
            answered.succeed(Int(head.status.code))
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            answered.fail(NoAnswer())
            context.fireChannelInactive()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            answered.fail(error)
            context.close(promise: nil)
        }
    }
}
