import Coordination
import MetadataModel
import Testing

@Suite("the coordinator")
struct CoordinatorTests {
    private static let start = Command.startRebalance(.init(strategy: .balanced, origin: .request))

    private func random(_ seed: UInt64) -> CoordinatorCluster {
        var generator = SeededGenerator(seed: seed)
        let options = CoordinatorOptions(
            movesPerBrokerMax: Int(generator.next() % 4) + 1, movesMax: Int(generator.next() % 12) + 1)
        let brokers = Int32(generator.next() % 7) + 3
        return .random(
            options, seed: seed, brokers: brokers, racks: Int(generator.next() % 4), partitions: 60, factor: 2)
    }

    // MARK: Rebalances

    @Test("a rebalance ends even, whoever leads when, and keeps its limits", arguments: UInt64(1)...40)
    func terminates(seed: UInt64) {
        var cluster = random(seed)
        let mayDie = seed % 2 == 0
        cluster.leaderDies = mayDie ? 3 : 0
        cluster.surveyFails = mayDie ? 5 : 0
        #expect(cluster.apply(Self.start).refusal == nil)
        let wasUneven = cluster.plan().replicaMoves > 0
        let isDone = cluster.run { $0.rebalance?.isRunning == false && $0.reassigning.isEmpty }
        #expect(isDone, "seed \(seed): \(String(describing: cluster.coordinator.status))")
        guard case .ended(let ending, _, let detail) = cluster.rebalance?.state else { return }
        #expect(ending == .finished && detail.isEmpty, "seed \(seed): \(detail)")
        #expect(cluster.plan().replicaMoves == 0, "seed \(seed): it could be more even")
        #expect(cluster.mostUnderWay <= cluster.options.movesMax, "seed \(seed)")
        #expect(cluster.mostPerBroker <= cluster.options.movesPerBrokerMax, "seed \(seed)")
        if wasUneven { #expect(cluster.mostUnderWay > 0, "seed \(seed): something moved") }
        cluster.model.checkInvariants("seed \(seed)")
    }

    @Test("a new leader goes on wherever the old one was", arguments: 0..<60)
    func crashAtEveryPoint(tick: Int) {
        var cluster = CoordinatorCluster.random(
            .init(movesPerBrokerMax: 2, movesMax: 4), seed: 11, brokers: 5, racks: 0, partitions: 30, factor: 2)
        cluster.apply(Self.start)
        for _ in 0..<tick { cluster.tick() }
        cluster.leaderDies = 100
        cluster.tick()
        cluster.leaderDies = 0
        #expect(cluster.leaders == 2)
        #expect(cluster.run { $0.rebalance?.isRunning == false && $0.reassigning.isEmpty })
        #expect(cluster.plan().replicaMoves == 0)
        #expect(cluster.mostUnderWay <= 4 && cluster.mostPerBroker <= 2)
    }

    @Test("while it is paused by hand nothing is begun, under whichever leader, and it goes on when that is taken back")
    func pausedByHand() {
        var cluster = CoordinatorCluster.random(
            .init(movesPerBrokerMax: 2, movesMax: 4), seed: 11, brokers: 5, racks: 0, partitions: 30, factor: 2)
        func set(_ value: String?) -> Command {
            .alterConfigs(
                .init(resource: .cluster, changes: [ConfigChange(name: Rebalance.pauseConfigName, value: value)]))
        }
        #expect(cluster.apply(set("a disk is being replaced")).refusal == nil)
        #expect(cluster.apply(Self.start).refusal == nil)
        for round in 0..<400 {
            if round == 200 { cluster.leaderDies = 100 }
            cluster.tick()
            cluster.leaderDies = 0
            #expect(cluster.reassigning.isEmpty)
        }
        #expect(cluster.leaders == 2)
        #expect(cluster.coordinator.status?.activity == .paused)
        #expect(cluster.coordinator.status?.detail == "paused by hand: a disk is being replaced")
        #expect(cluster.apply(set(nil)).refusal == nil)
        #expect(cluster.run { $0.rebalance?.isRunning == false && $0.reassigning.isEmpty })
        #expect(cluster.plan().replicaMoves == 0)
    }

    @Test("two rebalances never overlap")
    func overlap() {
        var cluster = random(3)
        cluster.apply(Self.start)
        #expect(cluster.apply(Self.start).refusal?.reason == .rebalanceInProgress)
        #expect(cluster.run { $0.rebalance?.isRunning == false })
        #expect(cluster.apply(Self.start).refusal == nil)
    }

    @Test("steps of a rebalance that was cancelled are refused, and what is under way goes on to its end")
    func cancel() throws {
        var cluster = CoordinatorCluster.random(
            .init(movesPerBrokerMax: 2, movesMax: 4), seed: 5, brokers: 6, racks: 0, partitions: 60, factor: 2)
        cluster.copies = 0
        cluster.apply(Self.start)
        #expect(cluster.run(ticks: 100) { $0.reassigning.count == 4 })
        let rebalance = try #require(cluster.rebalance)
        cluster.apply(.endRebalance(.init(rebalance: nil, ending: .cancelled, detail: "by hand")))
        let partition = try #require(cluster.model.storage.partitions(.all, after: nil, limit: 1).first)
        let late = Command.moveReplicas(
            .init(
                rebalance: rebalance.id,
                moves: [
                    .init(partition: partition.key, replicas: partition.replicas.reversed(), partitionEpoch: 0)
                ]))
        #expect(cluster.apply(late).refusal?.reason == .noRebalanceInProgress)
        cluster.copies = 50
        #expect(cluster.run(ticks: 1_000) { $0.reassigning.isEmpty })
        let moves = cluster.applied.count
        for _ in 0..<200 { cluster.tick() }
        #expect(cluster.applied.count == moves, "nothing moves any more")
    }

    @Test("a move that gets nowhere is taken back also when its rebalance was cancelled")
    func stalledAfterCancel() {
        var cluster = CoordinatorCluster.random(
            .init(movesPerBrokerMax: 2, movesMax: 4, stepMilliseconds: 1_000), seed: 5, brokers: 6, racks: 0,
            partitions: 60, factor: 2)
        cluster.copies = 0
        cluster.apply(Self.start)
        #expect(cluster.run(ticks: 100) { $0.reassigning.count == 4 })
        cluster.apply(.endRebalance(.init(rebalance: nil, ending: .cancelled)))
        #expect(cluster.run(ticks: 200) { $0.reassigning.isEmpty })
        #expect(cluster.run(ticks: 200) { $0.coordinator.status?.movesUnderWay == 0 })
    }

    @Test("leaders follow their replicas when a rebalance is finished")
    func leadersFollow() {
        var cluster = CoordinatorCluster(.init(movesPerBrokerMax: 20, movesMax: 20), seed: 1)
        cluster.apply(.setFeatureLevel(Limits.featureLevelOfRebalances))
        cluster.model.addBrokers(0...1)
        cluster.model.createTopic("t", id: 1, assignment: Array(repeating: [0, 1], count: 12))
        cluster.begin()
        cluster.apply(Self.start)
        #expect(cluster.run(ticks: 1_000) { $0.model.storage.brokerLoads().map(\.leaders) == [6, 6] })
    }

    @Test("a move of which nobody gets in sync is taken back, with its reason, and the rest goes on")
    func stepTimeout() {
        var cluster = CoordinatorCluster.random(
            .init(movesPerBrokerMax: 2, movesMax: 4, stepMilliseconds: 1_000), seed: 6, brokers: 6, racks: 0,
            partitions: 40, factor: 2)
        cluster.model.addBrokers(6...6)
        cluster.begin()
        cluster.sluggish = [BrokerID(6)]
        cluster.apply(Self.start)
        #expect(cluster.run { $0.coordinator.status?.stuckCount ?? 0 > 0 })
        let reason = cluster.coordinator.status?.stuck.first?.reason ?? ""
        #expect(reason == "broker 6 did not get in sync within 1 s")
        #expect(cluster.coordinator.status?.stepTimeouts ?? 0 > 0)
        #expect(cluster.run { $0.rebalance?.isRunning == false && $0.reassigning.isEmpty })
        // As many moves as may go to one broker at a time have failed, and nothing more is planned for it.
        guard case .ended(let ending, _, let detail) = cluster.rebalance?.state else { return }
        #expect(ending == .finished)
        #expect(detail == "2 replicas could not move; the first: broker 6 did not get in sync within 1 s")
        #expect(cluster.replicas(on: 6) == 0)
        #expect(cluster.mostUnderWay > 0 && cluster.mostPerBroker <= 2)
    }

    @Test("while the cluster is not healthy nothing moves, and the status says why")
    func backOff() {
        func paused(_ spoil: (inout CoordinatorCluster) -> Void) -> (String, Int) {
            var cluster = CoordinatorCluster.random(
                .init(), seed: 7, brokers: 6, racks: 0, partitions: 40, factor: 2)
            spoil(&cluster)
            cluster.apply(Self.start)
            for _ in 0..<200 { cluster.tick() }
            return (cluster.coordinator.status?.detail ?? "", cluster.mostUnderWay)
        }
        #expect(
            paused { $0.apply(.fenceBroker(id: BrokerID(2), epoch: $0.model.epoch(2))) } == ("broker 2 is fenced", 0))
        #expect(
            paused { $0.quorumTrouble = "the quorum could not lose another member" } == (
                "the quorum could not lose another member", 0
            ))
        let offline = paused {
            $0.model.createTopic("single", id: 99, assignment: [[5]])
            $0.apply(.drainBroker(id: BrokerID(5), epoch: nil))
            $0.apply(.fenceBroker(id: BrokerID(5), epoch: $0.model.epoch(5)))
        }
        #expect(offline.0 == "1 partitions are offline" && offline.1 == 0)
        #expect(paused { _ in }.1 > 0, "the cluster itself could be moved")
    }

    @Test("what somebody else began counts against the limits and is not taken back")
    func foreign() throws {
        var cluster = CoordinatorCluster.random(
            .init(movesPerBrokerMax: 1, movesMax: 2, stepMilliseconds: 100_000), seed: 8, brokers: 5, racks: 0,
            partitions: 30, factor: 2)
        cluster.copies = 0
        let partition = try #require(cluster.model.partition(1, 0))
        let spare = try #require((0..<5).map { BrokerID($0) }.first { !partition.replicas.contains($0) })
        let target = [partition.replicas[0], spare]
        cluster.apply(.reassignPartitions(.init([.init(partition: partition.key, replicas: target)])))
        cluster.apply(Self.start)
        for _ in 0..<100 { cluster.tick() }
        #expect(cluster.mostUnderWay <= 2 && cluster.mostPerBroker <= 1)
        #expect(cluster.reassigning.contains { $0.key == partition.key }, "it is not the coordinator's")
    }

    @Test("what somebody else began and gets nowhere is not taken back, says why, and holds up no rebalance")
    func foreignAndStuck() throws {
        var cluster = CoordinatorCluster.random(
            .init(movesPerBrokerMax: 1, movesMax: 1, stepMilliseconds: 1_000), seed: 8, brokers: 5, racks: 0,
            partitions: 30, factor: 2)
        let partition = try #require(cluster.model.partition(1, 0))
        let spare = try #require((0..<5).map { BrokerID($0) }.first { !partition.replicas.contains($0) })
        cluster.begin()
        cluster.sluggish = [spare]
        let target = [partition.replicas[0], spare]
        cluster.apply(.reassignPartitions(.init([.init(partition: partition.key, replicas: target)])))
        cluster.apply(Self.start)
        #expect(cluster.run(ticks: 2_000) { $0.rebalance?.isRunning == false })
        #expect(cluster.reassigning.map(\.key) == [partition.key], "it is not the coordinator's")
        let stuck = cluster.coordinator.status?.stuck ?? []
        #expect(stuck.contains { $0.partition == partition.key && $0.broker == spare })
    }

    @Test("nothing is moved before the feature level that knows how")
    func featureLevel() {
        var cluster = CoordinatorCluster(.init(), seed: 1)
        cluster.model.addBrokers(0...3)
        cluster.model.createTopic("t", id: 1, assignment: [[0, 1], [0, 1], [0, 1]])
        cluster.begin()
        #expect(cluster.apply(Self.start).refusal?.reason == .unknownCommand)
        cluster.apply(.drainBroker(id: BrokerID(0), epoch: nil))
        for _ in 0..<100 { cluster.tick() }
        #expect(cluster.reassigning.isEmpty && cluster.coordinator.status?.activity == .paused)
        cluster.apply(.setFeatureLevel(Limits.featureLevelOfRebalances))
        #expect(cluster.run { $0.replicas(on: 0) == 0 })
    }

    @Test("rebalances start by themselves only when they are wanted and the cluster is uneven")
    func automatic() {
        func started(_ isOn: Bool, isUneven: Bool) -> Int {
            var cluster = CoordinatorCluster(
                .init(startsRebalances: isOn, rebalanceIntervalMilliseconds: 10_000), seed: 1)
            cluster.apply(.setFeatureLevel(Limits.featureLevelOfRebalances))
            cluster.model.addBrokers(0...3)
            let assignment: [[Int32]] =
                isUneven ? Array(repeating: [0, 1], count: 12) : [[0, 1], [1, 2], [2, 3], [3, 0]]
            cluster.model.createTopic("t", id: 1, assignment: assignment)
            cluster.begin()
            for _ in 0..<2_000 { cluster.tick() }
            return cluster.applied.count {
                if case .startRebalance = $0 { true } else { false }
            }
        }
        #expect(started(true, isUneven: true) == 1)
        #expect(started(true, isUneven: false) == 0)
        #expect(started(false, isUneven: true) == 0)
    }

    // MARK: Drains

    @Test("a draining broker is emptied by itself, whoever leads when", arguments: UInt64(1)...20)
    func drain(seed: UInt64) {
        var cluster = random(seed)
        cluster.leaderDies = seed % 2 == 0 ? 3 : 0
        cluster.apply(.drainBroker(id: BrokerID(1), epoch: nil))
        #expect(cluster.run { $0.replicas(on: 1) == 0 && $0.reassigning.isEmpty }, "seed \(seed)")
        #expect(cluster.mostUnderWay <= cluster.options.movesMax)
        #expect(cluster.mostPerBroker <= cluster.options.movesPerBrokerMax)
        #expect(cluster.apply(.unregisterBroker(id: BrokerID(1), epoch: nil)).refusal?.reason == nil, "it is empty")
    }

    @Test("a broker that drains and is dead is emptied too")
    func drainDead() {
        var cluster = random(4)
        cluster.apply(.fenceBroker(id: BrokerID(1), epoch: cluster.model.epoch(1)))
        cluster.apply(.drainBroker(id: BrokerID(1), epoch: nil))
        #expect(cluster.run { $0.replicas(on: 1) == 0 })
    }

    @Test("every replica that cannot leave a draining broker says why (redpanda 12030)")
    func blocked() {
        var cluster = CoordinatorCluster(.init(), seed: 1)
        cluster.apply(.setFeatureLevel(Limits.featureLevelOfRebalances))
        cluster.model.addBrokers(0...2)
        cluster.model.createTopic("t", id: 1, assignment: [[0, 1, 2]])
        cluster.model.createTopic("u", id: 2, assignment: [[1, 2], [0, 1]])
        cluster.begin()
        cluster.apply(.drainBroker(id: BrokerID(0), epoch: nil))
        #expect(cluster.run(ticks: 500) { $0.coordinator.status?.activity == .stuck })
        #expect(
            cluster.coordinator.status?.stuck == [
                StuckReplica(
                    partition: PartitionKey(topic: TopicID(1), index: PartitionIndex(0)), broker: BrokerID(0),
                    reason: "every broker that may be given replicas holds one already")
            ])
        #expect(cluster.coordinator.status?.drains.first?.id == BrokerID(0))
        // As soon as there is a place, it goes on.
        cluster.apply(.registerBroker(.sample(3)))
        cluster.apply(.unfenceBroker(id: BrokerID(3), epoch: cluster.model.epoch(3)))
        #expect(cluster.run(ticks: 1_000) { $0.replicas(on: 0) == 0 })
    }

    @Test("a drain that was taken back moves nothing any more")
    func cancelDrain() {
        var cluster = CoordinatorCluster.random(
            .init(movesPerBrokerMax: 1, movesMax: 1), seed: 9, brokers: 5, racks: 0, partitions: 40, factor: 2)
        cluster.apply(.drainBroker(id: BrokerID(1), epoch: nil))
        #expect(cluster.run { !$0.reassigning.isEmpty })
        cluster.apply(.cancelDrain(id: BrokerID(1), epoch: nil))
        #expect(cluster.run(ticks: 1_000) { $0.reassigning.isEmpty })
        let left = cluster.replicas(on: 1)
        for _ in 0..<300 { cluster.tick() }
        #expect(cluster.replicas(on: 1) == left && left > 0)
    }

    // MARK: Preferred leaders

    @Test("preferred leaders lead again in small batches, where they are in sync (KIP-1358)")
    func preferredLeaders() {
        var cluster = CoordinatorCluster(.init(leaderIntervalMilliseconds: 5_000), seed: 1)
        cluster.model.addBrokers(0...2)
        cluster.model.createTopic("t", id: 1, assignment: Array(repeating: [0, 1], count: 250))
        cluster.model.createTopic("lagging", id: 2, assignment: [[0, 2]])
        cluster.model.fence(0)
        cluster.model.unfence(0)
        for index in Int32(0)..<250 { cluster.model.apply(cluster.model.report(1, index, isr: [1, 0])) }
        cluster.begin()
        #expect(cluster.run(ticks: 1_000) { $0.model.partition(1, 249)?.leader == BrokerID(0) })
        #expect(cluster.model.partition(2, 0)?.leader == BrokerID(2), "not in sync")
        let batches = cluster.applied.compactMap { command in
            if case .electLeaders(let elect) = command { elect.partitions.count } else { nil }
        }
        #expect(batches == [100, 100, 50])
    }

    @Test("a few leaders out of place are left alone, and so are all when that is off")
    func leaderThreshold() {
        func elections(_ options: CoordinatorOptions) -> Int {
            var cluster = CoordinatorCluster(options, seed: 1)
            cluster.model.addBrokers(0...1)
            cluster.model.createTopic("t", id: 1, assignment: Array(repeating: [0, 1], count: 20))
            for index in Int32(0)..<2 { cluster.model.apply(.move(1, index, to: 1)) }
            cluster.begin()
            for _ in 0..<1_000 { cluster.tick() }
            return cluster.applied.count
        }
        #expect(elections(.init(leaderIntervalMilliseconds: 5_000)) == 0, "two of twenty are ten percent")
        #expect(elections(.init(leaderImbalanceMax: 0.09, leaderIntervalMilliseconds: 5_000)) == 1)
        #expect(
            elections(
                .init(electsPreferredLeaders: false, leaderImbalanceMax: 0.09, leaderIntervalMilliseconds: 5_000)) == 0)
    }
}
