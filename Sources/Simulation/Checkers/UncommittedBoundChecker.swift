package import RaftCore

/// A leader that cannot commit takes no more than its limit (pitfall: an uncommitted log without bound). One proposal may exceed it
/// where nothing else is uncommitted.
package struct UncommittedBoundChecker {
    private let bytesMax: Int

    package init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// A leader took on entries of `added` bytes while others of `uncommitted` bytes were not committed.
    package func takes(_ added: Int, beside uncommitted: Int, on node: NodeID) throws(Violation) {
        guard added > 0, uncommitted > 0, uncommitted + added > bytesMax else { return }
        throw Violation(
            rule: "the uncommitted log is bounded",
            detail:
                "node \(node) takes \(added) bytes beside \(uncommitted) that are not committed, \(bytesMax) are allowed"
        )
    }
}
