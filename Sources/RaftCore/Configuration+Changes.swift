/// How configurations follow from each other. Which of them may stand in the log one after the other is `RaftNode`'s to say.
extension Configuration {
    /// What this configuration leads to: itself, or the end of the change that it is joint for (Raft §6).
    package var settled: Configuration {
        var next = self
        next.outgoing = []
        next.keepOnlyMembersWithRoles()
        return next
    }

    /// The joint configuration on the way to these voters, or the final one when the voters stay the same.
    func changing(votersTo next: [NodeID], _ edit: (inout Configuration) -> Void = { _ in }) -> Configuration {
        var changed = self
        changed.voters = next.sorted()
        changed.learners.removeAll(where: next.contains)
        changed.promotions.removeAll { next.contains($0.learner) }
        edit(&changed)
        if changed.voters != voters { changed.outgoing = voters }
        changed.keepOnlyMembersWithRoles()
        return changed
    }

    mutating func addLearner(_ member: Member, promotion: Promotion?) {
        members.removeAll { $0.id == member.id }
        learners.removeAll { $0 == member.id }
        promotions.removeAll { $0.learner == member.id }
        members.append(member)
        learners.append(member.id)
        if let promotion { promotions.append(promotion) }
        self = Configuration(
            members: members, voters: voters, outgoing: outgoing, learners: learners, promotions: promotions)
    }

    private mutating func keepOnlyMembersWithRoles() {
        members.removeAll { !voters.contains($0.id) && !outgoing.contains($0.id) && !learners.contains($0.id) }
        for position in promotions.indices {
            // Whom it was to replace has left on other ways: now it joins beside the others.
            if let replaced = promotions[position].replaces, member(replaced) == nil {
                promotions[position].replaces = nil
            }
        }
    }

    /// Whether this configuration is what the change asks for.
    package func fulfils(_ change: MembershipChange) -> Bool {
        switch change {
        case .add(let member, let isPromoted):
            return self.member(member.id) == member
                && (voters.contains(member.id) || (promotion(of: member.id) != nil) == isPromoted)
        case .promote(let id):
            return voters.contains(id)
        case .remove(let id):
            return self.member(id) == nil
        case .replace(let old, let member):
            guard self.member(member.id) == member else { return false }
            return old == member.id || self.member(old) == nil || promotion(of: member.id)?.replaces == old
        }
    }
}
