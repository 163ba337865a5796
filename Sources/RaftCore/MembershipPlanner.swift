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

    /// The configuration to propose for `change`.
    package func plan(_ change: MembershipChange) -> Result<Configuration, MembershipRefusal> {
        do throws(MembershipRefusal) {
            switch change {
            case .add(let member, let isPromoted): return .success(try add(member, isPromoted: isPromoted))
            case .promote(let id): return .success(try promote(id))
            case .remove(let id): return .success(try remove(id))
            case .replace(let old, let member): return .success(try replace(old, with: member))
            }
        } catch {
            return .failure(error)
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
        guard let known = configuration.member(old) else { throw unknown(old) }
        if known.disk == member.disk, old == member.id { return try add(member, isPromoted: true) }
        guard old != leader else {
            throw MembershipRefusal(
                .memberAlive, "node \(old) leads: transfer leadership and stop it before it is replaced")
        }
        try check(member, besides: old)
        if old == member.id { return try reformatted(known, as: member) }
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

    /// The same id on another disk. The old disk's vote ends with this step; the new disk begins as a learner.
    private func reformatted(_ old: Member, as member: Member) throws(MembershipRefusal) -> Configuration {
        guard isForced || !heard.contains(old.id) else {
            throw MembershipRefusal(
                .memberAlive, "node \(old.id) was heard a moment ago on its old disk: stop it before it is replaced")
        }
        let voters = configuration.voters.filter { $0 != old.id }
        guard voters != configuration.voters else {
            return joining(member, promotion: configuration.promotion(of: old.id))
        }
        guard voters.count > configuration.voters.count / 2 else {
            throw MembershipRefusal(
                .quorumAtRisk,
                "without node \(old.id) the other voters \(voters.text) are no majority, so nothing can be committed")
        }
        try checkQuorum(voters)
        return configuration.changing(votersTo: voters) {
            $0.addLearner(member, promotion: Promotion(learner: member.id))
        }
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
