import Logging
import MetadataModel
import MetadataStore
import NIOCore
import OrderedCollections
import RaftCore
import Replica
import Resilience
import Telemetry
import Wire

/// The node loop: one event loop that owns the replica and everything around it. It interprets effects and hands events
/// over; what it decides itself is only how to reach somebody. Blocking work is done by the workers, in batches.
///
/// Not `Sendable`: everything here runs on `eventLoop`. Other threads come in through `NIOLoopBound`.
final class Node {
    let eventLoop: any EventLoop
    /// What may be reloaded of it changes with `take(over:)`.
    var settings: NodeSettings
    let logger: Logger
    let loggers: NodeLoggers
    let administration: Administration
    let storage: NodeStorage
    let published: PublishedState
    let failed: EventLoopPromise<Void>
    var operations: OperationMetrics
    let breakers: CircuitBreakers
    let tracer: SpanTracer
    let gate: RequestGate
    let coordinatorBreaker: SharedCircuitBreaker
    let memory: MemoryReader
    /// What the process may use; nil where nothing says so.
    var memoryLimit: UInt64?
    var nextShed = NIODeadline.uptimeNanoseconds(0)
    var supervision = Supervision()
    /// Of the survey that is under way, if any; the latest counts.
    var surveyPermit: CircuitBreaker.Permit?
    var surveyTicket: UInt64 = 0

    var replica: Replica
    var watches: Watches
    var traces: EntryTraces
    var digest: UInt64
    var leadershipChanges: UInt64 = 0
    var lastCommitAt: NIODeadline = .now()
    var lastCommit: LogIndex = .zero
    var storeTrouble: String?
    /// Why the log cannot be written at the moment.
    var logTrouble: String?
    var protectionCounts = ProtectionCounts()
    var rebalances = RebalanceReading()
    /// Why the node cannot go on; the first reason counts.
    var failure: (any Error)?
    var isStopping = false
    var turnIsScheduled = false
    var commitIsScheduled = false
    /// The last commit that was heard of.
    var commitFails = false
    var lastStatus: Status?
    /// Steps of rebalances that were late in this term of office and are counted.
    var stepTimeouts = 0
    /// What came of turns at rebalances, as far as it was told.
    var turnCounts = KeyedLockCounts()
    /// Since when no leader is known, or since that was last complained of.
    var leaderlessSince: NIODeadline?
    /// A node that is further behind what it knows to be committed is not ready.
    static let lagEntriesMax: UInt64 = 10_000
    static let leaderlessPause: TimeAmount = .seconds(5)
    /// What watchers are told in one turn, about; encoding it takes a few milliseconds.
    static let watchBytesPerTurn = 2 << 20

    var connections: [UInt64: ClientConnection] = [:]
    var unsent: OrderedSet<UInt64> = []
    var links: OrderedDictionary<NodeID, PeerLink> = [:]
    var linksToFlush: OrderedSet<NodeID> = []
    /// Links that end with this turn: what is said to them last still leaves.
    var linksToStop: OrderedSet<NodeID> = []
    /// Who called and was let in. They are answered also while the configuration here does not name them yet.
    var callers: OrderedDictionary<NodeID, PeerHello> = [:]
    /// The connections on which peers speak, the latest of each.
    var inbound: [NodeID: PeerConnection] = [:]
    /// What was last said of a peer that is not listened to, so that it is not said again at each of its attempts.
    var refusals: [NodeID: PeerRefusal] = [:]
    /// A member that knows better said that this node is none; until a leader is heard again.
    var exclusion: PeerRefusal?
    var pendingQueries: [RequestToken: Query] = [:]
    /// Counts what is published, four times a second; watchers are told their progress with each fourth.
    var publications = 0
    static let publicationsPerProgress = 4
    var lastConnectionID: UInt64 = 0
    var ticker: RepeatedTask?
    var nextTickAt: NIODeadline?
    var slowTicker: RepeatedTask?
    var diskTicker: RepeatedTask?

    lazy var snapshotsOut = SnapshotSender(node: self, storage: storage)
    lazy var snapshotsIn = SnapshotReceiver(node: self, storage: storage)
    var loopBound: NIOLoopBound<Node> { NIOLoopBound(self, eventLoop: eventLoop) }

    /// - Parameter failed: fails when the node cannot go on; the process ends with that reason.
    init(
        eventLoop: any EventLoop, settings: NodeSettings, storage: NodeStorage, published: PublishedState,
        operations: OperationMetrics, breakers: CircuitBreakers, administration: Administration,
        tracer: SpanTracer, failed: EventLoopPromise<Void>, logger: Logger, memory: MemoryReader = .system
    ) {
        eventLoop.preconditionInEventLoop()
        self.eventLoop = eventLoop
        self.settings = settings
        self.storage = storage
        self.published = published
        self.failed = failed
        self.operations = operations
        self.breakers = breakers
        self.memory = memory
        self.gate = RequestGate(settings.gate, breakers: breakers)
        self.coordinatorBreaker = breakers.breaker("coordinator", options: settings.gate.breaker)
        self.administration = administration
        self.tracer = tracer
        traces = EntryTraces(tracer)
        self.logger = logger
        loggers = NodeLoggers(logger)
        self.digest = storage.store.digest
        self.watches = Watches(current: storage.image.version)
        self.replica = Replica(
            id: settings.id, disk: settings.disk, options: settings.replica, restored: storage.restored,
            image: storage.image,
            now: Node.milliseconds, seed: settings.seed)
    }

    static var milliseconds: UInt64 { NIODeadline.now().uptimeNanoseconds / 1_000_000 }

    // MARK: Life

    /// What the workers bring back arrives from now on. Before anything is asked of them.
    func connect() { storage.connect(to: loopBound) }

    func start() {
        reconcileLinks()
        let bound = loopBound
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: settings.tick, delay: settings.tick) { _ in
            bound.value.tick()
        }
        slowTicker = eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(250)) { _ in
            bound.value.publish()
        }
        startProtection()
        publish()
    }

    /// Hands leadership on and stops taking requests; `stop` follows when clients had a moment to go elsewhere.
    /// - Returns: whether there is somebody to wait for. Call again until there is not.
    func drain() -> Bool {
        if !isStopping {
            isStopping = true
            publish()
        }
        replica.resign()
        // Nobody takes over who could go on with them.
        if !replica.isHandingOver { replica.refuseStarts() }
        endTurnSoon()
        return replica.isHandingOver
    }

    /// Somebody waits for an answer that is still to come.
    var owesAnswers: Bool { connections.values.contains(where: \.owesAnswers) }

    /// Ends everything that runs on the loop. The workers are stopped by the caller, off the loop.
    func stop() {
        isStopping = true
        ticker?.cancel()
        slowTicker?.cancel()
        diskTicker?.cancel()
        for link in links.values { link.stop() }
        links.removeAll()
        for connection in connections.values { connection.end() }
        publish()
    }

    func tick() {
        let now = NIODeadline.now()
        if let nextTickAt, nextTickAt < now {
            operations.ticked(late: now - nextTickAt)
        }
        nextTickAt = now + settings.tick
        replica.tick(now: Node.milliseconds)
        endTurn()
    }

    func fail(_ reason: any Error) {
        logger.critical("the node cannot go on", metadata: ["error": "\(reason)"])
        // Also while it stops, when nobody looks at the promise any more.
        failure = failure ?? reason
        failed.fail(reason)
    }

    // MARK: The turn

    /// Whatever arrives before the loop comes round again becomes one turn: one batch of proposals, one write for each
    /// connection.
    func endTurnSoon() {
        guard !turnIsScheduled else { return }
        turnIsScheduled = true
        let bound = loopBound
        eventLoop.execute {
            bound.value.turnIsScheduled = false
            bound.value.endTurn()
        }
    }

    func endTurn() {
        let effects = replica.takeEffects()
        // Before they are performed: what is sent goes out with the traces of what it carries.
        if !traces.isEmpty { traces.turnTaken(replica) }
        for effect in effects { perform(effect) }
        let news = watches.deliver(bytesMax: Node.watchBytesPerTurn) { self.connections[$0]?.isWritable ?? false }
        for action in news { perform(action) }
        // The rest has its own turn: what else there is to do on the loop is not kept waiting.
        if !news.isEmpty { endTurnSoon() }
        for peer in linksToFlush { links[peer]?.flush() }
        linksToFlush.removeAll(keepingCapacity: true)
        for peer in linksToStop { links.removeValue(forKey: peer)?.stop() }
        linksToStop.removeAll()
        for id in unsent { connections[id]?.flush() }
        unsent.removeAll(keepingCapacity: true)
    }

    func perform(_ effect: Effect) {
        switch effect {
        case .persist(let persist):
            storage.write(persist)
        case .send(let messages):
            for message in messages {
                links[message.to]?.queue(message)
                linksToFlush.append(message.to)
            }
        case .apply(let entries):
            storage.apply(entries)
        case .replyWrite(let token, let reply):
            // It may have been answered when its time was up.
            guard connections[token.connection]?.isOpen(token.request) == true else { return }
            respond(to: token, response(to: reply))
        case .serveReads(let tokens):
            storage.read(tokens.compactMap(readJob))
        case .refuseReads(let tokens, let reason):
            for token in tokens {
                pendingQueries[token] = nil
                respond(to: token, .failure(failure(for: reason)))
            }
        case .replyHeartbeat(let token, let reply):
            respond(to: token, response(to: reply))
        case .replyMembership(let token, let reply):
            respond(to: token, response(to: reply))
        case .configurationChanged(let configuration):
            configurationChanged(configuration)
        case .checkpoint:
            storage.checkpoint()
        case .compactLog(let position):
            storage.compactLog(to: position)
        case .sendSnapshot(let peer):
            snapshotsOut.wanted(by: peer)
        case .installSnapshot(let snapshot):
            storage.install(snapshot, path: snapshotsIn.path(of: snapshot.id))
        case .discardSnapshot(let snapshot):
            snapshotsIn.failed(snapshot.id, "not needed any more")
        case .statusChanged(let status):
            statusChanged(status)
        case .notify(let peer, let notice):
            // What is lost is said again.
            _ = send(.notice(notice), to: peer)
        case .repair(let reason):
            repair(reason)
        case .recovered:
            recovered()
        case .protection(let event):
            note(event)
        case .survey(let request):
            survey(request)
        }
    }

    func perform(_ action: WatchAction) {
        switch action {
        case .send(let keys, let events, let through):
            guard let body = ClientResponseFrame.Shared(.watchEvents(events, through: through)) else {
                // They take the state as it is instead.
                for key in keys {
                    watches.remove(key)
                    respond(to: key, .watchTooOld(oldest: through))
                }
                return
            }
            for key in keys {
                guard let connection = connections[key.connection] else { continue }
                connection.send(body, to: key.request)
                unsent.append(key.connection)
            }
        case .progress(let key, let through):
            respond(to: key, .watchProgress(through: through))
        case .tooOld(let key, let oldest):
            respond(to: key, .watchTooOld(oldest: oldest))
        case .readFeed(let key, let ticket, let after, let filter):
            storage.read([
                ReadJob(
                    purpose: .catchUp(watch: key, ticket: ticket),
                    query: .changes(after: after, filter: filter, limit: Watches.eventsPerFrameMax))
            ])
        }
    }

    func respond(to key: WatchKey, _ response: ClientResponse) {
        respond(to: RequestToken(connection: key.connection, request: key.request), response)
    }

    func respond(to token: RequestToken, _ response: ClientResponse) {
        guard let connection = connections[token.connection] else { return }
        connection.send(response, to: token.request)
        unsent.append(token.connection)
    }

    func statusChanged(_ status: Status) {
        let hadLeader = lastStatus?.leader
        let term: Logger.Metadata = ["term": "\(status.term)"]
        switch (status.role, status.leader) {
        case (.leader, _):
            leadershipChanges += 1
            loggers.raft.notice("elected leader", metadata: term)
        case (_, let leader?) where leader != hadLeader:
            loggers.raft.info("following", metadata: term.merging(["leader": "\(leader)"]) { $1 })
        case (_, nil) where hadLeader != nil:
            loggers.raft.warning(
                "the leader is lost",
                metadata: term.merging(["leader": "\(hadLeader.map { "\($0)" } ?? "none")"]) { $1 })
        default:
            loggers.raft.debug("raft status", metadata: term.merging(["role": "\(status.role.rawValue)"]) { $1 })
        }
        // What came of writes under another leader says nothing about this one.
        if status.role == .leader { gate.proposals.probeSoon() }
        if status.leader != nil { exclusion = nil }
        if status.leader != nil { leaderlessSince = nil } else { leaderlessSince = leaderlessSince ?? .now() }
        lastStatus = status
        snapshotsOut.statusChanged(status)
        publish()
    }

    /// Says again now and then that there is no leader: the one line that matters must not scroll away.
    func complainOfNoLeader() {
        guard !isStopping, let since = leaderlessSince, NIODeadline.now() - since > Node.leaderlessPause else { return }
        if let absence {
            loggers.raft.warning("no member", metadata: ["reason": "\(absence)"])
            leaderlessSince = .now()
            return
        }
        let missing = links.values.filter { !$0.isUp }.map { "\($0.peer.id)" }
        loggers.raft.warning(
            "no leader", metadata: ["nodes_not_reached": "\(missing.isEmpty ? "none" : missing.joined(separator: ","))"]
        )
        leaderlessSince = .now()
    }
}
