package import RaftCore

/// At most one leader in a term (Raft §5.2, Figure 3).
package struct ElectionSafetyChecker {
    private var leaders: [Term: NodeID] = [:]

    package init() {}

    /// `node` has become, or still is, the leader of `term`.
    package mutating func leads(_ node: NodeID, in term: Term) throws(Violation) {
        if let other = leaders[term], other != node {
            throw Violation(rule: "election safety", detail: "nodes \(other) and \(node) both lead in term \(term)")
        }
        leaders[term] = node
    }
}
