import MetadataModel
import NIOCore

import Synchronization
import Testing
import Wire

@testable import MetadataClient

@Suite("ClientMachine: writes, once")
struct ClientMachineWriteTests {
    @Test("a write that was sent on a broken connection is sent again under the same number (pitfall 31)")
    func resendKeepsTicket() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        let ids = (0..<5).map { harness.write("t\($0)") }
        let before = harness.takeAllWrites(from: 1)
        #expect(before.count == 5)
        harness.lose(connection)
        harness.elect(2, term: 2)
        let after = harness.takeAllWrites(from: 2)
        #expect(after.map { $0.frame.request.write?.sequence } == before.map { $0.frame.request.write?.sequence })
        #expect(after.map { $0.frame.request.write?.command } == before.map { $0.frame.request.write?.command })
        #expect(after.allSatisfy { $0.frame.request.write?.session == SessionID(100) })
        for (index, request) in after.enumerated() {
            harness.answer(request, .write(.done(.changed(Version(UInt64(index))))))
        }
        #expect(ids.map { harness.outcome($0) } == (0..<5).map { .success(.changed(Version($0))) })
    }

    @Test("writes are sent again in the order of their numbers, before new ones")
    func resendOrder() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        _ = (0..<20).map { harness.write("old\($0)") }
        harness.sent.removeAll()
        harness.lose(connection)
        _ = (0..<5).map { harness.write("new\($0)") }
        harness.elect(3, term: 2)
        let sequences = harness.takeAllWrites(from: 3).compactMap { $0.frame.request.write?.sequence }
        #expect(sequences.count == 25)
        #expect(sequences == sequences.sorted())
    }

    @Test("no more writes are under way than the session's window, and an answer lets the next through")
    func window() throws {
        let harness = MachineHarness { $0.inFlightMax = 5_000 }
        _ = try #require(harness.bringUp(leader: 1))
        for _ in 0..<1_100 { _ = harness.write() }
        let sent = harness.takeAllWrites(from: 1)
        #expect(sent.count == Int(Limits.sessionWindow))
        // The answer to a later one does not move the window.
        harness.answer(sent[10], .write(.done(.changed(Version(2)))))
        #expect(harness.takeWrite() == nil)
        harness.answer(sent[0], .write(.done(.changed(Version(2)))))
        let next = try #require(harness.takeWrite())
        #expect(next.frame.request.write?.sequence == 2 + Limits.sessionWindow)
        #expect(next.frame.request.write?.acknowledgedBelow == 3)
    }

    @Test("inFlightMax holds back new writes")
    func inFlightMax() throws {
        let harness = MachineHarness { $0.inFlightMax = 3 }
        _ = try #require(harness.bringUp(leader: 1))
        for _ in 0..<5 { _ = harness.write() }
        let sent = harness.takeAllWrites(from: 1)
        #expect(sent.count == 3)
        harness.answer(sent[1], .write(.done(.changed(Version(2)))))
        #expect(harness.takeAllWrites(from: 1).count == 1)
    }

    @Test("a call beyond queuedMax fails at once, nothing else changes")
    func queuedMax() throws {
        let harness = MachineHarness {
            $0.queuedMax = 2
            $0.inFlightMax = 1
        }
        let ids = (0..<4).map { _ in harness.write() }
        #expect(ids.map { harness.failure($0)?.code } == [nil, nil, nil, .clientOverloaded])
        #expect(harness.failure(ids[3])?.outcome == .definite)
    }

    @Test("a refusal is an answer: it is not retried, and it is definite")
    func refusal() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let id = harness.write()
        let refusal = Refusal(.topicNotFound, "no topic t")
        harness.answer(try #require(harness.takeWrite()), .write(.refused(refusal)))
        #expect(harness.failure(id) == .refused(refusal))
        #expect(harness.failure(id)?.category == .invalidInput)
        #expect(harness.takeWrite() == nil)
    }

    @Test("a write that was sent and not answered until the deadline is neither done nor refused (pitfall 32)")
    func indefinite() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        let sent = harness.write(timeout: .milliseconds(200))
        #expect(harness.takeWrite() != nil)
        harness.lose(connection)
        let waiting = harness.write(timeout: .milliseconds(200))
        harness.advance(.milliseconds(250))
        #expect(harness.failure(sent)?.code == .timedOut)
        #expect(harness.failure(sent)?.outcome == .indefinite)
        #expect(harness.failure(waiting)?.code == .unavailable)
        #expect(harness.failure(waiting)?.outcome == .definite)
    }

    @Test("a write that every node certainly turned down is definite at its deadline")
    func definiteAfterRedirects() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let id = harness.write(timeout: .milliseconds(500))
        harness.fail(try #require(harness.takeWrite()), .notLeader)
        harness.advance(.milliseconds(600))
        #expect(harness.failure(id)?.code == .unavailable)
        #expect(harness.failure(id)?.outcome == .definite)
    }

    @Test("leadership lost under a write leaves its fate open: it is retried, and indefinite at the deadline")
    func leadershipLost() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let id = harness.write(timeout: .milliseconds(500))
        harness.fail(try #require(harness.takeWrite()), .leadershipLost, isDefinite: false)
        harness.advance(.milliseconds(600))
        #expect(harness.failure(id)?.outcome == .indefinite)
    }

    @Test("a late failure of an earlier attempt does not disturb the current one, a late result counts")
    func lateAnswers() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let id = harness.write()
        let first = try #require(harness.takeWrite(from: 1))
        // Another node is named by a later term while the write is under way.
        let status = harness.nodeStatus(of: 2)
        if harness.machine.nodes[1].ready == nil { harness.elect(2, term: 2) }
        let request = try #require(harness.take(from: 2) { $0 == .nodeStatus })
        harness.answer(request, .nodeStatus(MachineHarness.status(2, leader: 2, term: 2)))
        _ = status
        let second = try #require(harness.takeWrite(from: 2))
        harness.fail(first, .leadershipLost, isDefinite: false)
        #expect(harness.takeWrite() == nil, "the current attempt still stands")
        harness.answer(first, .write(.done(.changed(Version(4)))))
        #expect(harness.outcome(id) == .success(.changed(Version(4))))
        harness.answer(second, .write(.refused(Refusal(.topicNotFound, ""))))
        #expect(harness.outcome(id) == .success(.changed(Version(4))))
    }

    @Test("numbers that were given up are acknowledged, so that a late attempt is refused")
    func givenUp() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        _ = harness.write(timeout: .milliseconds(100))
        let given = try #require(harness.takeWrite()?.frame.request.write)
        harness.advance(.milliseconds(200))
        _ = harness.write()
        let next = try #require(harness.takeWrite()?.frame.request.write)
        #expect(next.acknowledgedBelow == given.sequence + 1)
    }

    // MARK: Sessions

    @Test("an expired session is replaced without a word when no earlier attempt was sent")
    func sessionExpiredFirstAttempt() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let ids = [harness.write("a"), harness.write("b")]
        for request in harness.takeAllWrites(from: 1) {
            harness.answer(request, .write(.refused(Refusal(.sessionExpired, "gone"))))
        }
        harness.openSession(200)
        let again = harness.takeAllWrites(from: 1)
        #expect(again.map { $0.frame.request.write?.session } == [SessionID(200), SessionID(200)])
        #expect(Set(again.compactMap { $0.frame.request.write?.sequence }) == [1, 2])
        for request in again { harness.answer(request, .write(.done(.changed(Version(8))))) }
        #expect(ids.map { harness.outcome($0) } == Array(repeating: .success(.changed(Version(8))), count: 2))
    }

    @Test("an expired session leaves a write open whose earlier attempt was lost")
    func sessionExpiredAfterLoss() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        let lost = [harness.write("a"), harness.write("b")]
        #expect(harness.takeAllWrites(from: 1).count == 2)
        harness.lose(connection)
        harness.elect(2, term: 2)
        let fresh = harness.write("c")
        for request in harness.takeAllWrites(from: 2) {
            harness.answer(request, .write(.refused(Refusal(.sessionExpired, "gone"))))
        }
        for id in lost {
            #expect(harness.failure(id)?.code == .sessionLost)
            #expect(harness.failure(id)?.outcome == .indefinite)
        }
        harness.openSession(201)
        let again = try #require(harness.takeWrite(from: 2))
        #expect(again.frame.request.write?.session == SessionID(201))
        harness.answer(again, .write(.done(.changed(Version(8)))))
        #expect(harness.outcome(fresh) == .success(.changed(Version(8))))
    }

    @Test("a write of an old session that breaks off after the session was lost is not sent under the new one")
    func oldSessionNeverResent() throws {
        let harness = MachineHarness()
        let connection = try #require(harness.bringUp(leader: 1))
        let slow = harness.write("slow")
        let quick = harness.write("quick")
        let requests = harness.takeAllWrites(from: 1)
        harness.answer(requests[1], .write(.refused(Refusal(.sessionExpired, "gone"))))
        harness.openSession(300)
        let renewed = try #require(harness.takeWrite())
        harness.answer(renewed, .write(.done(.changed(Version(1)))))
        #expect(harness.outcome(quick) == .success(.changed(Version(1))))
        harness.lose(connection)
        harness.elect(2, term: 2)
        #expect(harness.takeWrite() == nil)
        #expect(harness.failure(slow)?.code == .sessionLost)
        #expect(harness.failure(slow)?.outcome == .indefinite)
    }

    @Test("opening a session is tried again when its answer is lost; writes wait for it")
    func openSessionRetried() throws {
        let harness = MachineHarness(nodes: 1)
        let id = harness.write()
        let connection = try #require(harness.accept(1, leader: 1, members: [1]))
        #expect(harness.take { $0.write?.session == nil && $0.write != nil } != nil)
        harness.lose(connection)
        harness.advance(.milliseconds(300))
        harness.accept(1, leader: 1, term: 2, members: [1])
        #expect(harness.takeWrite() == nil)
        harness.openSession(5)
        harness.answer(try #require(harness.takeWrite()), .write(.done(.changed(Version(1)))))
        #expect(harness.outcome(id) == .success(.changed(Version(1))))
    }

    @Test("when the cluster opens no session, the writes that wait fail with its reason, and are definite")
    func openSessionRefused() throws {
        let harness = MachineHarness(nodes: 1)
        let id = harness.write()
        harness.accept(1, leader: 1, members: [1])
        let open = try #require(harness.take { $0.write != nil })
        harness.answer(open, .write(.refused(Refusal(.limitExceeded, "too many sessions"))))
        #expect(harness.failure(id)?.refusal?.reason == .limitExceeded)
        #expect(harness.failure(id)?.outcome == .definite)
    }

    @Test("closing gives the session back and fails what is open, each with its outcome")
    func close() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        let id = harness.write()
        let request = try #require(harness.takeWrite())
        harness.close()
        #expect(harness.failure(id)?.code == .clientClosed)
        #expect(harness.failure(id)?.outcome == .indefinite)
        #expect(harness.results.closed.withLock { $0 } == 0)
        let farewell = try #require(harness.take { $0.write?.session == nil && $0.write != nil })
        harness.answer(farewell, .write(.done(.changed(Version(1)))))
        #expect(harness.results.closed.withLock { $0 } == 1)
        harness.answer(request, .write(.done(.changed(Version(1)))))
        let late = harness.write()
        #expect(harness.failure(late)?.code == .clientClosed)
        #expect(harness.failure(late)?.outcome == .definite)
        harness.close()
        #expect(harness.results.closed.withLock { $0 } == 2)
        #expect(harness.machine.nextTick(now: harness.now) == nil)
    }

    @Test("closing does not wait for a cluster that does not answer")
    func closeWithoutAnswer() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        harness.close()
        harness.advance(.milliseconds(300))
        #expect(harness.results.closed.withLock { $0 } == 1)
    }

    // MARK: Overload

    @Test("overloaded nodes are tried again after a pause, until the budget is used up")
    func overloaded() throws {
        let harness = MachineHarness { $0.retry.budget = 2 }
        _ = try #require(harness.bringUp(leader: 1))
        let id = harness.write(timeout: .seconds(60))
        for _ in 0..<2 {
            harness.fail(try #require(harness.takeWrite()), .overloaded)
            #expect(harness.takeWrite() == nil, "tried again without a pause")
            harness.advance(.milliseconds(100))
        }
        harness.fail(try #require(harness.takeWrite()), .overloaded)
        #expect(harness.failure(id)?.code == .overloaded)
        #expect(harness.failure(id)?.outcome == .definite)
    }

    @Test("a command that is too large is not sent")
    func tooLarge() throws {
        let harness = MachineHarness()
        harness.submit(
            .write(99, Array(repeating: 0, count: Limits.commandBytesMax + 1), deadline: harness.now + .seconds(1)) {
                [results = harness.results] result in results.writes.withLock { $0[99] = result }
            })
        #expect(harness.failure(99)?.code == .invalidRequest)
        #expect(harness.dials.isEmpty)
    }

    @Test("deadlines of answered calls do not pile up behind a slow one")
    func deadlinesStayBounded() throws {
        let harness = MachineHarness()
        _ = try #require(harness.bringUp(leader: 1))
        _ = harness.write(timeout: .seconds(60))
        harness.sent.removeAll()
        for _ in 0..<5_000 {
            _ = harness.read(timeout: .seconds(120))
            harness.answer(
                try #require(harness.takeRead()), .read(.notFound(Refusal(.topicNotFound, "")), appliedIndex: 1))
        }
        harness.advance(.milliseconds(10))
        #expect(harness.machine.deadlineCount < 2_000)
        #expect(harness.machine.calls.count == 1)
    }
}
