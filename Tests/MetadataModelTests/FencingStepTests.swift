import MetadataModel
import Testing

@Suite("fencing and shutdown in steps")
struct FencingStepTests {
    /// Brokers 1 to 3 active, and a topic of which all replicas are on all of them; each leads its third.
    private func model(partitions: Int, level: UInt32 = Limits.featureLevelOfSteps) -> Model {
        var model = Model()
        model.apply(.setFeatureLevel(level))
        model.addBrokers(1...3)
        model.createTopic(
            "wide", id: 1, assignment: (0..<partitions).map { [[1, 2, 3], [2, 3, 1], [3, 1, 2]][$0 % 3] })
        return model
    }

    private func state(_ model: Model, _ id: Int32) -> Broker.State? { model.storage.broker(BrokerID(id))?.state }

    private func relying(_ model: Model, on id: Int32) -> Int {
        model.storage.partitions(relyingOn: BrokerID(id), limit: .max).count
    }

    private func moved(_ applied: Applied) -> [Partition] {
        (applied.event?.changes ?? []).compactMap { change in
            if case .partitionChanged(let partition, _) = change { partition } else { nil }
        }
    }

    @Test("at its limit a broker is fenced in one entry, beyond it in steps that each move a bounded number")
    func steps() {
        var small = model(partitions: Limits.partitionsAtOnceMax)
        small.fence(1)
        #expect(state(small, 1) == .fenced)
        small.checkInvariants()

        let count = Limits.partitionsPerStepMax * 2 + 1
        var model = model(partitions: count)
        let fence = Command.fenceBroker(id: BrokerID(1), epoch: model.epoch(1))
        #expect(moved(model.applyEntry(fence)).isEmpty, "the first step moves nothing")
        var left = count
        for step in [Limits.partitionsPerStepMax, Limits.partitionsPerStepMax, 1] {
            #expect(state(model, 1) == .fencing)
            #expect(relying(model, on: 1) == left)
            #expect(moved(model.applyEntry(fence)).count == step)
            left -= step
            model.checkInvariants()
        }
        #expect(state(model, 1) == .fenced)
        let partitions = model.storage.partitions(of: TopicID(1))
        #expect(
            partitions.allSatisfy { $0.leader != BrokerID(1) && $0.isr == $0.replicas.filter { $0 != BrokerID(1) } })
        // Those that it led changed their leader once, the others none.
        #expect(partitions.allSatisfy { $0.leaderEpoch == ($0.replicas[0] == BrokerID(1) ? 1 : 0) })
        #expect(moved(model.applyEntry(fence)).isEmpty)
    }

    @Test("below its feature level a broker is fenced in one entry, however much it leads")
    func olderLevel() {
        var model = model(partitions: Limits.partitionsAtOnceMax + 1, level: Limits.featureLevelOfSteps - 1)
        model.fence(1)
        #expect(state(model, 1) == .fenced && relying(model, on: 1) == 0)
        model.apply(.beginShutdown(id: BrokerID(2), epoch: model.epoch(2)))
        #expect(state(model, 2) == .shuttingDown && relying(model, on: 2) == 0)
    }

    @Test("what has begun cannot be stopped, and a broker that is being fenced gains nothing")
    func fencing() throws {
        var model = model(partitions: Limits.partitionsAtOnceMax + 3)
        model.apply(model.report(1, 1, isr: [2, 3]))
        model.fence(1)
        #expect(state(model, 1) == .fencing)
        #expect(model.refusal(.unfenceBroker(id: BrokerID(1), epoch: model.epoch(1))) == .invalidRequest)
        #expect(model.refusal(.registerBroker(.sample(1, incarnation: 2))) == .brokerIDInUse)
        #expect(model.refusal(.move(1, 2, to: 1)) == .brokerFenced)
        #expect(model.refusal(model.report(1, 1, isr: [1, 2, 3])) == .brokerFenced, "it joins no ISR")
        #expect(model.refusal(model.report(1, 0, isr: [1, 2, 3])) == .brokerFenced, "nor does it lead on")
        #expect(model.refusal(.createTopic(.sample("new", id: 2, replicationFactor: 3))) == .notEnoughBrokers)
        let shutdown = model.applyEntry(.beginShutdown(id: BrokerID(1), epoch: model.epoch(1)))
        #expect(shutdown.outcome.refusal == nil && shutdown.event == nil, "it may stop when it is fenced")
        // What another command touches moves with it.
        model.createTopic("assigned", id: 2, assignment: [[1, 2]])
        #expect(model.partition(2, 0)?.leader == BrokerID(2))
        model.fence(1)
        #expect(state(model, 1) == .fenced && relying(model, on: 1) == 0)
        model.unfence(1)
        #expect(state(model, 1) == .active)
        model.checkInvariants()
    }

    @Test("of brokers that fail together none gets what another had")
    func together() {
        var model = model(partitions: Limits.partitionsAtOnceMax + 4)
        for id in [Int32(1), 2] { model.fence(id) }
        #expect(state(model, 1) == .fencing && state(model, 2) == .fencing)
        for id in [Int32(1), 2] { model.fence(id) }
        #expect(state(model, 1) == .fenced && state(model, 2) == .fenced)
        let partitions = model.storage.partitions(of: TopicID(1))
        #expect(partitions.allSatisfy { $0.leader == BrokerID(3) && $0.isr == .init(3) && $0.leaderEpoch <= 1 })
        model.checkInvariants()
    }

    @Test("a shutdown goes on until a step changes nothing; one that dies in the middle is fenced with what is left")
    func shutdown() {
        let count = Limits.partitionsPerStepMax + 1
        var model = model(partitions: count)
        let shutdown = Command.beginShutdown(id: BrokerID(1), epoch: model.epoch(1))
        var moves: [Int] = []
        for _ in 0..<3 {
            moves.append(moved(model.applyEntry(shutdown)).count)
            #expect(state(model, 1) == .shuttingDown)
            model.checkInvariants()
        }
        #expect(moves == [0, Limits.partitionsPerStepMax, 1])
        let last = model.applyEntry(shutdown)
        #expect(last.event == nil && last.outcome != .done(.changed(Version(model.index))))
        model.apply(.beginShutdown(id: BrokerID(2), epoch: model.epoch(2)))
        model.fence(2)
        #expect(state(model, 2) == .fencing)
        model.fence(2)
        #expect(moved(model.applyEntry(.fenceBroker(id: BrokerID(2), epoch: model.epoch(2)))).count == 1)
        #expect(state(model, 2) == .fenced)
        model.fence(1)
        #expect(state(model, 1) == .fenced, "nothing relied on it any more")
        model.checkInvariants()
    }

    @Test("whatever else happens between the steps, what is left to do gets less, and ends", arguments: UInt64(1)...8)
    func interleaved(seed: UInt64) {
        var model = model(partitions: 120)
        model.addBrokers(4...6)
        var commands = RandomCommands(seed: seed)
        for step in 0..<300 {
            model.timeMilliseconds += 20
            let before = model.storage.brokers().filter { $0.state == .fencing }.map(\.id)
            let relied = before.map { Set(model.storage.partitions(relyingOn: $0, limit: .max).map(\.key)) }
            model.apply(commands.next(model))
            model.checkInvariants("seed \(seed), step \(step)")
            for (id, keys) in zip(before, relied) where model.storage.broker(id)?.state == .fencing {
                let now = Set(model.storage.partitions(relyingOn: id, limit: .max).map(\.key))
                #expect(now.isSubset(of: keys), "seed \(seed), step \(step): broker \(id) gained something")
            }
        }
        for broker in model.storage.brokers() where broker.state != .fenced {
            for _ in 0..<2 { model.fence(broker.id.rawValue) }
            #expect(state(model, broker.id.rawValue) == .fenced, "seed \(seed)")
        }
        model.checkInvariants("seed \(seed), at the end")
    }

    // MARK: Silence

    private func silence(_ id: Int32, _ epoch: BrokerEpoch, _ milliseconds: UInt64) -> BrokerSilence {
        BrokerSilence(broker: BrokerID(id), epoch: epoch, milliseconds: milliseconds)
    }

    private func row(_ model: Model) -> String? {
        model.storage.config(.cluster, name: BrokerSilences.configName)?.value
    }

    @Test("silence is noted of brokers that may lead, by registration, until they are heard or fenced")
    func silences() {
        var model = model(partitions: 3)
        let epochs = (1...3).map { model.epoch(Int32($0)) }
        model.fence(3)
        model.apply(
            .noteSilence([
                silence(2, epochs[1], 20_000), silence(1, epochs[0], 15_000), silence(3, epochs[2], 9_000),
                silence(8, epochs[0], 9_000), silence(1, BrokerEpoch(1), 9_000),
            ]))
        #expect(row(model) == "1:\(epochs[0]):15000 2:\(epochs[1]):20000")
        #expect(BrokerSilences(text: row(model)).milliseconds(of: BrokerID(2), epochs[1]) == 20_000)
        #expect(BrokerSilences(text: row(model)).milliseconds(of: BrokerID(2), BrokerEpoch(1)) == 0)
        model.fence(2)
        let heard = model.applyEntry(.noteSilence([silence(1, epochs[0], 0)]))
        #expect(row(model) == nil, "and what was noted of one that is fenced goes with the next note")
        let removed = ObservedChange.configRemoved(resource: .cluster, name: BrokerSilences.configName)
        #expect(heard.event?.changes == [removed])
        #expect(BrokerSilences(removed)?.isEmpty == true)
        #expect(model.applyEntry(.noteSilence([silence(1, epochs[0], 0)])).event == nil)
        #expect(model.refusal(.configure(.cluster, BrokerSilences.configName, "1:1:1")) == .invalidConfig)
        #expect(BrokerSilences(text: "1:2").isEmpty && BrokerSilences(text: "a:b:c 1:2:3").isEmpty)
    }

    @Test("notes are bounded: of more brokers than the limit the last have to wait")
    func silencesAtTheLimit() {
        let model = model(partitions: 3)
        let note = silence(1, model.epoch(1), 5)
        let most = Limits.silentBrokersMax
        #expect(model.refusal(.noteSilence(Array(repeating: note, count: most))) == nil)
        #expect(model.refusal(.noteSilence(Array(repeating: note, count: most + 1))) == .limitExceeded)
        let text = (0..<most + 1).map { "\($0):9:5" }.joined(separator: " ")
        #expect(BrokerSilences(text: text).sorted.count == most)
        let widest = (0..<most).map { "\(Int32.max - Int32($0)):\(UInt64.max):\(UInt64.max)" }.joined(separator: " ")
        #expect(widest.utf8.count <= Limits.configValueBytesMax)
    }

    @Test("below their feature level notes and epochs of members are answered as by a build that does not know them")
    func featureLevel() {
        var older = model(partitions: 3, level: Limits.featureLevelOfSteps - 1)
        let reports = [
            older.isrReport(1, 0, isr: [1]), older.isrReport(1, 0, isr: [1, 2]) { $0.isrEpochs = [.init(0)] },
        ]
        let commands: [Command] = [
            .noteSilence([silence(1, older.epoch(1), 5)]),
            .alterPartitions(.init(broker: BrokerID(1), brokerEpoch: older.epoch(1), reports: reports)),
            older.report(1, 0, isr: [1]) { $0.isrEpochs = [BrokerEpoch(2)] },
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
