import MetadataModel
import Testing

@testable import Replica

/// What each watcher is sent: every version once, in order, whole.
@Suite("Watches of a node")
struct WatchesTests {
    private let key = WatchKey(connection: 1, request: 7)

    private func event(_ version: UInt64, _ name: String = "user.a", valueBytes: Int = 1) -> ChangeEvent {
        ChangeEvent(
            version: Version(version),
            changes: [
                .configChanged(
                    ConfigEntry(
                        resource: .cluster, name: name, value: String(repeating: "x", count: valueBytes),
                        version: Version(version)))
            ])
    }

    /// All that is delivered until there is nothing more, with the feed on disk answering `feed`.
    private func drain(_ watches: inout Watches, feed: (Version) -> ChangePage = { .notYet(current: $0) }) -> [UInt64] {
        var versions: [UInt64] = []
        while true {
            let actions = watches.deliver { _ in true }
            if actions.isEmpty { return versions }
            for action in actions {
                switch action {
                case .send(_, let events, _):
                    versions += events.map(\.version.rawValue)
                case .readFeed(let key, let ticket, let after, _):
                    if case .send(_, let events, _)? = watches.caughtUp(key, ticket: ticket, with: feed(after)) {
                        versions += events.map(\.version.rawValue)
                    }
                case .progress, .tooOld:
                    Issue.record("unexpected \(action)")
                }
            }
        }
    }

    @Test("a watcher gets each version once, in order")
    func inOrder() {
        var watches = Watches(current: Version(10))
        watches.add(key, after: Version(10), filter: WatchFilter())
        watches.applied([event(11), event(13)])
        #expect(drain(&watches) == [11, 13])
        #expect(drain(&watches) == [])
        watches.applied([event(14)])
        #expect(drain(&watches) == [14])
    }

    @Test("a watcher from before the memory reads the feed until it has caught up")
    func catchesUp() {
        var watches = Watches(current: Version(10))
        watches.applied([event(11), event(12)])
        watches.add(key, after: Version(5), filter: WatchFilter())
        let old = (6...12).map { event(UInt64($0)) }
        let versions = drain(&watches) { after in
            let page = old.filter { $0.version > after }.prefix(3)
            return .events(Array(page), through: page.last?.version ?? Version(12))
        }
        #expect(versions == [6, 7, 8, 9, 10, 11, 12])
    }

    @Test("the answer to an earlier watch under the same id is not taken for the new one's")
    func reusedID() {
        var watches = Watches(current: Version(10))
        watches.add(key, after: Version(5), filter: WatchFilter())
        guard case .readFeed(_, let first, _, _)? = watches.deliver(isWritable: { _ in true }).first else {
            Issue.record("the feed was not asked for")
            return
        }
        watches.remove(key)
        watches.add(key, after: Version(7), filter: WatchFilter())
        guard case .readFeed(_, let second, _, _)? = watches.deliver(isWritable: { _ in true }).first else {
            Issue.record("the feed was not asked for again")
            return
        }
        #expect(watches.caughtUp(key, ticket: first, with: .events([event(6)], through: Version(6))) == nil)
        let answer = watches.caughtUp(key, ticket: second, with: .events([event(8)], through: Version(8)))
        #expect(answer == .send([key], [event(8)], through: Version(8)))
        // And an answer that comes twice is not an answer.
        #expect(watches.caughtUp(key, ticket: second, with: .events([event(8)], through: Version(8))) == nil)
    }

    @Test("a slow watcher keeps its place while memory moves on")
    func slowWatcher() {
        var watches = Watches(current: Version(0))
        watches.add(key, after: Version(0), filter: WatchFilter())
        watches.applied([event(1)])
        #expect(watches.deliver { _ in false } == [])
        for version in 2...UInt64(Watches.recentMax + 10) { watches.applied([event(version)]) }
        guard case .readFeed(_, _, let after, _)? = watches.deliver(isWritable: { _ in true }).first else {
            Issue.record("memory has moved on: the feed has to be read")
            return
        }
        #expect(after == Version(0))
    }

    @Test("frames are bounded by weight, not only by count")
    func heavyEvents() {
        var watches = Watches(current: Version(0))
        watches.add(key, after: Version(0), filter: WatchFilter())
        for version in 1...UInt64(6) { watches.applied([event(version, valueBytes: 400_000)]) }
        for action in watches.deliver(isWritable: { _ in true }) {
            guard case .send(_, let events, let through) = action else { continue }
            #expect(events.count == 2)
            #expect(through == Version(2))
        }
        #expect(drain(&watches) == [3, 4, 5, 6])
    }

    @Test("a filter that lets nothing pass still moves on")
    func filtered() {
        var watches = Watches(current: Version(0))
        watches.add(key, after: Version(0), filter: WatchFilter(topicPrefixes: ["orders"]))
        watches.applied([event(1), event(2)])
        #expect(drain(&watches) == [])
        #expect(watches.progress { _ in true } == [.progress(key, through: Version(2))])
        #expect(watches.progress { _ in true } == [], "it knows already")
    }

    @Test("watchers that are equally far and want everything share a frame; others have their own")
    func shared() {
        var watches = Watches(current: Version(0))
        let keys = (1...4).map { WatchKey(connection: UInt64($0), request: 1) }
        watches.add(keys[0], after: Version(0), filter: WatchFilter())
        watches.add(keys[1], after: Version(0), filter: WatchFilter(topicPrefixes: ["orders"]))
        watches.add(keys[2], after: Version(0), filter: WatchFilter())
        watches.applied([event(1)])
        watches.add(keys[3], after: Version(1), filter: WatchFilter())
        #expect(watches.deliver { _ in true } == [.send([keys[0], keys[2]], [event(1)], through: Version(1))])
        watches.applied([event(2)])
        #expect(
            watches.deliver { _ in true } == [
                .send([keys[0], keys[2], keys[3]], [event(2)], through: Version(2))
            ])
        #expect(watches.deliver { _ in true } == [])
    }

    @Test("a turn tells no more than about its bytes, and the next one begins where it stopped")
    func budget() {
        var watches = Watches(current: Version(0))
        // Each with a filter, so that each has a frame of its own.
        let keys = (1...6).map { WatchKey(connection: UInt64($0), request: 1) }
        for key in keys { watches.add(key, after: Version(0), filter: WatchFilter(topicPrefixes: ["a"])) }
        watches.applied([
            ChangeEvent(
                version: Version(1),
                changes: [.topicRemoved(id: TopicID(high: 0, low: 1), name: "a" + String(repeating: "x", count: 900))])
        ])
        var told: [[WatchKey]] = []
        while true {
            let actions = watches.deliver(bytesMax: 1_500) { _ in true }
            if actions.isEmpty { break }
            told.append(
                actions.flatMap { action -> [WatchKey] in
                    if case .send(let keys, _, _) = action { keys } else { [] }
                })
        }
        #expect(told == [Array(keys[0..<2]), Array(keys[2..<4]), Array(keys[4..<6])])
    }

    @Test(
        "an event that no frame takes ends the watch as too old, in memory and from the feed, behind what is before it")
    func tooLarge() {
        let large = ChangeEvent(
            version: Version(2),
            changes: (0..<50).map { number in
                .configChanged(
                    ConfigEntry(
                        resource: .cluster, name: "user.\(number)", value: String(repeating: "x", count: 100_000),
                        version: Version(2)))
            })
        var watches = Watches(current: Version(0))
        watches.add(key, after: Version(0), filter: WatchFilter())
        watches.applied([event(1), large, event(3)])
        #expect(watches.deliver { _ in true } == [.send([key], [event(1)], through: Version(1))])
        #expect(watches.deliver { _ in true } == [.tooOld(key, oldest: Version(2))])
        #expect(watches.count == 0)
        #expect(watches.count(of: key.connection) == 0)

        watches = Watches(current: Version(3))
        watches.add(key, after: Version(0), filter: WatchFilter())
        for expected in [
            WatchAction.send([key], [event(1)], through: Version(1)), .tooOld(key, oldest: Version(2)),
        ] {
            guard case .readFeed(_, let ticket, let after, _)? = watches.deliver(isWritable: { _ in true }).first else {
                Issue.record("the feed was not asked for")
                return
            }
            let page = [event(1), large, event(3)].filter { $0.version > after }
            #expect(watches.caughtUp(key, ticket: ticket, with: .events(page, through: Version(3))) == expected)
        }
        #expect(watches.count == 0)
    }

    @Test("watches are counted by connection, and all end at once")
    func counts() {
        var watches = Watches(current: Version(0))
        let keys = [(1, 1), (1, 2), (2, 1)].map { WatchKey(connection: $0.0, request: $0.1) }
        for key in keys { watches.add(key, after: Version(0), filter: WatchFilter()) }
        watches.add(keys[0], after: Version(0), filter: WatchFilter())
        #expect(watches.count(of: 1) == 2)
        watches.remove(keys[0])
        watches.remove(keys[0])
        #expect(watches.count(of: 1) == 1)
        watches.removeAll(of: 1)
        #expect(watches.count(of: 1) == 0)
        #expect(watches.count == 1)
        #expect(watches.removeAll() == [keys[2]])
        #expect(watches.count == 0)
        #expect(watches.count(of: 2) == 0)
    }

    @Test("a version that the feed has dropped ends the watch and says how far back it reaches")
    func tooOld() {
        var watches = Watches(current: Version(100))
        watches.add(key, after: Version(5), filter: WatchFilter())
        guard case .readFeed(_, let ticket, _, _)? = watches.deliver(isWritable: { _ in true }).first else {
            Issue.record("the feed was not asked for")
            return
        }
        #expect(
            watches.caughtUp(key, ticket: ticket, with: .tooOld(oldest: Version(50)))
                == .tooOld(key, oldest: Version(50)))
        #expect(watches.count == 0)
    }
}
