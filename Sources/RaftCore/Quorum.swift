/// Majorities over a configuration, joint or not (Raft §6): while a configuration is joint, each of the two sets of voters
/// has to agree on its own. Learners never count, also where they are outgoing voters: they make the majority no smaller.
extension Configuration {
    /// True when the members for which `predicate` holds are a majority of each set of voters that counts.
    func hasMajority(where predicate: (NodeID) -> Bool) -> Bool {
        func majority(of group: [NodeID]) -> Bool {
            var count = 0
            for id in group where isVoter(id) && predicate(id) { count += 1 }
            return count > group.count / 2
        }
        return majority(of: voters) && (outgoing.isEmpty || majority(of: outgoing))
    }

    /// The highest index that a majority of each set of voters holds, given what each member holds.
    ///
    /// - Returns: zero when there are no voters, so that nothing is ever committed without one.
    func quorumIndex(_ match: (NodeID) -> LogIndex) -> LogIndex {
        func index(of group: [NodeID]) -> LogIndex {
            guard !group.isEmpty else { return .zero }
            var held = group.map { isVoter($0) ? match($0) : .zero }
            held.sort(by: >)
            // Sorted from the highest: the entry at count/2 is held by count/2 + 1 members, the smallest majority.
            return held[group.count / 2]
        }
        let incoming = index(of: voters)
        return outgoing.isEmpty ? incoming : min(incoming, index(of: outgoing))
    }

    /// Every member that votes on either side, each once, in order.
    var allVoters: [NodeID] {
        guard isJoint else { return voters }
        return (voters + outgoing.filter { !voters.contains($0) && isVoter($0) }).sorted()
    }
}
