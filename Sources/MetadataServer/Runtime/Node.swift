import OrderedCollections
import Logging
import MetadataModel
import MetadataSchema
import MetadataStore
import NIOCore
import RaftCore
import RaftLog
import Replica
import Wire

/// The node loop: one event loop that owns the replica and everything around it. It interprets effects and hands events
/// over; what it decides itself is only how to reach somebody. Blocking work is done by the workers, in batches.
///
/// Not `Sendable`: everything here runs on `eventLoop`. Other threads come in through `NIOLoopBound`.
final class Node {
    let eventLoop: any EventLoop
    let settings: NodeSettings
    let logger: Logger
    private let storage: NodeStorage
    private let published: PublishedState
    private let failed: EventLoopPromise<Void>

    private var replica: Replica
    private var watches: Watches
    private var digest: UInt64
    private var leadershipChanges: UInt64 = 0
    private var lastCommitAt: NIODeadline = .now()
    private var lastCommit: LogIndex = .zero
    private var storeTrouble: String?
    private var isStopping = false
    private var turnIsScheduled = false

    private var connections: [UInt64: ClientConnection] = [:]
    private var unsent: OrderedSet<UInt64> = []
    private var links: OrderedDictionary<NodeID, PeerLink> = [:]
    private var linksToFlush: OrderedSet<NodeID> = []
    private var pendingQueries: [RequestToken: Query] = [:]
    private var lastConnectionID: UInt64 = 0
    private var ticker: RepeatedTask?
    private var slowTicker: RepeatedTask?

    private lazy var snapshotsOut = SnapshotSenders(node: self, storage: storage)
    private lazy var snapshotsIn = SnapshotReceiver(node: self, storage: storage)
    private lazy var loopBound = NIOLoopBound(self, eventLoop: eventLoop)

    /// - Parameter failed: fails when the node cannot go on; the process ends with that reason.
    init(
        eventLoop: any EventLoop, settings: NodeSettings, storage: NodeStorage, published: PublishedState,
        failed: EventLoopPromise<Void>, logger: Logger
    ) {
        eventLoop.preconditionInEventLoop()
        self.eventLoop = eventLoop
        self.settings = settings
        self.storage = storage
        self.published = published
        self.failed = failed
        self.logger = logger
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
        for member in replica.core.configuration.members where member.id != settings.id {
            let link = PeerLink(peer: member, node: self, logger: logger)
            links[member.id] = link
            link.start()
        }
        let bound = loopBound
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: settings.tick, delay: settings.tick) { _ in
            bound.value.tick()
        }
        slowTicker = eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(250)) { _ in
            bound.value.publish()
        }
        publish()
    }

    /// Stops taking requests and hands leadership on; `stop` follows when clients had a moment to go elsewhere.
    /// - Returns: whether there is somebody to wait for. Call again until there is not.
    func drain() -> Bool {
        if !isStopping {
            isStopping = true
            publish()
        }
        let isHandingOver = replica.resign()
        endTurnSoon()
        return isHandingOver
    }

    /// Ends everything that runs on the loop. The workers are stopped by the caller, off the loop.
    func stop() {
        isStopping = true
        ticker?.cancel()
        slowTicker?.cancel()
        for link in links.values { link.stop() }
        for connection in connections.values { connection.close() }
        publish()
    }

    private func tick() {
        replica.tick(now: Node.milliseconds)
        endTurn()
    }

    private func fail(_ reason: any Error) {
        logger.critical("the node cannot go on", metadata: ["error": "\(reason)"])
        failed.fail(reason)
    }

    // MARK: The turn

    /// Whatever arrives before the loop comes round again becomes one turn: one batch of proposals, one write for each
    /// connection.
    private func endTurnSoon() {
        guard !turnIsScheduled else { return }
        turnIsScheduled = true
        let bound = loopBound
        eventLoop.execute {
            bound.value.turnIsScheduled = false
            bound.value.endTurn()
        }
    }

    private func endTurn() {
        for effect in replica.takeEffects() { perform(effect) }
        while true {
            let actions = watches.deliver { self.connections[$0]?.isWritable ?? false }
            if actions.isEmpty { break }
            for action in actions { perform(action) }
        }
        for peer in linksToFlush { links[peer]?.flush() }
        linksToFlush.removeAll(keepingCapacity: true)
        for id in unsent { connections[id]?.flush() }
        unsent.removeAll(keepingCapacity: true)
    }

    private func perform(_ effect: Effect) {
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
            respond(to: token, response(to: reply))
        case .serveReads(let tokens):
            storage.read(
                tokens.compactMap { token in
                    pendingQueries.removeValue(forKey: token).map {
                        ReadJob(purpose: .reply(connection: token.connection, request: token.request), query: $0)
                    }
                })
        case .refuseReads(let tokens, let reason):
            for token in tokens {
                pendingQueries[token] = nil
                respond(to: token, .failure(failure(for: reason)))
            }
        case .replyHeartbeat(let token, let reply):
            respond(to: token, response(to: reply))
        case .checkpoint:
            storage.checkpoint()
        case .compactLog(let position):
            storage.compactLog(to: position)
        case .sendSnapshot(let peer):
            snapshotsOut.begin(to: peer)
        case .installSnapshot(let snapshot):
            storage.install(snapshot, path: snapshotsIn.path(of: snapshot.id))
        case .discardSnapshot(let snapshot):
            snapshotsIn.failed(snapshot.id, "not needed any more")
        case .statusChanged(let status):
            statusChanged(status)
        }
    }

    private func perform(_ action: WatchAction) {
        switch action {
        case .send(let key, let events, let through):
            respond(to: key, .watchEvents(events, through: through))
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

    private func respond(to key: WatchKey, _ response: ClientResponse) {
        respond(to: RequestToken(connection: key.connection, request: key.request), response)
    }

    private func respond(to token: RequestToken, _ response: ClientResponse) {
        guard let connection = connections[token.connection] else { return }
        connection.send(response, to: token.request)
        unsent.append(token.connection)
    }

    private func statusChanged(_ status: Status) {
        if status.role == .leader { leadershipChanges += 1 }
        logger.info(
            "raft status",
            metadata: [
                "role": "\(status.role.rawValue)", "term": "\(status.term)",
                "leader": "\(status.leader.map { "\($0)" } ?? "none")",
            ])
        publish()
    }

    // MARK: Clients

    func nextConnectionID() -> UInt64 {
        lastConnectionID += 1
        return lastConnectionID
    }

    func opened(_ connection: ClientConnection) {
        guard connections.count < settings.clientConnectionsMax else {
            logger.warning("too many client connections", metadata: ["limit": "\(settings.clientConnectionsMax)"])
            connection.close()
            return
        }
        connections[connection.id] = connection
    }

    func closed(_ connection: ClientConnection) {
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        watches.removeAll(of: connection.id)
    }

    func hasUnsent(_ connection: ClientConnection) {
        unsent.append(connection.id)
        endTurnSoon()
    }

    func objection(to hello: ClientHello) -> ServiceFailure? {
        guard hello.clusterID.isEmpty || hello.clusterID == settings.clusterID else {
            return ServiceFailure(
                code: .wrongCluster, detail: "this is cluster \(settings.clusterID), not \(hello.clusterID)",
                isDefinite: true)
        }
        return nil
    }

    var serverHello: ServerHello {
        ServerHello(
            clusterID: settings.clusterID, nodeID: settings.id.rawValue, leader: leaderHint(replica.status.leader),
            members: memberAddresses)
    }

    func received(_ frame: ClientRequestFrame, on connection: ClientConnection) {
        let token = RequestToken(connection: connection.id, request: frame.id)
        endTurnSoon()
        if isStopping {
            return respond(
                to: token,
                .failure(
                    ServiceFailure(
                        code: .shuttingDown, detail: "node \(settings.id) is stopping", isDefinite: true,
                        leader: leaderHint(replica.status.leader))))
        }
        switch frame.request {
        case .hello:
            respond(to: token, invalid("a second hello"))
        case .write(let write):
            guard write.command.count <= Limits.commandBytesMax else {
                return respond(
                    to: token,
                    invalid("a command of \(write.command.count) bytes; the limit is \(Limits.commandBytesMax)"))
            }
            guard connection.openRequests <= settings.requestsPerConnectionMax else {
                return respond(to: token, .failure(overloaded("too many open requests on this connection")))
            }
            replica.write(
                WriteIntent(
                    session: write.session, sequence: write.sequence, acknowledgedBelow: write.acknowledgedBelow,
                    command: write.command),
                token: token)
        case .read(let read):
            guard connection.openRequests <= settings.requestsPerConnectionMax, pendingQueries[token] == nil else {
                return respond(to: token, .failure(overloaded("too many open requests on this connection")))
            }
            pendingQueries[token] = read.query
            replica.read(read.consistency, token: token)
        case .watch(let after, let filter):
            guard watches.count(of: connection.id) < Watches.perConnectionMax else {
                return respond(to: token, .failure(overloaded("too many watches on this connection")))
            }
            watches.add(WatchKey(connection: connection.id, request: frame.id), after: after, filter: filter)
        case .cancelWatch(let request):
            watches.remove(WatchKey(connection: connection.id, request: request))
        case .heartbeat(let heartbeat):
            replica.heartbeat(
                broker: heartbeat.broker, epoch: heartbeat.epoch, wantsFence: heartbeat.wantsFence, token: token)
        case .nodeStatus:
            respond(to: token, .nodeStatus(nodeStatus))
        }
    }

    // MARK: Peers

    func objection(to hello: PeerHello) -> String? {
        guard hello.clusterID == settings.clusterID else {
            return "node \(hello.node) belongs to cluster \(hello.clusterID), this is \(settings.clusterID)"
        }
        guard let member = replica.core.configuration.member(hello.node) else {
            return "node \(hello.node) is not a member of cluster \(settings.clusterID)"
        }
        guard member.disk == .unknown || member.disk == hello.disk else {
            return "node \(hello.node) came with another disk than the one that joined; replace the member"
        }
        guard hello.target.rawValue == 0 || hello.target == settings.id else {
            return "meant for node \(hello.target), this is node \(settings.id)"
        }
        return nil
    }

    func peerHello(to peer: NodeID) -> PeerHello {
        PeerHello(clusterID: settings.clusterID, node: settings.id, disk: settings.disk, target: peer)
    }

    func received(_ messages: [Message]) {
        replica.receive(messages, now: Node.milliseconds)
        endTurnSoon()
    }

    func peerCalled(_ hello: PeerHello) {
        replica.introduced(hello.node, disk: hello.disk)
        links[hello.node]?.peerCalled()
    }

    /// The peer's own connection to us closed: the first sign of a process that died.
    func peerHungUp(_ peer: NodeID) { linkDown(peer, refused: false) }

    func linkUp(_ hello: PeerHello) {
        let peer = hello.node
        replica.introduced(peer, disk: hello.disk)
        logger.info("peer connected", metadata: ["peer": "\(peer)"])
        snapshotsOut.resume(to: peer)
    }

    func linkDown(_ peer: NodeID, refused: Bool) {
        guard !isStopping else { return }
        replica.connectionClosed(to: peer, refused: refused)
        endTurnSoon()
    }

    func send(_ frame: PeerFrame, to peer: NodeID) -> Bool { links[peer]?.send(frame) ?? false }

    // MARK: Snapshots

    func received(_ chunk: SnapshotChunk, from peer: NodeID) {
        guard chunk.term >= replica.status.term else {
            _ = send(
                .snapshotProgress(SnapshotProgress(snapshotID: chunk.snapshotID, state: .failed("term has passed"))),
                to: peer)
            return
        }
        snapshotsIn.received(chunk, from: peer)
    }

    func received(_ progress: SnapshotProgress, from peer: NodeID) { snapshotsOut.received(progress, from: peer) }

    func snapshotSent(to peer: NodeID, succeeded: Bool) {
        replica.snapshotSent(to: peer, succeeded: succeeded)
        endTurnSoon()
    }

    func snapshotReceived(_ snapshot: IncomingSnapshot) {
        replica.snapshotReceived(snapshot)
        endTurnSoon()
    }

    func spooled(_ result: Result<SnapshotFile, StoreError>, id: UInt64, to peer: NodeID) {
        snapshotsOut.spooled(result, id: id, to: peer)
    }

    func snapshotUnreadable(_ error: any Error, to peer: NodeID) {
        snapshotsOut.end(peer, succeeded: false, reason: "\(error)")
    }

    func wroteChunk(_ result: Result<Void, any Error>, end: UInt64, id: UInt64) {
        snapshotsIn.wrote(result, end: end, id: id)
    }

    func verifiedSnapshot(_ result: Result<SnapshotFile, StoreError>, id: UInt64) {
        snapshotsIn.verified(result, id: id)
    }

    var term: Term { replica.status.term }
    var configuration: Configuration { replica.core.configuration }
    var applied: LogIndex { replica.appliedIndex }

    // MARK: What the workers bring back

    func persisted(_ outcome: Result<UInt64, LogError>) {
        switch outcome {
        case .success(let sequence):
            replica.persisted(sequence)
            endTurnSoon()
        case .failure(let error):
            fail(error)
        }
    }

    func finished(_ result: ApplyResult) {
        switch result {
        case .applied(let report, let events, let digest):
            self.digest = digest
            storeTrouble = nil
            lastCommitAt = .now()
            replica.applied(report)
            watches.applied(events)
        case .installed(let image, let digest, let snapshot):
            self.digest = digest
            watches.reset(to: image.version)
            replica.snapshotInstalled(image)
            snapshotsIn.installed(snapshot.id)
            logger.info("snapshot installed", metadata: ["position": "\(snapshot.position)"])
        case .installFailed(let error, let snapshot):
            logger.error("snapshot was not installed", metadata: ["error": "\(error)"])
            replica.snapshotInstallFailed()
            snapshotsIn.failed(snapshot.id, "\(error)")
        case .suspended(let error, let entries):
            if storeTrouble == nil {
                logger.error("applying is suspended until there is room", metadata: ["error": "\(error)"])
            }
            storeTrouble = "\(error)"
            let storage = storage
            eventLoop.scheduleTask(in: .seconds(1)) { storage.apply(entries) }
        case .failed(let error):
            fail(error)
        }
        endTurnSoon()
    }

    func answered(_ answers: Result<[EncodedAnswer], StoreError>) {
        switch answers {
        case .success(let answers):
            for answer in answers { deliver(answer) }
            endTurnSoon()
        case .failure(let error):
            fail(error)
        }
    }

    private func deliver(_ answer: EncodedAnswer) {
        switch answer {
        case .reply(let id, var frame):
            guard let connection = connections[id] else { return }
            connection.send(encoded: &frame)
            unsent.append(id)
        case .catchUp(let key, let ticket, let page):
            if let action = watches.caughtUp(key, ticket: ticket, with: page) { perform(action) }
        }
    }

    func checkpointed(_ result: Result<LogPosition, StoreError>) {
        switch result {
        case .success(let position):
            replica.checkpointed(position)
        case .failure(let error):
            // The log keeps what the database could not take; the next checkpoint tries again.
            logger.error("checkpoint failed", metadata: ["error": "\(error)"])
            replica.checkpointed(.zero)
        }
        endTurnSoon()
    }

    func compacted(_ result: Result<Void, LogError>) {
        if case .failure(let error) = result { fail(error) }
    }

    // MARK: What others see

    private var memberAddresses: [MemberAddress] {
        replica.core.configuration.members.map {
            MemberAddress(
                nodeID: $0.id.rawValue, clientAddress: $0.clientAddress, peerAddress: $0.peerAddress,
                isVoter: replica.core.configuration.isVoter($0.id))
        }
    }

    private func leaderHint(_ leader: NodeID?) -> LeaderHint? {
        guard let leader, let member = replica.core.configuration.member(leader) else { return nil }
        return LeaderHint(
            nodeID: leader.rawValue, address: member.clientAddress, term: replica.status.term.rawValue)
    }

    private var trouble: String? {
        if isStopping { return "the node is stopping" }
        if let storeTrouble { return storeTrouble }
        if replica.status.leader == nil { return "no leader is known" }
        return nil
    }

    private var nodeStatus: NodeStatus {
        let status = replica.status
        return NodeStatus(
            clusterID: settings.clusterID, nodeID: settings.id.rawValue, role: status.role.rawValue,
            term: status.term.rawValue, leader: leaderHint(status.leader),
            commitIndex: replica.core.commitIndex.rawValue, appliedIndex: replica.appliedIndex.rawValue,
            version: replica.version, digest: digest, healthy: trouble == nil, detail: trouble ?? "",
            members: memberAddresses)
    }

    /// Puts what probes and metrics show where other threads can read it; they never ask the loop.
    private func publish() {
        if replica.core.commitIndex != lastCommit {
            lastCommit = replica.core.commitIndex
            lastCommitAt = .now()
        }
        snapshotsOut.check(timeout: settings.snapshotTimeout)
        for action in watches.progress(isWritable: { self.connections[$0]?.isWritable ?? false }) { perform(action) }
        published.update(
            NodeReading(
                status: nodeStatus, lastIndex: replica.core.lastIndex.rawValue,
                syncedIndex: replica.core.syncedIndex.rawValue, peers: replica.core.progress,
                linksUp: links.values.filter(\.isUp).map(\.peer.id),
                sinceCommit: NIODeadline.now() - lastCommitAt,
                sinceLeaderContact: replica.millisecondsSinceLeaderContact, isStopping: isStopping,
                leadershipChanges: leadershipChanges, openWrites: replica.openWrites, openReads: replica.openReads,
                connections: connections.count, watches: watches.count, brokers: replica.registeredBrokers,
                voters: replica.core.configuration.voters.count))
        endTurnSoon()
    }

    private func response(to reply: WriteReply) -> ClientResponse {
        switch reply {
        case .outcome(let outcome):
            return .write(outcome)
        case .notLeader(let leader):
            return .failure(notLeader(leader))
        case .overloaded:
            return .failure(overloaded("the leader's log holds too much that is not committed"))
        case .leadershipLost(let leader):
            return .failure(
                ServiceFailure(
                    code: .leadershipLost, detail: "node \(settings.id) stopped leading while the write was under way",
                    isDefinite: false, leader: leaderHint(leader)))
        }
    }

    private func response(to reply: HeartbeatReply) -> ClientResponse {
        switch reply {
        case .accepted(let state, let lease, let version):
            return .heartbeat(
                HeartbeatAnswer(state: state, leaseMilliseconds: UInt32(clamping: lease), version: version))
        case .unknownBroker:
            return .failure(
                ServiceFailure(
                    code: .unknownBroker, detail: "not registered under this epoch; register again", isDefinite: true))
        case .notLeader(let leader):
            return .failure(notLeader(leader))
        }
    }

    private func notLeader(_ leader: NodeID?) -> ServiceFailure {
        guard let hint = leaderHint(leader) else {
            return ServiceFailure(code: .noLeader, detail: "no leader is known", isDefinite: true)
        }
        return ServiceFailure(
            code: .notLeader, detail: "node \(settings.id) does not lead; node \(hint.nodeID) does", isDefinite: true,
            leader: hint)
    }

    private func overloaded(_ detail: String) -> ServiceFailure {
        ServiceFailure(code: .overloaded, detail: detail, isDefinite: true, retryAfterMilliseconds: 100)
    }

    private func invalid(_ detail: String) -> ClientResponse {
        .failure(ServiceFailure(code: .invalidRequest, detail: detail, isDefinite: true))
    }

    private func failure(for reason: ReadRefusal) -> ServiceFailure {
        switch reason {
        case .noLeader:
            return ServiceFailure(code: .noLeader, detail: "no leader is known", isDefinite: true)
        case .unconfirmed:
            return ServiceFailure(
                code: .noLeader, detail: "the read could not be confirmed by a leader", isDefinite: true,
                leader: leaderHint(replica.status.leader))
        case .overloaded:
            return overloaded("too many reads wait")
        case .tooStale(let milliseconds):
            let detail =
                milliseconds == .max
                ? "this node has not heard from a leader since it started"
                : "this node has not heard from a leader for \(milliseconds) ms"
            return ServiceFailure(code: .noLeader, detail: detail, isDefinite: true)
        }
    }
}
