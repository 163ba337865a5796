import MetadataModel
import RaftCore
import Testing

@testable import MetadataStore

@Suite("The change feed")
struct FeedTests {
    private func events(_ answer: QueryResult) throws -> (events: [ChangeEvent], through: Version) {
        guard case .changes(.events(let events, let through)) = answer else {
            Issue.record("not events: \(answer)")
            return ([], .zero)
        }
        return (events, through)
    }

    @Test("paging through the feed meets every event once and in order, whatever the limit (etcd 17529)")
    func paging() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        var log = RandomLog(seed: 51)
        var expected: [ChangeEvent] = []
        for _ in 0..<20 { expected += try store.apply(log.entries(25)).events }
        for limit in [1, 3, 100, 5_000] {
            var found: [ChangeEvent] = []
            var after = Version.zero
            while after < store.version {
                let page = try events(store.answer(.changes(after: after, filter: WatchFilter(), limit: limit)))
                #expect(page.through > after)
                #expect(page.events.count <= Limits.pageItems(limit))
                found += page.events
                after = page.through
            }
            #expect(found == expected, "limit \(limit)")
        }
        try store.close()
    }

    @Test("a filter that lets nothing pass still moves the watch on")
    func filtered() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        let none = WatchFilter(topicPrefixes: ["nothing"])
        let page = try events(store.answer(.changes(after: Version(2), filter: none, limit: 10)))
        #expect(page.events.isEmpty)
        #expect(page.through == store.version)
        let orders = try events(
            store.answer(.changes(after: .zero, filter: WatchFilter(topicPrefixes: ["ord"]), limit: 10)))
        #expect(orders.events.map(\.version) == [Version(7)])
        #expect(orders.events[0].changes.count == 4)
        try store.close()
    }

    @Test("a watch from the future is told the current version (etcd 18089)")
    func notYet() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        let answer = try store.answer(.changes(after: Version(9), filter: WatchFilter(), limit: 10))
        #expect(answer == .changes(.notYet(current: Version(8))))
        let current = try events(store.answer(.changes(after: Version(8), filter: WatchFilter(), limit: 10)))
        #expect(current.events.isEmpty)
        #expect(current.through == Version(8))
        try store.close()
    }

    @Test(
        "the oldest rows go when the feed exceeds its rows or its bytes, and who wanted them is told (etcd 20221)",
        arguments: [true, false])
    func tooOld(byRows: Bool) throws {
        let directory = try TemporaryDirectory()
        var options = StoreOptions()
        if byRows { options.feedRowsMax = 10 } else { options.feedBytesMax = 1_500 }
        let path = directory.file("db")
        var store = try MetadataStore(path: path, options: options)
        for entry in smallCluster() { _ = try store.apply([entry]) }
        for index in UInt64(9)..<60 {
            _ = try store.apply([commandEntry(index, configChange("orders", "k", "\(index)"))])
            if index == 30 {
                // The bounds hold across a restart.
                try store.close()
                store = try MetadataStore(path: path, options: options)
            }
        }
        guard
            case .changes(.tooOld(let oldest)) = try store.answer(
                .changes(after: .zero, filter: WatchFilter(), limit: 10))
        else {
            Issue.record("the feed still reaches back to the beginning")
            return
        }
        #expect(oldest > Version(30))
        #expect(oldest < store.version)
        if byRows { #expect(oldest == Version(49)) }
        let page = try events(store.answer(.changes(after: oldest, filter: WatchFilter(), limit: 1_000)))
        #expect(page.events.map(\.version.rawValue) == Array((oldest.rawValue + 1)..<60))
        let before = Version(oldest.rawValue - 1)
        #expect(
            try store.answer(.changes(after: before, filter: WatchFilter(), limit: 10))
                == .changes(.tooOld(oldest: oldest)))
        try store.close()
    }

    @Test("after an installed snapshot the feed begins at its version")
    func afterInstall() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        _ = try store.writeSnapshot(to: directory.file("snapshot"))
        let other = try MetadataStore(path: directory.file("other"))
        _ = try other.installSnapshot(from: directory.file("snapshot"))
        #expect(
            try other.answer(.changes(after: Version(7), filter: WatchFilter(), limit: 10))
                == .changes(.tooOld(oldest: Version(8))))
        let entry = commandEntry(9, configChange("orders", "k", "v"))
        let done = try other.apply([entry])
        let page = try events(other.answer(.changes(after: Version(8), filter: WatchFilter(), limit: 10)))
        #expect(page.events == done.events)
        try other.close()
        try store.close()
    }

    @Test("a large batch is spread over rows of bounded size, and a page ends at its bytes with whole events")
    func largeBatch() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        let value = String(repeating: "v", count: 60_000)
        let batch = (UInt64(9)..<109).map { commandEntry($0, configChange("orders", "k", "\($0)\(value)")) }
        let done = try store.apply(batch)
        try MetadataStore.onWriter(of: store.writerQueue, "count") { (connection) throws(StoreError) in
            #expect(try connection.integer("SELECT count(*) FROM feed", "count") == 7)
        }
        var found: [ChangeEvent] = []
        var pages = 0
        var after = Version(8)
        while after < store.version {
            let page = try events(store.answer(.changes(after: after, filter: WatchFilter(), limit: 1_000)))
            found += page.events
            after = page.through
            pages += 1
        }
        #expect(found == done.events)
        #expect(pages == 6)
        try store.close()
    }
}
