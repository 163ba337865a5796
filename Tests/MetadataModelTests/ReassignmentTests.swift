import MetadataModel
import Testing

@Suite("reassignments (KIP-455)")
struct ReassignmentTests {
    /// Brokers 1 to 6 active; topic 1 "orders" with one partition on 1, 2, 3.
    private func model() -> Model {
        var model = Model()
        model.addBrokers(1...6)
        model.createTopic("orders", id: 1, assignment: [[1, 2, 3]])
        return model
    }

    @Test("replicas leave only when all new ones are in sync, and the leader epoch ends with them")
    func story() {
        var model = model()
        #expect(model.reassign(1, 0, to: [4, 5, 3]) == "leader 1, epochs 0 and 1")
        #expect(model.partition(1, 0)?.shape == "[4,5,3,1,2] isr 3,1,2 leader 1 +4,5 -1,2")
        model.apply(model.report(1, 0, isr: [1, 2, 3, 4]))
        #expect(model.partition(1, 0)?.shape == "[4,5,3,1,2] isr 4,3,1,2 leader 1 +4,5 -1,2")
        let last = model.applyEntry(model.report(1, 0, isr: [1, 2, 3, 4, 5]))
        #expect(model.partition(1, 0)?.shape == "[4,5,3] isr 4,5,3 leader 4")
        #expect(model.partition(1, 0)?.leaderEpoch == 1)
        #expect(last.outcome == model.partition(1, 0).map { .done(.partition($0)) })
        #expect(model.storage.partitions(.reassigning, after: nil, limit: 9).isEmpty)
        model.checkInvariants()
    }

    @Test("the leader epoch rises when a replica leaves and the leader stays")
    func shrink() {
        var model = model()
        #expect(model.reassign(1, 0, to: [1, 2]) == "leader 1, epochs 1 and 1")
        #expect(model.partition(1, 0)?.shape == "[1,2] isr 1,2 leader 1")
        model.checkInvariants()
    }

    @Test("another order is no move: the leader stays until an election")
    func reorder() {
        var model = model()
        #expect(model.reassign(1, 0, to: [3, 1, 2]) == "leader 1, epochs 0 and 1")
        #expect(model.partition(1, 0)?.shape == "[3,1,2] isr 3,1,2 leader 1")
        model.checkInvariants()
    }

    @Test("cancelling goes back to the replicas before the first of several reassignments")
    func cancel() {
        var model = model()
        model.reassign(1, 0, to: [1, 4, 5])
        model.apply(model.report(1, 0, isr: [1, 2, 3, 4]))
        #expect(model.reassign(1, 0, to: [1, 6]) == "leader 1, epochs 1 and 3", "4 and 5 leave at once")
        #expect(model.partition(1, 0)?.shape == "[1,6,2,3] isr 1,2,3 leader 1 +6 -2,3")
        #expect(model.reassign(1, 0, to: nil) == "leader 1, epochs 2 and 4")
        #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1,2,3 leader 1")
        #expect(model.reassign(1, 0, to: nil) == "no_reassignment_in_progress")
        model.checkInvariants()
    }

    @Test("cancelling gives replicas that were to leave their places back, the preferred leader's too")
    func cancelPlaces() {
        for target: [Int32] in [[4, 2, 3], [1, 4, 3], [4, 5, 6], [4], [4, 2, 3, 5]] {
            var model = model()
            model.reassign(1, 0, to: target)
            model.reassign(1, 0, to: nil)
            #expect(model.partition(1, 0)?.shape == "[1,2,3] isr 1,2,3 leader 1", "\(target)")
            model.checkInvariants()
        }
    }

    @Test("a reassignment is not cancelled when only new replicas are in sync")
    func cancelRefused() {
        var model = model()
        model.apply(model.report(1, 0, isr: [1]))
        model.reassign(1, 0, to: [4, 5])
        model.apply(model.report(1, 0, isr: [1, 4]))
        model.fence(1)
        #expect(model.partition(1, 0)?.shape == "[4,5,1,2,3] isr 4 leader 4 +4,5 -1,2,3")
        #expect(model.reassign(1, 0, to: nil) == "not_in_isr")
        #expect(model.reassign(1, 0, to: [2, 3]) == "not_in_isr")
        model.checkInvariants()
    }

    @Test("a reassignment waits for a replica that is down, and is complete when the last member of its ISR returns")
    func waits() {
        var model = model()
        model.fence(4)
        model.reassign(1, 0, to: [1, 2, 4])
        #expect(model.partition(1, 0)?.shape == "[1,2,4,3] isr 1,2,3 leader 1 +4 -3")
        model.unfence(4)
        model.apply(model.report(1, 0, isr: [1, 2, 3, 4]))
        #expect(model.partition(1, 0)?.shape == "[1,2,4] isr 1,2,4 leader 1")
        model.checkInvariants()
    }

    @Test("targets that cannot be are refused, one by one")
    func refused() {
        var model = model()
        model.apply(.drainBroker(id: BrokerID(6), epoch: nil))
        #expect(model.reassign(1, 0, to: []) == "invalid_replication_factor")
        #expect(model.reassign(1, 0, to: Array(1...17)) == "invalid_replication_factor")
        #expect(model.reassign(1, 0, to: [1, 9]) == "invalid_assignment")
        #expect(model.reassign(1, 0, to: [1, 1]) == "invalid_assignment")
        #expect(model.reassign(1, 0, to: [1, 6]) == "invalid_assignment")
        #expect(model.reassign(1, 7, to: [1]) == "partition_not_found")
        #expect(model.reassign(2, 0, to: [1]) == "topic_not_found")
        #expect(model.reassign(1, 0, to: [1, 2, 3]) == "leader 1, epochs 0 and 0")
        model.checkInvariants()
    }
}
