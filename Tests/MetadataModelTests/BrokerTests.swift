import MetadataModel
import Testing

@Suite("brokers")
struct BrokerTests {
    @Test("a new broker starts fenced, with the index of its registration as its epoch (KIP-631)")
    func registration() {
        var model = Model()
        model.index = 41
        let applied = model.applyEntry(.registerBroker(.sample(1, rack: "r1")))
        let command = Command.RegisterBroker.sample(1, rack: "r1")
        let expected = Broker(
            id: BrokerID(1), epoch: BrokerEpoch(42), incarnation: command.incarnation, endpoints: command.endpoints,
            rack: "r1", state: .fenced, version: Version(42))
        #expect(applied.outcome == .done(.registered(BrokerEpoch(42), Version(42))))
        #expect(applied.event == ChangeEvent(version: Version(42), changes: [.brokerChanged(expected)]))
        #expect(model.storage.brokers() == [expected])
    }

    @Test("the same process registering again keeps its epoch and state, and moves the version only with a change")
    func sameIncarnation() {
        var model = Model()
        model.addBrokers(1...1)
        let again = model.applyEntry(.registerBroker(.sample(1)))
        #expect(again == Applied(outcome: .done(.registered(BrokerEpoch(1), Version(2))), event: nil, wasReplay: false))
        let moved = model.register(1, rack: "elsewhere")
        #expect(moved == .done(.registered(BrokerEpoch(1), Version(4))))
        #expect(model.storage.broker(BrokerID(1))?.state == .active)
        #expect(model.storage.broker(BrokerID(1))?.rack == "elsewhere")
    }

    @Test("another process takes over a fenced broker with a new epoch; its replicas stay")
    func takeover() {
        var model = Model()
        model.addBrokers(1...2)
        model.createTopic("orders", id: 1, assignment: [[1, 2]])
        model.fence(1)
        let old = model.epoch(1)
        let partition = model.partition(1, 0)
        let takeover = model.register(1, incarnation: 2)
        #expect(takeover == .done(.registered(BrokerEpoch(model.index), Version(model.index))))
        #expect(model.storage.broker(BrokerID(1))?.state == .fenced)
        #expect(model.partition(1, 0) == partition)
        #expect(model.refusal(.unfenceBroker(id: BrokerID(1), epoch: old)) == .staleBrokerEpoch)
    }

    @Test("fencing moves leadership to the first active ISR member in replica order, and shrinks every ISR")
    func fencing() {
        var model = Model()
        model.addBrokers(1...4)
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3], [2, 1, 3], [2, 3, 4], [1, 4, 2]])
        model.apply(model.report(1, 3, isr: [1, 2]))
        let applied = model.applyEntry(.fenceBroker(id: BrokerID(1), epoch: model.epoch(1)))
        let version = Version(model.index)
        func partition(_ index: Int32, leader: Int32, _ epochs: (Int32, Int32), _ replicas: [Int32], _ isr: [Int32])
            -> Partition
        {
            Partition(
                key: PartitionKey(topic: TopicID(1), index: PartitionIndex(index)), leader: BrokerID(leader),
                leaderEpoch: epochs.0, partitionEpoch: epochs.1, replicas: replicas.map { BrokerID($0) },
                isr: isr.map { BrokerID($0) }, version: version)
        }
        let moved = [
            partition(0, leader: 2, (1, 1), [1, 2, 3], [2, 3]), partition(1, leader: 2, (0, 1), [2, 1, 3], [2, 3]),
            partition(3, leader: 2, (1, 2), [1, 4, 2], [2]),
        ]
        #expect(applied.outcome == .done(.changed(version)))
        #expect(applied.event?.changes.dropFirst() == moved.map { .partitionChanged($0, topicName: "orders") }[...])
        #expect(model.partition(1, 2)?.partitionEpoch == 0)
        #expect(model.storage.broker(BrokerID(1))?.state == .fenced)
        model.checkInvariants()
    }

    @Test("the last member stays in the ISR when its broker dies, and leads again when it is back")
    func lastMember() {
        var model = Model()
        model.addBrokers(1...2)
        model.createTopic("orders", id: 1, assignment: [[1, 2]])
        model.fence(2)
        model.fence(1)
        #expect(model.partition(1, 0)?.leader == nil)
        #expect(model.partition(1, 0)?.isr == .init(1))
        #expect(model.partition(1, 0)?.leaderEpoch == 1)
        model.unfence(2)
        #expect(model.partition(1, 0)?.leader == nil, "unclean election is off: broker 2 was not in sync")
        model.unfence(1)
        #expect(model.partition(1, 0)?.leader == BrokerID(1))
        #expect(model.partition(1, 0)?.leaderEpoch == 2)
        #expect(model.partition(1, 0)?.partitionEpoch == 3)
        model.checkInvariants()
    }

    @Test("fencing what is fenced and unfencing what is active changes nothing")
    func idempotence() {
        var model = Model()
        model.addBrokers(1...1)
        let version = model.machine.version
        let unfenced = model.applyEntry(.unfenceBroker(id: BrokerID(1), epoch: model.epoch(1)))
        #expect(unfenced == Applied(outcome: .done(.changed(version)), event: nil, wasReplay: false))
        model.fence(1)
        let fencedAt = model.machine.version
        let fenced = model.applyEntry(.fenceBroker(id: BrokerID(1), epoch: model.epoch(1)))
        #expect(fenced == Applied(outcome: .done(.changed(fencedAt)), event: nil, wasReplay: false))
    }

    @Test("a broker with more partitions than a page is fenced and unfenced whole")
    func manyPartitions() {
        var model = Model()
        model.addBrokers(1...1)
        let count = Int32(Limits.pageItemsMax * 2 + 1)
        model.createTopic("wide", id: 1, partitions: count)
        model.fence(1)
        #expect(model.storage.partitions(of: TopicID(1)).allSatisfy { $0.leader == nil && $0.leaderEpoch == 1 })
        model.unfence(1)
        #expect(model.storage.partitions(of: TopicID(1)).allSatisfy { $0.leader == BrokerID(1) && $0.leaderEpoch == 2 })
        #expect(model.storage.brokerLoads() == [BrokerLoad(id: BrokerID(1), replicas: Int(count), leaders: Int(count))])
    }

    @Test("an unregistered broker takes its configurations with it")
    func unregistration() {
        var model = Model()
        model.addBrokers(1...1)
        model.apply(.configure(.broker(BrokerID(1)), "user.a", "1"))
        let applied = model.applyEntry(.unregisterBroker(id: BrokerID(1), epoch: model.epoch(1)))
        #expect(applied.event?.changes == [.brokerRemoved(BrokerID(1))])
        #expect(model.machine.digest == 0)
    }

    @Test(
        "a broker that is fencing or shutting down leads nothing new, joins nothing and cannot be replaced yet",
        arguments: [Broker.State.fencing, .shuttingDown])
    func leaving(state: Broker.State) {
        var model = Model()
        model.addBrokers(1...3)
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3]])
        model.apply(model.report(1, 0, isr: [1, 2]))
        for id in [Int32(2), 3] {
            guard let before = model.storage.broker(BrokerID(id)) else { continue }
            var after = before
            after.state = state
            model.machine.storage.apply(.broker(before: before, after: after))
        }
        #expect(model.refusal(.move(1, 0, to: 2)) == .brokerFenced)
        #expect(model.refusal(model.report(1, 0, isr: [1, 2, 3])) == .brokerFenced)
        #expect(model.refusal(.createTopic(.sample("new", id: 2, replicationFactor: 2))) == .notEnoughBrokers)
        #expect(model.refusal(.registerBroker(.sample(3, incarnation: 2))) == .brokerIDInUse)
        let unfence = Command.unfenceBroker(id: BrokerID(3), epoch: model.epoch(3))
        #expect(model.refusal(unfence) == .invalidRequest)
        model.fence(1)
        #expect(model.partition(1, 0)?.leader == nil, "broker 2 is in sync, but may not lead")
        model.fence(3)
        #expect(model.storage.broker(BrokerID(3))?.state == .fenced)
    }
}
