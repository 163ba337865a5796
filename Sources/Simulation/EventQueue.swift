/// What is going to happen, ordered by simulated time; events of the same moment happen in the order in which they were
/// planned.
///
/// The heap orders small keys, and the events, which are large, stay where they are: a run spends much of its time here.
struct EventQueue<Event> {
    private struct Key {
        var time: UInt64
        var order: UInt64
        var place: Int

        func isBefore(_ other: Key) -> Bool { time != other.time ? time < other.time : order < other.order }
    }

    /// A binary heap.
    private var keys: [Key] = []
    private var events: [Event?] = []
    /// Places in `events` that are free.
    private var free: [Int] = []
    private var planned: UInt64 = 0
    /// Microseconds since the start of the run.
    private(set) var now: UInt64 = 0

    mutating func plan(in delay: UInt64, _ event: Event) {
        planned += 1
        let place: Int
        if let known = free.popLast() {
            place = known
            events[place] = event
        } else {
            place = events.count
            events.append(event)
        }
        keys.append(Key(time: now + delay, order: planned, place: place))
        riseLast()
    }

    /// The next event, if it comes before `end`; time moves on to it.
    mutating func next(before end: UInt64) -> Event? {
        guard let first = keys.first, first.time < end else {
            now = max(now, end)
            return nil
        }
        removeFirst()
        now = first.time
        free.append(first.place)
        return events[first.place].take()
    }

    private mutating func riseLast() {
        var place = keys.count - 1
        let key = keys[place]
        while place > 0 {
            let parent = (place - 1) / 2
            guard key.isBefore(keys[parent]) else { break }
            keys[place] = keys[parent]
            place = parent
        }
        keys[place] = key
    }

    private mutating func removeFirst() {
        let last = keys.removeLast()
        let count = keys.count
        guard count > 0 else { return }
        var place = 0
        while true {
            var child = 2 * place + 1
            guard child < count else { break }
            if child + 1 < count, keys[child + 1].isBefore(keys[child]) { child += 1 }
            guard keys[child].isBefore(last) else { break }
            keys[place] = keys[child]
            place = child
        }
        keys[place] = last
    }
}
