import MetadataModel
import Testing

@Suite("return and removal in steps")
struct UnfinishedWorkTests {
    private static let step = Limits.partitionsPerStepMax

    /// Brokers 1 to 3 active.
    private func model(level: UInt32 = Limits.featureLevelOfUnfinishedWork) -> Model {
        var model = Model()
        model.apply(.setFeatureLevel(level))
        model.addBrokers(1...3)
        return model
    }

    private func work(_ model: Model) -> UnfinishedWork {
        UnfinishedWork(text: model.storage.config(.cluster, name: UnfinishedWork.configName)?.value)
    }

    private func offline(_ model: Model) -> Int {
        model.storage.partitions(.offline, after: nil, limit: .max).count
    }

    private func held(_ model: Model, by id: Int32) -> Int {
        model.storage.partitions(withReplica: BrokerID(id), after: nil, limit: .max).count
    }

    private func changed(_ applied: Applied) -> Int {
        (applied.event?.changes ?? []).count { if case .partitionChanged = $0 { true } else { false } }
    }

    private func fenceWhole(_ id: Int32, _ model: inout Model) {
        for _ in 0..<10 where model.storage.broker(BrokerID(id))?.state != .fenced { model.fence(id) }
        #expect(model.storage.broker(BrokerID(id))?.state == .fenced)
    }

    /// `count` partitions on broker 1 alone, which is fenced.
    private func dark(_ count: Int, level: UInt32 = Limits.featureLevelOfUnfinishedWork) -> Model {
        var model = model(level: level)
        model.createTopic("dark", id: 1, assignment: Array(repeating: [1], count: count))
        fenceWhole(1, &model)
        #expect(offline(model) == count)
        return model
    }

    /// `count` partitions on brokers 1 and 2, of which 1 is fenced.
    private func pairs(_ count: Int, level: UInt32 = Limits.featureLevelOfUnfinishedWork) -> Model {
        var model = model(level: level)
        model.createTopic("pairs", id: 2, assignment: Array(repeating: [1, 2], count: count))
        fenceWhole(1, &model)
        return model
    }

    @Test("a broker with no more partitions than a step comes back, or goes, in one entry")
    func few() {
        var returning = dark(Self.step - 1)
        returning.unfence(1)
        #expect(offline(returning) == 0 && work(returning).isEmpty)
        returning.checkInvariants()
        var leaving = pairs(Self.step - 1)
        leaving.apply(.unregisterBroker(id: BrokerID(1), epoch: nil, force: true))
        #expect(leaving.storage.broker(BrokerID(1)) == nil && work(leaving).isEmpty)
        leaving.checkInvariants()
    }

    @Test("one with more leads at once, and its partitions without a leader come back step by step")
    func returning() {
        var model = dark(Self.step * 2 + 1)
        #expect(changed(model.applyEntry(.unfenceBroker(id: BrokerID(1), epoch: model.epoch(1)))) == Self.step)
        for left in [Self.step + 1, 1] {
            #expect(model.storage.broker(BrokerID(1))?.state == .active)
            #expect(offline(model) == left)
            #expect(work(model).sorted.map(\.broker) == [BrokerID(1)])
            model.checkInvariants()
            let again = model.applyEntry(.unfenceBroker(id: BrokerID(1), epoch: model.epoch(1)))
            #expect(again.event == nil, "it is active")
            #expect(changed(model.applyEntry(.takeStep)) == min(left, Self.step))
        }
        #expect(offline(model) == 0 && work(model).isEmpty)
        #expect(model.storage.partitions(of: TopicID(1)).allSatisfy { $0.leader == BrokerID(1) && $0.leaderEpoch == 2 })
        #expect(model.applyEntry(.takeStep).event == nil)
        model.checkInvariants()
    }

    @Test("where no partition is offline a return costs nothing, however much the broker holds")
    func nothingOffline() {
        var model = pairs(Self.step * 2)
        #expect(changed(model.applyEntry(.unfenceBroker(id: BrokerID(1), epoch: model.epoch(1)))) == 0)
        #expect(work(model).isEmpty)
    }

    @Test("what another command touches is led at once, and a broker that is fenced on the way takes its item with it")
    func interrupted() {
        var model = dark(Self.step + 2)
        model.unfence(1)
        let last = PartitionKey(topic: TopicID(1), index: PartitionIndex(Int32(Self.step + 1)))
        model.apply(.electLeaders(.init(.unclean, partitions: [last])))
        #expect(model.storage.partition(last)?.leader == BrokerID(1) && offline(model) == 1)
        model.checkInvariants()
        model.fence(1)
        #expect(model.storage.broker(BrokerID(1))?.state == .fencing)
        #expect(changed(model.applyEntry(.takeStep)) == 0)
        #expect(work(model).isEmpty)
        fenceWhole(1, &model)
        // A step that was on its way when it was fenced makes nobody active.
        model.apply(.takeStep)
        #expect(model.storage.broker(BrokerID(1))?.state == .fenced && offline(model) == Self.step + 2)
        model.checkInvariants()
    }

    @Test("a broker with more is forced out step by step: it stays fenced until its last replica has left")
    func forcedOut() {
        var model = pairs(Self.step * 2 + 1)
        let epoch = model.epoch(1)
        let command = Command.unregisterBroker(id: BrokerID(1), epoch: epoch, force: true)
        #expect(changed(model.applyEntry(command)) == Self.step)
        #expect(model.storage.broker(BrokerID(1))?.state == .fenced)
        #expect(held(model, by: 1) == Self.step + 1)
        #expect(work(model).isForcingOut(BrokerID(1), epoch: epoch))
        #expect(model.refusal(.unfenceBroker(id: BrokerID(1), epoch: epoch)) == .invalidRequest)
        model.checkInvariants()
        model.apply(.takeStep)
        #expect(held(model, by: 1) == 1)
        model.checkInvariants()
        model.apply(.takeStep)
        #expect(model.storage.broker(BrokerID(1)) == nil && work(model).isEmpty)
        #expect(model.storage.partitions(of: TopicID(2)).allSatisfy { $0.replicas == .init(2) })
        model.checkInvariants()
    }

    @Test("it is refused before its first step when a partition has no other replica")
    func onlyReplica() {
        var model = pairs(Self.step + 1)
        model.createTopic("dark", id: 9, assignment: [[2]])
        model.fence(2)
        for _ in 0..<3 { model.fence(2) }
        let command = Command.unregisterBroker(id: BrokerID(2), epoch: nil, force: true)
        #expect(model.refusal(command) == .brokerNotEmpty)
        #expect(work(model).isEmpty && held(model, by: 2) == Self.step + 2)
    }

    @Test("of two that are forced out together a partition of both keeps the replica that it has last")
    func together() {
        var model = model()
        model.createTopic("one", id: 1, assignment: Array(repeating: [1, 3], count: Self.step))
        model.createTopic("two", id: 2, assignment: Array(repeating: [2, 3], count: Self.step))
        model.createTopic("both", id: 3, assignment: Array(repeating: [1, 2], count: 10))
        fenceWhole(1, &model)
        fenceWhole(2, &model)
        for id in [Int32(1), 2] {
            #expect(model.apply(.unregisterBroker(id: BrokerID(id), epoch: nil, force: true)).refusal == nil)
        }
        #expect(work(model).sorted.count == 2)
        for _ in 0..<2 {
            model.checkInvariants()
            model.apply(.takeStep)
        }
        #expect(work(model).isEmpty)
        #expect(model.storage.broker(BrokerID(1)) == nil)
        #expect(model.storage.broker(BrokerID(2))?.state == .fenced && held(model, by: 2) == 10)
        #expect(model.storage.partitions(of: TopicID(3)).allSatisfy { $0.replicas == .init(2) })
        model.checkInvariants()
    }

    @Test("another process under the id of a broker that is forced out takes over what is left")
    func replaced() {
        var model = pairs(Self.step + 1)
        model.apply(.unregisterBroker(id: BrokerID(1), epoch: nil, force: true))
        #expect(model.register(1, incarnation: 2).refusal == nil)
        model.apply(.takeStep)
        #expect(work(model).isEmpty && held(model, by: 1) == 1)
        model.unfence(1)
        #expect(model.storage.broker(BrokerID(1))?.state == .active)
        model.checkInvariants()
    }

    @Test("below its level both are done in one entry, and a step is answered as by a build that does not know it")
    func olderLevel() {
        let level = Limits.featureLevelOfUnfinishedWork - 1
        var returning = dark(Self.step + 1, level: level)
        #expect(returning.refusal(.takeStep) == .unknownCommand)
        returning.unfence(1)
        #expect(offline(returning) == 0)
        var leaving = pairs(Self.step + 1, level: level)
        leaving.apply(.unregisterBroker(id: BrokerID(1), epoch: nil, force: true))
        #expect(leaving.storage.broker(BrokerID(1)) == nil)
        leaving.checkInvariants()
    }

    @Test("the row says what it was made from, nobody else writes it, and its longest text fits")
    func text() {
        var model = dark(Self.step + 1)
        model.unfence(1)
        let text = model.storage.config(.cluster, name: UnfinishedWork.configName)?.value
        #expect(text == "1:\(model.epoch(1)):returning:7:1:\(Self.step - 1)")
        #expect(UnfinishedWork(text: text).text == text)
        #expect(model.refusal(.configure(.cluster, UnfinishedWork.configName, "1:1:returning:1:1:1")) == .invalidConfig)
        for wrong in ["1:2", "a:1:returning:1:1:1", "1:1:sleeping:1:1:1", "1:1:returning:1:1:1 x"] {
            #expect(UnfinishedWork(text: wrong).isEmpty, "\(wrong)")
        }
        let most = Limits.unfinishedMax
        func widest(_ count: Int) -> String {
            (0..<count).map {
                "\(Int32.max - Int32($0)):\(UInt64.max):forced_out:\(UInt64.max):\(UInt64.max):\(Int32.max)"
            }.joined(separator: " ")
        }
        #expect(UnfinishedWork(text: widest(most)).sorted.count == most)
        #expect(UnfinishedWork(text: widest(most + 1)).isEmpty, "nobody writes as many")
        #expect(widest(most).utf8.count <= Limits.configValueBytesMax)
    }
}
