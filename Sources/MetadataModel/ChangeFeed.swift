import DequeModule

/// The latest events, for watches that resume. Older ones are forgotten; whoever needs them takes a new image.
package struct ChangeFeed: Sendable {
    private var events: Deque<ChangeEvent> = []
    private let eventsMax: Int
    /// A watch can go on from this version, not from before it.
    package private(set) var oldest: Version

    /// An empty feed behind a state at version `oldest`.
    package init(oldest: Version = .zero, eventsMax: Int) {
        precondition(eventsMax > 0, "a feed of \(eventsMax) events")
        self.oldest = oldest
        self.eventsMax = eventsMax
    }

    package mutating func append(_ event: ChangeEvent) {
        let last = events.last?.version ?? oldest
        precondition(event.version > last, "event \(event.version) follows \(last)")
        events.append(event)
        while events.count > eventsMax { oldest = events.removeFirst().version }
    }

    /// What passes the filter after a version, of a state that is at version `current`.
    package func page(after version: Version, filter: WatchFilter, limit: Int, current: Version) -> ChangePage {
        guard version <= current else { return .notYet(current: current) }
        guard version >= oldest else { return .tooOld(oldest: oldest) }
        var found: [ChangeEvent] = []
        var low = 0
        var high = events.count
        while low < high {
            let middle = low + (high - low) / 2
            if events[middle].version > version { high = middle } else { low = middle + 1 }
        }
        for event in events[low...] {
            guard let passing = event.filtered(by: filter) else { continue }
            found.append(passing)
            if found.count == Limits.pageItems(limit) { return .events(found, through: event.version) }
        }
        return .events(found, through: current)
    }
}
