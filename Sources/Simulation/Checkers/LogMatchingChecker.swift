package import RaftCore

/// If two logs hold an entry with the same index and term, they are equal up to there (Raft §5.3, Figure 3).
///
/// It is enough that the same position means the same entry *and* the same term before it, in every log at any time: the rest
/// follows by induction.
package struct LogMatchingChecker {
    private struct Known {
        var entry: Entry
        var previousTerm: Term
        var node: NodeID
    }

    private var known: [LogPosition: Known] = [:]

    package init() {}

    /// `node` put `entries` into its log, behind an entry of `previousTerm`.
    package mutating func writes(_ entries: [Entry], after previousTerm: Term, on node: NodeID) throws(Violation) {
        var previousTerm = previousTerm
        for entry in entries {
            if let other = known[entry.position] {
                guard other.entry == entry else {
                    throw Violation(
                        rule: "log matching",
                        detail: "nodes \(other.node) and \(node) hold different entries \(entry.position)")
                }
                guard other.previousTerm == previousTerm else {
                    throw Violation(
                        rule: "log matching",
                        detail: "entry \(entry.position) follows term \(other.previousTerm) on node \(other.node) and "
                            + "term \(previousTerm) on node \(node)")
                }
            } else {
                known[entry.position] = Known(entry: entry, previousTerm: previousTerm, node: node)
            }
            previousTerm = entry.term
        }
    }
}
