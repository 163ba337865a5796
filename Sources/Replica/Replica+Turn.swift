internal import Coordination
internal import MetadataModel
internal import MetadataSchema
internal import RaftCore

/// The end of a turn.
extension Replica {
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
        if isLeader, belief == .firm { lastLeaderContact = now }
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    /// - Returns: whether the core was told something, and may have more to say: else one `Ready` is all there is.
    mutating func interpret(_ ready: Ready) -> Bool {
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

    mutating func statusChanged(to status: Status) {
        let led = reportedStatus.role == .leader
        let leads = status.role == .leader
        if led, !leads || status.term != reportedStatus.term {
            for token in proposals.abandon() {
                if handover.waits(token, wasProposed: true) { continue }
                effects.append(.replyWrite(token, .leadershipLost(status.leader)))
            }
            for token in turns.resigned() { refuseNotLeading(token) }
            abandonChanges()
            own.abandon()
            liveness.resigned()
            coordination.resigned()
            belief = .firm
            protection.comparison.removeAll()
        }
        if leads, !led || status.term != reportedStatus.term { becameLeader() }
        reportedStatus = status
        effects.append(.statusChanged(status))
    }

    mutating func becameLeader() {
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
        leaderSince = now
        lastSessionSweep = now
        turns.becameLeader(now: now)
        judgeBrokers()
    }

    /// Whoever waited for a successor is told who it is.
    mutating func observeHandover() {
        guard let waiting = handover.observe(core) else { return }
        let leader = core.status.leader
        for token in waiting.lost { effects.append(.replyWrite(token, .leadershipLost(leader))) }
        for token in waiting.refused { effects.append(.replyWrite(token, .notLeader(leader))) }
    }

    /// The leader's own commands first: the fence of a silent broker must not wait for clients to write less.
    mutating func proposeGathered() {
        proposeOwnCommands()
        // They are proposed after all when the other does not take over.
        guard proposals.hasGathered, !handover.isLeaving else { return }
        var batch = proposals.takeGathered()[...]
        // Only what waited for a handover, or for its turn, can be late.
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
    mutating func proposeOwnCommands() {
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

    func payload(of intent: WriteIntent) -> [UInt8] {
        LogEnvelope(
            timeMilliseconds: logClock.time(now: now), session: intent.session, sequence: intent.sequence,
            acknowledgedBelow: intent.acknowledgedBelow, commandBytes: intent.command
        ).encoded()
    }
}
