package import RaftCore

/// What a replica remembers of changes that somebody waits for. The changes themselves stand in the log and nowhere else: a
/// leader that finds one unfinished there goes on with it, whoever asked. Only the second half of a replacement under the same id
/// is not in the log before the first is committed; who asks again has it made.
struct MembershipRequests {
    struct Waiting {
        var token: RequestToken
        var change: MembershipChange
    }

    /// The disk before it leaves, and this one joins then.
    struct Replacement {
        var change: MembershipChange
        var joining: MembershipPlan.Joining
    }

    struct Transfer {
        var token: RequestToken
        var target: NodeID
        var since: UInt64
    }

    /// Requests that wait, at most; beyond it they are refused.
    static let waitingMax = 64

    /// A learner that is this many entries behind counts as caught up when somebody promotes it by hand.
    static let nearEntriesMax: UInt64 = 1_000

    /// Answered when the committed configuration fulfils them.
    var waiting: [Waiting] = []
    /// Whose first half is in the log.
    var replacement: Replacement?
    /// Answered when somebody else leads, or when the attempt is over.
    var transfers: [Transfer] = []
    var catchUp = CatchUp()
    /// What was reported last as `Effect.configurationChanged`; at first, what the log said at the start.
    var reported: Reported

    struct Reported {
        var index: LogIndex
        var isCommitted: Bool
        var configuration: Configuration
        var correspondents: [Member]

        init(_ core: borrowing RaftNode) {
            index = core.configurationIndex
            isCommitted = core.isConfigurationCommitted
            configuration = core.configuration
            correspondents = core.correspondents
        }
    }

    init(_ core: borrowing RaftNode) { reported = Reported(core) }
}

extension Replica {
    // MARK: Inputs

    /// Asks for a change of members. Answered by `Effect.replyMembership` when it is committed or cannot be made.
    ///
    /// - Parameter isForced: makes it also when the quorum that would be left was not heard lately.
    package mutating func changeMembers(_ change: MembershipChange, isForced: Bool, token: RequestToken) {
        guard isLeader else { return reply(token, .notLeader(core.status.leader)) }
        guard membership.waiting.count < MembershipRequests.waitingMax else {
            return refuse(token, .changeUnderWay, "\(membership.waiting.count) requests wait already")
        }
        // What is there, or on its way, is waited for: whoever asks again after a lost answer gets the same one.
        let isOnItsWay =
            if let replacement = membership.replacement {
                replacement.change == change
            } else {
                core.configuration.settled.fulfils(change) && !isRemovalOfStranger(change)
            }
        guard !isOnItsWay else {
            membership.waiting.append(.init(token: token, change: change))
            return
        }
        // Its first half is what another leader left here, or somebody asked for the removal: the second is all that is missing.
        if case .replace(let id, with: let member) = change, id == member.id, !core.isConfigurationSettled,
            membership.replacement == nil, core.configuration.settled.member(id) == nil
        {
            membership.waiting.append(.init(token: token, change: change))
            membership.replacement = .init(change: change, joining: .init(member, promotion: Promotion(learner: id)))
            return
        }
        guard core.hasCommittedInTerm else {
            return refuse(token, .leaderNotReady, "no entry of term \(core.status.term) is committed yet")
        }
        guard core.isConfigurationSettled, membership.replacement == nil else {
            return refuse(
                token, .changeUnderWay, "the change at log index \(core.configurationIndex) is not finished yet")
        }
        let plan: MembershipPlan
        do throws(MembershipRefusal) {
            plan = try planner(isForced: isForced).plan(change)
        } catch {
            return reply(token, .refused(error))
        }
        switch core.propose([plan.next.encoded()], kind: .configuration) {
        case .accepted:
            membership.waiting.append(.init(token: token, change: change))
            membership.replacement = plan.joining.map { .init(change: change, joining: $0) }
        case .notLeader(let leader): reply(token, .notLeader(leader))
        case .overloaded: refuse(token, .leaderNotReady, "the log holds too much that is not committed")
        case .configurationChangeRefused(let reason): refuse(token, .changeUnderWay, reason)
        }
    }

    /// Hands leadership to `target`, or to the voter that is furthest. Answered by `Effect.replyMembership` when another leads.
    package mutating func transferLeadership(to target: NodeID?, token: RequestToken) {
        guard isLeader else { return reply(token, .notLeader(core.status.leader)) }
        guard target != id else { return reply(token, .done) }
        guard let chosen = target ?? successors.first else {
            return refuse(token, .memberSilent, "no other voter that is whole was heard within an election timeout")
        }
        guard core.configuration.member(chosen) != nil else {
            return refuse(token, .unknownMember, "node \(chosen) is no member")
        }
        guard core.configuration.voters.contains(chosen) else {
            return refuse(token, .notAVoter, "node \(chosen) does not vote and cannot lead")
        }
        guard core.progress.contains(where: { $0.id == chosen && $0.isActive }) else {
            return refuse(token, .memberSilent, "node \(chosen) was not heard within an election timeout")
        }
        guard successors.contains(chosen) else {
            return refuse(token, .notCaughtUp, "node \(chosen) is damaged or being repaired and cannot lead")
        }
        guard membership.replacement == nil else {
            return refuse(token, .changeUnderWay, "the replacement of a member is not finished yet")
        }
        guard core.transferLeadership(to: chosen) else {
            let other = core.transferTarget.map { "node \($0)" } ?? "nobody"
            return refuse(token, .changeUnderWay, "leadership is being handed to \(other) already")
        }
        membership.transfers.append(.init(token: token, target: chosen, since: now))
    }

    /// A member of this cluster has said which disk it runs on.
    ///
    /// - Parameter featureLevelMax: what it understands.
    package mutating func introduced(_ peer: NodeID, disk: DiskID, featureLevelMax: UInt32 = 0) {
        disks[peer] = disk
        coordination.featureLevels[peer] = featureLevelMax
    }

    // MARK: Queries

    /// The replacement of a member under its own id, as it was asked for, whose second half this leader has still to propose.
    package var unfinishedReplacement: MembershipChange? { membership.replacement?.change }

    /// Every member as this leader sees it, by id; on any other member only what the configuration says.
    package var memberStates: [MemberState] {
        let configuration = core.configuration
        let progress = core.progress
        return configuration.members.map { member in
            let peer = progress.first { $0.id == member.id }
            let isSelf = member.id == id
            let role: MemberState.Role =
                configuration.voters.contains(member.id)
                ? .voter : configuration.learners.contains(member.id) ? .learner : .leaving
            return MemberState(
                member: member, role: role, promotion: configuration.promotion(of: member.id),
                isLeader: core.status.leader == member.id, isHeard: isSelf || peer?.isActive ?? false,
                match: isSelf ? core.lastIndex : peer?.match ?? .zero)
        }
    }

    // MARK: The course of a change

    /// Time passes on a leader: learners earn their votes, disks get known.
    mutating func tickMembership() {
        nameDisks()
        let promoted = core.configuration.promotions.map(\.learner)
        membership.catchUp.observe(
            core.progress.filter { promoted.contains($0.id) }, lastIndex: core.lastIndex, now: now,
            roundMax: options.catchUpRoundMilliseconds)
        let steady = membership.catchUp.steady(now: now, window: options.promotionWindowMilliseconds)
        guard !steady.isEmpty, core.isConfigurationSettled,
            let next = planner(isForced: false).promoting(steady)
        else { return }
        // Refused while this term has committed nothing; the next tick asks again.
        _ = core.propose([next.encoded()], kind: .configuration)
    }

    /// Leaves a joint configuration once it is committed, whoever began it (Raft §6), goes on with a replacement, and answers who
    /// waits.
    ///
    /// - Returns: true when there is something new to do.
    mutating func advanceMembership() -> Bool {
        answerChanges()
        answerTransfers()
        guard isLeader, core.isConfigurationCommitted, core.hasCommittedInTerm else { return false }
        let isJoint = core.configuration.isJoint
        guard let next = isJoint ? core.configuration.settled : replaced(),
            // Refused during a transfer of leadership or an overload: the next turn asks again.
            case .accepted = core.propose([next.encoded()], kind: .configuration)
        else { return false }
        if !isJoint {
            membership.replacement = nil
            // What was measured of the disk before it says nothing of the new one.
            membership.catchUp = CatchUp()
        }
        return true
    }

    /// The second half of a replacement; nil when there is none, or it cannot be made any more.
    private mutating func replaced() -> Configuration? {
        guard let replacement = membership.replacement else { return nil }
        do throws(MembershipRefusal) {
            return try planner(isForced: false).join(replacement.joining)
        } catch {
            membership.replacement = nil
            for request in membership.waiting where request.change == replacement.change {
                reply(request.token, .refused(error))
            }
            membership.waiting.removeAll { $0.change == replacement.change }
            return nil
        }
    }

    /// Says who the members are now, when they, or those who are to be reached, have changed.
    mutating func reportConfiguration() {
        guard
            membership.reported.index != core.configurationIndex
                || membership.reported.isCommitted != core.isConfigurationCommitted
        else { return }
        let last = membership.reported
        let next = MembershipRequests.Reported(core)
        membership.reported = next
        guard last.configuration != next.configuration || last.correspondents != next.correspondents else { return }
        effects.append(.configurationChanged(next.configuration))
    }

    /// Leadership is lost: whoever waits for a change that is not committed gets no answer from here.
    mutating func abandonChanges() {
        answerChanges()
        let waiting = membership.waiting
        membership.waiting = []
        membership.replacement = nil
        for request in waiting { reply(request.token, .leadershipLost(core.status.leader)) }
    }

    private mutating func answerChanges() {
        guard !membership.waiting.isEmpty, core.isConfigurationSettled else { return }
        let configuration = core.configuration
        let waiting = membership.waiting
        membership.waiting = []
        for request in waiting {
            if configuration.fulfils(request.change) {
                reply(request.token, .done)
            } else if isLeader, membership.replacement?.change == request.change {
                membership.waiting.append(request)
            } else if isLeader {
                // Another change undid it between the two: it has to be asked for again.
                refuse(request.token, .changeUnderWay, "another change was made instead")
            } else {
                reply(request.token, .leadershipLost(core.status.leader))
            }
        }
    }

    private mutating func answerTransfers() {
        guard !membership.transfers.isEmpty else { return }
        let waiting = membership.transfers
        membership.transfers = []
        for transfer in waiting {
            let leader = core.status.leader
            if leader == transfer.target {
                reply(transfer.token, .done)
            } else if isLeader, core.transferTarget != transfer.target {
                refuse(
                    transfer.token, .transferFailed,
                    "node \(transfer.target) did not take over within an election timeout; node \(id) leads on")
            } else if !isLeader, let leader {
                refuse(transfer.token, .transferFailed, "node \(leader) was elected instead of \(transfer.target)")
            } else if now - transfer.since > options.readWaitMilliseconds {
                reply(transfer.token, .leadershipLost(nil))
            } else {
                membership.transfers.append(transfer)
            }
        }
    }

    // MARK: Helpers

    /// Who was never a member, or is none any more, cannot be removed: most likely the id is wrong.
    private func isRemovalOfStranger(_ change: MembershipChange) -> Bool {
        guard case .remove(let id) = change else { return false }
        return core.configuration.member(id) == nil && core.isConfigurationCommitted
    }

    private func planner(isForced: Bool) -> MembershipPlanner {
        let configuration = core.configuration
        let progress = core.progress
        let near = progress.filter {
            core.lastIndex.rawValue - $0.match.rawValue <= MembershipRequests.nearEntriesMax
        }
        return MembershipPlanner(
            configuration: configuration, leader: id, heard: Set(progress.filter(\.isActive).map(\.id) + [id]),
            unfit: Set(progress.map(\.id).filter(protection.isUnfit)), caughtUp: Set(near.map(\.id)), introduced: disks,
            isForced: isForced)
    }

    /// The members that the operator named at the start came without their disks. When one has introduced itself the
    /// configuration says so, and from then on a wiped disk in its place is a stranger (KIP-853), whether the others have come
    /// yet or not.
    private mutating func nameDisks() {
        let current = core.configuration
        guard current.members.contains(where: { $0.disk == .unknown }), !current.isJoint else { return }
        var named = current
        for position in named.members.indices {
            guard named.members[position].disk == .unknown, let disk = disks[named.members[position].id] else {
                continue
            }
            named.members[position].disk = disk
        }
        guard named != current else { return }
        // Refused while another change is under way or this term has committed nothing; the next tick asks again.
        _ = core.propose([named.encoded()], kind: .configuration)
    }

    private mutating func reply(_ token: RequestToken, _ reply: MembershipReply) {
        effects.append(.replyMembership(token, reply))
    }

    private mutating func refuse(_ token: RequestToken, _ reason: MembershipRefusal.Reason, _ detail: String) {
        reply(token, .refused(MembershipRefusal(reason, detail)))
    }
}
