package import Coordination
package import MetadataModel
internal import MetadataSchema
package import RaftCore

/// One member of the metadata quorum: the Raft core with everything around it that decides something. Events go in as
/// calls, effects come out as values; the same code runs in `metad` and in the simulator.
///
/// Inputs only take note. `takeEffects()` ends a turn: what was gathered is proposed together, so the more comes in at once
/// the larger the batches.
package struct Replica {
    package let id: NodeID
    var options: ReplicaOptions

    package internal(set) var core: RaftNode
    package internal(set) var version: Version

    /// What the apply thread is doing.
    var applying = Applying.idle
    /// Committed entries end before this index; those from `core.appliedIndex.next` on are not applied yet.
    var committedEnd: LogIndex
    /// A snapshot that arrived while the apply thread was busy; the newest counts.
    var waitingSnapshot: IncomingSnapshot?

    var proposals = ProposalQueue()
    var own = OwnProposals()
    var handover = Handover()
    var reads = ReadQueue()
    var compaction: CompactionPolicy
    /// What a checkpoint has made durable. After a start nothing is known to be: the state may rest on a WAL that was never
    /// synced.
    var durable = LogPosition.zero
    var logClock: LogClock
    /// Every registered broker, as of the last apply. A copy of what the state machine holds, kept so that a new leader
    /// need not read it.
    var brokers: BrokerTable
    /// Likewise, what the log says of those that are silent.
    var silences: BrokerSilences
    /// Likewise, what was begun and takes more than one entry.
    var unfinished: UnfinishedWork
    var withdrawing: WithdrawingBrokers
    var liveness: BrokerLiveness
    var coordination: Coordination
    var turns: RebalanceTurns
    var belief = Belief.firm

    /// Damage and room, of this member and of the others.
    var protection: Protection

    /// Milliseconds on a clock that only goes forward; its origin means nothing.
    var now: UInt64
    /// When this member last heard from a leader, or led without a doubt.
    var lastLeaderContact: UInt64?
    /// The end of the log when this member last became leader: applied that far, it knows all that was committed before, and
    /// a majority has followed it since it was elected.
    var electedAt = LogIndex.zero
    /// When this member last became leader.
    var leaderSince: UInt64 = 0
    var lastSessionSweep: UInt64
    /// The log ends here when nothing but the last sweep was written.
    var sweptThrough = LogIndex.zero
    /// Since when the disk owes an answer without having given any; nil when it owes none.
    var diskSilentSince: UInt64?
    /// The disks of the members that have introduced themselves. A leader writes them into the configuration.
    var disks: [NodeID: DiskID]
    var membership: MembershipRequests
    var reportedStatus: Status
    var effects: [Effect] = []

    enum Applying: Hashable {
        /// Exits: `applying` when committed entries wait, `installing` when a snapshot waits.
        case idle
        /// Exits: `idle` by `applied`.
        case applying(through: LogIndex)
        /// `settling` is where the state machine is that a snapshot was installed into already; nil when it is as far as was
        /// applied. Exits: `idle` by `snapshotInstalled` or `snapshotInstallFailed`, `settling` when entries got there first or
        /// by a failure that leaves it there.
        case installing(IncomingSnapshot, settling: LogIndex?)
        /// The state machine is at this index, and the log, which was filled up meanwhile, is not yet synced so far. Exits:
        /// `idle` when it is.
        case settling(LogIndex)
    }

    /// Whether a leader may still take itself for one.
    enum Belief: Hashable {
        /// CheckQuorum sees to it. Exit: `shaken` when this process stood still for longer than an election takes.
        case firm
        /// Another may lead by now, for any time. Exit: `asked` with the next tick or heartbeat of a broker.
        case shaken
        /// The others are asked, as for the read with this id. Exits: `firm` when a majority has answered, `shaken` when the
        /// question was lost.
        case asked(UInt64)
    }

    /// - Parameters:
    ///   - disk: this member's own.
    ///   - restored: the log and hard state read back, `restored.applied` equal to `image.applied.index`.
    ///   - now: milliseconds of the caller's monotonic clock.
    ///   - seed: decides this member's election timeouts and compaction points.
    package init(
        id: NodeID, disk: DiskID, options: ReplicaOptions, restored: RestoredState, image: StateMachineImage,
        now: UInt64,
        seed: UInt64
    ) {
        precondition(
            restored.applied == image.applied.index,
            "log restored with applied \(restored.applied), state machine is at \(image.applied.index)")
        self.id = id
        self.options = options
        self.core = RaftNode(id: id, disk: disk, options: options.raft, restored: restored, seed: seed)
        self.version = image.version
        self.committedEnd = image.applied.index.next
        self.compaction = CompactionPolicy(
            entriesMax: options.logEntriesMax, bytesMax: options.logBytesMax, checkpointBytes: options.checkpointBytes,
            jitter: seed)
        let applied = restored.entries.lazy.filter { $0.index <= restored.applied }
        self.compaction.restored(logBytes: applied.reduce(0) { $0 + $1.cost })
        self.logClock = LogClock(seen: image.logTimeMilliseconds, now: now)
        self.brokers = BrokerTable(image.brokers)
        self.silences = image.silences
        self.unfinished = image.unfinished
        self.withdrawing = WithdrawingBrokers(image.brokers)
        self.liveness = BrokerLiveness(
            heartbeatTimeoutMilliseconds: options.brokerTimeoutMilliseconds,
            graceMilliseconds: options.brokerGraceMilliseconds)
        self.coordination = Coordination(options.coordinator)
        self.turns = RebalanceTurns(options.turns)
        self.now = now
        self.lastSessionSweep = now
        self.disks = [id: disk]
        self.protection = Protection(
            room: DiskRoom(lowBytes: options.diskLowBytes, highBytes: options.diskHighBytes), now: now)
        self.membership = MembershipRequests(core)
        self.reportedStatus = core.status
    }

    /// Takes over what may change while the member runs: what the coordinator does, how often digests are compared, and when the
    /// disk is full. The rest belongs to what was made of it at the start.
    package mutating func configure(_ new: ReplicaOptions) {
        options.digestIntervalMilliseconds = new.digestIntervalMilliseconds
        options.diskLowBytes = new.diskLowBytes
        options.diskHighBytes = new.diskHighBytes
        options.coordinator = new.coordinator
        protection.room.marks(lowBytes: new.diskLowBytes, highBytes: new.diskHighBytes)
        coordination.configure(new.coordinator)
    }

    // MARK: Queries

    package var status: Status { core.status }
    package var appliedIndex: LogIndex { core.appliedIndex }
    package var isLeader: Bool { core.status.role == .leader }
    package var openWrites: Int { proposals.inFlightCount }
    package var openReads: Int { reads.count }
    /// Where the write stands in the log; nil when it does not, or not any more.
    package func index(of token: RequestToken) -> LogIndex? { proposals.index(of: token) }
    /// Leadership is on its way from this member to another, and clients wait here to be told who it is.
    package var isHandingOver: Bool { core.transferTarget != nil || handover.isLeaving || handover.isWaiting }
    package func broker(_ id: BrokerID) -> Broker? { brokers[id] }
    /// What the broker's replicas take, as its last heartbeat to this leader said.
    package func usedBytes(of broker: BrokerID) -> UInt64? { liveness.usedBytes(of: broker) }
    /// What this leader has heard of the brokers; nil on a member that does not lead.
    package var livenessReading: LivenessReading? { liveness.reading }
    package var registeredBrokers: [Broker] { brokers.all }

    /// Milliseconds since this member last heard from a leader; nil when it never did. Zero on the leader, unless it stood still:
    /// it hears from the others first.
    package var millisecondsSinceLeaderContact: UInt64? {
        if isLeader, belief == .firm { return 0 }
        return lastLeaderContact.map { now - $0 }
    }

    package func checkInvariants() {
        core.checkInvariants()
        proposals.checkInvariants()
        turns.checkInvariants()
        precondition(committedEnd > core.appliedIndex, "applied \(core.appliedIndex) beyond committed \(committedEnd)")
        precondition(isLeader || proposals.inFlightCount == 0 || proposals.hasGathered, "a follower holds proposals")
    }

    // MARK: Time

    /// One tick of the Raft timers, at `now` on the caller's monotonic clock.
    package mutating func tick(now time: UInt64) {
        advanceClock(to: time)
        core.tick()
        handover.tick()
        if now > options.readWaitMilliseconds {
            refuse(reads.expired(before: now - options.readWaitMilliseconds), .unconfirmed)
        }
        tickProtection()
        guard isLeader else { return }
        askWhetherItLeads()
        watchDisk()
        tickMembership()
        tickTurns()
        // Heartbeats and writes are refused then: the silence of brokers and sessions is this member's own.
        guard protection.quarantine == nil else { return }
        judgeSilence()
        tickCoordinator()
        // An idle log has no time that passes, so there is nothing to expire.
        if now - lastSessionSweep >= options.sessionSweepMilliseconds, core.lastIndex > sweptThrough {
            lastSessionSweep = now
            housekeeping { $0.sweptThrough = $1 }
            proposeOwn(.expireSessions)
        }
    }

    /// Notes that the log grows by an entry of the leader's own, with what `note` remembers it by. Where the log held nothing
    /// else since the other kind of such entries, that kind has nothing new to see either: an idle log stays idle.
    mutating func housekeeping(_ note: (inout Replica, LogIndex) -> Void) {
        let (last, end) = (core.lastIndex, core.lastIndex.next)
        if last <= sweptThrough { sweptThrough = end }
        if last <= protection.comparedThrough { protection.comparedThrough = end }
        note(&self, end)
    }

    /// A leader whose disk is silent serves nobody, however well its heartbeats go (hashicorp/raft 503): first it hands over,
    /// then it steps down, within two election timeouts.
    private mutating func watchDisk() {
        guard let since = diskSilentSince else { return }
        if now - since > 2 * options.diskSilenceMilliseconds {
            core.stepDown()
        } else if now - since > options.diskSilenceMilliseconds {
            resign()
        }
    }

    mutating func advanceClock(to time: UInt64) {
        if isLeader, time > now, time - now > options.pauseMilliseconds { belief = .shaken }
        now = max(now, time)
    }

    // MARK: Peers

    package mutating func receive(_ messages: [Message], now time: UInt64) {
        advanceClock(to: time)
        for message in messages where message.to == id {
            // A snapshot comes as a file, and only this member itself says that it is there.
            if case .installSnapshot = message.kind { continue }
            core.step(message)
            if core.status.leader == message.from { lastLeaderContact = now }
        }
    }

    /// A connection to a peer broke; `refused` when dialling it again was refused at once. A hint, not a proof.
    package mutating func connectionClosed(to peer: NodeID, refused: Bool) {
        core.connectionClosed(to: peer, refused: refused)
    }

    package mutating func snapshotSent(to peer: NodeID, succeeded: Bool) {
        core.snapshotFinished(to: peer, succeeded: succeeded)
    }

    /// Hands leadership to the member that suits best, so that a graceful stop costs no election timeout (Diss. §3.10).
    /// - Returns: false when nobody is there to take over, or this member does not lead.
    @discardableResult
    package mutating func resign() -> Bool {
        guard isLeader else { return false }
        // Another may be the furthest by now; the one that was asked is still about to take over.
        if core.transferTarget != nil { return true }
        guard let best = successors.first else { return false }
        return core.transferLeadership(to: best)
    }

    /// A command of the leader's own: outside of any session, checked again when it is applied.
    mutating func proposeOwn(_ command: Command) { own.want(command) }
}
