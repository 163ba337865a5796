import Testing

@testable import RaftCore

@Suite struct ReadTests {
    private func attempt(_ ready: Ready) -> UInt64? {
        for message in ready.messages {
            if case .readIndexRequest(let id) = message.kind { return id }
        }
        return nil
    }

    @Test("the first read sends its round of heartbeats at once; one round confirms all that waited when it left")
    func rounds() {
        var node = makeNode()
        node.lead()
        #expect(node.read(id: 1) == true)
        #expect(node.read(id: 2) == true)
        #expect(node.takeReady().kinds(to: 2) == [.heartbeat(commit: 1, round: 1)])
        #expect(node.read(id: 3) == true)
        #expect(node.takeReady().messages.isEmpty)
        node.receive(.heartbeatResponse(round: 1), from: 3, term: 1)
        let ready = node.takeReady()
        #expect(ready.reads == [ConfirmedRead(id: 1, index: 1), ConfirmedRead(id: 2, index: 1)])
        #expect(ready.kinds(to: 2) == [.heartbeat(commit: 1, round: 2)])
        node.receive(.heartbeatResponse(round: 1), from: 2, term: 1)
        #expect(node.takeReady().reads.isEmpty)
        node.receive(.heartbeatResponse(round: 2), from: 2, term: 1)
        #expect(node.takeReady().reads == [ConfirmedRead(id: 3, index: 1)])
    }

    @Test(
        "the answer to a later round confirms an earlier one, so a lost heartbeat delays a read by one interval at most"
    )
    func laterRound() {
        var node = makeNode()
        node.lead()
        #expect(node.read(id: 1) == true)
        _ = node.takeReady()
        node.tick()
        node.tick()
        #expect(node.takeReady().kinds(to: 2) == [.heartbeat(commit: 1, round: 2)])
        node.receive(.heartbeatResponse(round: 2), from: 2, term: 1)
        #expect(node.takeReady().reads == [ConfirmedRead(id: 1, index: 1)])
    }

    @Test("an answer to a round that left before the read does not confirm it")
    func earlierRound() {
        var node = makeNode()
        node.lead()
        node.tick()
        node.tick()
        _ = node.takeReady()
        #expect(node.read(id: 1) == true)
        _ = node.takeReady()
        node.receive(.heartbeatResponse(round: 1), from: 2, term: 1)
        node.receive(.heartbeatResponse(round: 1), from: 3, term: 1)
        #expect(node.takeReady().reads.isEmpty)
    }

    @Test("no read is confirmed before an entry of the leader's term is committed (Diss. §6.4)")
    func beforeOwnTerm() {
        var node = makeNode(hardState: HardState(term: 1, vote: nil), entries: [makeEntry(1, 1)])
        node.win()
        _ = node.drain()
        #expect(node.read(id: 1) == true)
        node.tick()
        node.tick()
        _ = node.drain()
        node.receive(.heartbeatResponse(round: 1), from: 2, term: 2)
        node.receive(.heartbeatResponse(round: 1), from: 3, term: 2)
        #expect(node.drain().reads.isEmpty)
        node.receive(.appendAccepted(match: 2), from: 2, term: 2)
        _ = node.drain()
        node.receive(.heartbeatResponse(round: 2), from: 2, term: 2)
        #expect(node.drain().reads == [ConfirmedRead(id: 1, index: 2)])
    }

    @Test("a leader that lost its term confirms nothing, its own reads or others' (etcd 20418)")
    func deposed() {
        var node = makeNode()
        node.lead()
        #expect(node.read(id: 1) == true)
        node.receive(.readIndexRequest(id: 77), from: 3, term: 1)
        _ = node.takeReady()
        #expect(node.read(id: 2) == true)
        node.receive(.heartbeat(commit: 1, round: 1), from: 2, term: 2)
        node.receive(.heartbeatResponse(round: 1), from: 2, term: 1)
        node.receive(.heartbeatResponse(round: 1), from: 3, term: 1)
        let ready = node.drain()
        #expect(ready.reads.isEmpty)
        #expect(ready.droppedReads == [1, 2])
        #expect(ready.kinds(to: 3) == [.readIndexResponse(id: 77, index: nil)])
    }

    @Test("an isolated leader answers no linearizable read; there are no lease reads")
    func isolated() {
        var node = makeNode()
        node.lead()
        #expect(node.read(id: 1) == true)
        var dropped: [UInt64] = []
        for _ in 0..<30 {
            node.tick()
            let ready = node.drain()
            #expect(ready.reads.isEmpty)
            dropped += ready.droppedReads
        }
        #expect(dropped == [1])
    }

    @Test("a late answer to an earlier attempt is not taken for the present one (etcd-io/raft 397)")
    func uniqueAttempts() {
        var node = makeNode()
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        #expect(node.read(id: 5) == true)
        let first = attempt(node.drain())
        for _ in 0..<4 {
            node.tick()
            node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        }
        #expect(node.read(id: 6) == true)
        let second = attempt(node.drain())
        #expect(first != nil && second != nil && first != second)
        node.receive(.readIndexResponse(id: first ?? 0, index: 1), from: 2, term: 1)
        #expect(node.drain().reads.isEmpty)
        node.receive(.readIndexResponse(id: second ?? 0, index: 9), from: 2, term: 1)
        #expect(node.drain().reads == [ConfirmedRead(id: 5, index: 9), ConfirmedRead(id: 6, index: 9)])
        node.receive(.readIndexResponse(id: second ?? 0, index: 9), from: 2, term: 1)
        #expect(node.drain().reads.isEmpty)
    }

    @Test("attempts after a restart have other ids than those before it")
    func attemptsAfterRestart() {
        let attempts = (UInt64(1)...50).map { seed -> UInt64? in
            var node = makeNode(seed: seed)
            node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
            #expect(node.read(id: 1) == true)
            return attempt(node.drain())
        }
        #expect(Set(attempts).count == 50)
    }

    @Test("a follower's reads are dropped when its leader changes or says that it leads no more")
    func followerDrops() {
        var node = makeNode()
        #expect(node.read(id: 1) == false)
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        #expect(node.read(id: 2) == true)
        let id = attempt(node.drain()) ?? 0
        #expect(node.read(id: 3) == true)
        node.receive(.readIndexResponse(id: id, index: nil), from: 2, term: 1)
        #expect(node.drain().droppedReads == [2])
        node.receive(.heartbeat(commit: 0, round: 1), from: 3, term: 2)
        #expect(node.drain().droppedReads == [3])
    }

    @Test("a read that is forwarded is answered with the leader's commit index, also to a learner")
    func forwarded() {
        var node = makeNode(learners: [4])
        node.lead()
        node.receive(.readIndexRequest(id: 9), from: 4, term: 1)
        _ = node.takeReady()
        node.receive(.heartbeatResponse(round: 1), from: 4, term: 1)
        #expect(node.takeReady().kinds(to: 4).isEmpty)
        node.receive(.heartbeatResponse(round: 1), from: 2, term: 1)
        #expect(node.takeReady().kinds(to: 4) == [.readIndexResponse(id: 9, index: 1)])
    }

    @Test("reads that wait are bounded, on a leader and on a follower")
    func limit() {
        var options = Options()
        options.pendingReadsMax = 2
        var leader = makeNode(options: options)
        leader.lead()
        #expect(leader.read(id: 1) == true)
        #expect(leader.read(id: 2) == true)
        #expect(leader.read(id: 3) == false)
        leader.receive(.readIndexRequest(id: 8), from: 2, term: 1)
        #expect(leader.takeReady().kinds(to: 2).contains(.readIndexResponse(id: 8, index: nil)))
        var follower = makeNode(options: options)
        follower.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        #expect(follower.read(id: 1) == true)
        #expect(follower.read(id: 2) == true)
        #expect(follower.read(id: 3) == false)
    }

    @Test("a member alone confirms its reads at once")
    func single() {
        var node = makeNode(voters: [1])
        node.campaign()
        _ = node.drain()
        #expect(node.read(id: 1) == true)
        #expect(node.takeReady().reads == [ConfirmedRead(id: 1, index: 1)])
    }
}
