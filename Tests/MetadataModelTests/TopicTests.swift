import MetadataModel
import Testing

@Suite("topics and partitions")
struct TopicTests {
    private var model: Model

    init() {
        model = Model()
        model.addBrokers(1...4)
    }

    @Test("a new topic has its partitions and configurations in one event, the first replica leads")
    mutating func creation() {
        let command = Command.CreateTopic.sample(
            "orders", id: 1, assignment: [[2, 1], [3, 2]], configs: [ConfigChange(name: "retention.ms", value: "-1")])
        let applied = model.applyEntry(.createTopic(command))
        let version = Version(model.index)
        let topic = Topic(
            id: TopicID(1), name: "orders", partitionCount: 2, replicationFactor: 2, version: version)
        func partition(_ index: Int32, _ replicas: [BrokerID]) -> ObservedChange {
            .partitionChanged(
                Partition(
                    key: PartitionKey(topic: TopicID(1), index: PartitionIndex(index)), leader: replicas[0],
                    leaderEpoch: 0, partitionEpoch: 0, replicas: replicas, isr: replicas, version: version),
                topicName: "orders")
        }
        let config = ConfigEntry(
            resource: .topic(TopicID(1)), name: "retention.ms", value: "-1", version: version)
        #expect(applied.outcome == .done(.topic(topic)))
        #expect(
            applied.event
                == ChangeEvent(
                    version: version,
                    changes: [
                        .topicChanged(topic), partition(0, .init(2, 1)), partition(1, .init(3, 2)),
                        .configChanged(config),
                    ]))
    }

    @Test("a fenced replica is not in sync from the start, and does not lead (KIP-631)")
    mutating func fencedReplica() {
        model.fence(2)
        model.createTopic("orders", id: 1, assignment: [[2, 3, 1]])
        #expect(model.partition(1, 0)?.leader == BrokerID(3))
        #expect(model.partition(1, 0)?.isr == .init(3, 1))
    }

    @Test("the cluster places replicas on active brokers only")
    mutating func placement() {
        model.fence(2)
        model.createTopic("orders", id: 1, partitions: 9, replicationFactor: 3)
        #expect(model.storage.brokerLoads().map(\.id) == .init(1, 3, 4))
        #expect(model.storage.brokerLoads().map(\.replicas) == [9, 9, 9])
        #expect(model.storage.brokerLoads().map(\.leaders) == [3, 3, 3])
    }

    @Test("validating only answers the same and changes nothing")
    mutating func validateOnly() {
        let before = model.machine.digest
        var create = Command.CreateTopic.sample("orders", id: 1, partitions: 3, validateOnly: true)
        let validated = model.applyEntry(.createTopic(create))
        #expect(model.machine.digest == before && validated.event == nil)
        create.validateOnly = false
        let done = model.apply(.createTopic(create))
        guard case (.done(.topic(var expected)), .done(.topic(let topic))) = (validated.outcome, done) else {
            Issue.record("\(validated.outcome), \(done)")
            return
        }
        expected.version = topic.version
        #expect(expected == topic)

        let digest = model.machine.digest
        let more = Command.CreatePartitions(topic: .name("orders"), totalCount: 5, validateOnly: true)
        guard case .done(.topic(let larger)) = model.apply(.createPartitions(more)) else { return }
        #expect(larger.partitionCount == 5)
        #expect(
            model.refusal(.configure(.topic(.name("orders")), "retention.ms", "x", validateOnly: true))
                == .invalidConfig)
        model.apply(.configure(.topic(.name("orders")), "retention.ms", "1", validateOnly: true))
        #expect(model.machine.digest == digest)
    }

    @Test("more partitions go on from the last number and spread over the least loaded")
    mutating func morePartitions() {
        model.createTopic("orders", id: 1, assignment: [[1, 2], [1, 2]])
        let applied = model.applyEntry(
            .createPartitions(Command.CreatePartitions(topic: .id(TopicID(1)), totalCount: 4)))
        #expect(model.storage.partitions(of: TopicID(1)).map(\.key.index.rawValue) == [0, 1, 2, 3])
        #expect(model.storage.brokerLoads().map(\.replicas) == [2, 2, 2, 2])
        #expect(model.storage.topic(TopicID(1))?.version == Version(model.index))
        #expect(applied.event?.changes.count == 3)
        model.checkInvariants()
    }

    @Test("a deleted topic leaves nothing behind, and its name is free again")
    mutating func deletion() {
        let empty = model.machine.digest
        model.createTopic("orders", id: 1, partitions: 3, replicationFactor: 2)
        model.apply(.configure(.topic(.name("orders")), "user.a", "1"))
        let topic = model.storage.topic(named: "orders")
        let applied = model.applyEntry(.deleteTopic(topic: .name("orders"), ifVersion: topic?.version))
        #expect(applied.event?.changes == [.topicRemoved(id: TopicID(1), name: "orders")])
        #expect(model.machine.digest == empty)
        #expect(model.storage.brokerLoads() == [])
        #expect(model.createTopic("orders", id: 2).refusal == nil)
    }

    @Test("a topic's version moves with its configuration and partition count, not with its partitions' leaders")
    mutating func topicVersion() {
        model.createTopic("orders", id: 1, assignment: [[1, 2]])
        let created = model.storage.topic(TopicID(1))?.version
        model.apply(.move(1, 0, to: 2))
        #expect(model.storage.topic(TopicID(1))?.version == created)
        let applied = model.applyEntry(.configure(.topic(.id(TopicID(1))), "user.a", "1", ifVersion: created))
        #expect(model.storage.topic(TopicID(1))?.version == Version(model.index))
        #expect(applied.event?.changes.count == 2)
        #expect(
            model.refusal(.configure(.topic(.id(TopicID(1))), "user.a", "2", ifVersion: created)) == .versionMismatch)
    }

    @Test("configuration that already is as asked for changes nothing")
    mutating func sameConfiguration() {
        model.apply(.configure(.cluster, "user.a", "é"))
        let version = model.machine.version
        for command in [Command.configure(.cluster, "user.a", "é"), .configure(.cluster, "user.b", nil)] {
            let applied = model.applyEntry(command)
            #expect(applied == Applied(outcome: .done(.changed(version)), event: nil, wasReplay: false))
        }
        #expect(model.applyEntry(.configure(.cluster, "user.a", "e\u{301}")).event != nil, "other bytes, another value")
        model.apply(.configure(.cluster, "user.a", nil))
        #expect(model.storage.configs(of: .cluster) == [])
    }

    @Test(
        "known keys take the values that Kafka takes",
        arguments: [
            ("retention.ms", "-1"), ("retention.bytes", "9223372036854775807"), ("cleanup.policy", "compact,delete"),
            ("segment.bytes", "14"), ("min.insync.replicas", "1"), ("unclean.leader.election.enable", "false"),
            ("max.message.bytes", "0"), ("compression.type", "zstd"), ("user.anything-at.all", ""),
        ])
    mutating func knownKeys(name: String, value: String) {
        model.createTopic("orders", id: 1)
        #expect(model.apply(.configure(.topic(.name("orders")), name, value)).refusal == nil)
        #expect(model.apply(.configure(.cluster, name, value)).refusal == nil)
    }

    @Test("an ISR member may be made leader; the leader epoch grows by one")
    mutating func changeLeader() {
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3]])
        let before = model.partition(1, 0)
        let outcome = model.apply(.move(1, 0, to: 3, ifPartitionEpoch: 0))
        var expected = before
        expected?.leader = BrokerID(3)
        expected?.leaderEpoch = 1
        expected?.partitionEpoch = 1
        expected?.version = Version(model.index)
        #expect(model.partition(1, 0) == expected)
        #expect(outcome == expected.map { .done(.partition($0)) })
        let again = model.applyEntry(.move(1, 0, to: 3))
        #expect(again.event == nil && again.outcome == outcome)
    }

    @Test("a leader's report sets the ISR in replica order and keeps the leader epoch (KIP-497)")
    mutating func alterPartition() {
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3]])
        #expect(model.apply(model.report(1, 0, isr: [1])).refusal == nil)
        #expect(model.partition(1, 0)?.isr == .init(1))
        #expect(model.apply(model.report(1, 0, isr: [3, 1, 2])).refusal == nil)
        #expect(model.partition(1, 0)?.isr == .init(1, 2, 3))
        #expect(model.partition(1, 0)?.leaderEpoch == 0)
        #expect(model.partition(1, 0)?.partitionEpoch == 2)
        let same = model.applyEntry(model.report(1, 0, isr: [1, 2, 3]))
        #expect(same.event == nil && same.outcome.refusal == nil)
    }

    @Test("the feature level is raised once and shows in the summary and the version")
    mutating func featureLevel() {
        #expect(model.machine.featureLevel() == 0)
        #expect(model.apply(.setFeatureLevel(1)) == .done(.changed(Version(model.index))))
        let version = model.machine.version
        #expect(model.apply(.setFeatureLevel(1)) == .done(.changed(version)))
        #expect(model.refusal(.setFeatureLevel(0)) == .unsupportedFeature)
        #expect(model.machine.featureLevel() == 1)
        model.checkInvariants()
    }
}
