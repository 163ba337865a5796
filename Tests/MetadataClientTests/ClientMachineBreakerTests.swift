import MetadataModel
import NIOCore
import Resilience
import Synchronization
import Testing
import Wire

@testable import MetadataClient

@Suite("ClientMachine: circuit breakers of nodes")
struct ClientMachineBreakerTests {
    private let summary = QueryResult.summary(
        MetadataSummary(
            version: Version(1), appliedIndex: 1, digest: 0,
            totals: MetadataTotals(brokers: 0, topics: 0, partitions: 0, sessions: 0), featureLevel: 1))
    private let stale = ReadConsistency.stale(maxLagMilliseconds: 1_000)

    /// Three nodes are connected, 1 leads; the breaker opens after two failures, for ten seconds.
    private func connected(_ change: (inout MetadataClient.Options) -> Void = { _ in }) -> MachineHarness {
        let harness = MachineHarness {
            $0.breaker.failureThreshold = 2
            $0.breaker.timeout = .seconds(10)
            change(&$0)
        }
        _ = harness.bringUp(leader: 1)
        for node in 2...3 {
            _ = harness.nodeStatus(of: node)
            harness.accept(node, leader: 1)
            while let asked = harness.take(from: node, where: { $0 == .nodeStatus }) {
                harness.answer(asked, .nodeStatus(MachineHarness.status(node, leader: 1, term: 1)))
            }
        }
        // They are asked again and again who the members are.
        harness.probesSayLeader = 1
        return harness
    }

    /// Has this node, and no other, answer a read like this.
    private func readAt(
        _ node: Int, _ harness: MachineHarness, _ answer: (MachineHarness.Sent) -> Void
    ) -> CallID? {
        for _ in 0..<60 {
            let id = harness.read(stale, timeout: .seconds(5))
            guard let request = harness.takeRead() else { return nil }
            guard request.node == node else {
                harness.answer(request, .read(summary, appliedIndex: 1))
                continue
            }
            answer(request)
            return id
        }
        return nil
    }

    private func breakStore(of node: Int, _ harness: MachineHarness, times: Int = 2) {
        for _ in 0..<times {
            _ = readAt(node, harness) { harness.fail($0, .storageFailed) }
            // The other nodes serve it.
            harness.advance(.milliseconds(200))
            while let again = harness.takeRead() { harness.answer(again, .read(summary, appliedIndex: 1)) }
        }
    }

    @Test("a node whose reads fail is asked no more while its breaker is open, then by a few probes")
    func skipped() throws {
        let harness = connected()
        breakStore(of: 2, harness)
        #expect(harness.machine.nodes[1].breaker.phase == .open)
        for _ in 0..<60 {
            _ = harness.read(stale)
            let request = try #require(harness.takeRead())
            #expect(request.node != 2)
            harness.answer(request, .read(summary, appliedIndex: 1))
        }
        harness.advance(.seconds(11), step: .milliseconds(500))
        for _ in 0..<2 {
            _ = try #require(readAt(2, harness) { harness.answer($0, .read(summary, appliedIndex: 1)) })
        }
        #expect(harness.machine.nodes[1].breaker.phase == .closed)
    }

    @Test("told to ask another, to wait, that it is too late, or no: no failure of the node (pitfall 51)")
    func answersAreNoFailures() throws {
        let harness = connected()
        for code in [ServiceFailure.Code.notLeader, .noLeader, .overloaded, .deadlineExceeded, .invalidRequest] {
            for _ in 0..<4 {
                let id = try #require(readAt(3, harness) { harness.fail($0, code) }, "\(code)")
                harness.submit(.cancel(id))
            }
        }
        for _ in 0..<4 {
            let id = harness.read(stale)
            _ = try #require(harness.takeRead())
            harness.submit(.cancel(id))
        }
        #expect(harness.machine.nodes.allSatisfy { $0.breaker.phase == .closed })
        #expect(harness.machine.nodes[2].breaker.counts.failures == 0)
    }

    @Test(
        "a node that cannot be reached is not dialled while its breaker is open, and at once when it is named as the leader"
    )
    func dials() throws {
        let harness = connected()
        let second = try #require(harness.machine.nodes[1].connection)
        harness.lose(second)
        for _ in 0..<40 where harness.machine.nodes[1].breaker.phase != .open {
            _ = harness.nodeStatus(of: 2, timeout: .milliseconds(5))
            harness.machine.askAround(now: harness.now)
            harness.submit(.cancel(0))
            harness.refuseDial(2)
            harness.advance(.seconds(1))
        }
        #expect(harness.machine.nodes[1].breaker.phase == .open)
        harness.machine.askAround(now: harness.now)
        harness.submit(.cancel(0))
        #expect(!harness.dials.contains { $0.node == 2 })
        _ = harness.write()
        harness.fail(
            try #require(harness.takeWrite(from: 1)), .notLeader, leader: MachineHarness.hint(2, term: 9))
        #expect(harness.dials.contains { $0.node == 2 })
    }

    @Test("when the breakers of all nodes are open, they are dialled all the same: one of them may be back")
    func lastHope() throws {
        let harness = MachineHarness(nodes: 2) {
            $0.breaker.failureThreshold = 1
            $0.breaker.timeout = .seconds(3_600)
        }
        let id = harness.write(timeout: .seconds(60))
        for _ in 0..<50 {
            for node in 1...2 { harness.refuseDial(node) }
            harness.advance(.milliseconds(100))
        }
        // One of them may be dialled just now, as the last hope.
        for node in 1...2 { harness.refuseDial(node) }
        #expect(harness.machine.nodes.allSatisfy { $0.breaker.phase == .open })
        for _ in 0..<20 where harness.dials.isEmpty { harness.advance(.milliseconds(100)) }
        let node = try #require(harness.dials.first).node
        harness.accept(node, leader: node)
        harness.openSession(7)
        harness.answer(try #require(harness.takeWrite(from: node)), .write(.done(.changed(Version(1)))))
        #expect(harness.outcome(id) == .success(.changed(Version(1))))
    }

    @Test("a read that no node will be asked for in time fails at once and says when to try again")
    func shutOut() throws {
        let harness = connected { $0.retry.attemptsMax = 1 }
        for node in 1...3 { breakStore(of: node, harness) }
        #expect(harness.machine.nodes.allSatisfy { $0.breaker.phase == .open })
        let id = harness.read(stale, timeout: .seconds(5))
        guard case .failure(let failure)? = harness.readOutcome(id) else {
            Issue.record("the read waits")
            return
        }
        #expect(failure.code == .circuitOpen)
        #expect(failure.outcome == .definite)
        #expect(failure.category == .transient)
        let retryAfter = try #require(failure.retryAfter)
        #expect(retryAfter > .seconds(5) && retryAfter <= .seconds(10))
        #expect(failure.detail.contains("open, retry in "))
    }

    @Test("a breaker that is open at a node is passed on with its time, when that is later than the call can wait")
    func openAtNode() throws {
        let harness = connected()
        let id = harness.write(timeout: .seconds(5))
        let request = try #require(harness.takeWrite(from: 1))
        let context = FailureContext(
            category: .transient, operation: "delete_topic", cause: "the disk hangs", facts: [.init("node_id", "1")],
            timestampMilliseconds: 17)
        harness.answer(
            request,
            .failure(
                ServiceFailure(
                    code: .overloaded, detail: "open, retry in 25 s", isDefinite: true, retryAfterMilliseconds: 25_000,
                    openBreaker: "proposals", context: context)))
        let failure = try #require(harness.failure(id))
        #expect(failure.code == .circuitOpen)
        #expect(failure.retryAfter == .seconds(25))
        #expect(failure.outcome == .definite)
        let error = MetadataError(failure, operation: "deleteTopic")
        #expect(error.cause == "the disk hangs")
        #expect(error.metadata == ["node_id": "1", "node_operation": "delete_topic", "node_time": "17"])
        #expect(harness.machine.nodes[0].breaker.phase == .closed)
    }

    @Test("a write fails at once when its session cannot be opened before its time is up, and the next one asks again")
    func openBeforeSession() throws {
        let harness = MachineHarness(nodes: 1)
        let first = harness.write(timeout: .seconds(5))
        harness.accept(1, leader: 1)
        harness.answer(
            try #require(harness.take { $0.write.map { $0.session == nil } ?? false }),
            .failure(
                ServiceFailure(
                    code: .overloaded, detail: "open, retry in 25 s", isDefinite: true, retryAfterMilliseconds: 25_000,
                    openBreaker: "proposals")))
        let failure = try #require(harness.failure(first))
        #expect(failure.code == .circuitOpen)
        #expect(failure.outcome == .definite)
        #expect(failure.retryAfter == .seconds(25))
        #expect(failure.detail == "no session: open, retry in 25 s")

        let second = harness.write(timeout: .seconds(5))
        harness.openSession(7)
        harness.answer(try #require(harness.takeWrite(from: 1)), .write(.done(.changed(Version(1)))))
        #expect(harness.outcome(second) == .success(.changed(Version(1))))
    }

    @Test("a call that a node turns down is tried no more often than the rules allow")
    func attempts() throws {
        let harness = connected { $0.retry.attemptsMax = 3 }
        let id = harness.write(timeout: .seconds(60))
        for attempt in 1...3 {
            #expect(harness.failure(id) == nil, "given up before attempt \(attempt)")
            harness.fail(try #require(harness.takeWrite()), .overloaded)
            harness.advance(.milliseconds(100))
        }
        #expect(harness.failure(id)?.code == .overloaded)
    }

    @Test("how long to wait for a leader is what the nodes say, unless the client has a mind of its own")
    func leaderWait() throws {
        func wait(_ own: Duration?) throws -> TimeAmount {
            let harness = MachineHarness(nodes: 1) { $0.leaderWait = own }
            let id = harness.write(timeout: .seconds(60))
            let connection = try #require(harness.acceptSilently(1))
            let hello = try #require(harness.take(from: 1))
            harness.answer(
                hello,
                .hello(
                    ServerHello(
                        clusterID: "c", nodeID: 1, leader: nil, members: [], leaderWaitMilliseconds: 3_000)))
            harness.lose(connection)
            let begin = harness.now
            for _ in 0..<3_000 where harness.failure(id) == nil {
                harness.refuseDial(1)
                harness.advance(.milliseconds(10))
            }
            #expect(harness.failure(id)?.code == .unavailable)
            return harness.now - begin
        }
        let told = try wait(nil)
        #expect(told > .milliseconds(2_900) && told < .milliseconds(3_200))
        let own = try wait(.seconds(1))
        #expect(own < .milliseconds(1_200))
    }

    @Test(
        "breakers are asked of one node, and an order to one of them that got no answer is not known to be carried out")
    func byHand() throws {
        let harness = connected()
        let results = harness.results
        func ask(_ id: CallID, _ control: BreakerControl?) {
            harness.submit(
                .breakers(id, MachineHarness.endpoint(2), control, deadline: harness.now + .seconds(5)) { result in
                    results.breakers.withLock { $0[id] = result }
                })
        }
        ask(901, nil)
        let list = try #require(harness.take(from: 2) { $0 == .breakers })
        harness.answer(list, .breakers([]))
        #expect(results.breakers.withLock { $0[901] } == .success([]))
        ask(902, BreakerControl(name: "store", action: .open))
        let order = try #require(harness.take(from: 2) { if case .controlBreaker = $0 { true } else { false } })
        harness.lose(order.connection)
        guard case .failure(let failure)? = results.breakers.withLock({ $0[902] }) else {
            Issue.record("the order has not failed")
            return
        }
        #expect(failure.outcome == .indefinite)
    }
}
