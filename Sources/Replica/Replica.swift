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
    private(set) var options: ReplicaOptions

    package internal(set) var core: RaftNode
    package private(set) var version: Version

    /// What the apply thread is doing.
    private var applying = Applying.idle
    /// Committed entries end before this index; those from `core.appliedIndex.next` on are not applied yet.
    private var committedEnd: LogIndex
    /// A snapshot that arrived while the apply thread was busy; the newest counts.
    private var waitingSnapshot: IncomingSnapshot?

    private var proposals = ProposalQueue()
    private var own = OwnProposals()
    private var handover = Handover()
    private var reads = ReadQueue()
    private var compaction: CompactionPolicy
    /// What a checkpoint has made durable. After a start nothing is known to be: the state may rest on a WAL that was never
    /// synced.
    private var durable = LogPosition.zero
    private var logClock: LogClock
    /// Every registered broker, as of the last apply. A copy of what the state machine holds, kept so that a new leader
    /// need not read it.
    private var brokers: [BrokerID: Broker] = [:]
    /// Likewise, what the log says of those that are silent.
    private var silences: BrokerSilences
    /// Likewise, what was begun and takes more than one entry.
    private var unfinished: UnfinishedWork
    private var withdrawing: WithdrawingBrokers
    private var liveness: BrokerLiveness
    var coordination: Coordination
    private var belief = Belief.firm

    /// Damage and room, of this member and of the others.
    var protection: Protection

    /// Milliseconds on a clock that only goes forward; its origin means nothing.
    var now: UInt64
    private var lastLeaderContact: UInt64?
    /// The end of the log when this member last became leader: applied that far, it knows all that was committed before, and
    /// a majority has followed it since it was elected.
    private(set) var electedAt = LogIndex.zero
    private var lastSessionSweep: UInt64
    /// The log ends here when nothing but the last sweep was written.
    private var sweptThrough = LogIndex.zero
    /// Since when the disk owes an answer without having given any; nil when it owes none.
    private var diskSilentSince: UInt64?
    /// The disks of the members that have introduced themselves. A leader writes them into the configuration.
    var disks: [NodeID: DiskID]
    var membership: MembershipRequests
    private var reportedStatus: Status
    var effects: [Effect] = []

    private enum Applying: Hashable {
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
    private enum Belief: Hashable {
        /// CheckQuorum sees to it. Exit: `shaken` when this process stood still for longer than an election takes.
        case firm
        /// Another may lead by now, for any time. Exit: `asked` when a broker wants to know.
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
        self.core = RaftNode(id: id, options: options.raft, restored: restored, seed: seed)
        self.version = image.version
        self.committedEnd = image.applied.index.next
        self.compaction = CompactionPolicy(
            entriesMax: options.logEntriesMax, bytesMax: options.logBytesMax, checkpointBytes: options.checkpointBytes,
            jitter: seed)
        let applied = restored.entries.lazy.filter { $0.index <= restored.applied }
        self.compaction.restored(logBytes: applied.reduce(0) { $0 + $1.cost })
        self.logClock = LogClock(seen: image.logTimeMilliseconds, now: now)
        self.silences = image.silences
        self.unfinished = image.unfinished
        self.withdrawing = WithdrawingBrokers(image.brokers)
        self.liveness = BrokerLiveness(
            heartbeatTimeoutMilliseconds: options.brokerTimeoutMilliseconds,
            graceMilliseconds: options.brokerGraceMilliseconds)
        self.coordination = Coordination(options.coordinator)
        self.now = now
        self.lastSessionSweep = now
        self.disks = [id: disk]
        self.protection = Protection(
            room: DiskRoom(lowBytes: options.diskLowBytes, highBytes: options.diskHighBytes), now: now)
        self.membership = MembershipRequests(core)
        self.reportedStatus = core.status
        for broker in image.brokers { brokers[broker.id] = broker }
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
    package var registeredBrokers: [Broker] { brokers.values.sorted { $0.id < $1.id } }

    /// Milliseconds since this member last heard from a leader; zero on the leader; nil when it never did.
    package var millisecondsSinceLeaderContact: UInt64? {
        if isLeader { return 0 }
        return lastLeaderContact.map { now - $0 }
    }

    package func checkInvariants() {
        core.checkInvariants()
        proposals.checkInvariants()
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
        watchDisk()
        tickMembership()
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

    /// Proposes the fencing of those that were silent for too long, and notes who is on the way there.
    private mutating func judgeSilence() {
        inheritSilences()
        for (broker, epoch) in liveness.expired(now: now) {
            proposeOwn(.fenceBroker(id: broker, epoch: epoch))
        }
        let notes = liveness.takeNotes()
        if !notes.isEmpty { proposeOwn(.noteSilence(notes)) }
        proposeStep()
    }

    /// Before this leader hears or judges anybody: what those before it have noted, once all of it is applied.
    private mutating func inheritSilences() {
        guard liveness.isLeading, !liveness.hasInherited, core.appliedIndex >= electedAt else { return }
        liveness.inherited(silences)
    }

    /// Goes on with what takes more than one entry, whoever began it, those that are dead first. One step is on its way at a time.
    private mutating func proposeStep() {
        guard isLeader, core.appliedIndex >= electedAt, protection.quarantine == nil,
            let step = withdrawing.next ?? (unfinished.isEmpty ? nil : .takeStep)
        else { return }
        proposeOwn(step)
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

    private mutating func advanceClock(to time: UInt64) {
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

    // MARK: Clients

    package mutating func write(_ intent: WriteIntent, token: RequestToken) {
        guard isLeader, protection.quarantine == nil else {
            if !isLeader { return refuseNotLeading(token) }
            effects.append(.replyWrite(token, .notLeader(nil)))
            return
        }
        guard !isRefusedForRoom(intent) else {
            effects.append(.replyWrite(token, .diskFull))
            return
        }
        if let refusal = refusal(ofLevelIn: intent) {
            effects.append(.replyWrite(token, .outcome(.refused(refusal))))
            return
        }
        // What is committed and not applied here is bounded too: a slow or silent disk must not fill the memory.
        guard core.lastIndex.rawValue - core.appliedIndex.rawValue < UInt64(options.unappliedEntriesMax) else {
            effects.append(.replyWrite(token, .overloaded))
            return
        }
        guard core.transferTarget == nil || proposals.hasRoomToWait(for: intent) else {
            effects.append(.replyWrite(token, .notLeader(nil)))
            return
        }
        proposals.gather(intent, token: token)
    }

    /// A write that was not proposed, and will not be by this member.
    private mutating func refuseNotLeading(_ token: RequestToken) {
        guard !handover.waits(token, wasProposed: false) else { return }
        effects.append(.replyWrite(token, .notLeader(core.status.leader)))
    }

    /// - Parameter now: like that of `tick`. A process that was stopped may take a read in before its next tick, and must not
    ///   take the age of what it knows from the tick before.
    package mutating func read(_ consistency: ReadConsistency, token: RequestToken, now time: UInt64) {
        advanceClock(to: time)
        guard isStateUsable else { return refuse([token], .repairing) }
        switch consistency {
        case .linearizable:
            guard reads.count < options.raft.pendingReadsMax else { return refuse([token], .overloaded) }
            reads.gather(token)
        case .atLeast(let version):
            // A version is a log index, so having applied that index is having that version.
            let index = LogIndex(version.rawValue)
            if index <= core.appliedIndex {
                effects.append(.serveReads([token]))
            } else {
                guard reads.count < options.raft.pendingReadsMax else { return refuse([token], .overloaded) }
                reads.wait(token, for: index, now: now)
            }
        case .stale(let maxLag):
            let lag = millisecondsSinceLeaderContact ?? .max
            if lag <= maxLag {
                effects.append(.serveReads([token]))
            } else {
                refuse([token], .tooStale(milliseconds: lag))
            }
        }
    }

    /// A broker says that it lives. Only the leader counts, so only the leader answers (pitfall: heartbeats recorded where
    /// they arrive).
    ///
    /// - Parameters:
    ///   - caughtUp: the version that the broker has followed the metadata to; zero from one that does not say.
    ///   - wantsFence: the broker asks to be fenced, or to stay so.
    ///   - wantsShutdown: the broker asks to stop; it may when leadership has moved off (KIP-631).
    ///   - usedBytes: what its replicas take, if it says so; kept in memory, for the progress of drains.
    ///   - time: the present, on the caller's monotonic clock: the last tick may be long ago where the process was stopped.
    package mutating func heartbeat(
        broker: BrokerID, epoch: BrokerEpoch, caughtUp: Version = .zero, wantsFence: Bool, wantsShutdown: Bool = false,
        usedBytes: UInt64? = nil, token: RequestToken, now time: UInt64
    ) {
        advanceClock(to: time)
        inheritSilences()
        guard grantsLeases else {
            if isLeader, belief == .shaken {
                let id = reads.drawID()
                if core.read(id: id) { belief = .asked(id) }
            }
            effects.append(.replyHeartbeat(token, .notLeader(isLeader ? nil : core.status.leader)))
            return
        }
        // Whoever follows the metadata leads only when it has seen its own registration, whose version is its epoch, and so
        // all that was decided about its replicas before (KIP-631).
        let isBehind = caughtUp != .zero && caughtUp.rawValue < epoch.rawValue
        let decision = liveness.heard(
            broker: broker, epoch: epoch, now: now, wantsFence: wantsFence || wantsShutdown || isBehind,
            usedBytes: usedBytes)
        switch decision {
        case .lease(let milliseconds, let shouldUnfence):
            guard let known = brokers[broker] else {
                effects.append(.replyHeartbeat(token, .unknownBroker))
                return
            }
            if shouldUnfence { proposeOwn(.unfenceBroker(id: broker, epoch: epoch)) }
            var answered = known.state
            if wantsFence, known.state != .fenced {
                proposeOwn(.fenceBroker(id: broker, epoch: epoch))
                liveness.fenceProposed(broker, epoch: epoch)
                answered = .fencing
            } else if wantsShutdown, known.state == .active {
                proposeOwn(.beginShutdown(id: broker, epoch: epoch))
            }
            let isWithdrawn = known.state == .fenced || known.state == .shuttingDown
            let leadsNothing = isWithdrawn && withdrawing.hasLeft(broker)
            effects.append(
                .replyHeartbeat(
                    token,
                    .accepted(
                        state: answered, leaseMilliseconds: milliseconds, version: version,
                        shouldShutDown: leadsNothing && (wantsShutdown || known.state == .shuttingDown))))
        case .condemned(let milliseconds):
            let isFenced = brokers[broker]?.state == .fenced
            effects.append(
                .replyHeartbeat(
                    token,
                    .accepted(
                        state: isFenced ? .fenced : .fencing, leaseMilliseconds: milliseconds, version: version,
                        shouldShutDown: false)))
        case .unknownBroker, .staleEpoch:
            effects.append(.replyHeartbeat(token, .unknownBroker))
        }
    }

    /// Whether this member may tell brokers what they are. It knows the state of all of them, those included that an earlier
    /// leader was fencing, and nobody else leads that could fence them meanwhile.
    private var grantsLeases: Bool {
        isLeader && reportedStatus.role == .leader && reportedStatus.term == core.status.term
            && core.appliedIndex >= electedAt && belief == .firm && protection.quarantine == nil
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

    // MARK: Disk and state machine

    package mutating func persisted(_ sequence: UInt64) {
        core.persisted(sequence)
        diskSilentSince = core.persistsInFlight > 0 ? now : nil
    }

    package mutating func applied(_ report: AppliedReport) {
        guard case .applying(let through) = applying else {
            preconditionFailure("applied \(report.applied) while \(applying)")
        }
        precondition(report.applied.index == through, "asked to apply through \(through), got \(report.applied)")
        applying = .idle
        core.applied(to: through)
        version = max(version, report.version)
        logClock.saw(report.logTimeMilliseconds)
        for outcome in report.outcomes {
            if let token = proposals.answered(outcome.index) {
                effects.append(.replyWrite(token, .outcome(outcome.outcome)))
            }
        }
        for broker in report.brokers {
            brokers[broker.id] = broker
            liveness.brokerChanged(broker)
            withdrawing.changed(broker)
        }
        for id in report.removedBrokers {
            brokers[id] = nil
            liveness.brokerRemoved(id)
            withdrawing.removed(id)
        }
        if let latest = report.silences {
            silences = latest
            liveness.silencesChanged(latest)
        }
        if let latest = report.unfinished { unfinished = latest }
        ownApplied(report)
        coordination.applied(report)
        proposeStep()
        for mark in report.digests { digested(mark) }
    }

    /// A checkpoint ended; everything up to `durable` is in the database and stays there.
    package mutating func checkpointed(_ position: LogPosition) {
        compaction.checkpointFinished()
        if position.index > durable.index { durable = position }
    }

    /// A whole, verified snapshot lies on this member's disk.
    package mutating func snapshotReceived(_ snapshot: IncomingSnapshot) {
        if let waiting = waitingSnapshot { effects.append(.discardSnapshot(waiting)) }
        waitingSnapshot = snapshot
    }

    /// The state machine is the snapshot now, durably.
    package mutating func snapshotInstalled(_ image: StateMachineImage) {
        guard case .installing(let snapshot, _) = applying else {
            preconditionFailure("a snapshot at \(image.applied) was installed while \(applying)")
        }
        precondition(snapshot.position == image.applied, "installed \(image.applied), asked for \(snapshot.position)")
        version = image.version
        durable = image.applied
        logClock.saw(image.logTimeMilliseconds)
        brokers = [:]
        for broker in image.brokers { brokers[broker.id] = broker }
        silences = image.silences
        unfinished = image.unfinished
        withdrawing = WithdrawingBrokers(image.brokers)
        if liveness.isLeading {
            // What waits was wanted of brokers as they were before.
            own.abandon()
            judgeBrokers()
        }
        core.step(
            Message(
                from: snapshot.from, to: id, term: snapshot.term,
                kind: .installSnapshot(position: snapshot.position, configuration: snapshot.configuration)))
        if core.appliedIndex == image.applied.index {
            applying = .idle
            committedEnd = max(committedEnd, image.applied.index.next)
            if core.base == image.applied { compaction.restored(logBytes: 0) }
        } else {
            applying = .settling(image.applied.index)
        }
    }

    package mutating func snapshotInstallFailed() {
        guard case .installing(_, let settling) = applying else {
            preconditionFailure("no snapshot was being installed: \(applying)")
        }
        applying = settling.map { .settling($0) } ?? .idle
    }

    // MARK: The end of a turn

    /// Ends a turn: proposes and asks what was gathered, and returns all there is to do, in order.
    package mutating func takeEffects() -> [Effect] {
        observeHandover()
        // A leader elected in this turn takes up the log's time before it stamps its first entries.
        if core.status != reportedStatus { _ = interpret(core.takeReady()) }
        proposeGathered()
        startReads()
        repeat { while interpret(core.takeReady()) {} } while advanceMembership()
        startApplying()
        let servable = reads.served(at: core.appliedIndex)
        if !servable.isEmpty { effects.append(.serveReads(servable)) }
        compact()
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    /// - Returns: whether the core was told something, and may have more to say: else one `Ready` is all there is.
    private mutating func interpret(_ ready: Ready) -> Bool {
        if ready.isEmpty { return false }
        // First: what is sent next may go to a member that has just been added.
        reportConfiguration()
        if let status = ready.status { statusChanged(to: status) }
        // Before the disk: the leader's own sync is not on the followers' path (Diss. §10.2.1).
        if !ready.messages.isEmpty { effects.append(.send(ready.messages)) }
        if let persist = ready.persist {
            diskSilentSince = diskSilentSince ?? now
            effects.append(.persist(persist))
        }
        if let committed = ready.committed {
            precondition(
                committed.lowerBound <= committedEnd, "committed \(committed) leaves a gap after \(committedEnd)")
            committedEnd = max(committedEnd, committed.upperBound)
        }
        for read in ready.reads {
            reads.confirmed(read.id, index: read.index)
            if belief == .asked(read.id) { belief = .firm }
        }
        for id in ready.droppedReads {
            if handover.isWaiting { reads.askAgain(id) } else { refuse(reads.dropped(id), .unconfirmed) }
            if belief == .asked(id) { belief = .shaken }
        }
        var wasToldMore = false
        for peer in ready.snapshotsWanted {
            if isStateUsable {
                effects.append(.sendSnapshot(peer))
            } else {
                core.snapshotFinished(to: peer, succeeded: false)
                wasToldMore = true
            }
        }
        if ready.isRecovered { effects.append(.recovered) }
        return wasToldMore
    }

    private mutating func statusChanged(to status: Status) {
        let led = reportedStatus.role == .leader
        let leads = status.role == .leader
        if led, !leads || status.term != reportedStatus.term {
            for token in proposals.abandon() {
                if handover.waits(token, wasProposed: true) { continue }
                effects.append(.replyWrite(token, .leadershipLost(status.leader)))
            }
            abandonChanges()
            own.abandon()
            liveness.resigned()
            coordination.resigned()
            belief = .firm
            protection.comparison.removeAll()
        }
        // It was its own leader until now; what it holds is no older than that.
        if led, !leads { lastLeaderContact = now }
        if leads, !led || status.term != reportedStatus.term { becameLeader() }
        reportedStatus = status
        effects.append(.statusChanged(status))
    }

    private mutating func becameLeader() {
        let unapplied = core.entries(in: core.appliedIndex.next..<core.lastIndex.next)
        for entry in unapplied where entry.kind == .command {
            do {
                logClock.saw(try LogEnvelope(decoding: entry.payload).timeMilliseconds)
            } catch {
                // An entry that cannot be read is refused when it is applied; it has no say in the time.
                continue
            }
        }
        logClock.resume(now: now)
        lastSessionSweep = now
        judgeBrokers()
    }

    /// Every registered broker is granted its timeout and the grace of a new leader, and none gets a lease before what the log
    /// holds about it is applied.
    private mutating func judgeBrokers() {
        electedAt = core.lastIndex
        // Which shutdowns are done this leader has not seen.
        withdrawing = WithdrawingBrokers(brokers.values)
        liveness.becameLeader(now: now, brokers: registeredBrokers.map { ($0.id, $0.epoch, $0.state) })
        coordination.becameLeader(now: now, brokers: registeredBrokers)
    }

    /// Whoever waited for a successor is told who it is.
    private mutating func observeHandover() {
        guard let waiting = handover.observe(core) else { return }
        let leader = core.status.leader
        for token in waiting.lost { effects.append(.replyWrite(token, .leadershipLost(leader))) }
        for token in waiting.refused { effects.append(.replyWrite(token, .notLeader(leader))) }
    }

    /// The leader's own commands first: the fence of a silent broker must not wait for clients to write less.
    private mutating func proposeGathered() {
        proposeOwnCommands()
        // They are proposed after all when the other does not take over.
        guard proposals.hasGathered, !handover.isLeaving else { return }
        var batch = proposals.takeGathered()[...]
        // Only what waited for a handover can be late.
        if batch.contains(where: { $0.intent.deadline <= now }) {
            for item in batch where item.intent.deadline <= now { effects.append(.replyWrite(item.token, .expired)) }
            batch = batch.filter { $0.intent.deadline > now }[...]
            if batch.isEmpty { return }
        }
        let payloads = batch.map { payload(of: $0.intent) }
        // What came first and fits is taken; one at least is asked for, to learn why it is not.
        let fitting = max(1, core.fitting(payloads))
        switch core.propose(Array(payloads.prefix(fitting))) {
        case .accepted(let first, _):
            proposals.proposed(Array(batch.prefix(fitting)), first: first)
            batch = batch.dropFirst(fitting)
        case .notLeader:
            for item in batch { refuseNotLeading(item.token) }
            return
        case .overloaded, .configurationChangeRefused:
            break
        }
        for item in batch { effects.append(.replyWrite(item.token, .overloaded)) }
    }

    /// Those that find no room, or come while leadership is being handed over, wait for the next turn.
    private mutating func proposeOwnCommands() {
        defer { if own.isEmpty { coordination.gatheredWasProposed(through: core.lastIndex) } }
        guard !own.isEmpty, core.transferTarget == nil else { return }
        let commands = own.next
        let payloads = commands.map {
            payload(
                of: WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: $0.schemaBytes()))
        }
        let fitting = core.fitting(payloads)
        guard fitting > 0, case .accepted(let first, _) = core.propose(Array(payloads.prefix(fitting))) else { return }
        own.proposed(fitting, first: first)
    }

    private func payload(of intent: WriteIntent) -> [UInt8] {
        LogEnvelope(
            timeMilliseconds: logClock.time(now: now), session: intent.session, sequence: intent.sequence,
            acknowledgedBelow: intent.acknowledgedBelow, commandBytes: intent.command
        ).encoded()
    }

    private mutating func ownApplied(_ report: AppliedReport) {
        for (index, command) in own.applied(through: report.applied.index) {
            if case .fenceBroker(let id, let epoch) = command { liveness.fenceApplied(id, epoch: epoch) }
            if case .noteSilence(let notes) = command { liveness.notesApplied(notes) }
            guard case .beginShutdown(let id, let epoch) = command else { continue }
            // What changed something is done at the version of its own entry.
            let changed = CommandOutcome.done(.changed(Version(index.rawValue)))
            let outcome = report.outcomes.first { $0.index == index }?.outcome
            if let outcome, outcome != changed { withdrawing.stepWasNone(id, epoch: epoch) }
        }
    }

    private mutating func startReads() {
        if handover.isWaiting { return }
        guard let id = reads.startBatch(now: now) else { return }
        if !core.read(id: id) { refuse(reads.dropped(id), core.status.leader == nil ? .noLeader : .overloaded) }
    }

    private mutating func startApplying() {
        if case .settling(let index) = applying, committedEnd > index {
            core.applied(to: index)
            applying = .idle
        }
        var settling: LogIndex?
        switch applying {
        case .idle: break
        // The state machine may be replaced again while the log still has to catch up with it.
        case .settling(let index):
            guard waitingSnapshot != nil else { return }
            settling = index
        case .applying, .installing: return
        }
        if let snapshot = waitingSnapshot {
            waitingSnapshot = nil
            if snapshot.position.index > core.commitIndex {
                applying = .installing(snapshot, settling: settling)
                effects.append(.installSnapshot(snapshot))
                return
            }
            effects.append(.discardSnapshot(snapshot))
        }
        guard case .idle = applying else { return }
        let first = core.appliedIndex.next
        guard first < committedEnd else { return }
        let end = min(committedEnd, first.advanced(by: options.applyEntriesMax))
        var batch: [Entry] = []
        var bytes = 0
        for entry in core.entries(in: first..<end) {
            if !batch.isEmpty, bytes + entry.cost > options.applyBytesMax { break }
            bytes += entry.cost
            batch.append(entry)
        }
        guard let last = batch.last else { preconditionFailure("committed entries from \(first) are not in the log") }
        compaction.handedToApply(bytes: bytes)
        applying = .applying(through: last.index)
        effects.append(.apply(batch))
    }

    private mutating func compact() {
        let held = Int(core.lastIndex.rawValue - core.base.index.rawValue)
        if compaction.shouldCheckpoint(entriesInLog: held) { effects.append(.checkpoint) }
        guard
            let target = compaction.cut(
                core: core, durable: durable, isSnapshotUnderWay: !core.pendingSnapshotPeers.isEmpty),
            let term = core.term(at: target)
        else { return }
        let gone = core.entries(in: core.base.index.next..<target.next).reduce(0) { $0 + $1.cost }
        core.compact(to: target)
        compaction.cutDone(bytes: gone)
        effects.append(.compactLog(LogPosition(index: target, term: term)))
    }

    mutating func refuseAllReads() { refuse(reads.removeAll(), .repairing) }

    private mutating func refuse(_ tokens: [RequestToken], _ reason: ReadRefusal) {
        if !tokens.isEmpty { effects.append(.refuseReads(tokens, reason)) }
    }

    /// A command of the leader's own: outside of any session, checked again when it is applied.
    mutating func proposeOwn(_ command: Command) { own.want(command) }
}
