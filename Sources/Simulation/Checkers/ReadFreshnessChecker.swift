package import MetadataModel
package import RaftCore

/// What reads promise of the version that they show. A linearizable one shows everything that was committed before it was taken
/// in (Diss. §6.4), `atLeast` the version that was asked for, and `stale` comes from a node that heard from a leader lately and
/// shows a state that was committed.
package struct ReadFreshnessChecker {
    private var lastHeard = NodeTable<UInt64>()
    /// The latest version that the metadata have reached somewhere.
    package private(set) var committed = Version.zero

    package init() {}

    /// The metadata have reached this version somewhere.
    package mutating func commits(_ version: Version) { committed = max(committed, version) }

    /// A leader's message arrived at `node`, or `node` leads. Microseconds.
    package mutating func hears(_ node: NodeID, at now: UInt64) { lastHeard[node] = now }

    /// A process that starts has heard of nobody.
    package mutating func restarts(_ node: NodeID) { lastHeard[node] = nil }

    package func serves(_ version: Version, atLeast asked: Version, on node: NodeID) throws(Violation) {
        try wasCommitted(version, node)
        guard version < asked else { return }
        throw Violation(
            rule: "read at least", detail: "node \(node) shows version \(version) to who asked for \(asked)")
    }

    /// A linearizable read, taken in when `committedBefore` had been reached somewhere.
    package func serves(_ version: Version, committedBefore: Version, on node: NodeID) throws(Violation) {
        try wasCommitted(version, node)
        guard version < committedBefore else { return }
        throw Violation(
            rule: "read shows what was committed",
            detail: "node \(node) shows version \(version), and \(committedBefore) was committed before it was asked")
    }

    /// - Parameter slackMicroseconds: how much coarser the node's own clock is.
    package func serves(
        _ version: Version, lagMaxMicroseconds: UInt64, slackMicroseconds: UInt64, on node: NodeID, at now: UInt64
    ) throws(Violation) {
        try wasCommitted(version, node)
        guard let heard = lastHeard[node] else {
            throw Violation(
                rule: "bounded staleness", detail: "node \(node) serves a stale read and never heard from a leader")
        }
        guard now - heard > lagMaxMicroseconds + slackMicroseconds else { return }
        throw Violation(
            rule: "bounded staleness",
            detail: "node \(node) heard from a leader \(now - heard) us ago, \(lagMaxMicroseconds) us were asked for")
    }

    private func wasCommitted(_ version: Version, _ node: NodeID) throws(Violation) {
        guard version > committed else { return }
        throw Violation(
            rule: "read from the future", detail: "node \(node) shows version \(version), committed is \(committed)")
    }
}
