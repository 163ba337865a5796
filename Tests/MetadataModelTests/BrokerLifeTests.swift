import MetadataModel
import Testing

@Suite("the end of a broker's life")
struct BrokerLifeTests {
    /// Brokers 1 to 4 active; topic 1 "orders": partitions on 1,2,3; on 2,1; on 1 alone.
    private func model() -> Model {
        var model = Model()
        model.addBrokers(1...4)
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3]])
        model.createTopic("pairs", id: 2, assignment: [[2, 1]])
        model.createTopic("single", id: 3, assignment: [[1]])
        return model
    }

    @Test("a controlled shutdown moves leadership off first; what only this broker has goes offline (KIP-631)")
    func shutdown() {
        var model = model()
        let begin = Command.beginShutdown(id: BrokerID(1), epoch: model.epoch(1))
        let applied = model.applyEntry(begin)
        #expect(applied.outcome == .done(.changed(Version(model.index))))
        #expect(model.storage.broker(BrokerID(1))?.state == .shuttingDown)
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 2,3 leader 2")
        #expect(model.partition(2, 0)?.shape == "[2,1] isr 2 leader 2")
        #expect(model.partition(3, 0)?.shape == "[1] isr 1 leader none")
        model.checkInvariants()
        let version = model.machine.version
        #expect(model.apply(begin) == .done(.changed(version)), "it is under way already")
        #expect(
            model.refusal(model.report(1, 0, isr: [1, 2, 3])) == .brokerFenced, "it joins no ISR any more (KIP-841)")
        model.fence(1)
        #expect(model.apply(begin) == .done(.changed(model.machine.version)), "a fenced broker may stop as it is")
        #expect(model.unfence(1) == .done(.changed(Version(model.index))))
        #expect(model.partition(3, 0)?.leader == BrokerID(1), "a partition comes back with the member of its ISR")
        model.checkInvariants()
    }

    @Test("a draining broker gets no new replicas, by placement or by name, until that is cancelled")
    func drain() {
        var model = model()
        model.apply(.drainBroker(id: BrokerID(4), epoch: model.epoch(4)))
        #expect(model.storage.broker(BrokerID(4))?.isDraining == true)
        #expect(model.refusal(.createTopic(.sample("new", id: 9, replicationFactor: 4))) == .notEnoughBrokers)
        #expect(model.refusal(.createTopic(.sample("new", id: 9, assignment: [[4]]))) == .invalidAssignment)
        model.createTopic("new", id: 9, partitions: 30, replicationFactor: 2)
        #expect(model.storage.partitions(withReplica: BrokerID(4), after: nil, limit: 1).isEmpty)
        model.register(4, incarnation: 1)
        model.fence(4)
        model.register(4, incarnation: 2)
        #expect(model.storage.broker(BrokerID(4))?.isDraining == true, "another process of it is draining too")
        model.unfence(4)
        model.apply(.cancelDrain(id: BrokerID(4), epoch: nil))
        model.createTopic("newer", id: 10, partitions: 30, replicationFactor: 2)
        #expect(!model.storage.partitions(withReplica: BrokerID(4), after: nil, limit: 1).isEmpty)
        model.checkInvariants()
    }

    @Test("a broker that is forced out leaves its partitions to the next best of their replicas")
    func force() {
        var model = model()
        model.apply(.deleteTopic(topic: .name("single"), ifVersion: nil))
        model.apply(model.report(1, 0, isr: [1]))
        model.reassign(2, 0, to: [2, 3])
        model.fence(1)
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1 leader none")
        #expect(model.refusal(.unregisterBroker(id: BrokerID(1), epoch: nil)) == .brokerNotEmpty)
        let applied = model.applyEntry(.unregisterBroker(id: BrokerID(1), epoch: nil, force: true))
        #expect(applied.outcome == .done(.changed(Version(model.index))))
        #expect(model.partition(1, 0)?.shape == "[2,3] isr 2 leader 2", "what only broker 1 had is lost")
        #expect(model.partition(2, 0)?.shape == "[2,3] isr 2 leader 2 +3")
        #expect(model.storage.broker(BrokerID(1)) == nil)
        model.checkInvariants()
    }

    @Test("forcing a broker out of a reassignment takes one of the replicas from before it at most")
    func forceDuringMove() {
        /// Brokers 1 to 5 active; the partition after `target` was asked for, `change` was done, and `out` was forced out.
        func forced(
            _ replicas: [Int32], to target: [Int32], out: Int32, _ change: (inout Model) -> Void = { _ in }
        ) -> String? {
            var model = Model()
            model.addBrokers(1...5)
            model.createTopic("orders", id: 1, assignment: [replicas])
            model.reassign(1, 0, to: target)
            change(&model)
            model.fence(out)
            model.apply(.unregisterBroker(id: BrokerID(out), epoch: nil, force: true))
            model.checkInvariants()
            return model.partition(1, 0)?.shape
        }
        #expect(forced([1, 2], to: [3, 2], out: 3) == "[1,2] isr 1,2 leader 1", "it is no move to 2 alone")
        #expect(forced([1, 2, 3], to: [4], out: 4) == "[1,2,3] isr 1,2,3 leader 1", "nothing comes any more")
        #expect(forced([1, 2], to: [3, 2], out: 2) == "[1] isr 1 leader 1")
        #expect(forced([1, 2], to: [3, 2], out: 1) == "[3,2] isr 2 leader 2 +3", "it was to leave anyway")
        let ofOne = forced([1, 2], to: [3, 1], out: 1) { $0.apply($0.report(1, 0, isr: [1])) }
        #expect(ofOne == "[2] isr 2 leader 2", "3 has copied nothing yet")
        let arrived = forced([1, 2], to: [3, 4], out: 4) { model in
            model.apply(model.report(1, 0, isr: [1, 2, 3]))
            model.fence(1)
            model.fence(2)
        }
        #expect(arrived == "[3,1,2] isr 3 leader 3", "only 3 has everything")
        let last = forced([1], to: [2, 3], out: 1) { $0.apply($0.report(1, 0, isr: [1, 2])) }
        #expect(last == "[2] isr 2 leader 2")
        #expect(forced([1], to: [2, 3], out: 1) == "[2,3,1] isr 1 leader none +2,3 -1", "refused: nobody else has it")
    }

    @Test("a broker with twice the capacity is given twice the replicas")
    func capacity() {
        var model = Model()
        for id in Int32(1)...3 {
            var command = Command.RegisterBroker.sample(id)
            if id == 3 { command.capacity = 200 }
            model.apply(.registerBroker(command))
            model.unfence(id)
        }
        model.createTopic("orders", id: 1, partitions: 400)
        #expect(model.storage.brokerLoads().map(\.replicas) == [100, 100, 200])
        #expect(model.storage.brokerLoads().map(\.leaders) == [100, 100, 200])
    }

    @Test("a broker's description can change while it runs; its tags are kept by name")
    func description() {
        var model = Model()
        model.addBrokers(1...1)
        var command = Command.RegisterBroker.sample(1)
        command.tags = [BrokerTag(name: "zone", value: "b"), BrokerTag(name: "disk", value: "nvme")]
        command.capacity = 300
        let changed = model.apply(.registerBroker(command))
        #expect(changed == .done(.registered(BrokerEpoch(1), Version(3))))
        let broker = model.storage.broker(BrokerID(1))
        #expect(broker?.tags.map(\.name) == ["disk", "zone"])
        #expect(broker?.capacity == 300 && broker?.state == .active)
        #expect(model.applyEntry(.registerBroker(command)).event == nil, "said again, it changes nothing")
        model.checkInvariants()
    }
}
