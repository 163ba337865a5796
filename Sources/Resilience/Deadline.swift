/// The instant at which whoever asked stops waiting. A call carries a deadline and not a timeout, so that the time spent
/// in one layer is not granted again in the next.
package struct Deadline<C: Clock>: Hashable, Sendable, Comparable where C.Duration == Duration {
    package let instant: C.Instant

    package init(at instant: C.Instant) { self.instant = instant }

    package init(after timeout: Duration, from now: C.Instant) { instant = now.advanced(by: timeout) }

    package func hasPassed(at now: C.Instant) -> Bool { now >= instant }

    /// Time left, never negative.
    package func remaining(at now: C.Instant) -> Duration {
        hasPassed(at: now) ? .zero : now.duration(to: instant)
    }

    /// A deadline for one step: `limit` from now, but never later than this one.
    package func step(limit: Duration, from now: C.Instant) -> Deadline {
        min(self, Deadline(after: limit, from: now))
    }

    package static func < (lhs: Deadline, rhs: Deadline) -> Bool { lhs.instant < rhs.instant }
}
