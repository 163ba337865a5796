package import RaftCore

/// A leader commits by counting only what is of its own term (Raft §5.4.2, Figure 8). Whatever was before is committed with it;
/// alone it could still be replaced.
package struct LeaderCommitChecker {
    /// Up to where the database of a node was replaced by a snapshot: that was committed by somebody else.
    private var installed = NodeTable<LogIndex>()

    package init() {}

    package mutating func installs(at index: LogIndex, on node: NodeID) {
        installed[node] = max(installed[node] ?? .zero, index)
    }

    /// The leader of `term` calls everything up to `position` committed, and has not done so before.
    package func commits(_ position: LogPosition, leading term: Term, on node: NodeID) throws(Violation) {
        guard position.term != term, position.index > installed[node] ?? .zero else { return }
        throw Violation(
            rule: "a leader commits what is of its term",
            detail: "node \(node), the leader of term \(term), commits up to \(position)")
    }
}
