import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@testable import MetadataStore

@Suite("Applying entries")
struct ApplyTests {
    /// To repeat a seed: swift test --filter "equals the reference"
    @Test(
        "the database equals the reference in outcomes, digest and every answer, wherever batches and transactions end",
        arguments: [UInt64(1), 2, 3, 4])
    func differential(seed: UInt64) throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        let reader = try store.makeReader()
        var log = RandomLog(seed: seed)
        var random = SeededGenerator(seed: seed &+ 99)
        var commits = SeededGenerator(seed: seed &+ 7)
        var refusals = 0
        for round in 0..<25 {
            let batch = log.entries(1 + random.below(60))
            let done = try commits.below(3) == 0 ? store.apply(batch) : store.stage(batch)
            for (index, outcome) in done.outcomes {
                #expect(outcome == log.outcomes[index.rawValue], "seed \(seed), entry \(index)")
                if case .refused = outcome { refusals += 1 }
            }
            #expect(done.outcomes.count == batch.count(where: { $0.kind == .command }))
            #expect(done.digest == log.reference.machine.digest, "seed \(seed), round \(round)")
            #expect(done.version == log.reference.machine.version)
            #expect(done.logTimeMilliseconds == log.reference.machine.logTimeMilliseconds)
            #expect(done.applied == batch.last?.position)
            let queries = log.queries()
            if commits.below(3) == 0 { continue }
            try store.commit()
            let answers = try reader.answer(queries)
            #expect(answers.applied == log.reference.applied)
            #expect(answers.version == log.reference.machine.version)
            for (query, answer) in zip(queries, answers.results) {
                #expect(answer == log.reference.answer(query), "seed \(seed), round \(round), \(query)")
            }
            try expectSameView(store, log.reference)
        }
        try store.commit()
        #expect(try store.scrub().isSound)
        #expect(refusals > 10, "the log of seed \(seed) is too tame")
        #expect(store.summary.totals.topics > 3)
        try store.close()
    }

    @Test("the database equals the reference in rebalances too", arguments: [UInt64(5), 6, 7])
    func rebalances(seed: UInt64) throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        let reader = try store.makeReader()
        var log = RandomLog(seed: seed, hasRebalances: true)
        for round in 0..<20 {
            let batch = log.entries(17)
            for (index, outcome) in try store.apply(batch).outcomes {
                #expect(outcome == log.outcomes[index.rawValue], "seed \(seed), entry \(index)")
            }
            #expect(store.digest == log.reference.machine.digest, "seed \(seed), round \(round)")
        }
        let row = Query.configs(.cluster, after: String(Rebalance.configName.dropLast()), limit: 1)
        let (whole, _, _) = try reader.answer([row])
        let oneByOne = try reader.answer { (ask) throws(StoreError) in try ask(row) }
        #expect(whole == [log.reference.answer(row)] && oneByOne == whole[0])
        guard case .configs(let page) = oneByOne else {
            Issue.record("\(oneByOne)")
            return
        }
        #expect(page.items.contains { Rebalance($0) != nil })
        #expect(try store.scrub().isSound)
        try store.close()
    }

    /// What `decide` reads beside the queries: loads and the index of replicas.
    private func expectSameView(_ store: MetadataStore, _ reference: Reference) throws {
        try MetadataStore.onWriter(of: store.writerQueue, "compare") { (connection) throws(StoreError) in
            let state = try StateStatements(connection).read()
            let storage = try DatabaseStorage(connection, state: state)
            let expected = reference.machine.storage
            #expect(try storage.brokerLoads() == expected.brokerLoads())
            for broker in expected.brokers() {
                var after: PartitionKey?
                for _ in 0..<3 {
                    let page = try storage.partitions(withReplica: broker.id, after: after, limit: 3)
                    #expect(page == expected.partitions(withReplica: broker.id, after: after, limit: 3))
                    after = page.last?.key
                }
            }
            #expect(try storage.storedSessions() == reference.machine.sessions.states())
            #expect(try storage.topic(collidingWith: "t_2") == expected.topic(collidingWith: "t_2"))
        }
    }

    @Test("the same entries in batches of other sizes give the same bytes")
    func batchSplit() throws {
        let directory = try TemporaryDirectory()
        var log = RandomLog(seed: 11)
        let entries = log.entries(600)
        var dumps: [[UInt8]] = []
        for size in [1, 7, 64, 600] {
            let store = try MetadataStore(path: directory.file("db\(size)"))
            var start = 0
            var events: [ChangeEvent] = []
            while start < entries.count {
                let end = min(start + size, entries.count)
                events += try store.apply(Array(entries[start..<end])).events
                start = end
            }
            dumps.append(try store.dump(in: directory))
            let feed = try store.answer(.changes(after: .zero, filter: WatchFilter(), limit: 1_000))
            #expect(feed == .changes(.events(events, through: store.version)))
            try store.close()
        }
        for dump in dumps.dropFirst() { #expect(dump == dumps[0]) }
    }

    @Test("a no-op or configuration entry moves the applied index and no version")
    func otherEntries() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        #expect(store.applied == .zero)
        #expect(store.configuration == nil)
        let members = configuration(1, 2, 3)
        let done = try store.apply([
            Entry(term: Term(1), index: LogIndex(1), kind: .noop, payload: []), configurationEntry(2, configuration(1)),
            configurationEntry(3, members),
        ])
        #expect(done.outcomes.isEmpty)
        #expect(done.applied == LogPosition(index: LogIndex(3), term: Term(1)))
        #expect(store.configuration == members)
        #expect(store.version == .zero)
        try store.close()
        let reopened = try MetadataStore(path: directory.file("db"))
        #expect(reopened.configuration == members)
        #expect(reopened.applied == done.applied)
        try reopened.close()
    }

    @Test("an entry that cannot be understood is a refusal and the next one is applied (poison entry)")
    func poison() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        let done = try store.apply([
            Entry(term: Term(1), index: LogIndex(1), kind: .command, payload: [0xff]),
            commandEntry(2, registration(1)),
        ])
        guard case .refused(let refusal) = done.outcomes[0].outcome else {
            Issue.record("the poison entry was carried out")
            return
        }
        #expect(refusal.reason == .unknownCommand)
        #expect(done.outcomes[1].outcome == .done(.registered(BrokerEpoch(2), Version(2))))
        try store.close()
    }

    @Test("a retried write has one effect and one answer: in its batch, in a later one, after a restart")
    func exactlyOnce() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        _ = try store.apply([commandEntry(9, .openSession(timeoutMilliseconds: 60_000))])
        let session = SessionID(9)
        func creation(_ index: UInt64) -> Entry {
            commandEntry(index, topicCreation("once", id: 50), time: 10, session: session, sequence: 1)
        }
        let first = try store.apply([creation(10), creation(11)])
        let topic = Topic(
            id: TopicID(high: 1, low: 50), name: "once", partitionCount: 3, replicationFactor: 2, version: Version(10))
        #expect(first.outcomes.map(\.outcome) == [.done(.topic(topic)), .done(.topic(topic))])
        #expect(first.events.count == 1)
        #expect(try store.apply([creation(12)]).outcomes[0].outcome == .done(.topic(topic)))
        try store.close()
        let reopened = try MetadataStore(path: directory.file("db"))
        let again = try reopened.apply([creation(13)])
        #expect(again.outcomes[0].outcome == .done(.topic(topic)))
        #expect(again.version == Version(10))
        try reopened.close()
    }

    @Test("pages end at their items, at their bytes, and say that there is more")
    func pages() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        var index: UInt64 = 9
        let value = String(repeating: "x", count: Limits.configValueBytesMax)
        for key in 0..<40 {
            _ = try store.apply([commandEntry(index, configChange("orders", "k\(100 + key)", value))])
            index += 1
        }
        guard
            case .configs(let page) = try store.answer(
                .configs(.topic(.name("orders")), after: nil, limit: Limits.pageItemsMax))
        else {
            Issue.record("not a page of configurations")
            return
        }
        #expect(page.hasMore)
        #expect(page.items.count == 16)
        let last = page.items.last?.name
        guard
            case .configs(let rest) = try store.answer(.configs(.topic(.name("orders")), after: last, limit: 1_000))
        else {
            Issue.record("not a page of configurations")
            return
        }
        #expect(rest.items.first?.name == "user.k116")
        try store.close()
    }
}
