import MetadataModel
import MetadataSchema
import NIOCore
import NIOPosix
import RaftCore
import Synchronization
import Wire

/// A cluster of one node without a log and a disk: the client protocol in front of the real state machine. It shows what
/// `metactl` makes of answers, refusals and silence.
final class TestNode: Sendable {
    /// What the node does with writes and reads.
    enum Mood: Sendable {
        case answers
        /// Takes writes and never says what became of them.
        case swallowsWrites
        /// Knows no leader.
        case hasNoLeader
        /// Answers one command that elects leaders, then knows no leader.
        case losesLeaderByElection
    }

    private struct Watcher {
        var id: UInt64
        var after: Version
        var filter: WatchFilter
        var send: @Sendable (ClientResponseFrame) -> Void
    }

    private struct State {
        var machine = StateMachine(storage: ReferenceStorage())
        var feed = ChangeFeed(eventsMax: 1_000)
        var index: UInt64 = 0
        var watchers: [Watcher] = []
        var mood: Mood
        var term: UInt64 = 3
    }

    private let state: Mutex<State>
    private let channel: any Channel

    /// Nodes listen on a port that the system chooses, for as long as `body` runs.
    static func run<Value: Sendable>(
        _ mood: Mood = .answers, body: (TestNode) async throws -> Value
    ) async throws -> Value {
        let node = try await TestNode(mood)
        do {
            let value = try await body(node)
            try await node.channel.close()
            return value
        } catch {
            try await node.channel.close()
            throw error
        }
    }

    private init(_ mood: Mood) async throws {
        state = Mutex(State(mood: mood))
        let box = Box()
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Connection(box))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        box.node.withLock { $0 = self }
    }

    /// Where the node listens, as `--endpoints` wants it.
    var endpoint: String { "127.0.0.1:\(channel.localAddress?.port ?? 0)" }

    /// Lets connections find the node, which is complete only after it listens.
    private final class Box: Sendable {
        let node = Mutex<TestNode?>(nil)
    }

    private final class Connection: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private var decoder = FrameDecoder(kind: .client)
        private let box: Box

        init(_ box: Box) { self.box = box }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            decoder.append(&bytes)
            let channel = context.channel
            let send: @Sendable (ClientResponseFrame) -> Void = { frame in
                // In the order of the calls, whichever thread they come from: a watcher that hears first that nothing more happened
                // drops what did.
                channel.eventLoop.execute {
                    var buffer = ByteBuffer()
                    frame.encode(into: &buffer)
                    channel.writeAndFlush(buffer, promise: nil)
                }
            }
            do {
                while let body = try decoder.next() {
                    let frame = try ClientRequestFrame(decoding: body)
                    let node = box.node.withLock { $0 }
                    node?.answer(frame, send)
                }
            } catch {
                context.close(promise: nil)
            }
        }
    }

    private var mood: Mood { state.withLock { $0.mood } }

    /// The node loses its leader.
    func loseLeader() { state.withLock { $0.mood = .hasNoLeader } }

    /// The node leads again, in the next term.
    func win() {
        state.withLock { state in
            state.mood = .answers
            state.term += 1
        }
    }

    private var leader: LeaderHint? { state.withLock { leader($0) } }

    private func leader(_ state: State) -> LeaderHint? {
        state.mood == .hasNoLeader ? nil : LeaderHint(nodeID: 1, address: endpoint, term: state.term)
    }

    private var members: [MemberAddress] {
        [MemberAddress(nodeID: 1, clientAddress: endpoint, peerAddress: "127.0.0.1:1", isVoter: true)]
    }

    private func answer(_ frame: ClientRequestFrame, _ send: @escaping @Sendable (ClientResponseFrame) -> Void) {
        func reply(_ response: ClientResponse) { send(ClientResponseFrame(id: frame.id, response: response)) }
        let noLeader = ServiceFailure(code: .noLeader, detail: "an election is under way", isDefinite: true)
        switch frame.request {
        case .hello:
            reply(.hello(ServerHello(clusterID: "test", nodeID: 1, leader: leader, members: members)))
        case .nodeStatus:
            reply(.nodeStatus(status()))
        case .write(let write):
            switch mood {
            case .answers: reply(.write(apply(write)))
            case .swallowsWrites: if isSessionOpening(write) { reply(.write(apply(write))) }
            case .hasNoLeader: reply(.failure(noLeader))
            case .losesLeaderByElection:
                if isElection(write) { loseLeader() }
                reply(.write(apply(write)))
            }
        case .read(let read):
            guard mood != .hasNoLeader else { return reply(.failure(noLeader)) }
            let (result, index) = state.withLock { state in
                (state.machine.answer(read.query, appliedIndex: state.index, feed: state.feed), state.index)
            }
            reply(.read(result, appliedIndex: index))
        case .watch(let after, let filter):
            state.withLock { state in
                state.watchers.append(Watcher(id: frame.id, after: after, filter: filter, send: send))
                notify(&state)
            }
        case .cancelWatch(let id):
            state.withLock { state in state.watchers.removeAll { $0.id == id } }
        case .heartbeat:
            reply(.heartbeat(HeartbeatAnswer(state: .active, leaseMilliseconds: 9_000, version: .zero)))
        case .control(.setLogLevel(let level, let component)):
            let isKnown = component != "raft2"
            reply(.control(NodeControlAnswer(isDone: isKnown, detail: "\(level) of \(component ?? "all")")))
        case .control(.reload):
            reply(.control(NodeControlAnswer(isDone: true, detail: "nothing changed")))
        case .members, .changeMembers, .transferLeadership:
            reply(.membershipRefused(MembershipRefusal(.changeUnderWay, "the change at log index 7 is not finished")))
        case .breakers, .controlBreaker:
            reply(.breakers([]))
        }
    }

    private func isElection(_ write: WriteRequest) -> Bool {
        do {
            if case .electLeaders = try Command(schemaBytes: write.command) { return true }
            return false
        } catch {
            return false
        }
    }

    private func isSessionOpening(_ write: WriteRequest) -> Bool {
        do {
            if case .openSession = try Command(schemaBytes: write.command) { return true }
            return false
        } catch {
            return false
        }
    }

    private func apply(_ write: WriteRequest) -> CommandOutcome {
        let envelope = LogEnvelope(
            timeMilliseconds: 1, session: write.session, sequence: write.sequence,
            acknowledgedBelow: write.acknowledgedBelow, commandBytes: write.command)
        return state.withLock { state in
            state.index += 1
            let applied = state.machine.apply(index: state.index, envelope.logCommand())
            if let event = applied.event { state.feed.append(event) }
            notify(&state)
            return applied.outcome
        }
    }

    /// Tells each watcher what it has not heard yet.
    private func notify(_ state: inout State) {
        for position in state.watchers.indices {
            let watcher = state.watchers[position]
            let page = state.feed.page(
                after: watcher.after, filter: watcher.filter, limit: 1_000, current: state.machine.version)
            switch page {
            case .events(let events, let through):
                state.watchers[position].after = through
                watcher.send(ClientResponseFrame(id: watcher.id, response: .watchEvents(events, through: through)))
            case .tooOld(let oldest):
                watcher.send(ClientResponseFrame(id: watcher.id, response: .watchTooOld(oldest: oldest)))
            case .notYet:
                continue
            }
        }
    }

    private func status() -> NodeStatus {
        state.withLock { state in
            let isLost = state.mood == .hasNoLeader
            return NodeStatus(
                clusterID: "test", nodeID: 1, role: isLost ? "candidate" : "leader", term: state.term,
                leader: leader(state), commitIndex: state.index, appliedIndex: state.index,
                version: state.machine.version, digest: state.machine.digest, healthy: !isLost,
                detail: isLost ? "no leader" : "", members: members)
        }
    }
}
