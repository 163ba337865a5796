/// What a change of members takes.
package struct MembershipPlan: Hashable, Sendable {
    /// A disk that joins as a learner, and whether that is to be promoted.
    package struct Joining: Hashable, Sendable {
        package var member: Member
        package var promotion: Promotion?

        package init(_ member: Member, promotion: Promotion?) {
            self.member = member
            self.promotion = promotion
        }
    }

    /// The configuration to propose.
    package var next: Configuration
    /// Who joins once that is committed and not joint; nil when the change is made then.
    package var joining: Joining?
}

/// Decides what a change of members means for a configuration that is not joint. A value without memory: what the leader knows
/// goes in, the next configuration or a refusal comes out.
package struct MembershipPlanner {
    private let configuration: Configuration
    /// The leader, whose planner it is.
    private let leader: NodeID
    /// Who was heard within an election timeout, the leader itself included.
    private let heard: Set<NodeID>
    /// Who says that it does not vote at present because it is damaged or being repaired. However well it is heard, an election
    /// cannot count on it.
    private let unfit: Set<NodeID>
    /// Learners that have what the leader has, as nearly as can be.
    private let caughtUp: Set<NodeID>
    /// Disks of members that introduced themselves; they fill in for those that the configuration does not know.
    private let introduced: [NodeID: DiskID]
    /// The operator knows better than `heard` and `caughtUp`.
    private let isForced: Bool

    package init(
        configuration: Configuration, leader: NodeID, heard: Set<NodeID>, unfit: Set<NodeID> = [],
        caughtUp: Set<NodeID> = [], introduced: [NodeID: DiskID] = [:], isForced: Bool = false
    ) {
        self.configuration = configuration
        self.leader = leader
        self.heard = heard
        self.unfit = unfit
        self.caughtUp = caughtUp
        self.introduced = introduced
        self.isForced = isForced
    }

    /// What to propose for `change`.
    package func plan(_ change: MembershipChange) throws(MembershipRefusal) -> MembershipPlan {
        switch change {
        case .add(let member, let isPromoted): MembershipPlan(next: try add(member, isPromoted: isPromoted))
        case .promote(let id): MembershipPlan(next: try promote(id))
        case .remove(let id): MembershipPlan(next: try remove(id))
        case .replace(let id, let member) where id == member.id: try replaceDisk(of: id, with: member)
        case .replace(let old, let member): MembershipPlan(next: try replace(old, with: member))
        }
    }

    /// The configuration that the rest of a plan leads to, after its first step.
    package func join(_ joining: MembershipPlan.Joining) throws(MembershipRefusal) -> Configuration {
        try check(joining.member, besides: joining.member.id)
        return configuration.changing(votersTo: configuration.voters) {
            $0.addLearner(joining.member, promotion: joining.promotion)
        }
    }

    /// The learners that have earned their votes, in one step; nil when there are none, or when their votes would put the
    /// quorum at risk.
    package func promoting(_ learners: Set<NodeID>) -> Configuration? {
        let due = configuration.promotions.filter { learners.contains($0.learner) }
        guard !due.isEmpty else { return nil }
        let leaving = due.compactMap(\.replaces)
        let voters = configuration.voters.filter { !leaving.contains($0) } + due.map(\.learner)
        guard quorumProblem(voters) == nil else { return nil }
        return without(leaving, voters: voters)
    }

    // MARK: The changes

    private func add(_ member: Member, isPromoted: Bool) throws(MembershipRefusal) -> Configuration {
        try check(member, besides: member.id)
        let promotion = isPromoted ? Promotion(learner: member.id) : nil
        guard let known = configuration.member(member.id) else {
            return joining(member, promotion: promotion)
        }
        let disk = known.disk == .unknown ? introduced[member.id] : known.disk
        guard disk == member.disk else {
            throw MembershipRefusal(
                .anotherDisk,
                "node \(member.id) is a member on another disk than \(member.disk.text): replace it instead")
        }
        guard configuration.learners.contains(member.id) else {
            var moved = configuration
            for position in moved.members.indices where moved.members[position].id == member.id {
                moved.members[position] = member
            }
            return moved
        }
        let replaces = isPromoted ? configuration.promotion(of: member.id)?.replaces : nil
        return joining(member, promotion: isPromoted ? Promotion(learner: member.id, replaces: replaces) : nil)
    }

    private func promote(_ id: NodeID) throws(MembershipRefusal) -> Configuration {
        guard configuration.member(id) != nil else { throw unknown(id) }
        // Who votes already has what is asked for; named once more it would be there twice.
        guard configuration.learners.contains(id) else { return configuration }
        guard isForced || heard.contains(id) && caughtUp.contains(id) else {
            throw MembershipRefusal(
                .notCaughtUp, "learner \(id) has not caught up: as a voter it would hold up every write")
        }
        let leaving = configuration.promotion(of: id)?.replaces.map { [$0] } ?? []
        let voters = configuration.voters.filter { !leaving.contains($0) } + [id]
        try checkQuorum(voters)
        return without(leaving, voters: voters)
    }

    private func remove(_ id: NodeID) throws(MembershipRefusal) -> Configuration {
        guard configuration.member(id) != nil else { throw unknown(id) }
        let voters = configuration.voters.filter { $0 != id }
        guard !voters.isEmpty else {
            throw MembershipRefusal(.lastVoter, "node \(id) is the last voter: without it there is no cluster")
        }
        if voters != configuration.voters { try checkQuorum(voters) }
        return without([id], voters: voters)
    }

    private func replace(_ old: NodeID, with member: Member) throws(MembershipRefusal) -> Configuration {
        guard configuration.member(old) != nil else { throw unknown(old) }
        guard old != leader else { throw replacesLeader }
        try check(member, besides: old)
        if let other = configuration.member(member.id) {
            guard other.disk == member.disk else {
                throw MembershipRefusal(
                    .anotherDisk, "node \(member.id) is a member on another disk: replace that one first")
            }
            if configuration.voters.contains(member.id) { return try remove(old) }
        }
        guard configuration.voters.contains(old) else {
            // A learner for a learner: nobody's vote is touched.
            let promotion = configuration.promotion(of: old).map { _ in Promotion(learner: member.id) }
            return configuration.changing(votersTo: configuration.voters) {
                $0.learners.removeAll { $0 == old }
                $0.promotions.removeAll { $0.learner == old }
                $0.addLearner(member, promotion: promotion)
            }
        }
        // The old one keeps its vote until the new one has earned its own: nothing is risked meanwhile.
        return joining(member, promotion: Promotion(learner: member.id, replaces: old))
    }

    /// The same id on another disk: the old one leaves, then the new one joins as a learner. Somebody who lost power in between two
    /// configurations cannot tell which is in force, so the name must not stand for two disks in both.
    private func replaceDisk(of id: NodeID, with member: Member) throws(MembershipRefusal) -> MembershipPlan {
        // Its disk may have left already, and the leader with it that knew what was to come.
        guard let old = configuration.member(id), old.disk != member.disk else {
            return MembershipPlan(next: try add(member, isPromoted: true))
        }
        guard id != leader else { throw replacesLeader }
        try check(member, besides: id)
        guard isForced || !heard.contains(id) else {
            throw MembershipRefusal(
                .memberAlive,
                "node \(id) was heard on its old disk within an election timeout, or node \(leader) has not led for as long: "
                    + "stop it before it is replaced, and try again")
        }
        guard configuration.voters.contains(id) else {
            return MembershipPlan(
                next: try remove(id), joining: .init(member, promotion: configuration.promotion(of: id)))
        }
        let others = configuration.voters.filter { $0 != id }
        guard others.count > configuration.voters.count / 2 else {
            throw MembershipRefusal(
                .quorumAtRisk,
                "without node \(id) the other voters \(others.text) are no majority, so nothing can be committed")
        }
        return MembershipPlan(next: try remove(id), joining: .init(member, promotion: Promotion(learner: id)))
    }

    // MARK: Steps

    private func joining(_ member: Member, promotion: Promotion?) -> Configuration {
        var next = configuration
        next.addLearner(member, promotion: promotion)
        return next
    }

    private func without(_ leaving: [NodeID], voters: [NodeID]) -> Configuration {
        configuration.changing(votersTo: voters) { next in
            next.learners.removeAll(where: leaving.contains)
            next.promotions.removeAll { leaving.contains($0.learner) }
        }
    }

    // MARK: Checks

    private var replacesLeader: MembershipRefusal {
        MembershipRefusal(
            .memberAlive, "node \(leader) leads: transfer leadership and stop it before it is replaced")
    }

    private func unknown(_ id: NodeID) -> MembershipRefusal {
        MembershipRefusal(
            .unknownMember, "node \(id) is no member; members are \(configuration.members.map(\.id).text)")
    }

    /// - Parameter replaced: whose addresses may be taken over.
    private func check(_ member: Member, besides replaced: NodeID) throws(MembershipRefusal) {
        func invalid(_ what: String) -> MembershipRefusal {
            MembershipRefusal(.invalidMember, "node \(member.id): \(what)")
        }
        guard member.id.rawValue > 0 else { throw invalid("0 is no node id") }
        guard member.disk != .unknown else { throw invalid("its disk has no id") }
        for address in [member.peerAddress, member.clientAddress] {
            let length = address.utf8.count
            guard length > 0, length <= Configuration.addressBytesMax else {
                throw invalid("an address has \(length) bytes, not 1 to \(Configuration.addressBytesMax)")
            }
        }
        guard member.peerAddress != member.clientAddress else { throw invalid("peers and clients have one address") }
        for other in configuration.members where other.id != member.id && other.id != replaced {
            if other.disk == member.disk { throw invalid("its disk is that of node \(other.id)") }
            for address in [member.peerAddress, member.clientAddress]
            where address == other.peerAddress || address == other.clientAddress {
                throw invalid("\(address) is the address of node \(other.id)")
            }
        }
        guard configuration.member(member.id) != nil || configuration.members.count < Configuration.membersMax else {
            throw MembershipRefusal(
                .tooManyMembers, "there are \(configuration.members.count) members, which is the most")
        }
    }

    private func checkQuorum(_ voters: [NodeID]) throws(MembershipRefusal) {
        guard !isForced, let problem = quorumProblem(voters) else { return }
        throw MembershipRefusal(.quorumAtRisk, problem)
    }

    private func quorumProblem(_ voters: [NodeID]) -> String? {
        let alive = voters.filter { heard.contains($0) && !unfit.contains($0) }.sorted()
        let needed = voters.count / 2 + 1
        guard alive.count < needed else { return nil }
        let found = alive.isEmpty ? "none was" : "only \(alive.text) \(alive.count == 1 ? "was" : "were")"
        let damaged = voters.filter { heard.contains($0) && unfit.contains($0) }.sorted()
        return
            "\(needed) of the voters \(voters.sorted().text) are needed, and \(found) heard within an election timeout"
            + (damaged.isEmpty ? "" : ", not counting \(damaged.text), damaged or being repaired")
    }
}

extension [NodeID] {
    fileprivate var text: String { map(\.description).joined(separator: ", ") }
}
