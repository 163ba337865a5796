package import RaftCore

/// Who decides, as plain lists: a majority of each group has to agree. One group, or two while a change of members is under
/// way (Raft §6). The majorities are counted here again, not by the code that is judged.
package struct VoterGroups: Hashable, Sendable, CustomStringConvertible {
    package var groups: [[NodeID]]

    /// - Parameter outgoing: the voters of the configuration that is being left; empty when none is.
    package init(voters: [NodeID], outgoing: [NodeID] = []) {
        groups = outgoing.isEmpty ? [voters.sorted()] : [voters.sorted(), outgoing.sorted()]
    }

    package var description: String {
        groups.map { "[" + $0.map(\.description).joined(separator: ", ") + "]" }.joined(separator: " and ")
    }

    /// True when `members` hold a majority of each group.
    package func decides(_ members: Set<NodeID>) -> Bool { decides { members.contains($0) } }

    /// The same for the members that `isMember` names.
    func decides(_ isMember: (NodeID) -> Bool) -> Bool {
        groups.allSatisfy { group in 2 * group.count(where: isMember) > group.count }
    }

    /// True when every set that decides here has a member in common with every set that decides in `other`. It is enough
    /// that one group of each has: whoever decides holds a majority of each of its groups.
    package func overlaps(_ other: VoterGroups) -> Bool {
        groups.contains { group in other.groups.contains { !Self.haveDisjointMajorities(group, $0) } }
    }

    /// Two majorities share nobody if each takes first whom the other cannot use, and the members of both suffice for the
    /// rest.
    private static func haveDisjointMajorities(_ one: [NodeID], _ other: [NodeID]) -> Bool {
        let shared = Set(one).intersection(other).count
        let missing = max(0, one.count / 2 + 1 - (one.count - shared))
        let otherMissing = max(0, other.count / 2 + 1 - (other.count - shared))
        return missing + otherMissing <= shared
    }
}
