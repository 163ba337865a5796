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
        #expect(answer == .send(key, [event(8)], through: Version(8)))
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
