import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Stands for Slack's side of an incoming webhook: a real HTTP server on loopback that keeps what is posted.
final class SlackChannels: Sendable {
    /// One post, with the fields that people see.
    struct Post: Decodable, Sendable {
        struct Attachment: Decodable, Sendable {
            var title: String
            var text: String
        }
        var channel: String
        var attachments: [Attachment]
    }

    private final class Posts: Sendable {
        let all = Mutex<[Post]>([])
    }

    private let received: Posts
    private let channel: any Channel

    private init(_ channel: any Channel, _ received: Posts) {
        self.channel = channel
        self.received = received
    }

    static func opened() async throws -> SlackChannels {
        let posts = Posts()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(posts))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return SlackChannels(channel, posts)
    }

    /// What Slack would give to who may post.
    var webhook: String { "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/services/T0/B0/secret" }

    var posts: [Post] { received.all.withLock { $0 } }

    /// Whether a channel was told of something in the title of a message.
    func has(_ title: String, in channel: String) -> Bool {
        posts.contains { $0.channel == channel && $0.attachments.contains { $0.title.contains(title) } }
    }

    func close() async throws { try await channel.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let posts: Posts
        private var body: [UInt8] = []

        init(_ posts: Posts) { self.posts = posts }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head: body = []
            case .body(let bytes): body += Array(bytes.readableBytesView)
            case .end:
                let post = try? JSONDecoder().decode(Post.self, from: Data(body))
                if let post { posts.all.withLock { $0.append(post) } }
                // As Slack answers what it does not understand; Alertmanager then says so in its log.
                let status: HTTPResponseStatus = post == nil ? .badRequest : .ok
                let head = HTTPResponseHead(version: .http1_1, status: status, headers: ["content-length": "0"])
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
