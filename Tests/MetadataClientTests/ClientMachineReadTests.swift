import MetadataModel
import NIOCore

import Synchronization
import Testing
import Wire

@testable import MetadataClient

@Suite("ClientMachine: reads, heartbeats, status")
struct ClientMachineReadTests {
    private let summary = QueryResult.summary(
        MetadataSummary(
            version: Version(1), appliedIndex: 1, digest: 0,
            totals: MetadataTotals(brokers: 0, topics: 0, partitions: 0, sessions: 0), featureLevel: 1))

    @Test("linearizable reads go to the leader and need no session")
    func linearizable() throws {
        let harness = MachineHarness()
        let id = harness.read()
        let first = try #require(harness.dials.first).node
        harness.accept(first, leader: first)
        let request = try #require(harness.takeRead(from: first))
        harness.answer(request, .read(summary, appliedIndex: 1))
        #expect(harness.readOutcome(id) == .success(summary))
        #expect(harness.takeWrite() == nil)
    }

    @Test("a linearizable read goes to another node when the leader is known but not reached")
    func fallback() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        harness.lose(connection)
        _ = harness.read()
        if harness.machine.nodes[1].ready == nil { harness.accept(2, leader: 1) }
        harness.refuseDial(1)
        let request = try #require(harness.takeRead())
        #expect(request.node != 1)
        harness.answer(request, .read(summary, appliedIndex: 1))
        // The leader is not given up for that: the next read finds it again.
        harness.advance(.seconds(1))
        harness.accept(1, leader: 1)
        _ = harness.read()
        #expect(harness.takeRead()?.node == 1)
    }

    @Test("stale reads go to whichever node is there, without a leader")
    func stale() throws {
        let harness = MachineHarness()
        let id = harness.read(.stale(maxLagMilliseconds: 1_000))
        let first = try #require(harness.dials.first).node
        harness.accept(first, leader: nil)
        harness.answer(try #require(harness.takeRead(from: first)), .read(summary, appliedIndex: 1))
        #expect(harness.readOutcome(id) == .success(summary))
    }

    @Test("a read that a node turned down goes to another node")
    func readMoves() throws {
        let harness = MachineHarness()
        let id = harness.read(.atLeast(Version(4)))
        harness.advance(.milliseconds(100))
        for node in 1...3 { harness.accept(node, leader: 1) }
        let request = try #require(harness.takeRead())
        harness.fail(request, .deadlineExceeded)
        harness.advance(.milliseconds(100))
        let again = try #require(harness.takeRead())
        #expect(again.node != request.node)
        harness.answer(again, .read(summary, appliedIndex: 4))
        #expect(harness.readOutcome(id) == .success(summary))
    }

    @Test("a failed read is definite: it changes nothing")
    func definite() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let id = harness.read(timeout: .milliseconds(100))
        #expect(harness.takeRead() != nil)
        harness.advance(.milliseconds(200))
        guard case .failure(let failure)? = harness.readOutcome(id) else {
            Issue.record("the read did not fail")
            return
        }
        #expect(failure.code == .timedOut)
        #expect(failure.outcome == .definite)
    }

    @Test("a deadline is met to within one tick, whatever the order of submission")
    func deadlineOrder() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let long = harness.read(timeout: .seconds(1))
        let short = harness.read(timeout: .milliseconds(50))
        harness.advance(.milliseconds(60))
        #expect(harness.readOutcome(short) != nil)
        #expect(harness.readOutcome(long) == nil)
    }

    @Test("heartbeats pass while writes wait for the window, and go to the leader")
    func heartbeat() throws {
        let harness = MachineHarness { $0.inFlightMax = 1 }
        _ = try #require(harness.bringUp(leader: 1))
        _ = harness.write()
        _ = harness.write()
        let id = harness.heartbeat()
        let request = try #require(harness.take(from: 1) { if case .heartbeat = $0 { true } else { false } })
        let answer = HeartbeatAnswer(state: .active, leaseMilliseconds: 9_000, version: Version(3))
        harness.answer(request, .heartbeat(answer))
        #expect(harness.results.heartbeats.withLock { $0[id] } == .success(answer))
    }

    @Test("a broker that the leader does not know is told so, definitely")
    func unknownBroker() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let id = harness.heartbeat()
        harness.fail(
            try #require(harness.take { if case .heartbeat = $0 { true } else { false } }), .unknownBroker)
        #expect(
            harness.results.heartbeats.withLock { $0[id] }
                == .failure(CallFailure(.unknownBroker, .definite, "unknown_broker")))
    }

    @Test("a status request goes to its node alone, and fails with that node's trouble")
    func status() throws {
        let harness = MachineHarness()
        let reached = harness.nodeStatus(of: 2)
        let down = harness.nodeStatus(of: 3)
        #expect(Set(harness.dials.map(\.node)) == [2, 3])
        harness.refuseDial(3)
        harness.accept(2, leader: nil)
        let status = MachineHarness.status(2, leader: nil, term: 4)
        harness.answer(try #require(harness.take(from: 2) { $0 == .nodeStatus }), .nodeStatus(status))
        #expect(harness.results.statuses.withLock { $0[reached] } == .success(status))
        #expect(
            harness.results.statuses.withLock { $0[down] }
                == .failure(CallFailure(.unavailable, .definite, "10.0.0.3:9092: refused")))
    }

    @Test("an answer of the wrong kind closes the connection, and the call is tried again")
    func wrongKind() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        let id = harness.read()
        harness.answer(
            try #require(harness.takeRead()),
            .heartbeat(HeartbeatAnswer(state: .active, leaseMilliseconds: 1, version: .zero)))
        #expect(harness.disconnected.contains(connection))
        #expect(harness.readOutcome(id) == nil)
        harness.elect(2, term: 2)
        let again = try #require(harness.takeRead())
        harness.answer(again, .read(summary, appliedIndex: 1))
        #expect(harness.readOutcome(id) == .success(summary))
    }

    @Test("a request that no frame can carry fails alone: its connection and the other calls go on")
    func unsendable() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        let id = harness.read()
        let other = harness.read()
        let request = try #require(harness.takeRead())
        harness.machine.unsendable(request.connection, request.frame.id, reason: "too large")
        harness.advance(.milliseconds(10))
        #expect(harness.readOutcome(id) == .failure(CallFailure(.invalidRequest, .definite, "too large")))
        #expect(harness.readOutcome(other) == nil)
        #expect(harness.machine.leaderLink?.connection == connection)
    }

    @Test("a cancelled call ends at once; a write that was sent is indefinite")
    func cancel() throws {
        let harness = MachineHarness()
        let waiting = harness.write()
        harness.submit(.cancel(waiting))
        #expect(harness.failure(waiting)?.code == .cancelled)
        #expect(harness.failure(waiting)?.outcome == .definite)
        _ = try #require(harness.bringUp(leader: 1))
        let sent = harness.write()
        harness.submit(.cancel(sent))
        #expect(harness.failure(sent)?.outcome == .indefinite)
    }

    @Test("a connection that cannot take more gets no more calls until it can")
    func writability() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        harness.machine.writabilityChanged(connection, isWritable: false)
        _ = harness.write()
        _ = harness.read()
        #expect(harness.sent.isEmpty)
        harness.machine.writabilityChanged(connection, isWritable: true)
        harness.advance(.milliseconds(10))
        #expect(harness.takeWrite() != nil)
        #expect(harness.takeRead() != nil)
    }
}

@Suite("ClientMachine: watches")
struct ClientMachineWatchTests {
    private func event(_ version: UInt64) -> ChangeEvent {
        ChangeEvent(version: Version(version), changes: [.brokerRemoved(BrokerID(Int32(version)))])
    }

    private func takeWatch(_ harness: MachineHarness) -> (MachineHarness.Sent, Version)? {
        guard let request = harness.take(where: { if case .watch = $0 { true } else { false } }),
            case .watch(let after, _) = request.frame.request
        else { return nil }
        return (request, after)
    }

    /// A client with one watch after version 10, asked for at a node.
    private func watching() throws -> (MachineHarness, CallID, MachineHarness.Sent) {
        let harness = MachineHarness()
        let id = harness.watch(after: Version(10))
        let first = try #require(harness.dials.first).node
        harness.accept(first, leader: first)
        let (request, after) = try #require(takeWatch(harness))
        #expect(after == Version(10))
        return (harness, id, request)
    }

    @Test("events come once and in order, also when a node sends some again")
    func inOrder() throws {
        let (harness, _, request) = try watching()
        harness.answer(request, .watchEvents([event(11), event(13)], through: Version(13)))
        harness.answer(request, .watchEvents([event(13), event(14)], through: Version(16)))
        harness.answer(request, .watchProgress(through: Version(15)))
        harness.answer(request, .watchProgress(through: Version(20)))
        #expect(
            harness.delivered == [
                .changes(event(11)), .changes(event(13)), .changes(event(14)), .progress(Version(16)),
                .progress(Version(20)),
            ])
    }

    @Test("a watch goes on at another node after the last version that came (pitfall 39)")
    func resumes() throws {
        let (harness, _, request) = try watching()
        harness.answer(request, .watchEvents([event(11), event(12)], through: Version(12)))
        harness.lose(request.connection)
        let other = request.node % 3 + 1
        harness.accept(other, leader: nil)
        let (second, after) = try #require(takeWatch(harness))
        #expect(second.node == other)
        #expect(after == Version(12))
        #expect(second.frame.id != request.frame.id)
    }

    @Test("events out of order are a violation: nothing of them is delivered")
    func outOfOrder() throws {
        let (harness, _, request) = try watching()
        harness.answer(request, .watchEvents([event(13), event(12)], through: Version(13)))
        #expect(harness.delivered.isEmpty)
        #expect(harness.disconnected.contains(request.connection))
        harness.advance(.milliseconds(300))
        for node in 1...3 { harness.accept(node, leader: nil) }
        #expect(try #require(takeWatch(harness)).1 == Version(10))
    }

    @Test("a full buffer stops the stream, and it is resumed after the last event that was taken")
    func backpressure() throws {
        let (harness, id, request) = try watching()
        harness.watchHasRoom = false
        harness.answer(request, .watchEvents([event(11)], through: Version(11)))
        #expect(harness.take { $0 == .cancelWatch(requestID: request.frame.id) } != nil)
        // What was on its way is dropped, not delivered past the gap to come.
        harness.answer(request, .watchEvents([event(12)], through: Version(12)))
        #expect(harness.delivered == [.changes(event(11))])
        #expect(takeWatch(harness) == nil)
        harness.watchHasRoom = true
        harness.submit(.resumeWatch(id))
        let (second, after) = try #require(takeWatch(harness))
        #expect(after == Version(11))
        harness.answer(second, .watchEvents([event(12)], through: Version(12)))
        #expect(harness.delivered == [.changes(event(11)), .changes(event(12))])
    }

    @Test("a feed that does not reach back ends the watch with a restart")
    func tooOld() throws {
        let (harness, _, request) = try watching()
        harness.answer(request, .watchTooOld(oldest: Version(50)))
        #expect(harness.delivered == [.restart(oldest: Version(50))])
        #expect(harness.finishedWatches == [nil])
        harness.lose(request.connection)
        #expect(takeWatch(harness) == nil)
    }

    @Test("a node that lost its leader loses its watches to another (pitfall 40)")
    func leaderless() throws {
        let (harness, _, request) = try watching()
        var moved: (MachineHarness.Sent, Version)?
        for _ in 0..<600 where moved == nil {
            harness.advance(.milliseconds(10))
            while let probe = harness.take(from: request.node, where: { $0 == .nodeStatus }) {
                harness.answer(probe, .nodeStatus(MachineHarness.status(probe.node, leader: nil, term: 1)))
            }
            for node in 1...3 where node != request.node { harness.accept(node, leader: node, term: 2) }
            moved = takeWatch(harness)
        }
        #expect(moved.map { $0.0.node != request.node } == true)
        #expect(harness.take { $0 == .cancelWatch(requestID: request.frame.id) } != nil)
    }

    @Test("a watch that no node accepts is asked for again, not in a flood")
    func refusedByNode() throws {
        let (harness, _, request) = try watching()
        var current = request
        var attempts = 0
        let start = harness.now
        while harness.now - start < .milliseconds(500) {
            harness.fail(current, .overloaded)
            attempts += 1
            #expect(takeWatch(harness) == nil, "asked again at once")
            harness.advance(.milliseconds(10))
            current = try #require(takeWatch(harness)).0
        }
        #expect(attempts <= 51)
    }

    @Test("an invalid watch fails")
    func invalid() throws {
        let (harness, _, request) = try watching()
        harness.fail(request, .invalidRequest)
        #expect(harness.finishedWatches.map { $0?.code } == [.invalidRequest])
    }

    @Test("a cancelled watch is taken off its node")
    func cancelled() throws {
        let (harness, id, request) = try watching()
        harness.submit(.cancelWatch(id))
        #expect(harness.take { $0 == .cancelWatch(requestID: request.frame.id) } != nil)
        harness.answer(request, .watchEvents([event(11)], through: Version(11)))
        #expect(harness.delivered.isEmpty)
    }
}
