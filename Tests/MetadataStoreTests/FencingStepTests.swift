import MetadataModel
import RaftCore
import Testing

@testable import MetadataStore

@Suite("Fencing in steps, in the database")
struct FencingStepTests {
    private static let partitions = 10_000

    private struct Cluster {
        var reference = Reference()
        var index: UInt64 = 0

        mutating func entry(_ command: Command) -> Entry {
            index += 1
            return commandEntry(index, command)
        }

        func epoch(_ id: Int32) -> BrokerEpoch {
            reference.machine.storage.broker(BrokerID(id))?.epoch ?? BrokerEpoch(0)
        }
    }

    @Test("ten thousand partitions come back to a broker, and a broker with as many is forced out, in bounded steps")
    func returnAndRemoval() throws {
        let directory = try TemporaryDirectory()
        var store = try MetadataStore(path: directory.file("db"))
        var cluster = Cluster()
        func apply(_ command: Command) throws -> Int {
            let entry = cluster.entry(command)
            let expected = cluster.reference.apply(entry)
            let batch = try store.apply([entry])
            #expect(batch.outcomes.map(\.outcome) == [expected?.outcome])
            #expect(batch.digest == cluster.reference.machine.digest)
            return batch.events.first?.changes.count ?? 0
        }
        /// Applies a command and the steps that it leads to.
        func steps(_ command: Command) throws {
            var (changes, count) = (try apply(command), 1)
            while cluster.reference.machine.storage.config(.cluster, name: UnfinishedWork.configName) != nil {
                if count == 7 {
                    try store.close()
                    store = try MetadataStore(path: directory.file("db"))
                }
                changes = max(changes, try apply(.takeStep))
                count += 1
            }
            #expect(changes <= Limits.partitionsPerStepMax + 2)
            #expect(count == 1 + Self.partitions / Limits.partitionsPerStepMax)
            #expect(try store.scrub().isSound)
        }
        func topic(_ name: String, _ id: UInt64, _ replicas: [Int32]) -> Command {
            .createTopic(
                Command.CreateTopic(
                    name: name, id: TopicID(high: 1, low: id), partitionCount: 0, replicationFactor: 0,
                    assignment: Array(repeating: replicas.map { BrokerID($0) }, count: Self.partitions)))
        }
        func fenceWhole(_ id: Int32) throws {
            while cluster.reference.machine.storage.broker(BrokerID(id))?.state != .fenced {
                _ = try apply(.fenceBroker(id: BrokerID(id), epoch: cluster.epoch(id)))
            }
        }
        _ = try apply(.setFeatureLevel(Limits.featureLevelOfUnfinishedWork))
        for id in Int32(1)...3 {
            _ = try apply(registration(id))
            _ = try apply(.unfenceBroker(id: BrokerID(id), epoch: cluster.epoch(id)))
        }
        _ = try apply(topic("dark", 1, [1]))
        try fenceWhole(1)
        try steps(.unfenceBroker(id: BrokerID(1), epoch: cluster.epoch(1)))
        _ = try apply(.deleteTopic(topic: .name("dark"), ifVersion: nil))
        _ = try apply(topic("wide", 2, [1, 2, 3]))
        try fenceWhole(1)
        try steps(.unregisterBroker(id: BrokerID(1), epoch: nil, force: true))
        #expect(cluster.reference.machine.storage.broker(BrokerID(1)) == nil)
        #expect(cluster.reference.machine.storage.brokerLoads().map(\.replicas) == [Self.partitions, Self.partitions])
        try store.close()
    }

    @Test("a topic takes the rows of its partitions and their replicas with it, and those of no other")
    func deletion() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        var cluster = Cluster()
        func apply(_ commands: Command...) throws {
            let entries = commands.map { cluster.entry($0) }
            let expected = entries.map { cluster.reference.apply($0)?.outcome }
            #expect(try store.apply(entries).outcomes.map(\.outcome) == expected)
            #expect(store.digest == cluster.reference.machine.digest)
            #expect(try store.scrub().isSound)
        }
        for id in Int32(1)...3 {
            try apply(registration(id))
            try apply(.unfenceBroker(id: BrokerID(id), epoch: cluster.epoch(id)))
        }
        try apply(
            topicCreation("before", id: 1, partitions: 5, replication: 3),
            topicCreation("gone", id: 2, partitions: 40, replication: 2),
            topicCreation("behind", id: 3, partitions: 5, replication: 2))
        // In one batch, and its name and id are free for the next entry.
        try apply(
            .fenceBroker(id: BrokerID(1), epoch: cluster.epoch(1)), .deleteTopic(topic: .name("gone"), ifVersion: nil),
            topicCreation("gone", id: 2, partitions: 7, replication: 2),
            .deleteTopic(topic: .name("before"), ifVersion: nil))
        let loads = cluster.reference.machine.storage.brokerLoads()
        #expect(loads.map(\.replicas).reduce(0, +) == 12 * 2)
        try apply(
            .deleteTopic(topic: .name("gone"), ifVersion: nil), .deleteTopic(topic: .name("behind"), ifVersion: nil))
        guard case .summary(let summary) = try store.answer(.summary) else {
            Issue.record("a summary was answered with something else")
            return
        }
        #expect(summary.totals.partitions == 0 && summary.totals.topics == 0)
        for id in Int32(1)...3 { try apply(.unregisterBroker(id: BrokerID(id), epoch: nil)) }
        try store.close()
    }

    /// Ten thousand partitions of one broker, which leads a third of them. Prints what the steps took; how long they may take
    /// on a machine of its own is in docs/adr/0011.
    @Test("ten thousand partitions leave a broker in bounded steps, and the database agrees with the reference on each")
    func tenThousand() throws {
        let directory = try TemporaryDirectory()
        var store = try MetadataStore(path: directory.file("db"))
        var cluster = Cluster()
        func apply(_ command: Command) throws -> (changes: Int, took: Duration) {
            let entry = cluster.entry(command)
            let expected = cluster.reference.apply(entry)
            let clock = ContinuousClock()
            let start = clock.now
            let batch = try store.apply([entry])
            let took = clock.now - start
            #expect(batch.outcomes.map(\.outcome) == [expected?.outcome])
            #expect(batch.digest == cluster.reference.machine.digest)
            return (batch.events.first?.changes.count ?? 0, took)
        }
        _ = try apply(.setFeatureLevel(Limits.featureLevelOfSteps))
        for id in Int32(1)...4 {
            _ = try apply(registration(id))
            _ = try apply(.unfenceBroker(id: BrokerID(id), epoch: cluster.epoch(id)))
        }
        let count = 10_000
        let orders = [[1, 2, 3], [2, 1, 4], [3, 4, 1]].map { $0.map { BrokerID($0) } }
        _ = try apply(
            .createTopic(
                Command.CreateTopic(
                    name: "wide", id: TopicID(high: 1, low: 1), partitionCount: 0, replicationFactor: 0,
                    assignment: (0..<count).map { orders[$0 % 3] })))

        let fence = Command.fenceBroker(id: BrokerID(1), epoch: cluster.epoch(1))
        var (total, longest, steps) = (Duration.zero, Duration.zero, 0)
        while cluster.reference.machine.storage.broker(BrokerID(1))?.state != .fenced {
            if steps == 7 {
                // A node that restarts knows nothing of what the steps before have passed.
                try store.close()
                store = try MetadataStore(path: directory.file("db"))
            }
            let (changes, took) = try apply(fence)
            #expect(changes <= Limits.partitionsPerStepMax + 1)
            total += took
            longest = max(longest, took)
            steps += 1
        }
        #expect(steps == 1 + count / Limits.partitionsPerStepMax)
        #expect(try store.scrub().isSound)
        print("fencing \(count) partitions: \(steps) entries, \(total) to apply, the longest \(longest)")
        try store.close()
    }

    @Test("a partition that relies again on a broker is found again, wherever the last look ended")
    func foundAgain() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        var cluster = Cluster()
        func apply(_ command: Command) throws {
            let entry = cluster.entry(command)
            let expected = cluster.reference.apply(entry)
            #expect(try store.apply([entry]).outcomes.map(\.outcome) == [expected?.outcome])
            #expect(store.digest == cluster.reference.machine.digest)
        }
        try apply(.setFeatureLevel(Limits.featureLevelOfSteps))
        for id in Int32(1)...2 {
            try apply(registration(id))
            try apply(.unfenceBroker(id: BrokerID(id), epoch: cluster.epoch(id)))
        }
        let most = Limits.partitionsAtOnceMax
        try apply(topicCreation("many", id: 1, partitions: Int32(most + 8)))
        // Down and back, again and again, with what is in sync in between: more than moves at once, and less.
        for round in 0..<4 {
            let epoch = cluster.epoch(1)
            for _ in 0..<2 { try apply(.fenceBroker(id: BrokerID(1), epoch: epoch)) }
            try apply(.unfenceBroker(id: BrokerID(1), epoch: epoch))
            let rows = cluster.reference.machine.storage.partitions(of: TopicID(high: 1, low: 1))
            let reports = rows.prefix(round % 2 == 0 ? most - 2 : most + 5).map { row in
                Command.ISRReport(
                    partition: row.key, leaderEpoch: row.leaderEpoch, partitionEpoch: row.partitionEpoch,
                    isr: row.replicas)
            }
            try apply(
                .alterPartitions(.init(broker: BrokerID(2), brokerEpoch: cluster.epoch(2), reports: Array(reports))))
        }
        try store.close()
    }
}
