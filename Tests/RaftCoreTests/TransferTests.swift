import Testing

@testable import RaftCore

@Suite struct TransferTests {
    @Test("a target that is up to date is asked to campaign at once; proposals are refused meanwhile (Diss. §3.10)")
    func upToDate() {
        var node = makeNode()
        node.lead()
        #expect(node.transferLeadership(to: 2) == true)
        #expect(node.drain().kinds(to: 2) == [.timeoutNow])
        #expect(node.propose([[1]]) == .notLeader(leader: nil))
        #expect(node.transferLeadership(to: 2) == true)
        #expect(node.transferLeadership(to: 3) == false)
    }

    @Test("a lagging target is brought up to date first, while writes go on elsewhere")
    func lagging() {
        var node = makeNode()
        node.lead()
        _ = node.propose([[1], [2]])
        _ = node.drain()
        #expect(node.transferLeadership(to: 2) == true)
        #expect(!node.drain().kinds(to: 2).contains(.timeoutNow))
        node.receive(.appendAccepted(match: 2), from: 2, term: 1)
        #expect(!node.drain().kinds(to: 2).contains(.timeoutNow))
        node.receive(.appendAccepted(match: 3), from: 2, term: 1)
        #expect(node.drain().kinds(to: 2).contains(.timeoutNow))
    }

    @Test("a transfer is given up after an election timeout, and proposals are taken again")
    func abort() {
        var node = makeNode()
        node.lead()
        #expect(node.transferLeadership(to: 2) == true)
        for tick in 1...node.options.electionTimeoutTicks {
            #expect(node.propose([[1]]) == .notLeader(leader: nil), "tick \(tick)")
            node.tick()
            node.receive(.heartbeatResponse(round: 0), from: 3, term: 1)
        }
        #expect(node.propose([[1]]) == .accepted(first: 2, term: 1))
    }

    @Test("who gives a transfer up does not ask in the same turn for what the answer before it called for")
    func abortAfterAnswer() {
        var node = makeNode()
        node.lead()
        _ = node.propose([[1]])
        _ = node.drain()
        #expect(node.transferLeadership(to: 2) == true)
        for _ in 1..<node.options.electionTimeoutTicks {
            node.tick()
            node.receive(.heartbeatResponse(round: 0), from: 3, term: 1)
        }
        #expect(!node.drain().kinds(to: 2).contains(.timeoutNow))
        node.receive(.appendAccepted(match: 2), from: 2, term: 1)
        node.tick()
        #expect(node.transferTarget == nil)
        #expect(node.propose([[2]]) == .accepted(first: 3, term: 1))
        #expect(!node.drain().kinds(to: 2).contains(.timeoutNow))
    }

    @Test("who steps down in the turn in which the target has everything asks it still")
    func stepDownAfterAnswer() {
        var node = makeNode()
        node.lead()
        _ = node.propose([[1]])
        _ = node.drain()
        #expect(node.transferLeadership(to: 2) == true)
        _ = node.drain()
        node.receive(.appendAccepted(match: 2), from: 2, term: 1)
        node.stepDown()
        #expect(node.drain().kinds(to: 2) == [.timeoutNow])
    }

    @Test("a learner, a stranger, a silent member and the leader itself are no targets; a follower transfers nothing")
    func refused() {
        var node = makeNode(learners: [4])
        #expect(node.transferLeadership(to: 2) == false)
        node.lead()
        #expect(node.transferLeadership(to: 4) == false)
        #expect(node.transferLeadership(to: 9) == false)
        #expect(node.transferLeadership(to: 1) == false)
        for _ in 0..<node.options.electionTimeoutTicks {
            node.tick()
            node.receive(.heartbeatResponse(round: 0), from: 3, term: 1)
        }
        #expect(node.transferLeadership(to: 2) == false)
        #expect(node.transferLeadership(to: 3) == true)
    }

    @Test("the request to campaign is repeated when it may have been lost")
    func repeated() {
        var node = makeNode()
        node.lead()
        #expect(node.transferLeadership(to: 2) == true)
        _ = node.drain()
        node.receive(.heartbeatResponse(round: 0), from: 2, term: 1)
        #expect(node.drain().kinds(to: 2) == [.timeoutNow])
    }

    @Test("a request to campaign from anyone but the leader of the term is ignored")
    func foreignRequest() {
        var node = makeNode()
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 3)
        node.receive(.timeoutNow, from: 3, term: 3)
        node.receive(.timeoutNow, from: 2, term: 2)
        #expect(node.status.role == .follower)
        node.receive(.timeoutNow, from: 2, term: 3)
        #expect(node.status == Status(role: .candidate, term: 4, leader: nil))
    }

    @Test("a transfer while writing loses nothing and takes no election timeout, with pre-vote and stickiness on")
    func whileWriting() {
        var cluster = Cluster(voters: [1, 2, 3])
        cluster.elect(1)
        for number in 0..<5 { _ = cluster.propose(1, "a\(number)") }
        #expect(cluster.on(1) { $0.transferLeadership(to: 3) } == true)
        cluster.settle()
        #expect(cluster.leaders == [3])
        #expect(cluster.node(3).hardState.term == 2)
        #expect(cluster.node(3).commitIndex == 7)
    }

    @Test("a leader can step down without a successor")
    func stepDown() {
        var node = makeNode()
        node.lead()
        #expect(node.read(id: 1) == true)
        node.stepDown()
        #expect(node.status == Status(role: .follower, term: 1, leader: nil))
        #expect(node.drain().droppedReads == [1])
    }
}
