import MetadataModel
import MetadataSchema
import NIOCore
import NIOPosix
import Synchronization
import Wire

@testable import MetadataClient

/// Nodes on loopback ports that answer by script. State is shared by all nodes, as committed state is by real ones.
final class FakeCluster: Sendable {
    /// What a node does with a request.
    enum Reaction: Sendable {
        case answer(ClientResponse)
        /// Several frames, for watches.
        case answers([ClientResponse])
        /// Several frames, then the connection closes.
        case answersThenHangUp([ClientResponse])
        /// Nothing, ever.
        case silence
        /// The connection closes without an answer.
        case hangUp
        /// Bytes that are no frame.
        case garbage
    }

    typealias Script = @Sendable (_ node: Int, _ request: ClientRequest, _ cluster: FakeCluster) -> Reaction?

    struct State {
        var leader: Int?
        var term: UInt64 = 1
        var nextSession: UInt64 = 100
        /// Writes that were carried out, by session and sequence, in order.
        var done: [Call.Ticket] = []
        var results: [Call.Ticket: CommandOutcome] = [:]
        /// Every write that arrived.
        var arrived: [(node: Int, ticket: Call.Ticket)] = []
        var version: UInt64 = 0
        var feed: [ChangeEvent] = []
        var connections = 0
    }

    let state = Mutex(State())
    private let script: Script
    private let servers = Mutex<[Int: any Channel]>([:])
    private let accepted = Mutex<[Int: [any Channel]]>([:])
    private let group: any EventLoopGroup

    private init(leader: Int?, group: any EventLoopGroup, script: @escaping Script) {
        self.script = script
        self.group = group
        state.withLock { $0.leader = leader }
    }

    /// Starts nodes 1...count. The script goes first; where it answers nil, the node does its duty.
    static func start(
        nodes count: Int = 3, leader: Int? = 1, script: @escaping Script = { _, _, _ in nil }
    ) async throws -> FakeCluster {
        let cluster = FakeCluster(leader: leader, group: MultiThreadedEventLoopGroup.singleton, script: script)
        for node in 1...count { try await cluster.listen(node) }
        return cluster
    }

    func stop() async throws {
        for node in servers.withLock({ Array($0.keys) }) { try await kill(node) }
    }

    private func listen(_ node: Int) async throws {
        let channel = try await ServerBootstrap(group: group)
            .childChannelInitializer { [self] channel in
                accepted.withLock { $0[node, default: []].append(channel) }
                state.withLock { $0.connections += 1 }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FakeConnection(cluster: self, node: node))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        servers.withLock { $0[node] = channel }
    }

    /// The node's process dies: its connections are reset and nobody listens.
    func kill(_ node: Int) async throws {
        let server = servers.withLock { $0.removeValue(forKey: node) }
        try await server?.close()
        hangUp(node)
    }

    func hangUp(_ node: Int) {
        let open = accepted.withLock { $0.removeValue(forKey: node) } ?? []
        for channel in open { channel.close(promise: nil) }
    }

    func elect(_ node: Int) {
        state.withLock {
            $0.leader = node
            $0.term += 1
        }
    }

    func endpoint(_ node: Int) -> MetadataClient.Endpoint {
        let port = servers.withLock { $0[node]?.localAddress?.port } ?? 1
        return .init(host: "127.0.0.1", port: UInt16(port))
    }

    func options(_ change: (inout MetadataClient.Options) -> Void = { _ in }) -> MetadataClient.Options {
        var options = MetadataClient.Options(endpoints: servers.withLock { $0.keys.sorted() }.map(endpoint))
        change(&options)
        return options
    }

    // MARK: A node's duty

    func reaction(of node: Int, to request: ClientRequest) -> Reaction {
        script(node, request, self) ?? duty(of: node, request)
    }

    func duty(of node: Int, _ request: ClientRequest) -> Reaction {
        switch request {
        case .hello: .answer(.hello(ServerHello(clusterID: "c", nodeID: UInt64(node), leader: hint, members: members)))
        case .write(let write):
            isLeader(node) ? .answer(.write(execute(write, at: node))) : .answer(.failure(notLeader))
        case .read: isLeader(node) ? .answer(.read(.summary(summary), appliedIndex: 1)) : .answer(.failure(notLeader))
        case .watch(let after, _):
            .answers(
                state.withLock { state in
                    let events = state.feed.filter { $0.version > after }
                    return [.watchEvents(events, through: events.last?.version ?? after)]
                })
        case .cancelWatch: .answers([])
        case .heartbeat:
            isLeader(node)
                ? .answer(.heartbeat(HeartbeatAnswer(state: .active, leaseMilliseconds: 60_000, version: .zero)))
                : .answer(.failure(notLeader))
        case .nodeStatus: .answer(.nodeStatus(status(of: node)))
        case .members, .changeMembers, .transferLeadership, .control: .answer(.failure(notLeader))
        case .breakers, .controlBreaker: .answer(.breakers([]))
        }
    }

    /// Carries a write out, once for each ticket.
    func execute(_ write: WriteRequest, at node: Int) -> CommandOutcome {
        state.withLock { state in
            guard let session = write.session else {
                state.nextSession += 1
                return .done(.session(SessionID(state.nextSession)))
            }
            let ticket = Call.Ticket(session: session, sequence: write.sequence)
            state.arrived.append((node, ticket))
            if let known = state.results[ticket] { return known }
            state.version += 1
            state.done.append(ticket)
            let outcome = CommandOutcome.done(.changed(Version(state.version)))
            state.results[ticket] = outcome
            return outcome
        }
    }

    private func isLeader(_ node: Int) -> Bool { state.withLock { $0.leader == node } }

    private var hint: LeaderHint? {
        let (leader, term) = state.withLock { ($0.leader, $0.term) }
        return leader.map { LeaderHint(nodeID: UInt64($0), address: endpoint($0).description, term: term) }
    }

    private var notLeader: ServiceFailure {
        ServiceFailure(code: .notLeader, detail: "not the leader", isDefinite: true, leader: hint)
    }

    private var members: [MemberAddress] {
        servers.withLock { $0.keys.sorted() }.map {
            MemberAddress(
                nodeID: UInt64($0), clientAddress: endpoint($0).description, peerAddress: "127.0.0.1:1", isVoter: true)
        }
    }

    private var summary: MetadataSummary {
        MetadataSummary(
            version: Version(state.withLock { $0.version }), appliedIndex: 1, digest: 0,
            totals: MetadataTotals(brokers: 0, topics: 0, partitions: 0, sessions: 0), featureLevel: 1)
    }

    private func status(of node: Int) -> NodeStatus {
        NodeStatus(
            clusterID: "c", nodeID: UInt64(node), role: isLeader(node) ? "leader" : "follower",
            term: state.withLock { $0.term }, leader: hint, commitIndex: 1, appliedIndex: 1, version: .zero, digest: 0,
            healthy: true, detail: "", members: members)
    }
}

/// One connection of a fake node.
private final class FakeConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let cluster: FakeCluster
    private let node: Int
    private var decoder = FrameDecoder(kind: .client)

    init(cluster: FakeCluster, node: Int) {
        self.cluster = cluster
        self.node = node
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        decoder.append(&bytes)
        do {
            while let body = try decoder.next() {
                let frame = try ClientRequestFrame(decoding: body)
                react(to: frame, context)
            }
        } catch {
            context.close(promise: nil)
        }
    }

    private func react(to frame: ClientRequestFrame, _ context: ChannelHandlerContext) {
        switch cluster.reaction(of: node, to: frame.request) {
        case .answer(let response): send([response], to: frame.id, context)
        case .answers(let responses): send(responses, to: frame.id, context)
        case .answersThenHangUp(let responses):
            send(responses, to: frame.id, context)
            context.close(promise: nil)
        case .silence: break
        case .hangUp: context.close(promise: nil)
        case .garbage:
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: [0, 0, 0, 3, 0xff, 0xff, 0xff])), promise: nil)
        }
    }

    private func send(_ responses: [ClientResponse], to id: UInt64, _ context: ChannelHandlerContext) {
        var buffer = ByteBuffer()
        for response in responses { ClientResponseFrame(id: id, response: response).encode(into: &buffer) }
        if buffer.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(buffer), promise: nil) }
    }
}
