/// Once nothing goes wrong any more, the cluster is without a leader for a bounded time only.
package struct LeaderlessChecker {
    private let boundMicroseconds: UInt64
    /// Since when there was none; nil while there is one.
    private var since: UInt64?

    /// Watches from `start` on, which may be yet to come; until then nobody has to lead.
    package init(boundMicroseconds: UInt64, start: UInt64) {
        self.boundMicroseconds = boundMicroseconds
        since = start
    }

    /// Whether somebody leads at this moment. The more often it is told, the closer the bound is kept.
    package mutating func observes(hasLeader: Bool, at now: UInt64) throws(Violation) {
        if let since, now > since, now - since > boundMicroseconds {
            throw Violation(
                rule: "no leaderless stretch",
                detail: "nobody led from \(since) us to \(now) us, the bound is \(boundMicroseconds) us")
        }
        since = hasLeader ? nil : (since ?? now)
    }
}
