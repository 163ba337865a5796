@testable import MetadataModel
import Testing

@Suite("limits")
struct LimitTests {
    /// A view whose totals are those given.
    private struct Crowded: MetadataView {
        typealias Failure = Never
        var storage: ReferenceStorage
        var claimed: MetadataTotals

        func broker(_ id: BrokerID) -> Broker? { storage.broker(id) }
        func brokers() -> [Broker] { storage.brokers() }
        func brokerLoads() -> [BrokerLoad] { storage.brokerLoads() }
        func topic(_ id: TopicID) -> Topic? { storage.topic(id) }
        func topic(named name: String) -> Topic? { storage.topic(named: name) }
        func topic(collidingWith name: String) -> Topic? { storage.topic(collidingWith: name) }
        func partition(_ key: PartitionKey) -> Partition? { storage.partition(key) }
        func partitions(of topic: TopicID) -> [Partition] { storage.partitions(of: topic) }
        func partitions(withReplica broker: BrokerID, after key: PartitionKey?, limit: Int) -> [Partition] {
            storage.partitions(withReplica: broker, after: key, limit: limit)
        }
        func partitions(_ filter: PartitionFilter, after key: PartitionKey?, limit: Int) -> [Partition] {
            storage.partitions(filter, after: key, limit: limit)
        }
        func config(_ resource: ConfigResource, name: String) -> ConfigEntry? { storage.config(resource, name: name) }
        func configs(of resource: ConfigResource) -> [ConfigEntry] { storage.configs(of: resource) }
        func sessions() -> [Session] { [] }
        func totals() -> MetadataTotals { claimed }
        func featureLevel() -> UInt32 { 0 }
    }

    private var model = Model()
    private let totals = MetadataTotals(brokers: 3, topics: 0, partitions: 0, sessions: 0)

    init() {
        model.addBrokers(1...3)
    }

    private func reason(_ command: Command, _ change: (inout MetadataTotals) -> Void = { _ in }) -> Refusal.Reason? {
        var claimed = totals
        change(&claimed)
        let view = Crowded(storage: model.storage, claimed: claimed)
        switch decide(command, index: 1_000, timeMilliseconds: 0, view: view) {
        case .done: return nil
        case .refused(let refusal): return refusal.reason
        }
    }

    private func configs(_ count: Int, from first: Int = 0) -> [ConfigChange] {
        (first..<(first + count)).map { ConfigChange(name: "user.\($0)", value: "1") }
    }

    private func text(_ count: Int) -> String { String(repeating: "x", count: count) }

    @Test("as many objects as the limit says, and not one more")
    func counts() {
        let register = Command.registerBroker(.sample(9))
        #expect(reason(register) { $0.brokers = Limits.brokersMax - 1 } == nil)
        #expect(reason(register) { $0.brokers = Limits.brokersMax } == .limitExceeded)
        let again = Command.registerBroker(.sample(1, rack: "moved"))
        #expect(reason(again) { $0.brokers = Limits.brokersMax } == nil, "a known broker needs no room")
        let create = Command.createTopic(.sample("orders", id: 1, partitions: 2))
        #expect(reason(create) { $0.topics = Limits.topicsMax - 1 } == nil)
        #expect(reason(create) { $0.topics = Limits.topicsMax } == .limitExceeded)
        #expect(reason(create) { $0.partitions = Limits.partitionsMax - 2 } == nil)
        #expect(reason(create) { $0.partitions = Limits.partitionsMax - 1 } == .limitExceeded)
        let open = Command.openSession(timeoutMilliseconds: Limits.sessionTimeoutMillisecondsDefault)
        #expect(reason(open) { $0.sessions = Limits.sessionsMax - 1 } == nil)
        #expect(reason(open) { $0.sessions = Limits.sessionsMax } == .limitExceeded)
    }

    @Test("a topic of the largest size, and not one partition more")
    mutating func partitionsPerTopic() {
        let max = Limits.partitionsPerTopicMax
        #expect(reason(.createTopic(.sample("orders", id: 1, partitions: max + 1))) == .limitExceeded)
        #expect(model.createTopic("orders", id: 1, partitions: max, replicationFactor: 3).refusal == nil)
        model.checkInvariants()
        let more = Command.CreatePartitions(topic: .name("orders"), totalCount: max + 1)
        #expect(reason(.createPartitions(more)) == .limitExceeded)
        #expect(
            reason(.createPartitions(Command.CreatePartitions(topic: .name("orders"), totalCount: .max)))
                == .limitExceeded)
    }

    @Test("more partitions are counted against the whole cluster too")
    mutating func partitionsOfCluster() {
        model.createTopic("orders", id: 1, partitions: 2)
        let more = Command.createPartitions(Command.CreatePartitions(topic: .name("orders"), totalCount: 5))
        #expect(reason(more) { $0.partitions = Limits.partitionsMax - 3 } == nil)
        #expect(reason(more) { $0.partitions = Limits.partitionsMax - 2 } == .limitExceeded)
    }

    @Test("a replication factor of 16, and not 17")
    mutating func replicationFactor() {
        model.addBrokers(4...17)
        let factor = Limits.replicationFactorMax
        #expect(reason(.createTopic(.sample("orders", id: 1, replicationFactor: factor))) == nil)
        #expect(
            reason(.createTopic(.sample("orders", id: 1, replicationFactor: factor + 1))) == .invalidReplicationFactor)
        let assignment = [(1...Int32(factor + 1)).map { $0 }]
        #expect(reason(.createTopic(.sample("orders", id: 1, assignment: assignment))) == .invalidReplicationFactor)
    }

    @Test("a topic name of 249 bytes, and not 250")
    func topicName() {
        #expect(reason(.createTopic(.sample(text(Limits.topicNameBytesMax), id: 1))) == nil)
        #expect(reason(.createTopic(.sample(text(Limits.topicNameBytesMax + 1), id: 1))) == .invalidTopicName)
    }

    @Test("what a broker registers is bounded")
    func registration() {
        let fields: [(WritableKeyPath<Command.RegisterBroker, String>, Int)] = [
            (\.rack, Limits.rackBytesMax), (\.endpoints[0].host, Limits.hostBytesMax),
            (\.endpoints[0].name, Limits.endpointNameBytesMax),
        ]
        for (field, max) in fields {
            var command = Command.RegisterBroker.sample(9)
            command[keyPath: field] = text(max)
            #expect(reason(.registerBroker(command)) == nil)
            command[keyPath: field] = text(max + 1)
            #expect(reason(.registerBroker(command)) == .limitExceeded)
        }
    }

    @Test("16 endpoints, and not 17")
    func endpoints() {
        var command = Command.RegisterBroker.sample(9)
        command.endpoints = (0..<Limits.endpointsPerBrokerMax).map { Endpoint(name: "L\($0)", host: "h", port: 1) }
        #expect(reason(.registerBroker(command)) == nil)
        command.endpoints.append(Endpoint(name: "last", host: "h", port: 1))
        #expect(reason(.registerBroker(command)) == .limitExceeded)
    }

    @Test("configuration names, values, changes and keys are bounded")
    mutating func configurations() {
        let name = "user." + text(Limits.configNameBytesMax - 5)
        #expect(reason(.configure(.cluster, name, "1")) == nil)
        #expect(reason(.configure(.cluster, name + "x", "1")) == .limitExceeded)
        #expect(reason(.configure(.cluster, "user.a", text(Limits.configValueBytesMax))) == nil)
        #expect(reason(.configure(.cluster, "user.a", text(Limits.configValueBytesMax + 1))) == .limitExceeded)
        func alter(_ changes: [ConfigChange]) -> Command {
            .alterConfigs(Command.AlterConfigs(resource: .cluster, changes: changes))
        }
        #expect(reason(alter(configs(Limits.configChangesPerCommandMax + 1))) == .limitExceeded)
        #expect(model.apply(alter(configs(Limits.configChangesPerCommandMax))).refusal == nil)
        #expect(reason(alter(configs(1, from: 300))) == .limitExceeded)
        let exchange = configs(1, from: 300) + [ConfigChange(name: "user.0", value: nil)]
        #expect(reason(alter(exchange)) == nil, "one goes, one comes")
        #expect(reason(.configure(.cluster, "user.7", "2")) == nil, "a known key needs no room")
        var topic = Command.CreateTopic.sample("orders", id: 1, configs: configs(Limits.configsPerResourceMax))
        #expect(reason(.createTopic(topic)) == nil)
        topic.configs = configs(Limits.configsPerResourceMax + 1)
        #expect(reason(.createTopic(topic)) == .limitExceeded)
    }

    @Test("session timeouts from one second to one day")
    func sessionTimeouts() {
        for (timeout, expected) in [
            (Limits.sessionTimeoutMillisecondsMin, nil), (Limits.sessionTimeoutMillisecondsMin - 1, .invalidRequest),
            (Limits.sessionTimeoutMillisecondsMax, nil), (Limits.sessionTimeoutMillisecondsMax + 1, .invalidRequest),
        ] as [(UInt64, Refusal.Reason?)] {
            #expect(reason(.openSession(timeoutMilliseconds: timeout)) == expected, "\(timeout)")
        }
    }

    @Test("clients cannot use up the partition epochs, and fencing works even at the last one")
    mutating func epochs() throws {
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3]])
        func age(leaderEpoch: Int32, partitionEpoch: Int32) throws {
            let before = try #require(model.partition(1, 0))
            var after = before
            after.leaderEpoch = leaderEpoch
            after.partitionEpoch = partitionEpoch
            model.machine.storage.apply(.partition(before: before, after: after))
        }
        try age(leaderEpoch: 0, partitionEpoch: Limits.partitionEpochMax - 1)
        #expect(model.refusal(model.report(1, 0, isr: [1])) == nil)
        #expect(model.refusal(.move(1, 0, to: 2)) == nil)
        for epochs in [(0, Limits.partitionEpochMax), (Limits.partitionEpochMax, 0)] as [(Int32, Int32)] {
            try age(leaderEpoch: epochs.0, partitionEpoch: epochs.1)
            #expect(model.refusal(model.report(1, 0, isr: [1])) == .limitExceeded)
            #expect(model.refusal(.move(1, 0, to: 2)) == .limitExceeded)
        }
        try age(leaderEpoch: .max, partitionEpoch: .max)
        model.fence(1)
        #expect(model.partition(1, 0)?.leader == BrokerID(2))
        #expect(model.partition(1, 0)?.leaderEpoch == .max)
    }

    @Test("a page holds 1 to 1000 items, whatever was asked for")
    func pages() {
        #expect([Int.min, 0, 1, 1_000, 1_001, .max].map(Limits.pageItems) == [1, 1, 1, 1_000, 1_000, 1_000])
    }
}
