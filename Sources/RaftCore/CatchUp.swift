/// Watches learners that are to be promoted, in rounds (Diss. §4.2.1): a round ends when the learner holds what the log held as
/// the round began. One whose rounds have been short for a while would not hold up a commit by much. Only measurements: a new
/// leader begins its own.
package struct CatchUp: Sendable {
    private struct Round {
        var target: LogIndex
        var since: UInt64
        /// Since when every round was short; nil when the last was not.
        var shortSince: UInt64?
    }

    private var rounds: [NodeID: Round] = [:]

    package init() {}

    /// - Parameter progress: of the learners that matter; the others are forgotten.
    package mutating func observe(_ progress: [PeerProgress], lastIndex: LogIndex, now: UInt64, roundMax: UInt64) {
        var next: [NodeID: Round] = [:]
        for peer in progress {
            var round = rounds[peer.id] ?? Round(target: lastIndex, since: now)
            let isShort = now - round.since <= roundMax
            if !peer.isActive || !isShort { round.shortSince = nil }
            if peer.isActive, peer.match >= round.target {
                if isShort { round.shortSince = round.shortSince ?? now }
                round.target = lastIndex
                round.since = now
            }
            next[peer.id] = round
        }
        rounds = next
    }

    /// Who has kept up for `window` milliseconds.
    package func steady(now: UInt64, window: UInt64) -> Set<NodeID> {
        Set(rounds.filter { _, round in round.shortSince.map { now - $0 >= window } ?? false }.keys)
    }
}
