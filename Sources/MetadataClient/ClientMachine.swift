import DequeModule
import HeapModule
import MetadataModel
import NIOCore
import Resilience
import Wire

/// Everything that the client decides, without a socket or a clock: where calls go, when they are tried again, who leads,
/// what became of a write. Inputs are methods, each followed by `dispatch` at the end of a batch; what has to be done is
/// taken with `takeActions`.
///
/// Spread over extensions by theme: `+Calls` (queues and routing), `+Answers` (what nodes say), `+Nodes` (connections and the
/// search for the leader), `+Sessions`, `+Watches`, `+Time`.
struct ClientMachine: Sendable {
    /// Exits: `running` -> `closing` -> `closed`, or `running` -> `closed` when nothing has to be given back.
    enum Phase: Sendable {
        case running
        /// The session is being given back; until the instant at most.
        case closing(until: NIODeadline)
        case closed
    }

    /// The session that gives writes their identity.
    enum SessionState: Sendable {
        /// Exits: `opening` with the first write.
        case none
        /// Exits: `open` with the answer, `none` when the cluster refuses or nobody waits any more.
        case opening(CallID)
        /// Exits: `none` when the cluster says that it has expired.
        case open(SessionID, SequenceWindow)
    }

    /// The client needs a node that it is not connected to, and asks around.
    struct Search: Sendable {
        let since: NIODeadline
        /// When there was news last: what the pauses grow from.
        var newsAt: NIODeadline
        var nextRound: NIODeadline
        var rounds = 0
    }

    let options: MetadataClient.Options
    let attemptTimeout: TimeAmount
    let connectTimeout: TimeAmount

    var phase: Phase = .running
    var random: SplitMix64
    var actions: [ClientAction] = []

    // Nodes. See +Nodes.
    var nodes: [Node] = []
    var leader = LeaderView()
    var search: Search?
    /// A read went to another node because the leader is not connected: it is looked for although nothing waits.
    var missedLeader = false
    var lastGeneration: UInt64 = 0
    /// The cluster that was meant, or the one that answered first.
    var clusterID: String
    /// When all nodes were asked last because of a slow call.
    var askedAroundAt: NIODeadline?

    // Calls. See +Calls. Invariant: a call that is `queued` is in the queue of its kind, once; ids without a queued call
    // are left over and skipped.
    var calls: [CallID: Call] = [:]
    /// The spans of calls that are traced. An entry lives as long as its call.
    var traceparents: [CallID: String] = [:]
    /// The call that a request id of a later attempt belongs to.
    var retries: [CallID: CallID] = [:]
    var deadlines: Heap<DeadlineEntry> = []
    var newWrites: Deque<CallID> = []
    /// Writes that have a ticket already. Sent before new ones, in the order of their sequence.
    var resends: [CallID] = []
    var leaderReads: Deque<CallID> = []
    var anywhereReads: Deque<CallID> = []
    /// Heartbeats and session control: to the leader, ahead of everything else.
    var controls: Deque<CallID> = []
    /// To one node each.
    var nodeRequests: Deque<CallID> = []
    var delayed: [CallID] = []
    var lastInternalID: CallID = ClientMachine.internalIDBit
    var budget: RetryBudget
    var budgetRefilledAt: NIODeadline?
    /// What the nodes say of how long to wait for a leader.
    var toldLeaderWait = ClientMachine.leaderWaitDefault
    var slowSweepAt: NIODeadline?

    // Session and watches. See +Sessions, +Watches.
    var session: SessionState = .none
    var watches: [CallID: Watch] = [:]
    /// Watches that a node has to be asked for. Taken in the order of their ids.
    var unplacedWatches: Set<CallID> = []
    /// Watches that a node refused since the last tick.
    var failedWatches: [CallID] = []
    /// The watch that a request on some connection asked for.
    var watchRequests: [CallID: CallID] = [:]

    /// Told when the client is closed.
    var closeHandlers: [@Sendable () -> Void] = []

    init(options: MetadataClient.Options, seed: UInt64) {
        self.options = options
        attemptTimeout = TimeAmount(options.attemptTimeout)
        connectTimeout = TimeAmount(options.connectTimeout)
        random = SplitMix64(seed: seed)
        clusterID = options.clusterID
        budget = RetryBudget(capacity: options.retry.budget, milliTokensPerCall: 100, milliTokensPerSecond: 1_000)
        for endpoint in options.endpoints where !nodes.contains(where: { $0.endpoint == endpoint }) {
            nodes.append(makeNode(endpoint, isConfigured: true))
        }
    }

    /// Calls and leftovers that are watched for their deadlines.
    var deadlineCount: Int { deadlines.count }

    var hasActions: Bool { !actions.isEmpty }

    /// What has to be done now; empty afterwards.
    mutating func takeActions() -> [ClientAction] {
        let taken = actions
        actions.removeAll(keepingCapacity: true)
        return taken
    }

    // MARK: Inputs from callers

    mutating func submitted(_ input: ClientInput, now: NIODeadline) {
        guard case .running = phase else { return refuseAsClosed(input) }
        switch input {
        case .write(let id, let command, let deadline, let handler):
            guard command.count <= Limits.commandBytesMax else {
                traceparents[id] = nil
                let detail = "the command has \(command.count) bytes, at most \(Limits.commandBytesMax) are allowed"
                return actions.append(
                    .answerWrite(handler, .failure(CallFailure(.invalidRequest, .definite, detail))))
            }
            add(id, Call(kind: .write(command: command, handler), deadline: deadline), now: now)
        case .read(let id, let query, let consistency, let deadline, let handler):
            add(id, Call(kind: .read(query, consistency, handler), deadline: deadline), now: now)
        case .heartbeat(let id, let heartbeat, let deadline, let handler):
            add(id, Call(kind: .heartbeat(heartbeat, handler), deadline: deadline), now: now)
        case .status(let id, let endpoint, let deadline, let handler):
            guard let node = key(of: endpoint) else {
                return actions.append(.answerStatus(handler, .failure(unknown(endpoint))))
            }
            add(id, Call(kind: .status(node, handler), deadline: deadline), now: now)
        case .control(let id, let endpoint, let control, let deadline, let handler):
            guard let node = key(of: endpoint) else {
                return actions.append(.answerControl(handler, .failure(unknown(endpoint))))
            }
            add(id, Call(kind: .control(node, control, handler), deadline: deadline), now: now)
        case .breakers(let id, let endpoint, let control, let deadline, let handler):
            guard let node = key(of: endpoint) else {
                return actions.append(.answerBreakers(handler, .failure(unknown(endpoint))))
            }
            add(id, Call(kind: .breakers(node, control, handler), deadline: deadline), now: now)
        case .membership(let id, let call, let deadline, let handler):
            add(id, Call(kind: .membership(call, handler), deadline: deadline), now: now)
        case .trace(let id, let traceparent): traceparents[id] = traceparent
        case .cancel(let id):
            guard let call = calls[id] else { return }
            let outcome: MetadataError.Outcome = call.isUnresolved ? .indefinite : .definite
            fail(id, CallFailure(.cancelled, outcome, "the caller's task was cancelled"))
        case .watch(let id, let after, let filter, let buffer):
            watches[id] = Watch(cursor: after, filter: filter, buffer: buffer)
            unplacedWatches.insert(id)
        case .resumeWatch(let id): resumeWatch(id)
        case .cancelWatch(let id): cancelWatch(id)
        case .knownEndpoints(let handler):
            let known = nodes.filter(\.isWanted).map(\.endpoint)
            actions.append(.tell { handler(known) })
        case .close(let handler):
            closeHandlers.append(handler)
            beginClose(now: now)
        }
    }

    private func key(of endpoint: MetadataClient.Endpoint) -> NodeKey? {
        nodes.firstIndex { $0.endpoint == endpoint }.map(NodeKey.init)
    }

    private func unknown(_ endpoint: MetadataClient.Endpoint) -> CallFailure {
        CallFailure(.unavailable, .definite, "no node at \(endpoint) is known")
    }

    private mutating func refuseAsClosed(_ input: ClientInput) {
        let failure = CallFailure(.clientClosed, .definite, "the client is closed")
        switch input {
        case .write(_, _, _, let handler): actions.append(.answerWrite(handler, .failure(failure)))
        case .read(_, _, _, _, let handler): actions.append(.answerRead(handler, .failure(failure)))
        case .heartbeat(_, _, _, let handler): actions.append(.answerHeartbeat(handler, .failure(failure)))
        case .status(_, _, _, let handler): actions.append(.answerStatus(handler, .failure(failure)))
        case .control(_, _, _, _, let handler): actions.append(.answerControl(handler, .failure(failure)))
        case .membership(_, _, _, let handler): actions.append(.answerMembership(handler, .failure(failure)))
        case .breakers(_, _, _, _, let handler): actions.append(.answerBreakers(handler, .failure(failure)))
        case .watch(_, _, _, let buffer): actions.append(.finishWatch(buffer, nil))
        case .knownEndpoints(let handler): actions.append(.tell { handler([]) })
        case .close(let handler):
            if case .closed = phase { actions.append(.tell(handler)) } else { closeHandlers.append(handler) }
        case .trace, .cancel, .resumeWatch, .cancelWatch: break
        }
    }

    // MARK: Closing

    private mutating func beginClose(now: NIODeadline) {
        for id in calls.keys.sorted() {
            guard let call = calls[id] else { continue }
            fail(id, CallFailure(.clientClosed, call.isUnresolved ? .indefinite : .definite, "the client was closed"))
        }
        for id in watches.keys.sorted() {
            guard let watch = watches.removeValue(forKey: id) else { continue }
            actions.append(.finishWatch(watch.buffer, nil))
        }
        unplacedWatches.removeAll()
        watchRequests.removeAll()
        if giveSessionBack(now: now) {
            phase = .closing(until: now + ClientMachine.closeWait)
        } else {
            finishClose()
        }
    }

    /// Nothing is waited for any more.
    mutating func finishClose() {
        phase = .closed
        calls.removeAll()
        traceparents.removeAll()
        for index in nodes.indices {
            if let connection = nodes[index].connection { actions.append(.disconnect(connection)) }
            nodes[index].link = .closed(notBefore: .distantFuture)
        }
        search = nil
        for handler in closeHandlers { actions.append(.tell(handler)) }
        closeHandlers.removeAll()
    }

    // MARK: Limits

    /// Ids of the client's own requests have this bit, those of calls do not.
    static let internalIDBit: CallID = 1 << 63
    /// Known nodes, at most; a client that met this many different members forgets the oldest that is none any more.
    static let nodesMax = 64
    /// How long closing waits for the cluster to take the session back.
    static let closeWait = TimeAmount.milliseconds(250)
    /// A connection to a node that is not needed is closed after this long.
    static let idleMax = TimeAmount.seconds(30)
    /// A connection that carries watches asks this often whether the node still hears a leader.
    static let watchProbeInterval = TimeAmount.seconds(2)
    /// Every connection asks this often who the members are: who has joined since hello is dialled when others are gone.
    static let membersProbeInterval = TimeAmount.seconds(10)
    /// A node without a leader for longer than this loses its watches to another.
    static let leaderlessMax = TimeAmount.seconds(1)
    /// Until it has a leader again or another node has taken them, it is asked this often.
    static let leaderlessProbeInterval = TimeAmount.milliseconds(250)
    /// After this many fruitless rounds of asking, what was known of terms is forgotten.
    static let searchRoundsUntilForgotten = 32
    /// The pause between two rounds of asking for the leader is this part of the time that the search has taken so far:
    /// finding it adds little to an election however long that takes, and the load falls off as the search goes on.
    static let searchPauseDivisor = 4
    /// Calls that were slow are looked for this often.
    static let slowSweepInterval = TimeAmount.milliseconds(100)
    /// How long calls wait for a leader until a node has said it.
    static let leaderWaitDefault = Duration.seconds(10)
}
