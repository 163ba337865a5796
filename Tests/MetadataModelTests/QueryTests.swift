@testable import MetadataModel
import Testing

@Suite("queries, the feed and filters")
struct QueryTests {
    private var model = Model()

    init() {
        model.addBrokers(1...5)
        for (number, name) in ["b", "a-2", "a-10", "B", "c"].enumerated() {
            model.createTopic(name, id: UInt64(10 - number), partitions: 4, replicationFactor: 2)
        }
    }

    /// All items, page by page.
    private func all<Item>(limit: Int, _ next: (Item?) -> Page<Item>?) -> [Item] {
        var items: [Item] = []
        while let page = next(items.last) {
            items += page.items
            guard page.hasMore else { break }
            #expect(page.items.count == limit)
        }
        return items
    }

    @Test("pages of any size add up to the whole list in order", arguments: 1...6)
    mutating func pages(limit: Int) {
        let topics: [Topic] = all(limit: limit) { last in
            guard case .topics(let page) = model.answer(.topics(after: last?.name, limit: limit)) else { return nil }
            return page
        }
        #expect(topics.map(\.name) == ["B", "a-10", "a-2", "b", "c"], "byte by byte")
        let brokers: [Broker] = all(limit: limit) { last in
            guard case .brokers(let page) = model.answer(.brokers(after: last?.id, limit: limit)) else { return nil }
            return page
        }
        #expect(brokers.map(\.id) == .init(1, 2, 3, 4, 5))
        let partitions: [Partition] = all(limit: limit) { last in
            let query = Query.partitions(.name("b"), after: last?.key.index, limit: limit)
            guard case .partitions(let page) = model.answer(query) else { return nil }
            return page
        }
        #expect(partitions.map(\.key.index.rawValue) == [0, 1, 2, 3])
        for name in ["user.c", "user.a", "user.B", "user.b"] { model.apply(.configure(.topic(.name("b")), name, "1")) }
        let configs: [ConfigEntry] = all(limit: limit) { last in
            let query = Query.configs(.topic(.name("b")), after: last?.name, limit: limit)
            guard case .configs(let page) = model.answer(query) else { return nil }
            return page
        }
        #expect(configs.map(\.name) == ["user.B", "user.a", "user.b", "user.c"])
    }

    @Test("a page may begin after a key that does not exist")
    func gaps() {
        #expect(model.answer(.topics(after: "a-11", limit: 1)) == model.answer(.topics(after: "a-10", limit: 1)))
        #expect(model.answer(.brokers(after: BrokerID(9), limit: 5)) == .brokers(Page(items: [], hasMore: false)))
        for index in [4, Int32.max] {
            #expect(
                model.answer(.partitions(.name("b"), after: PartitionIndex(index), limit: 5))
                    == .partitions(Page(items: [], hasMore: false)))
        }
    }

    @Test("what does not exist is answered as such")
    func notFound() {
        let queries: [(Query, Refusal.Reason)] = [
            (.broker(BrokerID(9)), .brokerNotFound), (.topic(.name("x")), .topicNotFound),
            (.topic(.id(TopicID(99))), .topicNotFound),
            (.partition(.name("x"), PartitionIndex(0)), .topicNotFound),
            (.partition(.name("b"), PartitionIndex(4)), .partitionNotFound),
            (.partitions(.name("x"), after: nil, limit: 1), .topicNotFound),
            (.configs(.topic(.name("x")), after: nil, limit: 1), .topicNotFound),
            (.configs(.broker(BrokerID(9)), after: nil, limit: 1), .brokerNotFound),
        ]
        for (query, reason) in queries {
            guard case .notFound(let refusal) = model.answer(query) else {
                Issue.record("\(query) was found")
                continue
            }
            #expect(refusal.reason == reason)
        }
    }

    @Test("the summary tells where the state is")
    mutating func summary() {
        model.apply(.openSession(timeoutMilliseconds: 5_000))
        #expect(
            model.answer(.summary)
                == .summary(
                    MetadataSummary(
                        version: Version(15), appliedIndex: 16, digest: model.recomputedDigest,
                        totals: MetadataTotals(brokers: 5, topics: 5, partitions: 20, sessions: 1), featureLevel: 0)))
    }

    @Test("a watch that goes on from any version sees every later event once, in order (pitfall: lost events)")
    func resume() {
        let complete = events(model.feed, after: .zero, limit: 1_000)
        #expect(complete.map(\.version.rawValue) == Array(1...15))
        for limit in [1, 2, 7] {
            for start in UInt64(0)...15 {
                let seen = events(model.feed, after: Version(start), limit: limit)
                #expect(seen == complete.filter { $0.version > Version(start) })
            }
        }
    }

    private func events(_ feed: ChangeFeed, after version: Version, limit: Int) -> [ChangeEvent] {
        var position = version
        var seen: [ChangeEvent] = []
        while position < model.machine.version {
            let page = feed.page(
                after: position, filter: WatchFilter(), limit: limit, current: model.machine.version)
            guard case .events(let events, let through) = page else {
                Issue.record("\(page)")
                return seen
            }
            #expect(through > position)
            seen += events
            position = through
        }
        return seen
    }

    @Test("a feed forgets the oldest events, and says from where a watch may go on")
    func tooOld() {
        var feed = ChangeFeed(eventsMax: 3)
        for version in UInt64(1)...5 { feed.append(ChangeEvent(version: Version(version * 10), changes: [])) }
        func page(_ version: UInt64) -> ChangePage {
            feed.page(after: Version(version), filter: WatchFilter(), limit: 1, current: Version(55))
        }
        #expect(feed.oldest == Version(20))
        #expect(page(19) == .tooOld(oldest: Version(20)))
        #expect(page(20) == .events([ChangeEvent(version: Version(30), changes: [])], through: Version(30)))
        #expect(page(50) == .events([], through: Version(55)))
        #expect(page(55) == .events([], through: Version(55)))
        #expect(page(56) == .notYet(current: Version(55)))
    }

    @Test("a filter lets the events of its brokers and topics pass, and configurations by their topic's name")
    mutating func filters() {
        let start = model.machine.version
        model.createTopic("orders", id: 21, assignment: [[1, 2], [3, 4]])
        model.createTopic("other", id: 22, assignment: [[3, 4]])
        model.apply(.configure(.topic(.id(TopicID(21))), "user.a", "1"))
        model.apply(.configure(.topic(.name("other")), "user.a", "1"))
        model.apply(.configure(.broker(BrokerID(1)), "user.a", "1"))
        model.apply(.configure(.cluster, "user.a", "1"))
        model.apply(.configure(.topic(.id(TopicID(21))), "user.a", nil))
        model.apply(.deleteTopic(topic: .name("orders"), ifVersion: nil))
        model.register(9)
        model.apply(.unregisterBroker(id: BrokerID(9), epoch: nil))
        func seen(_ filter: WatchFilter) -> [[String]] {
            guard
                case .changes(.events(let events, let through)) = model.answer(
                    .changes(after: start, filter: filter, limit: 100))
            else { return [] }
            #expect(through == model.machine.version)
            return events.map { $0.changes.map(QueryTests.name) }
        }
        #expect(
            seen(WatchFilter(topicPrefixes: ["ord"])) == [
                ["topic orders", "partition orders-0", "partition orders-1"], ["config user.a", "topic orders"],
                ["no config user.a", "topic orders"], ["no topic orders"],
            ])
        #expect(
            seen(WatchFilter(brokers: .init(1))) == [["partition orders-0"], ["config user.a"], ["no topic orders"]])
        #expect(
            seen(WatchFilter(brokers: .init(4, 9), topicPrefixes: ["x"])) == [
                ["partition orders-1"], ["partition other-0"], ["no topic orders"], ["broker 9"], ["no broker 9"],
            ])
        #expect(seen(WatchFilter()).count == 10)
        #expect(seen(WatchFilter(topicPrefixes: [""])).count == 6)
        #expect(seen(WatchFilter(brokers: .init(77))) == [])
    }

    @Test("a watch of a broker hears that its replica has left, with the change by which it leaves")
    mutating func replicaLeaves() {
        model.createTopic("orders", id: 21, assignment: [[1, 2]])
        model.reassign(21, 0, to: [3, 2])
        let start = model.machine.version
        let last = model.applyEntry(model.report(21, 0, isr: [1, 2, 3]))
        #expect(model.partition(21, 0)?.shape == "[3,2] isr 3,2 leader 3")
        #expect(last.event?.departures == [Departure(place: 0, brokers: .init(1))])
        for id: Int32 in 1...4 {
            let answer = model.answer(.changes(after: start, filter: WatchFilter(brokers: .init(id)), limit: 9))
            guard case .changes(.events(let events, _)) = answer else {
                Issue.record("\(answer)")
                continue
            }
            #expect(events.map { $0.changes.map(QueryTests.name) } == (id == 4 ? [] : [["partition orders-0"]]))
        }
    }

    private static func name(_ change: ObservedChange) -> String {
        switch change {
        case .brokerChanged(let broker): "broker \(broker.id)"
        case .brokerRemoved(let id): "no broker \(id)"
        case .topicChanged(let topic): "topic \(topic.name)"
        case .topicRemoved(_, let name): "no topic \(name)"
        case .partitionChanged(let partition, let topic): "partition \(topic)-\(partition.key.index)"
        case .configChanged(let entry): "config \(entry.name)"
        case .configRemoved(_, let name): "no config \(name)"
        }
    }

    @Test("names that only look alike are different names")
    mutating func lookAlikes() {
        model.createTopic("K", id: 30)
        let kelvin = "\u{212A}"
        #expect(kelvin == "K", "this is what String thinks")
        #expect(model.storage.topic(named: kelvin) == nil)
        #expect(model.storage.topic(collidingWith: kelvin) == nil)
        #expect(WatchFilter(topicPrefixes: [kelvin]).passes(.topicRemoved(id: TopicID(1), name: "K")) == false)
    }

    @Test("sorted keys behave like a sorted array")
    func sortedKeys() {
        var generator = SeededGenerator(seed: 8)
        var keys = SortedKeys<Int>()
        var model: Set<Int> = []
        for step in 0..<6_000 {
            let key = Int.random(in: 0..<4_000, using: &generator)
            if model.remove(key) != nil {
                keys.remove(key)
            } else {
                model.insert(key)
                keys.insert(key)
            }
            guard step % 300 == 0 else { continue }
            let sorted = model.sorted()
            #expect(keys.count == sorted.count)
            #expect(keys.keys(after: nil, limit: .max) == sorted)
            for after in [-1, key, 3_999] {
                #expect(keys.keys(after: after, limit: 700) == Array(sorted.filter { $0 > after }.prefix(700)))
            }
        }
    }
}
