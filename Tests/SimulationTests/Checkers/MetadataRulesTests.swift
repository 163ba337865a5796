import MetadataModel
import Simulation
import Testing

@Suite("The checker of the metadata's rules")
struct MetadataRulesTests {
    private let topic = TopicID(high: 1, low: 1)

    private func broker(_ id: Int32, _ state: Broker.State = .active, epoch: UInt64 = 1) -> Broker {
        Broker(
            id: BrokerID(id), epoch: BrokerEpoch(epoch), incarnation: IncarnationID(high: 1, low: UInt64(id)),
            endpoints: [], rack: "", state: state, version: Version(1))
    }

    private func partition(
        leader: Int32?, _ leaderEpoch: Int32, isr: [Int32], epoch: Int32, replicas: [Int32] = [1, 2, 3]
    ) -> Partition {
        Partition(
            key: PartitionKey(topic: topic, index: PartitionIndex(0)), leader: leader.map { BrokerID($0) },
            leaderEpoch: leaderEpoch, partitionEpoch: epoch, replicas: replicas.map { BrokerID($0) },
            isr: isr.map { BrokerID($0) }, version: Version(1))
    }

    private func change(_ partition: Partition) -> ObservedChange { .partitionChanged(partition, topicName: "t") }

    /// Brokers 1 to 3 are active, 4 is fenced; broker 1 leads the only partition.
    private func checker() throws -> MetadataRulesChecker {
        var checker = MetadataRulesChecker()
        let topic = Topic(id: topic, name: "t", partitionCount: 1, replicationFactor: 3, version: Version(1))
        try checker.applies(
            nil, isDone: false,
            changes: (1...3).map { .brokerChanged(broker($0)) } + [.brokerChanged(broker(4, .fenced))]
                + [.topicChanged(topic), change(partition(leader: 1, 0, isr: [1, 2, 3], epoch: 0))],
            at: Version(1))
        return checker
    }

    private func isFound(_ rule: String, _ command: Command? = nil, _ changes: ObservedChange...) throws {
        var checker = try checker()
        finds(rule) {
            try checker.applies(command, isDone: true, changes: changes, at: Version(2))
        }
    }

    private func accepts(_ command: Command? = nil, _ changes: ObservedChange...) throws {
        var checker = try checker()
        try checker.applies(command, isDone: true, changes: changes, at: Version(2))
    }

    @Test("a fence moves every partition and leaves the ISR")
    func fence() throws {
        let fence = Command.fenceBroker(id: BrokerID(1), epoch: BrokerEpoch(1))
        let fenced = ObservedChange.brokerChanged(broker(1, .fenced))
        try accepts(fence, fenced, change(partition(leader: 2, 1, isr: [2, 3], epoch: 1)))
        try isFound("a fenced broker leads nothing", fence, fenced)
        try isFound(
            "a fenced broker is in no ISR", fence, fenced, change(partition(leader: 2, 1, isr: [1, 2], epoch: 1)))
        try isFound("epochs fence", .fenceBroker(id: BrokerID(1), epoch: BrokerEpoch(2)), fenced)
        try isFound("epochs fence", .unfenceBroker(id: BrokerID(4), epoch: BrokerEpoch(2)))
    }

    @Test("a leader is active, in the ISR, and comes with a new epoch")
    func leaders() throws {
        try accepts(nil, change(partition(leader: 2, 1, isr: [2, 3], epoch: 1)))
        try isFound("the leader is in the ISR", nil, change(partition(leader: 1, 0, isr: [2, 3], epoch: 1)))
        try isFound("epochs rise", nil, change(partition(leader: 2, 0, isr: [1, 2, 3], epoch: 1)))
        try isFound("epochs rise", nil, change(partition(leader: 1, 0, isr: [1, 2], epoch: 0)))
        try isFound("replicas and ISR", nil, change(partition(leader: 1, 0, isr: [1, 4], epoch: 1)))
        try isFound("replicas and ISR", nil, change(partition(leader: nil, 1, isr: [], epoch: 1)))
        try isFound(
            "leaders are active", nil,
            change(partition(leader: 4, 1, isr: [1, 4], epoch: 1, replicas: [1, 4])))
    }

    @Test("a leader outside of the ISR is elected where that is allowed only")
    func uncleanElections() throws {
        let offline = change(partition(leader: nil, 1, isr: [1], epoch: 1))
        let unclean = change(partition(leader: 2, 2, isr: [2], epoch: 2))
        let key = PartitionKey(topic: topic, index: PartitionIndex(0))
        try isFound("no unclean election", nil, offline, unclean)
        try accepts(.electLeaders(.init(.unclean, partitions: [key])), offline, unclean)
        let allowed = ConfigEntry(
            resource: .cluster, name: "unclean.leader.election.enable", value: "true", version: Version(2))
        var checker = try checker()
        try checker.applies(nil, isDone: true, changes: [.configChanged(allowed)], at: Version(2))
        try checker.applies(nil, isDone: true, changes: [offline, unclean], at: Version(3))
    }

    @Test("a topic's own configuration says whether a leader outside of the ISR may be elected, before the cluster's")
    func uncleanTopics() throws {
        let offline = change(partition(leader: nil, 1, isr: [1], epoch: 1))
        let unclean = change(partition(leader: 2, 2, isr: [2], epoch: 2))
        func allowed(_ resource: ConfigResource, _ value: Bool) -> ObservedChange {
            .configChanged(
                ConfigEntry(
                    resource: resource, name: "unclean.leader.election.enable", value: "\(value)", version: Version(2)))
        }
        // The configuration holds for what follows from it in the same command.
        try accepts(nil, offline, unclean, allowed(.topic(topic), true))
        try isFound("no unclean election", nil, allowed(.topic(TopicID(high: 2, low: 2)), true), offline, unclean)
        try isFound(
            "no unclean election", nil, allowed(.cluster, true), allowed(.topic(topic), false), offline, unclean)
        let other = PartitionKey(topic: topic, index: PartitionIndex(1))
        try isFound("no unclean election", .electLeaders(.init(.unclean, partitions: [other])), offline, unclean)
    }

    @Test(
        "a replica that leaves ends the leader's epoch, and one that is reported to be in sync may lead at once (KIP-455)"
    )
    func reassignments() throws {
        try isFound("epochs rise", nil, change(partition(leader: 1, 0, isr: [1, 2], epoch: 1, replicas: [1, 2])))
        try accepts(nil, change(partition(leader: 1, 1, isr: [1, 2], epoch: 1, replicas: [1, 2])))
        let alone = change(partition(leader: 1, 0, isr: [1], epoch: 1))
        let moved = change(partition(leader: 2, 1, isr: [2], epoch: 2, replicas: [2]))
        let report = Command.alterPartition(
            .init(
                broker: BrokerID(1), brokerEpoch: BrokerEpoch(1),
                partition: PartitionKey(topic: topic, index: PartitionIndex(0)), leaderEpoch: 0, partitionEpoch: 1,
                isr: [BrokerID(1), BrokerID(2)]))
        var checker = try checker()
        try checker.applies(nil, isDone: true, changes: [alone], at: Version(2))
        finds("no unclean election") {
            var checker = checker
            try checker.applies(nil, isDone: true, changes: [moved], at: Version(3))
        }
        try checker.applies(report, isDone: true, changes: [moved], at: Version(3))
    }

    @Test("a report with an old epoch is not obeyed")
    func reports() throws {
        func report(_ broker: Int32, _ brokerEpoch: UInt64, _ leaderEpoch: Int32, _ epoch: Int32) -> Command {
            .alterPartition(
                .init(
                    broker: BrokerID(broker), brokerEpoch: BrokerEpoch(brokerEpoch),
                    partition: PartitionKey(topic: topic, index: PartitionIndex(0)), leaderEpoch: leaderEpoch,
                    partitionEpoch: epoch, isr: [BrokerID(1)]))
        }
        try accepts(report(1, 1, 0, 0))
        for stale in [report(1, 2, 0, 0), report(1, 1, 1, 0), report(1, 1, 0, 1), report(2, 1, 0, 0)] {
            try isFound("epochs fence", stale)
            var checker = try checker()
            try checker.applies(stale, isDone: false, changes: [], at: Version(2))
        }
        let change = change(partition(leader: 1, 0, isr: [1, 2], epoch: 1))
        for (brokerEpoch, epoch, rule) in [(1, 0, nil), (1, 1, "epochs fence"), (2, 0, "epochs fence")] {
            let report = Command.ISRReport(
                partition: PartitionKey(topic: topic, index: PartitionIndex(0)), leaderEpoch: 0,
                partitionEpoch: Int32(epoch), isr: [BrokerID(1), BrokerID(2)])
            let reports = Command.alterPartitions(
                .init(broker: BrokerID(1), brokerEpoch: BrokerEpoch(UInt64(brokerEpoch)), reports: [report]))
            if let rule { try isFound(rule, reports, change) } else { try accepts(reports, change) }
        }
    }

    @Test("a version that was expected and is not there guards, and names are unique")
    func guards() throws {
        try accepts(.deleteTopic(topic: .name("t"), ifVersion: Version(1)), .topicRemoved(id: topic, name: "t"))
        try isFound("versions guard", .deleteTopic(topic: .id(topic), ifVersion: Version(3)))
        try isFound("versions guard", .deleteTopic(topic: .name("u"), ifVersion: nil))
        try isFound(
            "unique names",
            .createTopic(.init(name: "t", id: TopicID(high: 2, low: 2), partitionCount: 1, replicationFactor: 1)))
        var other = broker(1)
        other.incarnation = IncarnationID(high: 9, low: 9)
        let registration = Command.registerBroker(
            .init(id: other.id, incarnation: other.incarnation, endpoints: [], rack: ""))
        try isFound("epochs fence", registration, .brokerChanged(other))
        try isFound("epochs rise", nil, .brokerChanged(broker(1, epoch: 0)))
    }

    @Test("rows that the events do not explain are found")
    func rows() throws {
        let checker = try checker()
        let brokers = [broker(1), broker(2), broker(3), broker(4, .fenced)]
        let topics = [Topic(id: topic, name: "t", partitionCount: 1, replicationFactor: 3, version: Version(1))]
        let leading = partition(leader: 1, 0, isr: [1, 2, 3], epoch: 0)
        try checker.judge(brokers: brokers, topics: topics, partitions: [leading])
        finds("rows are the sum of the events") {
            try checker.judge(brokers: brokers.dropLast(), topics: topics, partitions: [leading])
        }
        finds("rows are the sum of the events") {
            try checker.judge(brokers: brokers, topics: topics, partitions: [])
        }
    }
}
