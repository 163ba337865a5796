package import RaftCore

/// The same index means the same state, and the digest that is kept is that of the rows.
package struct DigestChecker {
    private struct Known {
        var digest: UInt64
        var node: NodeID
    }

    private var digests = IndexTable<Known>()

    package init() {}

    /// The state of `node`, after everything up to `index`, has this digest.
    package mutating func reaches(_ digest: UInt64, at index: LogIndex, on node: NodeID) throws(Violation) {
        guard let other = digests[index] else {
            digests[index] = Known(digest: digest, node: node)
            return
        }
        guard other.digest == digest else {
            throw Violation(
                rule: "equal digests",
                detail: "at \(index) node \(node) has the digest \(digest), node \(other.node) had \(other.digest)")
        }
    }

    /// The digest that `node` keeps from change to change, and that of its rows, computed anew.
    package func scrubs(kept: UInt64, rows: UInt64, at index: LogIndex, on node: NodeID) throws(Violation) {
        guard kept != rows else { return }
        throw Violation(
            rule: "digest of the rows",
            detail: "node \(node) keeps the digest \(kept) at \(index), its rows have \(rows)")
    }
}
