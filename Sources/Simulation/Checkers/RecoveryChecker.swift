package import RaftCore

/// A member that lost its log takes no part in elections before it holds again what was committed with its help (Protocol-Aware
/// Recovery, FAST 2018; pitfall: a repaired member votes for a candidate that lacks what it once acknowledged).
package struct RecoveryChecker {
    /// What each member that lost its log may have acknowledged.
    private var owed: [NodeID: [LogPosition]] = [:]

    package init() {}

    /// `node` gives up a log that held these entries, synced, and begins it anew.
    package mutating func loses(_ node: NodeID, _ positions: [LogPosition]) {
        // What it had not got back before it lost its log again is still owed.
        owed[node, default: []] += positions
    }

    /// `node` votes, or asks for votes.
    package func takesPart(_ node: NodeID) throws(Violation) {
        guard owed[node] != nil else { return }
        throw Violation(
            rule: "who lost its log votes for nobody",
            detail: "node \(node) takes part in an election, and has not said that it holds its log again")
    }

    /// `node` says that it holds everything again; it does so up to `held`. What was never committed is owed to nobody, and
    /// other entries may stand in its place by now.
    ///
    /// - Parameter committed: the term of the entry that somebody has called committed at an index.
    package mutating func recovers(
        _ node: NodeID, holding held: LogIndex, committed: (LogIndex) -> Term?
    ) throws(Violation) {
        let missing = owed.removeValue(forKey: node)?.first { $0.index > held && committed($0.index) == $0.term }
        guard let missing else { return }
        throw Violation(
            rule: "recovered means whole",
            detail:
                "node \(node) says that it holds everything again and holds the log up to \(held): it had acknowledged "
                + "\(missing), which is committed")
    }

    /// The disk of `node` was taken out of use.
    package mutating func forgets(_ node: NodeID) { owed[node] = nil }
}
