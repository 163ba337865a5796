/// The log's own time: the time of the entry before, plus what the leader's monotonic clock says has passed. A jump of a wall
/// clock expires nobody, and the time on a new leader goes on where the old one's stopped.
struct LogClock {
    /// The latest time in any entry that this member has seen.
    private var seen: UInt64
    /// The log's time when this member began to lead, and the moment on its own clock.
    private var base: UInt64
    private var anchor: UInt64

    init(seen: UInt64, now: UInt64) {
        self.seen = seen
        self.base = seen
        self.anchor = now
    }

    /// The time for an entry that a leader proposes now.
    func time(now: UInt64) -> UInt64 { max(seen, base + (now > anchor ? now - anchor : 0)) }

    mutating func saw(_ time: UInt64) { seen = max(seen, time) }

    /// A term of leadership begins: what passed while others led is in their entries, not in this clock.
    mutating func resume(now: UInt64) {
        base = seen
        anchor = now
    }
}
