package import RaftCore

/// What was committed is in the log of every leader of a later term (Raft §5.4, Figure 3).
package struct LeaderCompletenessChecker {
    /// The last committed position of each term, by rising term.
    private var committed: [LogPosition] = []

    package init() {}

    /// Somebody calls `position` committed.
    package mutating func commits(_ position: LogPosition) {
        guard let last = committed.last else { return committed.append(position) }
        guard position.index > last.index else { return }
        if position.term == last.term { committed[committed.count - 1] = position } else { committed.append(position) }
    }

    /// `node` has become the leader of `term`. `holds` tells whether a position is in its log, or so old that it was
    /// compacted away.
    package func leads(_ node: NodeID, in term: Term, holds: (LogPosition) -> Bool) throws(Violation) {
        guard let position = committed.last(where: { $0.term < term }), !holds(position) else { return }
        throw Violation(
            rule: "leader completeness",
            detail: "node \(node) leads in term \(term) without \(position), which was committed")
    }
}
