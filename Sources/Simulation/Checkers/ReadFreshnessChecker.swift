package import MetadataModel
package import RaftCore

/// What reads promise of the version that they show. A linearizable one shows everything that was committed before it was taken
/// in (Diss. §6.4), `atLeast` the version that was asked for, and `stale` comes from a node that heard from a leader lately and
/// shows a state that was committed.
package struct ReadFreshnessChecker {
    /// What a leader has heard of the others in its term.
    private struct Leadership {
        var term: Term
        var since: UInt64
        var heard: [NodeID: UInt64] = [:]
    }

    /// A leader that a majority has not answered for longer than this may know that it leads no more: it looks at each election
    /// timeout, and takes no note of a pause that is shorter than it was told.
    private let doubtMicroseconds: UInt64
    private var lastHeard = NodeTable<UInt64>()
    private var leaderships: [NodeID: Leadership] = [:]
    /// The latest version that the metadata have reached somewhere.
    package private(set) var committed = Version.zero

    package init(doubtMicroseconds: UInt64 = 0) { self.doubtMicroseconds = doubtMicroseconds }

    /// The metadata have reached this version somewhere.
    package mutating func commits(_ version: Version) { committed = max(committed, version) }

    /// A message of the term that `node` is in arrived from `peer`.
    package mutating func receives(_ node: NodeID, from peer: NodeID, in term: Term, at now: UInt64) {
        if leaderships[node]?.term == term { leaderships[node]?.heard[peer] = now }
    }

    /// `node` takes itself for the leader of `term`. It has heard from itself for as long as a majority answers.
    package mutating func leads(_ node: NodeID, _ configuration: Configuration, in term: Term, at now: UInt64) {
        var leadership = leaderships[node] ?? Leadership(term: term, since: now)
        if leadership.term != term { leadership = Leadership(term: term, since: now) }
        leaderships[node] = leadership
        func answered(_ voters: [NodeID]) -> UInt64 {
            let times = voters.map { $0 == node ? now : leadership.heard[$0] ?? 0 }.sorted(by: >)
            return times.isEmpty ? now : times[times.count / 2]
        }
        let majority = min(answered(configuration.voters), answered(configuration.outgoing))
        let known = min(now, max(majority, leadership.since) + doubtMicroseconds)
        lastHeard[node] = max(lastHeard[node] ?? 0, known)
    }

    /// A leader's message arrived at `node`. Microseconds.
    package mutating func hears(_ node: NodeID, at now: UInt64) { lastHeard[node] = now }

    /// A process that starts has heard of nobody.
    package mutating func restarts(_ node: NodeID) {
        lastHeard[node] = nil
        leaderships[node] = nil
    }

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
