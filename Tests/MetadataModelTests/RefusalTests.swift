import MetadataModel
import Testing

/// One command, or a few, that must be refused for a reason.
struct RefusalCase: Sendable, CustomTestStringConvertible {
    var name: String
    var reason: Refusal.Reason
    var command: @Sendable (Model) -> Command?

    var testDescription: String { "\(reason.rawValue): \(name)" }

    init(_ reason: Refusal.Reason, _ name: String, _ command: @escaping @Sendable (Model) -> Command?) {
        self.name = name
        self.reason = reason
        self.command = command
    }
}

@Suite("refusals")
struct RefusalTests {
    /// Brokers 1 to 3 active, 4 fenced, 5 fenced and empty; topic 1 "orders" with 2 partitions on 1, 2, 3; topic 2 "a.b"
    /// with one partition on 3, 4, whose ISR is 3; topic 3 "dark" with one partition on 4, which is offline.
    static let model: Model = {
        var model = Model()
        model.addBrokers(1...4)
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3], [2, 3, 1]])
        model.createTopic("a.b", id: 2, assignment: [[3, 4]])
        model.createTopic("dark", id: 3, assignment: [[4]])
        model.fence(4)
        model.register(5)
        model.apply(model.report(1, 1, isr: [2, 3]))
        return model
    }()

    static func create(
        _ name: String = "new", id: UInt64 = 9, _ change: (inout Command.CreateTopic) -> Void = { _ in }
    ) -> Command {
        var command = Command.CreateTopic.sample(name, id: id)
        change(&command)
        return .createTopic(command)
    }

    static func registering(_ id: Int32 = 8, _ change: (inout Command.RegisterBroker) -> Void) -> Command {
        var command = Command.RegisterBroker.sample(id)
        change(&command)
        return .registerBroker(command)
    }

    static let orders = TopicReference.name("orders")

    static let general: [RefusalCase] = [
        RefusalCase(.unknownCommand, "an entry that cannot be understood (pitfall: a poison entry)") { _ in nil },
        RefusalCase(.unsupportedFeature, "beyond what this build knows") { _ in
            .setFeatureLevel(Limits.featureLevelMax + 1)
        },
        RefusalCase(.invalidRequest, "a session timeout of 0") { _ in .openSession(timeoutMilliseconds: 0) },
        RefusalCase(.sessionExpired, "closing what is not open") { _ in .closeSession(SessionID(77)) },
    ]

    static let brokers: [RefusalCase] = [
        RefusalCase(.invalidRequest, "a negative broker id") { _ in registering(-1) { _ in } },
        RefusalCase(.invalidRequest, "an incarnation of zero") { _ in
            registering { $0.incarnation = IncarnationID(high: 0, low: 0) }
        },
        RefusalCase(.invalidRequest, "two endpoints of one name") { _ in registering { $0.endpoints += $0.endpoints } },
        RefusalCase(.invalidRequest, "an endpoint without a port") { _ in registering { $0.endpoints[0].port = 0 } },
        RefusalCase(.invalidRequest, "an endpoint without a host") { _ in registering { $0.endpoints[0].host = "" } },
        RefusalCase(.brokerIDInUse, "another process under the id of an active broker") { _ in
            .registerBroker(.sample(1, incarnation: 2))
        },
        RefusalCase(.staleBrokerEpoch, "a process that was replaced comes back (its incarnation is an old one)") {
            model in
            registering(4) {
                $0.incarnation = IncarnationID(high: 4, low: 9)
                $0.previousEpoch = BrokerEpoch(model.epoch(4).rawValue - 1)
            }
        },
        RefusalCase(.invalidRequest, "a capacity of nothing") { _ in registering { $0.capacity = 0 } },
        RefusalCase(.invalidRequest, "two tags of one name") { _ in
            registering { $0.tags = [BrokerTag(name: "a", value: "1"), BrokerTag(name: "a", value: "2")] }
        },
        RefusalCase(.invalidRequest, "a tag whose name has a space") { _ in
            registering { $0.tags = [BrokerTag(name: "a b", value: "1")] }
        },
        RefusalCase(.invalidRequest, "force out a broker that is active") { _ in
            .unregisterBroker(id: BrokerID(3), epoch: nil, force: true)
        },
        RefusalCase(.brokerNotEmpty, "force out the only replica of a partition") { _ in
            .unregisterBroker(id: BrokerID(4), epoch: nil, force: true)
        },
        RefusalCase(.brokerNotFound, "shutdown") { _ in .beginShutdown(id: BrokerID(9), epoch: BrokerEpoch(1)) },
        RefusalCase(.staleBrokerEpoch, "shutdown") { _ in .beginShutdown(id: BrokerID(2), epoch: BrokerEpoch(1)) },
        RefusalCase(.brokerNotFound, "drain") { _ in .drainBroker(id: BrokerID(9), epoch: nil) },
        RefusalCase(.staleBrokerEpoch, "drain") { _ in .drainBroker(id: BrokerID(2), epoch: BrokerEpoch(1)) },
        RefusalCase(.brokerNotFound, "cancel a drain") { _ in .cancelDrain(id: BrokerID(9), epoch: nil) },
        RefusalCase(.brokerNotFound, "unregister") { _ in .unregisterBroker(id: BrokerID(9), epoch: nil) },
        RefusalCase(.staleBrokerEpoch, "unregister") { _ in .unregisterBroker(id: BrokerID(5), epoch: BrokerEpoch(1)) },
        RefusalCase(.brokerNotEmpty, "unregister") { _ in .unregisterBroker(id: BrokerID(4), epoch: nil) },
        RefusalCase(.brokerNotFound, "fence") { _ in .fenceBroker(id: BrokerID(9), epoch: BrokerEpoch(1)) },
        RefusalCase(.staleBrokerEpoch, "fence") { _ in .fenceBroker(id: BrokerID(2), epoch: BrokerEpoch(1)) },
        RefusalCase(.brokerNotFound, "unfence") { _ in .unfenceBroker(id: BrokerID(9), epoch: BrokerEpoch(1)) },
        RefusalCase(.staleBrokerEpoch, "unfence") { _ in .unfenceBroker(id: BrokerID(4), epoch: BrokerEpoch(1)) },
    ]

    static let topics: [RefusalCase] = [
        RefusalCase(.invalidTopicName, "empty") { _ in create("") },
        RefusalCase(.invalidTopicName, ".") { _ in create(".") },
        RefusalCase(.invalidTopicName, "..") { _ in create("..") },
        RefusalCase(.invalidTopicName, "a slash") { _ in create("a/b") },
        RefusalCase(.invalidTopicName, "a letter beyond ASCII") { _ in create("é") },
        RefusalCase(.invalidTopicName, "a sign that looks like a K") { _ in create("\u{212A}") },
        RefusalCase(.invalidTopicName, "collides in . and _") { _ in create("a_b") },
        RefusalCase(.topicExists, "the name") { _ in create("orders") },
        RefusalCase(.topicExists, "the id") { _ in create("new", id: 1) },
        RefusalCase(.invalidRequest, "an id of zero") { _ in create { $0.id = TopicID(high: 0, low: 0) } },
        RefusalCase(.invalidPartitionCount, "none") { _ in create { $0.partitionCount = 0 } },
        RefusalCase(.invalidPartitionCount, "negative") { _ in create { $0.partitionCount = -1 } },
        RefusalCase(.invalidReplicationFactor, "none") { _ in create { $0.replicationFactor = 0 } },
        RefusalCase(.invalidReplicationFactor, "beyond the limit") { _ in create { $0.replicationFactor = 17 } },
        RefusalCase(.notEnoughBrokers, "three are active") { _ in create { $0.replicationFactor = 4 } },
        RefusalCase(.invalidAssignment, "an unknown broker") { _ in
            .createTopic(.sample("n", id: 9, assignment: [[1, 9]]))
        },
        RefusalCase(.invalidAssignment, "a broker twice") { _ in
            .createTopic(.sample("n", id: 9, assignment: [[1, 1]]))
        },
        RefusalCase(.invalidAssignment, "of different lengths") { _ in
            .createTopic(.sample("n", id: 9, assignment: [[1, 2], [1]]))
        },
        RefusalCase(.invalidAssignment, "only fenced brokers") { _ in
            .createTopic(.sample("n", id: 9, assignment: [[1, 2], [4, 5]]))
        },
        RefusalCase(.invalidAssignment, "another count of partitions") { _ in
            create {
                $0.assignment = [.init(1)]; $0.partitionCount = 2
            }
        },
        RefusalCase(.invalidAssignment, "another replication factor") { _ in
            create {
                $0.assignment = [.init(1)]; $0.replicationFactor = 2
            }
        },
        RefusalCase(.invalidReplicationFactor, "an empty assignment") { _ in
            create {
                $0.assignment = [[]]; $0.replicationFactor = 0
            }
        },
        RefusalCase(.invalidConfig, "of a new topic, without a value") { _ in
            create { $0.configs = [ConfigChange(name: "retention.ms", value: nil)] }
        },
        RefusalCase(.topicNotFound, "delete by name") { _ in .deleteTopic(topic: .name("none"), ifVersion: nil) },
        RefusalCase(.topicNotFound, "delete by id") { _ in .deleteTopic(topic: .id(TopicID(8)), ifVersion: nil) },
        RefusalCase(.versionMismatch, "delete") { _ in .deleteTopic(topic: orders, ifVersion: Version(1)) },
        RefusalCase(.topicNotFound, "more partitions") { _ in
            .createPartitions(Command.CreatePartitions(topic: .name("none"), totalCount: 3))
        },
        RefusalCase(.invalidPartitionCount, "not more partitions") { _ in
            .createPartitions(Command.CreatePartitions(topic: orders, totalCount: 2))
        },
        RefusalCase(.versionMismatch, "more partitions") { _ in
            .createPartitions(Command.CreatePartitions(topic: orders, totalCount: 3, ifVersion: Version(1)))
        },
        RefusalCase(.invalidAssignment, "more partitions than assigned") { _ in
            .createPartitions(Command.CreatePartitions(topic: orders, totalCount: 4, assignment: [.init(1, 2, 3)]))
        },
        RefusalCase(.invalidAssignment, "more partitions with fewer replicas") { _ in
            .createPartitions(Command.CreatePartitions(topic: orders, totalCount: 3, assignment: [.init(1, 2)]))
        },
    ]

    static let configs: [RefusalCase] = [
        RefusalCase(.invalidConfig, "an unknown key") { _ in .configure(.cluster, "retention.seconds", "1") },
        RefusalCase(.invalidConfig, "a broker's key on a topic") { _ in
            .configure(.topic(orders), "leader.replication.throttled.rate", "1")
        },
        RefusalCase(.invalidConfig, "a topic's key on a broker") { _ in
            .configure(.broker(BrokerID(1)), "retention.ms", "1")
        },
        RefusalCase(.invalidConfig, "a name with a space") { _ in .configure(.cluster, "user. x", "1") },
        RefusalCase(.invalidConfig, "an empty name") { _ in .configure(.cluster, "", "1") },
        RefusalCase(.invalidConfig, "no number") { _ in .configure(.topic(orders), "retention.ms", "1d") },
        RefusalCase(.invalidConfig, "a number out of range") { _ in .configure(.topic(orders), "retention.ms", "-2") },
        RefusalCase(.invalidConfig, "zero in-sync replicas") { _ in
            .configure(.topic(orders), "min.insync.replicas", "0")
        },
        RefusalCase(.invalidConfig, "no truth value") { _ in
            .configure(.topic(orders), "unclean.leader.election.enable", "yes")
        },
        RefusalCase(.invalidConfig, "an unknown policy") { _ in .configure(.topic(orders), "cleanup.policy", "shred") },
        RefusalCase(.invalidConfig, "a policy twice") { _ in
            .configure(.topic(orders), "cleanup.policy", "delete,delete")
        },
        RefusalCase(.invalidConfig, "an unknown compression") { _ in
            .configure(.topic(orders), "compression.type", "rar")
        },
        RefusalCase(.invalidConfig, "a key twice") { _ in
            .alterConfigs(
                Command.AlterConfigs(
                    resource: .cluster,
                    changes: [ConfigChange(name: "user.a", value: "1"), ConfigChange(name: "user.a", value: nil)]))
        },
        RefusalCase(.invalidRequest, "no changes") { _ in
            .alterConfigs(Command.AlterConfigs(resource: .cluster, changes: []))
        },
        RefusalCase(.invalidRequest, "a version of the cluster") { _ in
            .configure(.cluster, "user.a", "1", ifVersion: Version(1))
        },
        RefusalCase(.versionMismatch, "configuration") { _ in
            .configure(.topic(orders), "user.a", "1", ifVersion: Version(1))
        },
        RefusalCase(.topicNotFound, "configuration") { _ in .configure(.topic(.name("none")), "user.a", "1") },
        RefusalCase(.brokerNotFound, "configuration") { _ in .configure(.broker(BrokerID(9)), "user.a", "1") },
    ]

    static let partitions: [RefusalCase] = [
        RefusalCase(.topicNotFound, "change the leader") { _ in .move(8, 0, to: 1) },
        RefusalCase(.partitionNotFound, "change the leader") { _ in .move(1, 2, to: 1) },
        RefusalCase(.partitionNotFound, "a negative partition") { _ in .move(1, -1, to: 1) },
        RefusalCase(.stalePartitionEpoch, "change the leader") { _ in .move(1, 0, to: 2, ifPartitionEpoch: 5) },
        RefusalCase(.notInReplicas, "change the leader") { _ in .move(1, 0, to: 4) },
        RefusalCase(.notInISR, "change the leader") { _ in .move(1, 1, to: 1) },
        RefusalCase(.notInISR, "change the leader to a fenced replica") { _ in .move(2, 0, to: 4) },
        RefusalCase(.brokerFenced, "a fenced broker leads again by force") { _ in .move(3, 0, to: 4) },
        RefusalCase(.brokerNotFound, "reports of a stranger") { _ in
            .alterPartitions(
                Command.AlterPartitions(broker: BrokerID(9), brokerEpoch: BrokerEpoch(1), reports: []))
        },
        RefusalCase(.staleBrokerEpoch, "reports of an earlier registration") { _ in
            .alterPartitions(
                Command.AlterPartitions(broker: BrokerID(1), brokerEpoch: BrokerEpoch(99), reports: []))
        },
        RefusalCase(.invalidRequest, "reports about nothing") { model in
            .alterPartitions(
                Command.AlterPartitions(broker: BrokerID(1), brokerEpoch: model.epoch(1), reports: []))
        },
        RefusalCase(.invalidRequest, "an election of nothing") { _ in
            .electLeaders(Command.ElectLeaders(.preferred, partitions: []))
        },
        RefusalCase(.topicNotFound, "report") { $0.report(8, 0, isr: [1]) },
        RefusalCase(.partitionNotFound, "report") { $0.report(1, 5, isr: [1]) },
        RefusalCase(.brokerNotFound, "report") { $0.report(1, 0, isr: [1]) { $0.broker = BrokerID(9) } },
        RefusalCase(.staleBrokerEpoch, "report") { $0.report(1, 0, isr: [1]) { $0.brokerEpoch = BrokerEpoch(99) } },
        RefusalCase(.staleLeaderEpoch, "report, behind") { $0.report(1, 0, isr: [1]) { $0.leaderEpoch = -1 } },
        RefusalCase(.staleLeaderEpoch, "report, ahead (pitfall: any epoch accepted)") {
            $0.report(1, 0, isr: [1]) { $0.leaderEpoch = 1 }
        },
        RefusalCase(.stalePartitionEpoch, "report, behind") { $0.report(1, 1, isr: [2]) { $0.partitionEpoch = 0 } },
        RefusalCase(.stalePartitionEpoch, "report, ahead") { $0.report(1, 1, isr: [2]) { $0.partitionEpoch = 2 } },
        RefusalCase(.notLeaderOfPartition, "report of a follower") { model in
            model.report(1, 0, isr: [1, 2]) {
                $0.broker = BrokerID(2)
                $0.brokerEpoch = model.epoch(2)
            }
        },
        RefusalCase(.notInReplicas, "report with a stranger") { $0.report(1, 0, isr: [1, 4]) },
        RefusalCase(.invalidRequest, "report with a member twice") { $0.report(1, 0, isr: [1, 2, 2]) },
        RefusalCase(.invalidRequest, "report without the leader") { $0.report(1, 0, isr: [2, 3]) },
        RefusalCase(.invalidRequest, "report with nobody") { $0.report(1, 0, isr: []) },
        RefusalCase(.brokerFenced, "a fenced broker joins the ISR (KIP-841)") { $0.report(2, 0, isr: [3, 4]) },
    ]

    static let cases = general + brokers + topics + configs + partitions

    @Test("a command that cannot be is refused with its reason and changes nothing", arguments: cases)
    func refusal(_ refusalCase: RefusalCase) throws {
        var model = RefusalTests.model
        let before = model
        let applied = model.applyEntry(refusalCase.command(model))
        let refusal = try #require(applied.outcome.refusal)
        #expect(refusal.reason == refusalCase.reason, "\(refusal.detail)")
        #expect(!refusal.detail.isEmpty)
        #expect(applied.event == nil)
        #expect(model.machine.digest == before.machine.digest)
        #expect(model.machine.version == before.machine.version)
    }

    @Test("every reason has a case here, or in the tests of limits and sessions")
    func completeness() {
        // Two are given for one partition of many, two from a feature level on: `RebalanceCommandTests`.
        let elsewhere: Set<Refusal.Reason> = [
            .limitExceeded, .sequenceOutOfWindow, .eligibleLeadersNotAvailable, .noReassignmentInProgress,
            .rebalanceInProgress, .noRebalanceInProgress,
        ]
        let covered = Set(RefusalTests.cases.map(\.reason)).union(elsewhere)
        #expect(Refusal.Reason.allCases.filter { !covered.contains($0) } == [])
    }

    @Test("a refusal names the objects and numbers of the case")
    func details() {
        let model = RefusalTests.model
        func detail(_ command: Command) -> String? {
            var copy = model
            return copy.apply(command).refusal?.detail
        }
        #expect(
            detail(RefusalTests.create { $0.replicationFactor = 4 })
                == "a replication factor of 4 needs as many active brokers, there are 3 (of 5 registered)")
        #expect(
            detail(.unregisterBroker(id: BrokerID(4), epoch: nil))
                == "broker 4 still holds 2 replicas: move or delete them first")
        #expect(
            detail(.move(1, 1, to: 1)) == "broker 1 is not in the ISR [2, 3] of partition 1 of topic 'orders'")
        #expect(detail(.move(1, 7, to: 1)) == "topic 'orders' has no partition 7, only 0 to 1")
        #expect(
            detail(model.report(2, 0, isr: [3, 4])) == "broker 4 is fenced, not active")
    }

    @Test("a refusal repeats no more than the beginning of what was sent")
    func longInput() throws {
        var model = RefusalTests.model
        let name = String(repeating: "x", count: 1 << 20)
        let refusals = [
            model.apply(.deleteTopic(topic: .name(name), ifVersion: nil)), model.apply(RefusalTests.create(name)),
            model.apply(.configure(.cluster, name, "1")), model.apply(.configure(.cluster, "retention.ms", name)),
            model.apply(RefusalTests.registering { $0.rack = name }),
            model.apply(RefusalTests.registering { $0.endpoints[0].host = name }),
            model.apply(RefusalTests.registering { $0.endpoints[0].name = name }),
        ].compactMap(\.refusal)
        #expect(refusals.count == 7)
        for refusal in refusals { #expect(refusal.detail.utf8.count < 400) }
    }
}
