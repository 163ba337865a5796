import MetadataModel
import Testing

@Suite("commands that name many partitions")
struct PartitionCommandTests {
    /// Brokers 1 to 4 active; topic 1 "orders" with partitions led by 1, 1 and 2.
    private func model() -> Model {
        var model = Model()
        model.addBrokers(1...4)
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3], [1, 3, 2], [2, 3, 1]])
        return model
    }

    @Test("a stale report does not hold up the others of its batch (KIP-497)")
    func batch() {
        var model = model()
        let reports = [
            model.isrReport(1, 0, isr: [1, 2]), model.isrReport(1, 1, isr: [1]) { $0.partitionEpoch = 7 },
            model.isrReport(1, 2, isr: [2, 3]), model.isrReport(1, 5, isr: [1]), model.isrReport(9, 0, isr: [1]),
            model.isrReport(1, 0, isr: [1, 3]),
        ]
        let applied = model.applyEntry(
            .alterPartitions(
                Command.AlterPartitions(broker: BrokerID(1), brokerEpoch: model.epoch(1), reports: reports)))
        #expect(
            applied.outcome.results?.map(\.summary) == [
                "leader 1, epochs 0 and 1", "stale_partition_epoch", "not_leader_of_partition", "partition_not_found",
                "topic_not_found", "invalid_request",
            ])
        #expect(applied.event?.changes.count == 1)
        #expect(model.partition(1, 0)?.isr == .init(1, 2))
        model.checkInvariants()
    }

    @Test("a member that was registered anew since it caught up is refused, per partition (KIP-903)")
    func epochsOfMembers() {
        var model = model()
        model.apply(.setFeatureLevel(Limits.featureLevelOfSteps))
        for index in Int32(0)...1 { model.apply(model.report(1, index, isr: [1])) }
        let caughtUp = model.epoch(2)
        model.fence(2)
        model.register(2, incarnation: 2)
        model.unfence(2)
        func epochs(_ ids: Int32...) -> [BrokerEpoch] { ids.map { model.epoch($0) } }
        let reports = [
            model.isrReport(1, 0, isr: [1, 2]) { $0.isrEpochs = [model.epoch(1), caughtUp] },
            model.isrReport(1, 1, isr: [3, 1]) { $0.isrEpochs = epochs(3, 1) },
        ]
        let outcome = model.apply(
            .alterPartitions(.init(broker: BrokerID(1), brokerEpoch: model.epoch(1), reports: reports)))
        #expect(outcome.results?.map(\.summary) == ["stale_broker_epoch", "leader 1, epochs 0 and 2"])
        func refusal(_ isr: [Int32], _ epochs: [BrokerEpoch]) -> Refusal.Reason? {
            model.refusal(model.report(1, 0, isr: isr) { $0.isrEpochs = epochs })
        }
        #expect(refusal([1, 2], epochs(1, 2)) == nil)
        #expect(refusal([1, 2], [model.epoch(1), BrokerEpoch(0)]) == nil, "its leader does not know it")
        #expect(refusal([1, 2], []) == nil, "a leader that does not say")
        #expect(refusal([2, 1], [model.epoch(2), caughtUp]) == .staleBrokerEpoch, "in the order of the members")
        #expect(refusal([1, 2], epochs(1)) == .invalidRequest)
        model.checkInvariants()
    }

    @Test("a report that changes nothing is done, and takes no version")
    func unchanged() {
        var model = model()
        let version = model.machine.version
        let applied = model.applyEntry(
            .alterPartitions(
                Command.AlterPartitions(
                    broker: BrokerID(1), brokerEpoch: model.epoch(1), reports: [model.isrReport(1, 0, isr: [3, 1, 2])]))
        )
        #expect(applied.outcome.results?.map(\.summary) == ["leader 1, epochs 0 and 0"])
        #expect(applied.event == nil && model.machine.version == version)
    }

    @Test("a batch at its limit is taken, one beyond it is refused")
    func limit() {
        var model = Model()
        model.addBrokers(1...2)
        let most = Limits.partitionsPerCommandMax
        model.createTopic("wide", id: 1, partitions: Int32(most + 1), replicationFactor: 2)
        let keys = model.storage.partitions(of: TopicID(1)).map(\.key)
        let elect = { Command.electLeaders(Command.ElectLeaders(.preferred, partitions: $0)) }
        #expect(model.apply(elect(Array(keys.prefix(most)))).results?.count == most)
        #expect(model.refusal(elect(keys)) == .limitExceeded)
    }

    @Test("a preferred election gives partitions back to the first of their replicas that is in sync (KIP-460)")
    func preferred() {
        var model = model()
        model.fence(1)
        model.unfence(1)
        model.apply(model.report(1, 0, isr: [1, 2, 3]))
        let applied = model.apply(
            .electLeaders(
                Command.ElectLeaders(
                    .preferred, partitions: (0..<3).map { PartitionKey(topic: TopicID(1), index: PartitionIndex($0)) }))
        )
        #expect(
            applied.results?.map(\.summary) == ["leader 1, epochs 2 and 3", "not_in_isr", "leader 2, epochs 0 and 1"])
        #expect(model.partition(1, 0)?.leader == BrokerID(1))
        #expect(model.partition(1, 1)?.leader == BrokerID(3), "broker 1 is not in sync there yet")
        model.checkInvariants()
    }
}

extension Model {
    /// A report with the current epochs, which the caller may spoil.
    func isrReport(
        _ topic: UInt64, _ index: Int32, isr: [Int32], spoil: (inout Command.ISRReport) -> Void = { _ in }
    ) -> Command.ISRReport {
        let partition = partition(topic, index)
        var report = Command.ISRReport(
            partition: PartitionKey(topic: TopicID(topic), index: PartitionIndex(index)),
            leaderEpoch: partition?.leaderEpoch ?? 0, partitionEpoch: partition?.partitionEpoch ?? 0,
            isr: isr.map { BrokerID($0) })
        spoil(&report)
        return report
    }

    /// Begins a reassignment, or cancels it when `replicas` is nil.
    @discardableResult
    mutating func reassign(_ topic: UInt64, _ index: Int32, to replicas: [Int32]?) -> String? {
        let key = PartitionKey(topic: TopicID(topic), index: PartitionIndex(index))
        let reassignment = Command.Reassignment(partition: key, replicas: replicas?.map { BrokerID($0) })
        return apply(.reassignPartitions(Command.ReassignPartitions([reassignment]))).results?.first?.summary
    }
}

extension CommandOutcome {
    var results: [PartitionResult]? {
        guard case .done(.partitions(let results)) = self else { return nil }
        return results
    }
}

extension PartitionResult {
    var summary: String {
        switch self {
        case .done(let leader, let leaderEpoch, let partitionEpoch):
            "leader \(leader.map(\.description) ?? "none"), epochs \(leaderEpoch) and \(partitionEpoch)"
        case .refused(let refusal): refusal.reason.rawValue
        }
    }
}

extension Partition {
    /// `replicas, ISR, eligible, +adding -removing` in a line.
    var shape: String {
        func list(_ brokers: [BrokerID]) -> String { brokers.map(\.description).joined(separator: ",") }
        var text = "[\(list(replicas))] isr \(list(isr)) leader \(leader.map(\.description) ?? "none")"
        if !eligibleLeaders.isEmpty { text += " elr \(list(eligibleLeaders))" }
        if !adding.isEmpty { text += " +\(list(adding))" }
        if !removing.isEmpty { text += " -\(list(removing))" }
        return text
    }
}
