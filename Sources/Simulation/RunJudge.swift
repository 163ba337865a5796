internal import MetadataModel
internal import RaftCore
internal import Replica

/// Tells the checkers what was seen in a run. It decides nothing itself, and the cluster knows no rule.
///
/// A class, and of one cluster: as a value in the cluster it would be copied, with all that the checkers hold, for each question.
final class RunJudge {
    private var raft: RaftObserver
    private var time = LogTimeChecker()
    private var rules = MetadataRulesChecker()
    private var effects = OneEffectChecker()
    private var freshness = ReadFreshnessChecker(doubtMicroseconds: SimulatedCluster.doubtMicroseconds)
    private var leaderless: LeaderlessChecker?
    private var health = ClusterHealthChecker(
        fencingMicrosecondsMax: 2 * SimulatedCluster.brokerTimeoutMilliseconds * 1_200 + 700_000)
    private var names = AcknowledgedChecker()
    private var registers = LinearizabilityChecker<String, RegisterModel>()
    private var watches = WatchChecker<Int>()

    typealias OperationID = LinearizabilityChecker<String, RegisterModel>.OperationID

    /// The last entry that was judged as applied by somebody.
    private var judged = LogIndex.zero
    private let commands: CommandCache

    init(uncommittedBytesMax: Int, commands: CommandCache) {
        self.commands = commands
        raft = RaftObserver(
            electionTimeoutMicroseconds: UInt64(SimulatedCluster.electionTimeoutTicks)
                * SimulatedCluster.tickMilliseconds * 1_000,
            slackMicroseconds: SimulatedCluster.slackMicroseconds,
            diskSilenceMicroseconds: SimulatedCluster.diskSilenceMilliseconds * 1_000,
            uncommittedBytesMax: uncommittedBytesMax)
    }

    // MARK: Members

    /// The end of a turn of a running member, which is about to hand `writes` to its disk. `holders` names the members whose
    /// disks hold a position, synced.
    func turnEnds(
        _ core: RaftNode, writes: [Persist], at now: UInt64, holders: (LogPosition) -> Set<NodeID>
    ) throws(Violation) {
        try raft.turnEnds(core, writes: writes, at: now, holders: holders)
        if core.status.role == .leader {
            freshness.leads(core.id, core.configuration, in: core.status.term, at: now)
        }
    }

    /// A member that is in `term` takes messages in.
    func receives(_ messages: [Message], on node: NodeID, in term: Term, at now: UInt64) {
        for message in messages {
            raft.receives(message, on: node, in: term, at: now)
            freshness.receives(node, from: message.from, in: message.term, at: now)
        }
    }

    /// A member knows this leader after it took in something from it.
    func hears(_ node: NodeID, at now: UInt64) { freshness.hears(node, at: now) }

    func losesLeader(_ node: NodeID) { raft.losesLeader(node) }

    func resumes(_ node: NodeID) { raft.resumes(node) }

    func leads(_ core: RaftNode) throws(Violation) { try raft.leads(core) }

    /// A member sends a message. `heldBy` tells where the log of another one ends; nil: it is on another disk by now, or damaged.
    func sends(
        _ message: Message, _ core: RaftNode, disk: SyncedLog, databaseThrough: LogIndex,
        heldBy: (NodeID) -> LogPosition?
    ) throws(Violation) {
        try raft.sends(
            message, core, durable: disk.hardState, durableIndex: max(disk.last.index, databaseThrough), heldBy: heldBy)
    }

    /// A disk was taken out of use.
    func forgets(_ node: NodeID) { raft.forgets(node) }

    /// A member gives up its log.
    func losesLog(_ node: NodeID, _ held: SimulatedNode.Held) {
        raft.losesLog(node, held.log.positions, databaseThrough: held.databaseThrough)
    }

    /// A member says that it holds everything again.
    func recovers(_ core: RaftNode, disk: SyncedLog, databaseThrough: LogIndex) throws(Violation) {
        try raft.recovers(core, durableIndex: max(disk.last.index, databaseThrough))
    }

    func restarts(_ node: NodeID, hardState: HardState, applied: LogIndex) throws(Violation) {
        try raft.starts(node, durable: hardState, applied: applied)
        freshness.restarts(node)
    }

    /// A member has read its log.
    func reads(_ core: RaftNode) throws(Violation) { try raft.reads(core) }

    func applies(
        _ entries: [Entry], _ applied: AppliedEntries, digest: UInt64?, on node: NodeID, at now: UInt64
    ) throws(Violation) {
        try raft.applies(entries, digest: digest, on: node)
        freshness.commits(applied.report.version)
        watches.reaches(applied.report.version)
        for event in applied.events { try watches.happens(event) }
        var outcomes = applied.report.outcomes[...]
        var events = applied.events[...]
        for entry in entries where entry.kind == .command {
            let event = events.first.flatMap { $0.version.rawValue == entry.index.rawValue ? $0 : nil }
            if event != nil { events = events.dropFirst() }
            guard let outcome = outcomes.popFirst(), entry.index > judged else { continue }
            judged = entry.index
            let command = commands.command(entry)
            // Zero: the entry could not be read.
            if command.timeMilliseconds > 0 { try time.commits(command.timeMilliseconds, at: entry.index) }
            try rules.applies(
                command.command, isDone: event != nil, changes: event?.changes ?? [],
                at: Version(entry.index.rawValue))
            health.happens(event?.changes ?? [], at: now)
            guard let session = command.session else { continue }
            if event != nil { try effects.takesEffect(session, command.sequence, at: entry.index) }
            try effects.answers(session, command.sequence, outcome.outcome)
        }
    }

    func installs(at index: LogIndex, digest: UInt64?, on node: NodeID) throws(Violation) {
        try raft.installs(at: index, digest: digest, on: node)
    }

    /// Only a state that damage was planted in may be called damaged: `damaged` names the nodes with one, now or earlier.
    func says(_ event: ProtectionEvent, _ node: NodeID, damaged: Set<NodeID>) throws(Violation) {
        let isRight: Bool
        switch event {
        case .quarantined: isRight = damaged.contains(node)
        case .digestDiffers(let other, _): isRight = damaged.contains(other)
        case .digestsUndecided: isRight = !damaged.isEmpty
        case .stateReplaced, .diskLow, .diskHasRoom: isRight = true
        }
        guard !isRight else { return }
        throw Violation(rule: "a sound state is not called damaged", detail: "node \(node): \(event)")
    }

    func repairs(_ node: NodeID, because reason: String, damaged: Set<NodeID>) throws(Violation) {
        guard !damaged.contains(node) else { return }
        throw Violation(rule: "a sound state is not called damaged", detail: "node \(node) begins anew: \(reason)")
    }

    /// A leader has taken a heartbeat for a sign of life.
    func hears(_ broker: BrokerID, at now: UInt64) { health.hears(broker, at: now) }

    // MARK: Clients

    func calls(_ operation: RegisterModel.Operation, on key: String, by lane: Lane, at now: UInt64)
        -> OperationID
    {
        registers.invokes(operation, of: key, by: UInt64(lane.client * 100 + lane.number), at: now)
    }

    func returns(_ id: OperationID, _ answer: RegisterModel.Answer, at now: UInt64) {
        registers.returns(id, answer, at: now)
    }

    func withdraws(_ id: OperationID) { registers.withdraws(id) }

    func answers(_ session: SessionID, _ sequence: UInt64, _ outcome: CommandOutcome) throws(Violation) {
        try effects.answers(session, sequence, outcome)
    }

    func creates(_ name: String) { names.sendsCreation(name) }
    func created(_ name: String) { names.acknowledgesCreation(name) }
    func removes(_ name: String) { names.sendsRemoval(name) }
    func removed(_ name: String) { names.acknowledgesRemoval(name) }

    /// A replica lets a read be answered now.
    func serves(
        _ consistency: ReadConsistency, on node: NodeID, clock: SimulatedClock, now: UInt64
    ) throws(Violation) {
        guard case .stale(let lag) = consistency else { return }
        // Its clock counts milliseconds.
        let slack = clock.microseconds(of: 2)
        try freshness.serves(
            .zero, lagMaxMicroseconds: clock.microseconds(of: lag), slackMicroseconds: slack, on: node, at: now)
    }

    /// The metadata have reached this version somewhere.
    var committedVersion: Version { freshness.committed }

    /// A member answers with a state of this version.
    func shows(_ version: Version, to query: ServedQuery, on node: NodeID) throws(Violation) {
        switch query.consistency {
        case .linearizable: try freshness.serves(version, committedBefore: query.committedBefore, on: node)
        case .stale: try freshness.serves(version, atLeast: .zero, on: node)
        case .atLeast(let asked): try freshness.serves(version, atLeast: asked, on: node)
        }
    }

    func watches(_ client: Int, after version: Version) { watches.starts(client, after: version) }

    func isTold(_ client: Int, _ events: [ChangeEvent], through: Version) throws(Violation) {
        try watches.delivers(events, through: through, to: client)
    }

    // MARK: The end

    func healed(at now: UInt64, boundMicroseconds: UInt64) {
        leaderless = LeaderlessChecker(boundMicroseconds: boundMicroseconds, start: now)
    }

    func observes(hasLeader: Bool, at now: UInt64) throws(Violation) {
        try leaderless?.observes(hasLeader: hasLeader, at: now)
    }

    /// What a member that has caught up holds.
    func judge(
        _ rows: MetadataRows, kept: UInt64, recomputed: UInt64, at index: LogIndex, on node: NodeID
    ) throws(Violation) {
        try raft.scrubs(kept: kept, rows: recomputed, at: index, on: node)
        try names.judge(Set(rows.topics.map(\.name)), on: node)
        try rules.judge(brokers: rows.brokers, topics: rows.topics, partitions: rows.partitions)
    }

    /// What a leader has made of brokers and partitions.
    func judgeHealth(
        _ rows: MetadataRows, at now: UInt64, leadingSince: UInt64, isCoordinated: Bool, isQuorumWhole: Bool
    ) throws(Violation) {
        try health.judge(
            brokers: rows.brokers, partitions: rows.partitions,
            at: ClusterHealthChecker.Moment(
                now: now, leadingSince: leadingSince, isCoordinated: isCoordinated, isQuorumWhole: isQuorumWhole,
                rebalance: rules.rebalance))
    }

    func judge(watch client: Int, hasReached version: Version) throws(Violation) {
        try watches.judge(watch: client, hasReached: version)
    }

    func judgeHistory() throws(Violation) { try registers.judge() }
}

/// All that clients can list.
struct MetadataRows {
    var brokers: [Broker] = []
    var topics: [Topic] = []
    var partitions: [Partition] = []
}
