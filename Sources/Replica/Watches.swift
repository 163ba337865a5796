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
    /// The same to all of these, which are at least one.
    case send([WatchKey], [ChangeEvent], through: Version)
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
    /// An event that weighs more is not sent: the watch ends as if the feed did not reach back to it, and its reader takes the
    /// state as it is then. Together with `frameBytesMax` below the frame cap.
    package static let eventBytesMax = 4 << 20
    /// Watches of one connection, at most.
    package static let perConnectionMax = 256

    private struct Watch {
        /// Tells this watch from an earlier one under the same key, whose answers may still be on their way.
        var ticket: UInt64
        var filter: WatchFilter
        /// Everything up to this version was sent or did not pass the filter.
        var cursor: Version
        /// How far the watcher knows that it is; nil before it was told anything.
        var told: Version?
        var isReadingFeed = false
    }

    private var watches: OrderedDictionary<WatchKey, Watch> = [:]
    private var countByConnection: [UInt64: Int] = [:]
    /// False when nobody is behind, so that a turn without news costs nothing however many watch.
    private var mayHaveNews = false
    /// Where the next delivery begins, so that the first watches do not get everything when there is more than one turn's worth.
    private var next = 0
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
        let watch = Watch(ticket: lastTicket, filter: filter, cursor: after)
        if watches.updateValue(watch, forKey: key) == nil { countByConnection[key.connection, default: 0] += 1 }
        mayHaveNews = true
    }

    package func count(of connection: UInt64) -> Int { countByConnection[connection] ?? 0 }

    package mutating func remove(_ key: WatchKey) {
        guard watches.removeValue(forKey: key) != nil, let count = countByConnection[key.connection] else { return }
        countByConnection[key.connection] = count > 1 ? count - 1 : nil
    }

    package mutating func removeAll(of connection: UInt64) {
        guard countByConnection.removeValue(forKey: connection) != nil else { return }
        watches.removeAll { $0.key.connection == connection }
    }

    /// Ends all of them.
    /// - Returns: who is to be told.
    package mutating func removeAll() -> [WatchKey] {
        let keys = Array(watches.keys)
        watches.removeAll()
        countByConnection.removeAll()
        return keys
    }

    package mutating func applied(_ events: [ChangeEvent]) {
        guard let last = events.last else { return }
        for event in events { recentBytes += event.weight }
        recent.append(contentsOf: events)
        current = last.version
        mayHaveNews = true
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
        mayHaveNews = true
    }

    /// Memory is short: whoever is behind reads the feed on disk.
    package mutating func shed() { reset(to: current) }

    /// What there is to send now: a frame for each watcher at most, until about `bytesMax` are together. Call again until
    /// there is nothing. `isWritable` tells whether a connection takes more; a slow one keeps its place and is asked again
    /// later, and reads the feed from disk if memory has moved on meanwhile.
    package mutating func deliver(bytesMax: Int = .max, isWritable: (UInt64) -> Bool) -> [WatchAction] {
        guard mayHaveNews else { return [] }
        mayHaveNews = false
        var actions: [WatchAction] = []
        var tooOld: [(WatchKey, Version)] = []
        var frames: [(keys: [WatchKey], events: [ChangeEvent], through: Version)] = []
        // Those who want everything and are equally far get the same frame.
        var shared: [Version: Int] = [:]
        var bytes = 0
        let count = watches.count
        for offset in 0..<count {
            let position = (next + offset) % count
            let key = watches.keys[position]
            var watch = watches.values[position]
            guard watch.cursor < current, !watch.isReadingFeed else { continue }
            guard bytes < bytesMax else {
                next = position
                mayHaveNews = true
                break
            }
            // Asked again in each turn.
            mayHaveNews = true
            guard isWritable(key.connection) else { continue }
            if watch.cursor < floor {
                watch.isReadingFeed = true
                actions.append(
                    .readFeed(key, ticket: watch.ticket, after: watch.cursor, filter: watch.filter))
            } else if watch.filter.wantsEverything, let frame = shared[watch.cursor] {
                frames[frame].keys.append(key)
                watch.cursor = frames[frame].through
                watch.told = watch.cursor
            } else {
                let before = watch.cursor
                switch nextEvents(after: &watch.cursor, filter: watch.filter) {
                case .events(let events, let weight):
                    guard !events.isEmpty else { break }
                    if watch.filter.wantsEverything { shared[before] = frames.count }
                    frames.append(([key], events, watch.cursor))
                    watch.told = watch.cursor
                    bytes += weight
                case .tooLarge(let version):
                    tooOld.append((key, version))
                }
            }
            watches.values[position] = watch
        }
        for frame in frames { actions.append(.send(frame.keys, frame.events, through: frame.through)) }
        for (key, version) in tooOld {
            remove(key)
            actions.append(.tooOld(key, oldest: version))
        }
        return actions
    }

    /// The answer to `readFeed`.
    package mutating func caughtUp(_ key: WatchKey, ticket: UInt64, with page: ChangePage) -> WatchAction? {
        guard var watch = watches[key], watch.ticket == ticket, watch.isReadingFeed else { return nil }
        watch.isReadingFeed = false
        mayHaveNews = true
        switch page {
        case .events(let events, let through):
            let tooLarge = events.firstIndex { $0.weight > Watches.eventBytesMax }
            if let tooLarge, tooLarge == events.startIndex {
                remove(key)
                return .tooOld(key, oldest: events[tooLarge].version)
            }
            let whole = events[..<(tooLarge ?? events.endIndex)]
            watch.cursor = max(watch.cursor, tooLarge == nil ? through : whole.last?.version ?? watch.cursor)
            if !whole.isEmpty { watch.told = watch.cursor }
            watches[key] = watch
            return whole.isEmpty ? nil : .send([key], Array(whole), through: watch.cursor)
        case .tooOld(let oldest):
            remove(key)
            return .tooOld(key, oldest: oldest)
        case .notYet:
            watches[key] = watch
            return nil
        }
    }

    /// Tells watchers whose filter lets nothing pass how far they are, so that they resume from there.
    package mutating func progress(isWritable: (UInt64) -> Bool) -> [WatchAction] {
        var actions: [WatchAction] = []
        for position in watches.values.indices {
            let key = watches.keys[position]
            let watch = watches.values[position]
            guard watch.told != watch.cursor, !watch.isReadingFeed, isWritable(key.connection) else { continue }
            watches.values[position].told = watch.cursor
            actions.append(.progress(key, through: watch.cursor))
        }
        return actions
    }

    private enum Next {
        case events([ChangeEvent], weight: Int)
        /// The next event that passes is not sent.
        case tooLarge(Version)
    }

    private func nextEvents(after cursor: inout Version, filter: WatchFilter) -> Next {
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
                let weight = passing.weight
                if events.isEmpty, weight > Watches.eventBytesMax { return .tooLarge(event.version) }
                if !events.isEmpty, bytes + weight > Watches.frameBytesMax { break }
                bytes += weight
                events.append(passing)
            }
            cursor = event.version
            low += 1
        }
        return .events(events, weight: bytes)
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
