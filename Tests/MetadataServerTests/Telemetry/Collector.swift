import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Telemetry

/// A collector of traces: a real HTTP server on loopback that keeps what it is sent.
final class Collector: Sendable {
    struct Span: Hashable, Sendable {
        var name: String
        var kind: Int
        var trace: String
        var id: String
        var parent: String?
        /// `service.instance.id` of whoever sent it.
        var sender: String
        var start: UInt64
        var end: UInt64
        var isError: Bool
    }

    private struct State {
        var spans: [Span] = []
        var problems: [String] = []
        /// The status of the next answers; empty: 200.
        var statuses: [HTTPResponseStatus] = []
        var requests = 0
    }

    private let state = Mutex(State())
    private let channel: any Channel

    private init(_ channel: any Channel, _ box: Box) {
        self.channel = channel
        box.collector.withLock { $0 = self }
    }

    private final class Box: Sendable {
        let collector = Mutex<Collector?>(nil)
    }

    static func started() async throws -> Collector {
        let box = Box()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(box))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return Collector(channel, box)
    }

    var address: String { "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/v1/traces" }

    var spans: [Span] { state.withLock(\.spans) }
    var problems: [String] { state.withLock(\.problems) }
    var requests: Int { state.withLock(\.requests) }

    /// Has the next requests answered with these.
    func answer(_ statuses: [HTTPResponseStatus]) { state.withLock { $0.statuses = statuses } }

    func stop() async throws { try await channel.close() }

    fileprivate func received(_ head: HTTPRequestHead, _ body: [UInt8]) -> HTTPResponseStatus {
        state.withLock { state in
            state.requests += 1
            if head.method != .POST || head.uri != "/v1/traces" { state.problems.append("\(head.method) \(head.uri)") }
            if head.headers["content-type"] != ["application/json"] { state.problems.append("\(head.headers)") }
            if !state.statuses.isEmpty {
                let status = state.statuses.removeFirst()
                guard status == .ok else { return status }
            }
            do {
                state.spans += try Collector.parse(body)
            } catch {
                state.problems.append("\(error): \(String(decoding: body, as: UTF8.self))")
            }
            return .ok
        }
    }

    /// Reads the document as the OTLP specification has it, and not as our encoder writes it.
    private static func parse(_ body: [UInt8]) throws -> [Span] {
        struct Document: Decodable {
            struct Value: Decodable { var stringValue: String? }
            struct Attribute: Decodable {
                var key: String
                var value: Value
            }
            struct Resource: Decodable { var attributes: [Attribute] }
            struct Status: Decodable { var code: Int? }
            struct Span: Decodable {
                var traceId: String
                var spanId: String
                var parentSpanId: String?
                var name: String
                var kind: Int
                var startTimeUnixNano: String
                var endTimeUnixNano: String
                var status: Status?
            }
            struct Scope: Decodable { var spans: [Span] }
            struct OfResource: Decodable {
                var resource: Resource
                var scopeSpans: [Scope]
            }
            var resourceSpans: [OfResource]
        }
        struct Wrong: Error { var what: String }
        return try JSONDecoder().decode(Document.self, from: Data(body)).resourceSpans.flatMap { part in
            let sender = part.resource.attributes.first { $0.key == "service.instance.id" }?.value.stringValue ?? ""
            return try part.scopeSpans.flatMap(\.spans).map { span in
                guard span.traceId.wholeMatch(of: /[0-9a-f]{32}/) != nil,
                    span.spanId.wholeMatch(of: /[0-9a-f]{16}/) != nil,
                    let start = UInt64(span.startTimeUnixNano), let end = UInt64(span.endTimeUnixNano), start <= end
                else { throw Wrong(what: "\(span)") }
                return Span(
                    name: span.name, kind: span.kind, trace: span.traceId, id: span.spanId, parent: span.parentSpanId,
                    sender: sender, start: start, end: end, isError: span.status?.code == 2)
            }
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let box: Box
        private var head: HTTPRequestHead?
        private var body: [UInt8] = []

        init(_ box: Box) { self.box = box }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): (self.head, body) = (head, [])
            case .body(let bytes): body += Array(bytes.readableBytesView)
            case .end:
                guard let head, let collector = box.collector.withLock(\.self) else {
                    return context.close(promise: nil)
                }
                let status = collector.received(head, body)
                let headers = HTTPHeaders([("Content-Length", "0")])
                context.write(
                    wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))),
                    promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
