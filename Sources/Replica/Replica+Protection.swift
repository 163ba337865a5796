package import MetadataModel
internal import MetadataSchema
package import RaftCore

/// A node whose disk, log or database is bad does not harm the others, and heals itself from them.
extension Replica {
    // MARK: Queries

    /// Why nothing is answered from this member's state; nil when it is sound.
    package var quarantine: String? { protection.quarantine }
    package var isDiskLow: Bool { protection.room.isLow }
    /// The entry at which no digest had a majority; nil when the last comparison was decided.
    package var undecidedDigest: UInt64? { protection.undecidedAt }

    /// Why reads are not served here; nil when they are.
    var isStateUsable: Bool { protection.quarantine == nil && !core.isRecovering }

    // MARK: Inputs

    /// The state machine, or what it rests on, is not what was written. This member answers nothing any more, hands leadership
    /// over, and begins anew as soon as the others can spare it.
    package mutating func damaged(_ reason: String) {
        guard case .sound = protection.state else { return }
        protection.state = .quarantined(reason: reason, since: now)
        effects.append(.protection(.quarantined(reason)))
        refuseAllReads()
        announce()
        leaveOrRepair()
    }

    /// Only a member whose state is sound sends snapshots.
    mutating func stateReplaced() {
        guard protection.stateReplaced() else { return }
        effects.append(.protection(.stateReplaced))
        announce()
    }

    package mutating func diskMeasured(freeBytes: UInt64) {
        let wasLow = protection.room.isLow
        protection.room.measured(freeBytes: freeBytes)
        guard protection.room.isLow != wasLow else { return }
        effects.append(.protection(protection.room.isLow ? .diskLow(freeBytes: freeBytes) : .diskHasRoom))
        announce()
    }

    /// The state machine cannot take what is committed, for want of room say, and is asked again and again: or it can once more.
    /// A leader that answers nothing hands over as one whose disk is nearly full does.
    package mutating func applyingChanged(isSuspended: Bool) {
        guard protection.isSuspended != isSuspended else { return }
        protection.isSuspended = isSuspended
        announce()
    }

    package mutating func notified(_ notice: PeerNotice, from peer: NodeID) {
        switch notice {
        case .condition(let condition):
            protection.heard(condition, of: peer, now: now)
        case .digestReport(let mark):
            guard isLeader else { return }
            judge(protection.comparison.reported(mark, by: peer, configuration: core.configuration, now: now))
        case .digestVerdict(let verdict):
            guard core.status.leader == peer, protection.contradicts(verdict) else { return }
            damaged("its digest at entry \(verdict.index) is not \(verdict.digest), which the majority has")
        }
    }

    // MARK: Time

    mutating func tickProtection() {
        if protection.announcedAt.map({ now - $0 >= Self.announceMilliseconds }) ?? true { announce() }
        leaveOrRepair()
        guard isLeader else { return }
        judge(
            protection.comparison.expired(
                before: now > options.digestIntervalMilliseconds
                    ? now - options.digestIntervalMilliseconds : 0))
        offerLeadership()
        guard protection.quarantine == nil, now - protection.comparedAt >= options.digestIntervalMilliseconds,
            core.lastIndex > protection.comparedThrough
        else { return }
        protection.comparedAt = now
        housekeeping { $0.protection.comparedThrough = $1 }
        proposeOwn(.compareDigests)
    }

    /// Tells the others how this member is: at every change, and now and then.
    private mutating func announce() {
        let condition = PeerCondition(isDiskLow: protection.lacksRoom, isUnfit: !isStateUsable)
        protection.announcedAt = now
        for member in core.configuration.members where member.id != id {
            effects.append(.notify(member.id, .condition(condition)))
        }
    }

    private mutating func leaveOrRepair() {
        guard case .quarantined(let reason, let since) = protection.state else { return }
        if isLeader {
            // Nobody to do better: a leader that answers no reads is more than no leader.
            guard !fitOthers().isEmpty else { return }
            // A member that alone has everything is elected again and again, however long it has been damaged: each time it
            // needs a moment to bring another up to date.
            let tried = now - max(since, leaderSince)
            if tried > 2 * options.diskSilenceMilliseconds { core.stepDown() } else { resign() }
        } else if canBeSpared(since: since) {
            protection.state = .repairing(reason: reason)
            effects.append(.repair(reason))
        }
    }

    /// Another member leads, and enough voters have said lately that they are whole to go on without this one. So a quorum
    /// never discards what it alone holds, whatever made all of it look damaged: one entry can do that to all members within
    /// moments, so what the others said before that had time to show there does not count.
    private func canBeSpared(since: UInt64) -> Bool {
        guard let leader = core.status.leader, leader != id else { return false }
        guard core.configuration.isVoter(id) else { return true }
        return core.configuration.isQuorum(fitOthers(since: since + Self.silenceMilliseconds))
    }

    /// Other voters that have said lately, and not before `earliest`, that they are whole.
    private func fitOthers(since earliest: UInt64 = 0) -> [NodeID] {
        let oldest = now > Self.silenceMilliseconds ? now - Self.silenceMilliseconds : 0
        return protection.fit(since: max(oldest, earliest)).filter { $0 != id && core.configuration.isVoter($0) }
    }

    /// A leader whose disk is nearly full, or whose database takes nothing, hands over to a member with room, if there is one.
    private mutating func offerLeadership() {
        guard protection.lacksRoom, protection.offeredAt.map({ now - $0 >= Self.offerMilliseconds }) ?? true else {
            return
        }
        guard let best = successors.first, fitOthers().contains(best), !protection.isDiskLow(best) else { return }
        protection.offeredAt = now
        _ = core.transferLeadership(to: best)
    }

    /// Voters that could take over, the best first: whole, with room, furthest.
    var successors: [NodeID] {
        let candidates = core.progress.filter {
            $0.isActive && core.configuration.voters.contains($0.id) && !protection.isUnfit($0.id)
        }
        return candidates.sorted { left, right in
            let (leftIsLow, rightIsLow) = (protection.isDiskLow(left.id), protection.isDiskLow(right.id))
            return leftIsLow == rightIsLow ? left.match > right.match : rightIsLow
        }.map(\.id)
    }

    // MARK: Digests

    /// This member has applied an entry that asks for its digest.
    mutating func digested(_ mark: DigestMark) {
        protection.remember(mark)
        if isLeader {
            judge(protection.comparison.reported(mark, by: id, configuration: core.configuration, now: now))
        } else if let leader = core.status.leader {
            effects.append(.notify(leader, .digestReport(mark)))
        }
    }

    private mutating func judge(_ findings: [DigestComparison.Finding]) {
        for finding in findings {
            switch finding {
            case .minority(let node, let majority):
                effects.append(.protection(.digestDiffers(node, index: majority.index)))
                if node == id {
                    damaged("its digest at entry \(majority.index) is not \(majority.digest), which the majority has")
                } else {
                    protection.found(unfit: node, now: now)
                    effects.append(.notify(node, .digestVerdict(majority)))
                }
            case .undecided(let index):
                protection.undecidedAt = index
                effects.append(.protection(.digestsUndecided(index: index)))
            case .agreed:
                protection.undecidedAt = nil
            }
        }
    }

    // MARK: Room

    /// Whether a write is refused because the disk is nearly full.
    func isRefusedForRoom(_ intent: WriteIntent) -> Bool {
        guard protection.room.isLow else { return false }
        let command: Command
        do {
            command = try Command(schemaBytes: intent.command)
        } catch {
            // It is refused when it is applied.
            return false
        }
        // A broker that registers again takes no more room, and has to, to live.
        if case .registerBroker(let registration) = command, broker(registration.id) != nil { return false }
        return command.growsState
    }

    static let announceMilliseconds: UInt64 = 500
    /// Whoever has not said for this long how it is may be gone; and what damages several members does so within this time.
    static let silenceMilliseconds: UInt64 = 2_000
    /// Between two attempts to hand over for want of room: while one is under way nothing can be written.
    static let offerMilliseconds: UInt64 = 10_000
}
