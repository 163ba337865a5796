internal import HeapModule

/// What is going to happen, ordered by simulated time; events of the same moment happen in the order in which they were
/// planned.
struct EventQueue<Event> {
    private struct Planned: Comparable {
        var time: UInt64
        var order: UInt64
        var event: Event

        static func < (lhs: Planned, rhs: Planned) -> Bool {
            lhs.time != rhs.time ? lhs.time < rhs.time : lhs.order < rhs.order
        }

        static func == (lhs: Planned, rhs: Planned) -> Bool { lhs.time == rhs.time && lhs.order == rhs.order }
    }

    private var heap = Heap<Planned>()
    private var planned: UInt64 = 0
    /// Microseconds since the start of the run.
    private(set) var now: UInt64 = 0

    mutating func plan(in delay: UInt64, _ event: Event) {
        planned += 1
        heap.insert(Planned(time: now + delay, order: planned, event: event))
    }

    /// The next event, if it comes before `end`; time moves on to it.
    mutating func next(before end: UInt64) -> Event? {
        guard let first = heap.min, first.time < end else {
            now = max(now, end)
            return nil
        }
        _ = heap.popMin()
        now = first.time
        return first.event
    }
}
