package import RaftCore

/// A member that lost its log takes no part in elections before it holds again what was committed with its help (Protocol-Aware
/// Recovery, FAST 2018; pitfall: a repaired member votes for a candidate that lacks what it once acknowledged).
package struct RecoveryChecker {
    /// What each member that lost its log had acknowledged at most.
    private var owed: [NodeID: LogIndex] = [:]

    package init() {}

    /// `node` gives up a log that reached up to `index`, synced, and begins it anew.
    package mutating func loses(_ node: NodeID, through index: LogIndex) {
        // What it had not got back before it lost its log again is still owed.
        owed[node] = max(owed[node] ?? .zero, index)
    }

    /// `node` votes, or asks for votes.
    package func takesPart(_ node: NodeID) throws(Violation) {
        guard let index = owed[node] else { return }
        throw Violation(
            rule: "who lost its log votes for nobody",
            detail:
                "node \(node) takes part in an election, and has not said that it holds its log up to \(index) again")
    }

    /// `node` says that it holds everything again; it does so up to `held`. Somebody has called entries up to `committed` so.
    package mutating func recovers(_ node: NodeID, holding held: LogIndex, committed: LogIndex) throws(Violation) {
        guard let index = owed.removeValue(forKey: node), held < min(index, committed) else { return }
        throw Violation(
            rule: "recovered means whole",
            detail:
                "node \(node) says that it holds everything again and holds the log up to \(held): it had acknowledged "
                + "up to \(index), and \(committed) is committed")
    }

    /// The disk of `node` was taken out of use.
    package mutating func forgets(_ node: NodeID) { owed[node] = nil }
}
