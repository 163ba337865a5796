package import RaftCore

/// What is called committed is synced on enough disks (Raft §5.3; pitfall: a commit that counts what sits in memory).
package struct DurableCommitChecker {
    /// The highest position that anybody calls committed.
    package private(set) var committed = LogPosition.zero

    package init() {}

    /// `node` calls `position` committed, under a configuration in which `voters` decide; `holders` have it on their disks now.
    package mutating func commits(
        _ position: LogPosition, on node: NodeID, holders: Set<NodeID>, voters: VoterGroups
    ) throws(Violation) {
        guard position.index > committed.index else { return }
        guard voters.decides(holders) else {
            throw Violation(
                rule: "durable commit",
                detail:
                    "node \(node) calls \(position) committed, which only \(holders.sorted()) of \(voters) have synced")
        }
        committed = position
    }
}
