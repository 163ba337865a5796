import MetadataClient
import NIOCore
import NIOPosix
import Testing

@testable import Telemetry

@Suite("HTTP exchanges")
struct HTTPExchangeTests {
    /// Answers whatever it is sent with the same bytes, and hangs up or not.
    private final class Server: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let answer: String
        private let hangsUp: Bool

        private init(_ answer: String, hangsUp: Bool) {
            self.answer = answer
            self.hangsUp = hangsUp
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(NIOAny(ByteBuffer(string: answer)), promise: nil)
            if hangsUp { context.close(promise: nil) }
        }

        /// - Returns: its address, and what ends it.
        static func started(answer: String, hangsUp: Bool = false) async throws -> (HTTPEndpoint, any Channel) {
            let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Server(answer, hangsUp: hangsUp))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            let port = channel.localAddress?.port ?? 0
            return (try #require(HTTPEndpoint("http://127.0.0.1:\(port)/page")), channel)
        }
    }

    @Test(
        "an answer is read to its end, whichever way it is told",
        arguments: [
            "HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ])
    func whole(text: String) async throws {
        let (endpoint, server) = try await Server.started(answer: text)
        let answer = try await HTTPExchange.get(endpoint, timeout: .seconds(10))
        #expect(answer == HTTPExchange.Answer(status: 503, body: Array("hello".utf8)))
        try await server.close()
    }

    @Test("an answer that breaks off is none")
    func cut() async throws {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"
        let (endpoint, server) = try await Server.started(answer: text, hangsUp: true)
        await #expect(throws: (any Error).self) { try await HTTPExchange.get(endpoint, timeout: .seconds(10)) }
        try await server.close()
    }

    @Test("whoever does not answer is not waited for")
    func silence() async throws {
        let (endpoint, server) = try await Server.started(answer: "")
        let begun = ContinuousClock.now
        let error = await #expect(throws: HTTPExchange.Failure.self) {
            try await HTTPExchange.get(endpoint, timeout: .milliseconds(100))
        }
        #expect(error?.description.contains("no answer within") == true)
        #expect(begun.duration(to: .now) < .seconds(5))
        try await server.close()
    }

    @Test("whoever is sent a document need not end the answer")
    func headOfAnswer() async throws {
        let (endpoint, server) = try await Server.started(answer: "HTTP/1.1 200 OK\r\n\r\n")
        #expect(try await HTTPExchange.post([], to: endpoint, timeout: .seconds(10)).status == 200)
        try await server.close()
    }

    @Test("whoever is cancelled waits no longer")
    func cancelled() async throws {
        let (endpoint, server) = try await Server.started(answer: "")
        let begun = ContinuousClock.now
        let asking = Task { try await HTTPExchange.get(endpoint, timeout: .seconds(60)) }
        asking.cancel()
        await #expect(throws: CancellationError.self) { try await asking.value }
        #expect(begun.duration(to: .now) < .seconds(30))
        try await server.close()
    }

    @Test("where nobody listens the system says so")
    func refused() async throws {
        let (endpoint, server) = try await Server.started(answer: "")
        try await server.close()
        let error = await #expect(throws: (any Error).self) {
            try await HTTPExchange.get(endpoint, timeout: .seconds(10))
        }
        #expect(error.map(describe) == "connection refused")
    }
}
