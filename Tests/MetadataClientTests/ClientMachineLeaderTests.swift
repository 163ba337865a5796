import MetadataModel
import NIOCore
import Resilience
import Synchronization
import Testing
import Wire

@testable import MetadataClient

@Suite("ClientMachine: finding the leader")
struct ClientMachineLeaderTests {
    @Test("a client connects with its first call, to one node, and follows its word to the leader at once")
    func firstCall() throws {
        let harness = MachineHarness()
        #expect(harness.dials.isEmpty)
        let id = harness.write()
        #expect(harness.dials.count == 1)
        let first = try #require(harness.dials.first).node
        let leader = first % 3 + 1
        harness.accept(first, leader: leader)
        #expect(harness.dials.map(\.node) == [leader])
        harness.accept(leader, leader: leader)
        harness.openSession(7)
        let write = try #require(harness.takeWrite(from: leader))
        #expect(write.frame.request.write?.session == SessionID(7))
        #expect(write.frame.request.write?.sequence == 1)
        harness.answer(write, .write(.done(.changed(Version(9)))))
        #expect(harness.outcome(id) == .success(.changed(Version(9))))
    }

    @Test("members that no endpoint named are learned and dialled")
    func learnsMembers() throws {
        let harness = MachineHarness(nodes: 1)
        _ = harness.write()
        harness.accept(1, leader: 3, members: [1, 2, 3])
        // Node 2 was learned from the list of members before node 3 was named the leader.
        let leader = try #require(harness.machine.leader.node)
        #expect(harness.machine.nodes[leader.index].endpoint == MachineHarness.endpoint(3))
        #expect(harness.dials.map(\.connection.node) == [leader])
    }

    @Test("a redirect is followed at once, without a pause")
    func redirect() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let id = harness.write()
        let attempt = try #require(harness.takeWrite(from: 1))
        harness.fail(attempt, .notLeader, leader: MachineHarness.hint(2, term: 2))
        harness.accept(2, leader: 2, term: 2)
        let second = try #require(harness.takeWrite(from: 2))
        #expect(second.frame.request.write?.sequence == attempt.frame.request.write?.sequence)
        harness.answer(second, .write(.done(.changed(Version(5)))))
        #expect(harness.outcome(id) == .success(.changed(Version(5))))
        #expect(harness.machine.budget.available == harness.machine.options.retry.budget)
    }

    @Test("two nodes that name each other in one term do not send a call back and forth")
    func pingPong() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        _ = harness.write()
        harness.fail(try #require(harness.takeWrite(from: 1)), .notLeader, leader: MachineHarness.hint(2, term: 1))
        harness.dials.filter { $0.node == 2 }.forEach { _ in harness.accept(2, leader: 1, term: 1) }
        // Node 1 denied in term 1: node 2 naming it is late news.
        #expect(harness.takeWrite() == nil)
        #expect(harness.machine.leader.node == nil)
        #expect(harness.machine.search != nil)
    }

    @Test("when the leader's connection breaks, all other nodes are asked at once")
    func asksAllAtOnce() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        let known = Set(harness.machine.readyNodes().map { $0.index + 1 })
        harness.sent.removeAll()
        _ = harness.write()
        harness.lose(connection)
        for node in [2, 3] {
            if known.contains(node) {
                #expect(harness.take(from: node) { $0 == .nodeStatus } != nil, "node \(node) was not asked")
            } else {
                #expect(harness.dials.contains { $0.node == node }, "node \(node) was not dialled")
            }
        }
    }

    @Test(
        "the search for a leader asks with pauses that grow with its length, and finds it with the first node that knows"
    )
    func searchPace() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        _ = harness.write(timeout: .seconds(60))
        harness.lose(connection)
        harness.accept(2, leader: nil)
        harness.accept(3, leader: nil)
        let start = harness.now
        var asked: [NIODeadline] = []
        for _ in 0..<300 {
            harness.advance(.milliseconds(10))
            harness.refuseDial(1)
            while let probe = harness.take(from: 2, where: { $0 == .nodeStatus }) {
                asked.append(harness.now)
                harness.answer(probe, .nodeStatus(MachineHarness.status(2, leader: nil, term: 2)))
            }
            while let probe = harness.take(from: 3, where: { $0 == .nodeStatus }) {
                harness.answer(probe, .nodeStatus(MachineHarness.status(3, leader: nil, term: 2)))
            }
        }
        let pauses = zip(asked, asked.dropFirst()).map { $1 - $0 }
        #expect(pauses.count > 10)
        #expect(pauses.allSatisfy { $0 >= .milliseconds(10) && $0 <= .milliseconds(270) }, "\(pauses)")
        for (time, pause) in zip(asked, pauses) {
            let elapsed = time - start
            #expect(pause <= max(.milliseconds(20), .nanoseconds(elapsed.nanoseconds / 4)) + .milliseconds(20))
        }
        while harness.take(where: { $0 == .nodeStatus }) == nil { harness.advance(.milliseconds(10)) }
        // Whoever is asked next knows.
        harness.advance(.milliseconds(300))
        let probe = harness.take(from: 3) { $0 == .nodeStatus }
        if let probe { harness.answer(probe, .nodeStatus(MachineHarness.status(3, leader: 3, term: 3))) }
        #expect(harness.machine.leader.node?.index == 2 || probe == nil)
    }

    @Test("a node of another cluster is not used, and when all are, calls fail at once and say so")
    func wrongCluster() throws {
        let harness = MachineHarness(nodes: 2) { $0.clusterID = "mine" }
        let id = harness.write(timeout: .seconds(60))
        for _ in 0..<2 {
            harness.advance(.milliseconds(300))
            while let dial = harness.dials.first { harness.accept(dial.node, leader: 1, clusterID: "other") }
        }
        #expect(harness.failure(id)?.code == .wrongCluster)
        #expect(harness.failure(id)?.outcome == .definite)
        #expect(harness.failure(id)?.category == .fatal)
    }

    @Test("without any leader a call fails as unavailable after leaderWait, and names the nodes' troubles")
    func leaderWait() throws {
        let harness = MachineHarness { $0.leaderWait = .seconds(2) }
        let id = harness.write(timeout: .seconds(60))
        for _ in 0..<250 {
            for node in 1...3 { harness.refuseDial(node) }
            harness.advance(.milliseconds(10))
        }
        let failure = try #require(harness.failure(id))
        #expect(failure.code == .unavailable)
        #expect(failure.outcome == .definite)
        #expect(failure.detail.contains("10.0.0.2:9092: refused"))
    }

    @Test("reconnecting pauses grow to their cap and spread")
    func reconnectBackoff() throws {
        let harness = MachineHarness(nodes: 1)
        _ = harness.write(timeout: .hours(1))
        var pauses: [TimeAmount] = []
        var last = harness.now
        for _ in 0..<2_000 where pauses.count < 60 {
            if harness.dials.isEmpty {
                harness.advance(.milliseconds(10))
                continue
            }
            pauses.append(harness.now - last)
            last = harness.now
            harness.refuseDial(1)
        }
        #expect(pauses.count == 60)
        // While a leader is searched for, a node is not left alone for longer than one round of the search.
        let cap = TimeAmount.milliseconds(250 + 250 + 20)
        #expect(pauses.allSatisfy { $0 <= cap }, "\(pauses)")
        #expect(pauses.dropFirst(10).contains { $0 > .milliseconds(100) })
    }

    @Test("a higher term moves what waits at a leader that is cut off (pitfall 40)")
    func movesToHigherTerm() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1, term: 1))
        let id = harness.write()
        let read = harness.read()
        let stuck = try #require(harness.takeWrite(from: 1))
        let stuckRead = try #require(harness.takeRead(from: 1))
        // The node lives and answers status requests, but not these.
        for _ in 0..<110 where harness.machine.leader.term == 1 {
            harness.advance(.milliseconds(10))
            while let probe = harness.take(from: 1, where: { $0 == .nodeStatus }) {
                harness.answer(probe, .nodeStatus(MachineHarness.status(1, leader: 1, term: 1)))
            }
            for node in [2, 3] { harness.accept(node, leader: 2, term: 2) }
        }
        while let probe = harness.take(where: { $0 == .nodeStatus }) {
            harness.answer(probe, .nodeStatus(MachineHarness.status(probe.node, leader: 2, term: 2)))
        }
        if harness.dials.contains(where: { $0.node == 2 }) { harness.accept(2, leader: 2, term: 2) }
        let retry = try #require(harness.takeWrite(from: 2))
        #expect(retry.frame.request.write?.sequence == stuck.frame.request.write?.sequence)
        #expect(retry.frame.id != stuck.frame.id)
        _ = stuckRead
        let retriedRead = try #require(harness.takeRead())
        #expect(retriedRead.node != 1)
        // The old leader's word, should it come after all, is as good.
        harness.answer(stuck, .write(.done(.changed(Version(3)))))
        #expect(harness.outcome(id) == .success(.changed(Version(3))))
        harness.answer(retriedRead, .read(.notFound(Refusal(.topicNotFound, "")), appliedIndex: 1))
        #expect(harness.readOutcome(read) != nil)
    }

    @Test("a connection that is silent while something is waited for is closed within the attempt timeout (pitfall 40)")
    func hangingNode() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        _ = harness.write(timeout: .seconds(30))
        #expect(harness.takeWrite(from: 1) != nil)
        harness.advance(.milliseconds(600))
        #expect(harness.take(from: 1) { $0 == .nodeStatus } != nil)
        #expect(!harness.disconnected.contains(connection))
        harness.advance(.milliseconds(450))
        #expect(harness.disconnected.contains(connection))
    }

    @Test("a connection is not taken for dead when it was only unused")
    func quietIsNotDead() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        harness.probesSayLeader = 1
        harness.advance(.minutes(10), step: .milliseconds(500))
        _ = harness.write()
        harness.advance(.milliseconds(400))
        #expect(!harness.disconnected.contains(connection))
        #expect(harness.machine.leaderLink?.connection == connection)
    }

    @Test("a client that greeted the only member learns of those that join later, and goes on with them")
    func learnsOfJoiners() throws {
        let harness = MachineHarness(nodes: 1)
        _ = harness.read(timeout: .seconds(1))
        let connection = try #require(harness.accept(1, leader: 1, members: [1]))
        // Nothing is under way any more when the others join, so that nobody looks for a node then.
        harness.probesSayLeader = 1
        harness.members = [1]
        harness.advance(.seconds(30), step: .milliseconds(100))
        #expect(harness.machine.nodes.filter(\.isWanted).count == 1)
        harness.members = [1, 2, 3]
        harness.advance(.seconds(11), step: .milliseconds(100))
        #expect(Set(harness.machine.nodes.filter(\.isWanted).map(\.nodeID)) == [1, 2, 3])
        #expect(harness.dials.isEmpty)
        // The one that it was told of at the start is gone for good.
        harness.probesSayLeader = nil
        harness.lose(connection)
        _ = harness.write()
        harness.elect(2, term: 2)
        #expect(harness.machine.leader.node == NodeKey(index: 1))
    }

    @Test("connections to nodes that are not needed are closed after a while")
    func closesIdle() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        let status = harness.nodeStatus(of: 2)
        let other = harness.machine.nodes[1].ready?.connection ?? harness.accept(2, leader: 1)
        let request = try #require(harness.take(from: 2) { $0 == .nodeStatus })
        harness.answer(request, .nodeStatus(MachineHarness.status(2, leader: 1, term: 1)))
        #expect(harness.results.statuses.withLock { $0[status] } != nil)
        harness.probesSayLeader = 1
        harness.advance(.seconds(31), step: .milliseconds(500))
        #expect(harness.disconnected.contains { $0 == other })
        #expect(!harness.disconnected.contains(connection))
        #expect(harness.dials.isEmpty)
    }
}
