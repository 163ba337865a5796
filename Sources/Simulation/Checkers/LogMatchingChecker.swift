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

    /// What was first seen at each index, and what was seen there of other terms.
    private var first = IndexTable<Known>()
    private var others: [LogPosition: Known] = [:]

    package init() {}

    /// `node` put `entries` into its log, behind an entry of `previousTerm`.
    package mutating func writes(_ entries: [Entry], after previousTerm: Term, on node: NodeID) throws(Violation) {
        var previousTerm = previousTerm
        for entry in entries {
            if let other = known(at: entry.position) {
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
                let known = Known(entry: entry, previousTerm: previousTerm, node: node)
                if first[entry.index] == nil { first[entry.index] = known } else { others[entry.position] = known }
            }
            previousTerm = entry.term
        }
    }

    private func known(at position: LogPosition) -> Known? {
        if let known = first[position.index], known.entry.term == position.term { return known }
        return others.isEmpty ? nil : others[position]
    }
}
