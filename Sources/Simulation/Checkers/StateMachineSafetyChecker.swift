package import RaftCore

/// No two members apply different entries at one index (Raft §5.4.3, Figure 3), and each applies without a gap.
package struct StateMachineSafetyChecker {
    private struct Applied {
        var entry: Entry
        var node: NodeID
    }

    /// Every entry that anybody applied.
    private var applied = IndexTable<Applied>()
    private var last = NodeTable<LogIndex>()

    package init() {}

    package mutating func applies(_ entries: [Entry], on node: NodeID) throws(Violation) {
        for entry in entries {
            if let last = last[node], entry.index != last.next {
                throw Violation(
                    rule: "applied in order", detail: "node \(node) applies \(entry.position) after index \(last)")
            }
            last[node] = entry.index
            guard let other = applied[entry.index] else {
                applied[entry.index] = Applied(entry: entry, node: node)
                continue
            }
            guard other.entry == entry else {
                throw Violation(
                    rule: "state machine safety",
                    detail: "node \(node) applies \(entry.position) where node \(other.node) applied "
                        + "\(other.entry.position), and they differ")
            }
        }
    }

    /// The state machine of `node` stands at `index` without having applied its way there: after a start or a snapshot.
    package mutating func stands(_ node: NodeID, at index: LogIndex) { last[node] = index }
}
