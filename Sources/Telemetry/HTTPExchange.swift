import NIOCore
import NIOHTTP1
import NIOPosix

/// One request over a connection of its own, in plain HTTP/1.1.
package enum HTTPExchange {
    package struct Answer: Equatable, Sendable {
        package var status: Int
        package var body: [UInt8]
    }

    package enum Failure: Error, CustomStringConvertible {
        case hungUp
        case tooLong
        case timeout(Duration)

        package var description: String {
            switch self {
            case .hungUp: "hung up before the end of an answer"
            case .tooLong: "an answer of more than \(HTTPExchange.bodyMax >> 20) MiB"
            case .timeout(let time): "no answer within \(time)"
            }
        }
    }

    static let bodyMax = 64 << 20

    /// - Parameter timeout: for all of it, from the first byte of the connection to the last of the answer.
    /// - Throws: ``Failure``, or what NIO has to say of the connection.
    package static func get(_ endpoint: HTTPEndpoint, timeout: Duration) async throws -> Answer {
        try await send(.GET, nil, to: endpoint, timeout)
    }

    /// - Returns: the head of the answer; nobody reads the rest.
    static func post(_ json: [UInt8], to endpoint: HTTPEndpoint, timeout: Duration) async throws -> Answer {
        try await send(.POST, json, to: endpoint, timeout)
    }

    private static func send(
        _ method: HTTPMethod, _ json: [UInt8]?, to endpoint: HTTPEndpoint, _ timeout: Duration
    ) async throws -> Answer {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let answered = loop.makePromise(of: Answer.self)
        let connection = ClientBootstrap(group: loop)
            .connectTimeout(TimeAmount(timeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(
                        Handler(Handler.head(method, json, endpoint), json, answered))
                }
            }
            .connect(host: endpoint.host, port: endpoint.port)
        connection.whenFailure { answered.fail($0) }
        let patience = loop.scheduleTask(in: TimeAmount(timeout)) {
            answered.fail(Failure.timeout(timeout))
            connection.whenSuccess { $0.close(promise: nil) }
        }
        defer { patience.cancel() }
        return try await withTaskCancellationHandler {
            try await answered.futureResult.get()
        } onCancel: {
            // The connection may still be coming about, and would tell nobody of its end.
            answered.fail(CancellationError())
            connection.whenSuccess { $0.close(promise: nil) }
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPClientResponsePart
        typealias OutboundOut = HTTPClientRequestPart

        private let head: HTTPRequestHead
        private let json: [UInt8]?
        private let answered: EventLoopPromise<Answer>
        private var answer = Answer(status: 0, body: [])

        init(_ head: HTTPRequestHead, _ json: [UInt8]?, _ answered: EventLoopPromise<Answer>) {
            self.head = head
            self.json = json
            self.answered = answered
        }

        static func head(_ method: HTTPMethod, _ json: [UInt8]?, _ endpoint: HTTPEndpoint) -> HTTPRequestHead {
            var head = HTTPRequestHead(version: .http1_1, method: method, uri: endpoint.path)
            head.headers.add(name: "Host", value: endpoint.authority)
            head.headers.add(name: "Connection", value: "close")
            if let json {
                head.headers.add(name: "Content-Type", value: "application/json")
                head.headers.add(name: "Content-Length", value: "\(json.count)")
            }
            return head
        }

        func channelActive(context: ChannelHandlerContext) {
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            if let json { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: json)))), promise: nil) }
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                answer.status = Int(head.status.code)
                if json != nil { end(context, .success(answer)) }
            case .body(let bytes):
                answer.body.append(contentsOf: bytes.readableBytesView)
                if answer.body.count > HTTPExchange.bodyMax { end(context, .failure(.tooLong)) }
            case .end: end(context, .success(answer))
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            answered.fail(Failure.hungUp)
            context.fireChannelInactive()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            answered.fail(error)
            context.close(promise: nil)
        }

        private func end(_ context: ChannelHandlerContext, _ result: Result<Answer, Failure>) {
            answered.completeWith(result.mapError { $0 as any Error })
            context.close(promise: nil)
        }
    }
}
