import Testing

@testable import RaftCore

/// A voter that lost its log (Protocol-Aware Recovery, FAST 2018): it must not help to elect, or be, a leader without what
/// was committed with its help.
@Suite struct RecoveryTests {
    private let hardState = HardState(term: 2, vote: 1)

    private func recovering(entries: [Entry] = [], applied: LogIndex? = nil) -> RaftNode {
        makeNode(2, hardState: hardState, entries: entries, applied: applied, isRecovering: true)
    }

    /// The attempt that the member sends to its leader now.
    private func attempt(of node: inout RaftNode) -> (id: UInt64, held: LogIndex)? {
        for message in node.drain().messages {
            if case .recoveryRequest(let id, let held) = message.kind { return (id, held) }
        }
        return nil
    }

    @Test("it grants neither vote nor pre-vote, however good the candidate's log looks")
    func grantsNothing() {
        var node = recovering()
        node.receive(.preVoteRequest(last: at(9, 2)), from: 3, term: 3)
        #expect(node.drain().kinds(to: 3) == [.preVoteResponse(granted: false)])
        node.receive(.voteRequest(last: at(9, 2), transfer: false), from: 3, term: 3)
        #expect(node.drain().kinds(to: 3) == [.voteResponse(granted: false)])
        node.receive(.voteRequest(last: at(9, 2), transfer: true), from: 3, term: 4)
        #expect(node.drain().kinds(to: 3) == [.voteResponse(granted: false)])
        #expect(node.hardState == HardState(term: 4, vote: nil))
    }

    @Test("it never campaigns: not after a silence, not when it is asked to, not when leadership is handed to it")
    func neverCampaigns() {
        var node = recovering()
        for _ in 0..<100 {
            node.tick()
            node.checkInvariants()
        }
        node.campaign()
        node.receive(.heartbeat(commit: 0, round: 1), from: 1, term: 2)
        node.receive(.timeoutNow, from: 1, term: 2)
        #expect(node.status == Status(role: .follower, term: 2, leader: 1))
    }

    @Test(
        "an entry acknowledged by a node that lost it is not lost: no leader without it is elected (the counter-example)"
    )
    func counterExample() {
        var cluster = Cluster(voters: [1, 2, 3])
        cluster.elect(1)
        // 3 hears nothing, so 1 and 2 commit alone.
        for link in [Cluster.Link(from: 1, to: 3), Cluster.Link(from: 3, to: 1)] { cluster.cut.insert(link) }
        _ = cluster.propose(1, "acknowledged")
        cluster.settle()
        #expect(cluster.node(1).commitIndex == cluster.node(1).lastIndex)
        // 2 loses its log, 1 goes away. Only 1 and 2 ever had the entry.
        cluster.crash(2)
        cluster.loseLog(2)
        cluster.restart(2)
        cluster.crash(1)
        cluster.cut = []
        for _ in 0..<200 {
            cluster.tick(2)
            cluster.tick(3)
            cluster.settle()
        }
        #expect(cluster.leaders.isEmpty, "3 was elected without the entry")
        cluster.restart(1)
        for _ in 0..<100 {
            for id in cluster.ids { cluster.tick(id) }
            cluster.settle()
        }
        #expect(cluster.leaders == [1])
        #expect(!cluster.node(2).isRecovering)
        let texts = cluster.ids.map { id in cluster.peers[id]?.machine.entries.map(\.text) ?? [] }
        #expect(texts[0].contains { $0.hasSuffix("=acknowledged") })
        #expect(texts[0] == texts[1] && texts[1] == texts[2])
    }

    @Test("it is done when everything up to the leader's last index is committed and synced here, and not before")
    func done() {
        var node = recovering()
        node.receive(.heartbeat(commit: 0, round: 1), from: 1, term: 2)
        let asked = attempt(of: &node)
        #expect(asked?.held == 0)
        node.receive(.recoveryResponse(id: asked?.id ?? 0, target: 3), from: 1, term: 2)
        node.receive(.append(previous: .zero, entries: makeEntries(1...3, term: 2), commit: 2), from: 1, term: 2)
        #expect(!node.drain().isRecovered)
        #expect(node.isRecovering, "the leader may have replaced entry 3 by the time it is committed")
        node.receive(.append(previous: at(3, 2), entries: [], commit: 3), from: 1, term: 2)
        #expect(node.drain().isRecovered)
        #expect(!node.isRecovering)
        node.connectionClosed(to: 1, refused: false)
        node.receive(.preVoteRequest(last: at(3, 2)), from: 3, term: 3)
        #expect(node.drain().kinds(to: 3) == [.preVoteResponse(granted: true)])
    }

    @Test("entries that are not synced do not end it")
    func notSynced() {
        var node = recovering()
        node.receive(.heartbeat(commit: 0, round: 1), from: 1, term: 2)
        let asked = attempt(of: &node)
        node.receive(.recoveryResponse(id: asked?.id ?? 0, target: 2), from: 1, term: 2)
        node.receive(.append(previous: .zero, entries: makeEntries(1...2, term: 2), commit: 2), from: 1, term: 2)
        let ready = node.takeReady()
        #expect(node.isRecovering)
        node.persisted(ready.persist?.sequence ?? 0)
        #expect(node.takeReady().isRecovered)
    }

    @Test("what an earlier leader left at those indexes does not end it")
    func foreignEntries() {
        // Entries 1 to 9 came from the leader of term 2, which never committed them; that of term 3 has three others.
        var node = recovering(entries: makeEntries(1...9, term: 2))
        node.receive(.heartbeat(commit: 0, round: 1), from: 3, term: 3)
        let asked = attempt(of: &node)
        node.receive(.recoveryResponse(id: asked?.id ?? 0, target: 3), from: 3, term: 3)
        #expect(!node.drain().isRecovered)
        #expect(node.isRecovering)
    }

    @Test(
        "an answer to another life's attempt, to another attempt, of another term or from somebody else does not count")
    func staleAnswers() {
        var earlier = makeNode(2, hardState: hardState, isRecovering: true, seed: 1)
        earlier.receive(.heartbeat(commit: 0, round: 1), from: 1, term: 2)
        let stale = attempt(of: &earlier)
        var node = makeNode(2, hardState: hardState, isRecovering: true, seed: 2)
        node.receive(.heartbeat(commit: 0, round: 1), from: 1, term: 2)
        let asked = attempt(of: &node)
        #expect(asked != nil && asked?.id != stale?.id)
        node.receive(.recoveryResponse(id: stale?.id ?? 0, target: 0), from: 1, term: 2)
        node.receive(.recoveryResponse(id: asked?.id ?? 0, target: 0), from: 3, term: 2)
        node.receive(.recoveryResponse(id: asked?.id ?? 0, target: 0), from: 1, term: 1)
        #expect(!node.drain().isRecovered)
        node.receive(.recoveryResponse(id: asked?.id ?? 0, target: 0), from: 1, term: 2)
        #expect(node.drain().isRecovered, "the answer itself counts")
    }

    @Test("another term's leader is asked anew, since its log may be shorter than the target")
    func anotherTerm() {
        var node = recovering()
        node.receive(.heartbeat(commit: 0, round: 1), from: 1, term: 2)
        let first = attempt(of: &node)
        node.receive(.recoveryResponse(id: first?.id ?? 0, target: 50), from: 1, term: 2)
        node.receive(.append(previous: .zero, entries: makeEntries(1...2, term: 3), commit: 2), from: 3, term: 3)
        let second = attempt(of: &node)
        #expect(second != nil && second?.id != first?.id)
        node.receive(.recoveryResponse(id: second?.id ?? 0, target: 2), from: 3, term: 3)
        #expect(node.drain().isRecovered)
    }

    @Test(
        "a leader that has committed nothing in its term does not answer: it may not know the end of what is committed")
    func beforeOwnTerm() {
        var leader = makeNode(1)
        leader.win()
        _ = leader.drain()
        leader.receive(.recoveryRequest(id: 7, held: 0), from: 2, term: leader.term)
        #expect(leader.drain().kinds(to: 2).allSatisfy { if case .recoveryResponse = $0 { false } else { true } })
        leader.acknowledge()
        leader.receive(.recoveryRequest(id: 8, held: 0), from: 2, term: leader.term)
        #expect(leader.drain().kinds(to: 2).contains(.recoveryResponse(id: 8, target: leader.lastIndex)))
    }

    @Test("a leader forgets what the member acknowledged before its loss, and sends everything again")
    func leaderForgets() {
        var leader = makeNode(1)
        leader.lead()
        _ = leader.propose([[1], [2], [3]])
        _ = leader.drain()
        leader.acknowledge()
        #expect(leader.progress[0].match == leader.lastIndex)
        leader.receive(.recoveryRequest(id: 7, held: 1), from: 2, term: leader.term)
        #expect(leader.progress[0].match == 1)
        let kinds = leader.drain().kinds(to: 2)
        #expect(
            kinds.contains {
                if case .append(let previous, let entries, _) = $0 {
                    previous.index == 1 && entries.count == 3
                } else {
                    false
                }
            })
    }

    @Test("an acknowledgement from before the loss that arrives late does not stop the member from catching up")
    func lateAcknowledgement() {
        var cluster = Cluster(voters: [1, 2, 3])
        cluster.elect(1)
        for text in ["a", "b", "c"] { _ = cluster.propose(1, text) }
        cluster.settle()
        let late = Message(
            from: 2, to: 1, term: cluster.node(1).term, kind: .appendAccepted(match: cluster.node(1).lastIndex))
        cluster.crash(2)
        cluster.loseLog(2)
        cluster.restart(2)
        cluster.tick(1, 3)
        cluster.deliver()
        cluster.deliver()
        cluster.deliver(late)
        for _ in 0..<60 {
            for id in cluster.ids { cluster.tick(id) }
            cluster.settle()
        }
        #expect(!cluster.node(2).isRecovering)
        #expect(cluster.node(2).appliedIndex == cluster.node(1).appliedIndex)
    }

    @Test("random runs in which logs are lost, one at a time, break no rule and come to rest", arguments: 1...8)
    func randomLosses(seed: UInt64) {
        var run = RandomRun(voters: seed % 2 == 0 ? [1, 2, 3] : [1, 2, 3, 4, 5], seed: seed &+ 5_000)
        run.changesMembers = false
        for _ in 0..<12 {
            run.run(steps: 100)
            run.loseLog()
        }
        run.heal()
        #expect(run.counts.losses > 1, "seed \(seed)")
        #expect(run.cluster.leaders.count == 1, "seed \(seed)")
        #expect(run.cluster.ids.allSatisfy { !run.cluster.node($0).isRecovering }, "seed \(seed)")
        let progressed = run.hasProgress()
        #expect(progressed, "seed \(seed)")
    }
}
