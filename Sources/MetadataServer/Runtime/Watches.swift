import DequeModule
import OrderedCollections
import MetadataModel

/// Names a watch: the connection, and the id of the request that opened it.
struct WatchKey: Hashable, Sendable {
    var connection: UInt64
    var request: UInt64
}

/// What is to be sent to, or done for, a watcher.
enum WatchAction: Equatable {
    case send(WatchKey, [ChangeEvent], through: Version)
    case progress(WatchKey, through: Version)
    case tooOld(WatchKey, oldest: Version)
    /// Read the feed on disk from here; answered with `Watches.caughtUp`.
    case readFeed(WatchKey, after: Version, filter: WatchFilter)
}

/// All watches of a node, and the newest part of the change feed in memory. A watcher that has kept up is served from
/// memory; one that begins further back reads the feed on disk until it has caught up. Each watcher gets every version
/// that its filter lets pass exactly once, whole and in order, because it has one cursor and events leave only from there.
struct Watches {
    /// Events kept in memory, at most.
    static let recentMax = 4_096
    /// Events of one frame, at most.
    static let eventsPerFrameMax = 512
    /// Changes of one frame, at most; one event may exceed it alone. Far below the frame cap.
    static let changesPerFrameMax = 4_096

    private struct Watch {
        var filter: WatchFilter
        /// Everything up to this version was sent or did not pass the filter.
        var cursor: Version
        /// The version that the watcher was last told.
        var told: Version
        var isReadingFeed = false
    }

    private var watches: OrderedDictionary<WatchKey, Watch> = [:]
    private var recent: Deque<ChangeEvent> = []
    /// `recent` holds every event after this version.
    private var floor: Version
    private var current: Version

    var count: Int { watches.count }

    init(current: Version) {
        self.floor = current
        self.current = current
    }

    mutating func add(_ key: WatchKey, after: Version, filter: WatchFilter) {
        watches[key] = Watch(filter: filter, cursor: after, told: after)
    }

    mutating func remove(_ key: WatchKey) { watches[key] = nil }

    mutating func removeAll(of connection: UInt64) {
        watches.removeAll { $0.key.connection == connection }
    }

    mutating func applied(_ events: [ChangeEvent]) {
        guard let last = events.last else { return }
        recent.append(contentsOf: events)
        current = last.version
        while recent.count > Watches.recentMax { floor = recent.removeFirst().version }
    }

    /// The state was replaced: what is in memory does not lead up to it.
    mutating func reset(to version: Version) {
        recent.removeAll()
        floor = version
        current = version
    }

    /// What there is to send. `isWritable` tells whether a connection takes more; a slow one keeps its place and is asked
    /// again later, and reads the feed from disk if memory has moved on meanwhile.
    mutating func deliver(isWritable: (UInt64) -> Bool) -> [WatchAction] {
        var actions: [WatchAction] = []
        for position in watches.values.indices {
            let key = watches.keys[position]
            var watch = watches.values[position]
            guard watch.cursor < current, !watch.isReadingFeed, isWritable(key.connection) else { continue }
            if watch.cursor < floor {
                watch.isReadingFeed = true
                actions.append(.readFeed(key, after: watch.cursor, filter: watch.filter))
            } else {
                let events = nextEvents(after: &watch.cursor, filter: watch.filter)
                if !events.isEmpty {
                    watch.told = watch.cursor
                    actions.append(.send(key, events, through: watch.cursor))
                }
            }
            watches.values[position] = watch
        }
        return actions
    }

    /// The answer to `readFeed`.
    mutating func caughtUp(_ key: WatchKey, with page: ChangePage) -> WatchAction? {
        guard var watch = watches[key] else { return nil }
        precondition(watch.isReadingFeed, "watch \(key) did not ask for the feed")
        watch.isReadingFeed = false
        watches[key] = watch
        switch page {
        case .events(let events, let through):
            watch.cursor = max(watch.cursor, through)
            if !events.isEmpty { watch.told = watch.cursor }
            watches[key] = watch
            guard !events.isEmpty else { return nil }
            return .send(key, events, through: watch.cursor)
        case .tooOld(let oldest):
            watches[key] = nil
            return .tooOld(key, oldest: oldest)
        case .notYet:
            return nil
        }
    }

    /// Tells watchers that see nothing how far they are, so that they resume from there and know that the node lives.
    mutating func progress(isWritable: (UInt64) -> Bool) -> [WatchAction] {
        var actions: [WatchAction] = []
        for position in watches.values.indices {
            let key = watches.keys[position]
            guard isWritable(key.connection), !watches.values[position].isReadingFeed else { continue }
            watches.values[position].told = watches.values[position].cursor
            actions.append(.progress(key, through: watches.values[position].cursor))
        }
        return actions
    }

    private func nextEvents(after cursor: inout Version, filter: WatchFilter) -> [ChangeEvent] {
        var low = recent.startIndex
        var high = recent.endIndex
        while low < high {
            let middle = (low + high) / 2
            if recent[middle].version <= cursor { low = middle + 1 } else { high = middle }
        }
        var events: [ChangeEvent] = []
        var changes = 0
        while low < recent.endIndex, events.count < Watches.eventsPerFrameMax {
            let event = recent[low]
            if let passing = event.filtered(by: filter) {
                changes += passing.changes.count
                if !events.isEmpty, changes > Watches.changesPerFrameMax { break }
                events.append(passing)
            }
            cursor = event.version
            low += 1
        }
        return events
    }
}
