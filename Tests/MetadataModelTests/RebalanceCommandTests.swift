import MetadataModel
import Testing

@Suite("rebalances in the log")
struct RebalanceCommandTests {
    private var model = Model()

    init() {
        model.addBrokers(1...4)
        model.createTopic("orders", id: 1, assignment: [[1, 2], [2, 3]])
        model.apply(.setFeatureLevel(Limits.featureLevelOfRebalances))
    }

    private static let start = Command.startRebalance(
        .init(strategy: .roundRobin, origin: .request, excluded: [BrokerID(4), BrokerID(2), BrokerID(4)]))

    private var latest: Rebalance? {
        model.storage.config(.cluster, name: Rebalance.configName).flatMap { Rebalance($0) }
    }

    private func move(_ index: Int32, _ replicas: [BrokerID]?, epoch: Int32 = 0) -> Command.ReplicaMove {
        .init(
            partition: PartitionKey(topic: TopicID(1), index: PartitionIndex(index)), replicas: replicas,
            partitionEpoch: epoch)
    }

    private func refusals(_ outcome: CommandOutcome) -> [Refusal.Reason?] {
        guard case .done(.partitions(let results)) = outcome else { return [outcome.refusal?.reason] }
        return results.map { result in
            switch result {
            case .done: nil
            case .refused(let refusal): refusal.reason
            }
        }
    }

    @Test("a rebalance is a row that says when it began and how it ended")
    mutating func life() {
        model.timeMilliseconds = 5_000
        model.apply(Self.start)
        let id = Version(model.index)
        var expected = Rebalance(
            id: id, origin: .request, strategy: .roundRobin, excluded: [BrokerID(2), BrokerID(4)],
            startedMilliseconds: 5_000, state: .running)
        #expect(latest == expected && latest?.isRunning == true)
        model.timeMilliseconds = 9_000
        let end = Command.endRebalance(.init(rebalance: id, ending: .abandoned, detail: "no state=running here"))
        #expect(model.apply(end) == .done(.changed(Version(model.index))))
        expected.state = .ended(.abandoned, milliseconds: 9_000, detail: "no state=running here")
        #expect(latest == expected)
        model.checkInvariants()
    }

    @Test("a text that is no rebalance is none, whatever is cut off or added")
    func text() {
        let texts = [
            Rebalance(
                id: Version(7), origin: .automatic, strategy: .sticky, excluded: [], startedMilliseconds: 1,
                state: .ended(.cancelled, milliseconds: 2, detail: "x y")),
            Rebalance(
                id: Version(7), origin: .request, strategy: .range, excluded: [BrokerID(1), BrokerID(30)],
                startedMilliseconds: 1, state: .running),
        ].map { rebalance in
            #expect(Rebalance(text: rebalance.text) == rebalance)
            return rebalance.text
        }
        #expect(
            texts[0] == "id=7 origin=automatic strategy=sticky excluded= started=1 state=cancelled ended=2 detail=x y")
        #expect(texts[1] == "id=7 origin=request strategy=range excluded=1,30 started=1 state=running")
        for length in 0..<texts[1].count { #expect(Rebalance(text: String(texts[1].prefix(length))) == nil) }
        for broken in ["", "id=7", texts[1] + " ", texts[1] + " ended=1", "x" + texts[1]] {
            #expect(Rebalance(text: broken) == nil, "\(broken)")
        }
    }

    @Test("one at a time, and only the one that is meant is ended")
    mutating func oneAtATime() {
        func reason(_ command: Command) -> Refusal.Reason? { model.refusal(command) }
        let end = Command.endRebalance(.init(rebalance: nil, ending: .cancelled))
        #expect(reason(end) == .noRebalanceInProgress)
        model.apply(Self.start)
        #expect(reason(Self.start) == .rebalanceInProgress)
        #expect(reason(.endRebalance(.init(rebalance: Version(1), ending: .cancelled))) == .noRebalanceInProgress)
        #expect(reason(.startRebalance(.init(strategy: .balanced, origin: .request))) == .rebalanceInProgress)
        model.apply(end)
        #expect(reason(end) == .noRebalanceInProgress)
        #expect(reason(.startRebalance(.init(strategy: .balanced, origin: .request))) == nil)
        let unknown = Command.startRebalance(.init(strategy: .balanced, origin: .request, excluded: [BrokerID(9)]))
        #expect(reason(unknown) == .brokerNotFound)
        let long = String(repeating: "x", count: Limits.rebalanceDetailBytesMax + 1)
        #expect(reason(.endRebalance(.init(rebalance: nil, ending: .finished, detail: long))) == .limitExceeded)
        let many = Array(repeating: BrokerID(1), count: Limits.excludedBrokersMax + 1)
        #expect(
            reason(.startRebalance(.init(strategy: .balanced, origin: .request, excluded: many))) == .limitExceeded)
    }

    @Test("a step moves what it was planned from, and nothing else")
    mutating func steps() throws {
        model.apply(Self.start)
        let id = try #require(latest?.id)
        let outcome = model.apply(
            .moveReplicas(
                .init(rebalance: id, moves: [move(0, .init(1, 3)), move(1, .init(2, 4), epoch: 7), move(5, nil)])))
        #expect(refusals(outcome) == [nil, .stalePartitionEpoch, .partitionNotFound])
        #expect(model.partition(1, 0)?.adding == [BrokerID(3)] && model.partition(1, 1)?.isReassigning == false)
        let cancel = Command.moveReplicas(.init(rebalance: id, moves: [move(0, nil, epoch: 1)]))
        #expect(refusals(model.apply(cancel)) == [nil])
        #expect(model.partition(1, 0)?.replicas == .init(1, 2))
        let other = Command.moveReplicas(.init(rebalance: Version(1), moves: [move(0, .init(1, 3), epoch: 2)]))
        #expect(model.refusal(other) == .noRebalanceInProgress)
    }

    @Test("outside of a rebalance replicas leave draining brokers and no others")
    mutating func drains() {
        let step = Command.moveReplicas(.init(rebalance: nil, moves: [move(0, .init(1, 3)), move(1, .init(2, 4))]))
        #expect(refusals(model.apply(step)) == [.invalidAssignment, .invalidAssignment])
        model.apply(.drainBroker(id: BrokerID(2), epoch: nil))
        #expect(refusals(model.apply(step)) == [nil, .invalidAssignment])
    }

    @Test("nobody writes the row but its own commands")
    mutating func row() {
        let write = Command.configure(.cluster, Rebalance.configName, "id=1")
        #expect(model.refusal(write) == .invalidConfig)
    }

    @Test("below their feature level they are answered as by a build that does not know them")
    func featureLevel() {
        var older = Model()
        older.addBrokers(1...2)
        older.apply(.setFeatureLevel(Limits.featureLevelOfRebalances - 1))
        let commands: [Command] = [
            .startRebalance(.init(strategy: .balanced, origin: .request)),
            .moveReplicas(.init(rebalance: nil, moves: [move(0, nil)])),
            .endRebalance(.init(rebalance: nil, ending: .cancelled)),
        ]
        older.apply(.openSession(timeoutMilliseconds: 60_000))
        let session = SessionID(older.index)
        for (sequence, command) in commands.enumerated() {
            var unknown = older
            let known = older.applyEntry(command, session: session, sequence: UInt64(sequence) + 1)
            let expected = unknown.applyEntry(nil, session: session, sequence: UInt64(sequence) + 1)
            #expect(known.outcome == expected.outcome && known.event == nil)
            #expect(older.machine.digest == unknown.machine.digest)
        }
    }
}
