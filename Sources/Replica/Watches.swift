internal import DequeModule
package import MetadataModel
internal import OrderedCollections

/// Names a watch: the connection, and the id of the request that opened it.
package struct WatchKey: Hashable, Sendable {
    package var connection: UInt64
    package var request: UInt64

    package init(connection: UInt64, request: UInt64) {
        self.connection = connection
        self.request = request
    }
}

/// What is to be sent to, or done for, a watcher.
package enum WatchAction: Equatable {
    case send(WatchKey, [ChangeEvent], through: Version)
    case progress(WatchKey, through: Version)
    case tooOld(WatchKey, oldest: Version)
    /// Read the feed on disk from here; answered with `Watches.caughtUp`.
    case readFeed(WatchKey, ticket: UInt64, after: Version, filter: WatchFilter)
}

/// All watches of a node, and the newest part of the change feed in memory. A watcher that has kept up is served from
/// memory; one that begins further back reads the feed on disk until it has caught up. Each watcher gets every version
/// that its filter lets pass exactly once, whole and in order, because it has one cursor and events leave only from there.
package struct Watches {
    /// Events kept in memory, at most.
    package static let recentMax = 4_096
    /// Events of one frame, at most.
    package static let eventsPerFrameMax = 512
    /// Weight of the events of one frame, at most; one event may exceed it alone. Far below the frame cap.
    package static let frameBytesMax = 1 << 20
    /// Weight of the events kept in memory, at most.
    package static let recentBytesMax = 16 << 20
    /// Watches of one connection, at most.
    package static let perConnectionMax = 256

    private struct Watch {
        /// Tells this watch from an earlier one under the same key, whose answers may still be on their way.
        var ticket: UInt64
        var filter: WatchFilter
        /// Everything up to this version was sent or did not pass the filter.
        var cursor: Version
        var isReadingFeed = false
    }

    private var watches: OrderedDictionary<WatchKey, Watch> = [:]
    private var lastTicket: UInt64 = 0
    private var recent: Deque<ChangeEvent> = []
    private var recentBytes = 0
    /// `recent` holds every event after this version.
    private var floor: Version
    private var current: Version

    package var count: Int { watches.count }

    package init(current: Version) {
        self.floor = current
        self.current = current
    }

    package mutating func add(_ key: WatchKey, after: Version, filter: WatchFilter) {
        lastTicket += 1
        watches[key] = Watch(ticket: lastTicket, filter: filter, cursor: after)
    }

    package func count(of connection: UInt64) -> Int { watches.keys.count { $0.connection == connection } }

    package mutating func remove(_ key: WatchKey) { watches[key] = nil }

    package mutating func removeAll(of connection: UInt64) {
        watches.removeAll { $0.key.connection == connection }
    }

    package mutating func applied(_ events: [ChangeEvent]) {
        guard let last = events.last else { return }
        for event in events { recentBytes += event.weight }
        recent.append(contentsOf: events)
        current = last.version
        while recent.count > Watches.recentMax || recentBytes > Watches.recentBytesMax, let oldest = recent.popFirst() {
            recentBytes -= oldest.weight
            floor = oldest.version
        }
    }

    /// The state was replaced: what is in memory does not lead up to it.
    package mutating func reset(to version: Version) {
        recent.removeAll()
        recentBytes = 0
        floor = version
        current = version
    }

    /// What there is to send. `isWritable` tells whether a connection takes more; a slow one keeps its place and is asked
    /// again later, and reads the feed from disk if memory has moved on meanwhile.
    package mutating func deliver(isWritable: (UInt64) -> Bool) -> [WatchAction] {
        var actions: [WatchAction] = []
        for position in watches.values.indices {
            let key = watches.keys[position]
            var watch = watches.values[position]
            guard watch.cursor < current, !watch.isReadingFeed, isWritable(key.connection) else { continue }
            if watch.cursor < floor {
                watch.isReadingFeed = true
                actions.append(
                    .readFeed(key, ticket: watch.ticket, after: watch.cursor, filter: watch.filter))
            } else {
                let events = nextEvents(after: &watch.cursor, filter: watch.filter)
                if !events.isEmpty { actions.append(.send(key, events, through: watch.cursor)) }
            }
            watches.values[position] = watch
        }
        return actions
    }

    /// The answer to `readFeed`.
    package mutating func caughtUp(_ key: WatchKey, ticket: UInt64, with page: ChangePage) -> WatchAction? {
        guard var watch = watches[key], watch.ticket == ticket, watch.isReadingFeed else { return nil }
        watch.isReadingFeed = false
        watches[key] = watch
        switch page {
        case .events(let events, let through):
            watch.cursor = max(watch.cursor, through)
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
    package mutating func progress(isWritable: (UInt64) -> Bool) -> [WatchAction] {
        var actions: [WatchAction] = []
        for position in watches.values.indices {
            let key = watches.keys[position]
            guard isWritable(key.connection), !watches.values[position].isReadingFeed else { continue }
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
        var bytes = 0
        while low < recent.endIndex, events.count < Watches.eventsPerFrameMax {
            let event = recent[low]
            if let passing = event.filtered(by: filter) {
                bytes += passing.weight
                if !events.isEmpty, bytes > Watches.frameBytesMax { break }
                events.append(passing)
            }
            cursor = event.version
            low += 1
        }
        return events
    }
}

extension ChangeEvent {
    /// About the bytes that the event takes in memory and in a frame.
    fileprivate var weight: Int {
        changes.reduce(32) { sum, change in
            switch change {
            case .brokerChanged(let broker): sum + 128 + broker.endpoints.count * 64
            case .partitionChanged(let partition, let name):
                sum + 96 + name.utf8.count + 5 * (partition.replicas.count + partition.isr.count)
            case .topicChanged(let topic): sum + 64 + topic.name.utf8.count
            case .topicRemoved(_, let name): sum + 64 + name.utf8.count
            case .configChanged(let entry): sum + 64 + entry.name.utf8.count + entry.value.utf8.count
            case .configRemoved(_, let name): sum + 64 + name.utf8.count
            case .brokerRemoved: sum + 64
            }
        }
    }
}
