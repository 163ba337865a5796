package import RaftCore

/// What was once committed stays what it is, on everybody's log and for ever.
package struct CommittedEntriesChecker {
    private var committed = IndexTable<Entry>()
    private var commitIndexes = NodeTable<LogIndex>()

    package init() {}

    /// `node` calls `entries` committed, besides those that it called so before.
    package mutating func commits(_ entries: [Entry], on node: NodeID) throws(Violation) {
        for entry in entries {
            guard let other = committed[entry.index] else {
                committed[entry.index] = entry
                continue
            }
            guard other == entry else {
                throw Violation(
                    rule: "committed never changes",
                    detail: "node \(node) calls \(entry.position) committed, it was \(other.position) before")
            }
        }
        if let last = entries.last { commitIndexes[node] = max(commitIndexes[node] ?? .zero, last.index) }
    }

    /// Of the entry that somebody has called committed.
    package func term(at index: LogIndex) -> Term? { committed[index]?.term }

    /// `node` removes the entries from `index` on out of its log.
    package func truncates(from index: LogIndex, on node: NodeID) throws(Violation) {
        guard let commit = commitIndexes[node], index <= commit else { return }
        throw Violation(
            rule: "committed never changes",
            detail: "node \(node) removes entries from \(index) on, and has called \(commit) committed")
    }

    /// The commit index is not durable: a node starts from what it has applied.
    package mutating func restarts(_ node: NodeID, applied: LogIndex) { commitIndexes[node] = applied }
}
