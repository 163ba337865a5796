import Testing

@testable import RaftCore

@Suite struct ReplicationTests {
    @Test("a follower rejects entries that leave a gap, and says where it ends (Raft §5.3)")
    func gap() {
        var node = makeNode(hardState: HardState(term: 1, vote: nil), entries: makeEntries(1...2, term: 1))
        node.receive(.append(previous: at(5, 1), entries: [makeEntry(6, 1)], commit: 0), from: 2, term: 1)
        #expect(node.drain().kinds(to: 2) == [.appendRejected(rejected: 5, hint: at(2, 1))])
        #expect(node.lastIndex == 2)
    }

    @Test("a conflicting tail is removed before new entries are appended (Raft §5.3)")
    func conflict() {
        var node = makeNode(hardState: HardState(term: 1, vote: nil), entries: makeEntries(1...4, term: 1))
        node.receive(.append(previous: at(2, 1), entries: [makeEntry(3, 2)], commit: 0), from: 2, term: 2)
        let ready = node.drain()
        #expect(
            ready.persist
                == Persist(
                    sequence: 1, truncateFrom: 3, entries: [makeEntry(3, 2)], hardState: HardState(term: 2, vote: nil)))
        #expect(ready.kinds(to: 2) == [.appendAccepted(match: 3)])
        #expect(node.term(at: 4) == nil)
    }

    @Test("an append that repeats or falls short of the log removes nothing (Raft §5.3)")
    func repeated() {
        var node = makeNode(hardState: HardState(term: 1, vote: nil), entries: makeEntries(1...4, term: 1))
        node.receive(.append(previous: .zero, entries: makeEntries(1...2, term: 1), commit: 0), from: 2, term: 1)
        let ready = node.drain()
        #expect(ready.persist == nil)
        #expect(ready.kinds(to: 2) == [.appendAccepted(match: 2)])
        #expect(node.lastIndex == 4)
    }

    @Test("a follower commits no further than the entries that the append covers")
    func commitIsBounded() {
        var node = makeNode(hardState: HardState(term: 1, vote: nil), entries: makeEntries(1...4, term: 1))
        node.receive(.append(previous: at(1, 1), entries: [makeEntry(2, 1)], commit: 4), from: 2, term: 2)
        #expect(node.drain().committed == LogIndex(1)..<LogIndex(3))
    }

    @Test("entries before the commit index are skipped, not compared or removed")
    func beforeCommit() {
        var node = makeNode(
            hardState: HardState(term: 1, vote: nil), base: at(3, 1), entries: makeEntries(4...5, term: 1), applied: 4)
        node.receive(.append(previous: at(1, 1), entries: makeEntries(2...6, term: 1), commit: 6), from: 2, term: 1)
        let ready = node.drain()
        #expect(ready.kinds(to: 2) == [.appendAccepted(match: 6)])
        #expect(ready.persist?.entries.map(\.index) == [6])
        node.receive(.append(previous: at(1, 1), entries: [makeEntry(2, 1)], commit: 6), from: 2, term: 1)
        #expect(node.drain().kinds(to: 2) == [.appendAccepted(match: 6)])
    }

    @Test(
        "malformed appends have no effect: gaps, falling terms, terms of the future, configurations that do not decode")
    func malformed() {
        let bad: [[Entry]] = [
            [makeEntry(2, 1)], [makeEntry(1, 1), makeEntry(3, 1)], [makeEntry(1, 2), makeEntry(2, 1)],
            [makeEntry(1, 9)],
            [Entry(term: 1, index: 1, kind: .configuration, payload: [9, 9])],
        ]
        for entries in bad {
            var node = makeNode()
            node.receive(.append(previous: .zero, entries: entries, commit: 5), from: 2, term: 2)
            #expect(node.drain().messages.isEmpty)
            #expect(node.lastIndex == 0)
            #expect(node.hardState.term == 0)
        }
    }

    @Test("each follower hears at once what is committed of what it has, and does not answer that")
    func tellsWhatIsCommitted() {
        var node = makeNode()
        node.lead()
        _ = node.propose([[1], [2]])
        _ = node.drain()
        node.receive(.appendAccepted(match: 3), from: 2, term: 1)
        var ready = node.drain()
        #expect(ready.kinds(to: 2) == [.heartbeat(commit: 3, round: 0)])
        #expect(ready.kinds(to: 3).isEmpty, "it has not acknowledged them")
        node.receive(.appendAccepted(match: 2), from: 3, term: 1)
        #expect(node.drain().kinds(to: 3) == [.heartbeat(commit: 2, round: 0)])
        node.receive(.appendAccepted(match: 3), from: 3, term: 1)
        #expect(node.drain().kinds(to: 3) == [.heartbeat(commit: 3, round: 0)])
        // What goes with entries is not told twice.
        _ = node.propose([[3]])
        ready = node.drain()
        #expect(ready.kinds(to: 2).count == 1 && ready.kinds(to: 3).count == 1)

        var follower = makeNode(2)
        follower.receive(.append(previous: .zero, entries: makeEntries(1...2, term: 1), commit: 0), from: 1, term: 1)
        _ = follower.drain()
        follower.receive(.heartbeat(commit: 2, round: 0), from: 1, term: 1)
        ready = follower.drain()
        #expect(ready.messages.isEmpty)
        #expect(ready.committed == LogIndex(1)..<LogIndex(3))
        // A deposed leader is told the term all the same.
        follower.receive(.heartbeat(commit: 3, round: 0), from: 3, term: 2)
        _ = follower.drain()
        follower.receive(.heartbeat(commit: 2, round: 0), from: 1, term: 1)
        #expect(follower.drain().kinds(to: 1) == [.heartbeatResponse(round: 0)])
    }

    @Test("only what is synced counts for the commit index, the leader's own log too (etcd 14370)")
    func onlySyncedCounts() {
        var node = makeNode()
        node.lead()
        #expect(node.propose([[1]]) == .accepted(first: 2, term: 1))
        let ready = node.takeReady()
        #expect(ready.messages.map(\.to) == [2, 3])
        #expect(ready.persist?.entries.count == 1)
        #expect(node.takeReady().committed == nil)
        node.receive(.appendAccepted(match: 1), from: 2, term: 1)
        #expect(node.commitIndex == 1)
        node.receive(.appendAccepted(match: 2), from: 2, term: 1)
        #expect(node.commitIndex == 1)
        node.persisted(ready.persist?.sequence ?? 0)
        #expect(node.commitIndex == 2)
    }

    @Test("a leader whose disk lags commits by the others' disks, but hands nothing out before its own log is synced")
    func neverAppliesUnsynced() {
        var node = makeNode()
        node.lead()
        _ = node.propose([[1]])
        let sequence = node.takeReady().persist?.sequence ?? 0
        node.receive(.appendAccepted(match: 2), from: 2, term: 1)
        node.receive(.appendAccepted(match: 2), from: 3, term: 1)
        #expect(node.commitIndex == 2)
        #expect(node.takeReady().committed == nil)
        node.persisted(sequence)
        #expect(node.takeReady().committed == LogIndex(2)..<LogIndex(3))
    }

    @Test("an entry of an earlier term is not committed by counting, only under one of the leader's term (Raft §5.4.2)")
    func figure8() {
        var node = makeNode(hardState: HardState(term: 2, vote: nil), entries: [makeEntry(1, 1), makeEntry(2, 2)])
        node.win()
        _ = node.drain()
        node.receive(.appendAccepted(match: 2), from: 2, term: 3)
        node.receive(.appendAccepted(match: 2), from: 3, term: 3)
        #expect(node.commitIndex == 0)
        node.receive(.appendAccepted(match: 3), from: 2, term: 3)
        #expect(node.commitIndex == 3)
    }

    @Test("a new leader opens its term with a no-op (Raft §8)")
    func noop() {
        var node = makeNode()
        node.win()
        let ready = node.drain()
        #expect(ready.persist?.entries == [Entry(term: 1, index: 1, kind: .noop, payload: [])])
        #expect(ready.kinds(to: 2).count == 1)
    }

    @Test("appends leave for the followers without waiting for the leader's disk")
    func parallelWrite() {
        var node = makeNode()
        node.lead()
        _ = node.propose([[1], [2]])
        let ready = node.takeReady()
        #expect(ready.persist != nil)
        let expected = Message.Kind.append(
            previous: at(1, 1),
            entries: [
                Entry(term: 1, index: 2, kind: .command, payload: [1]),
                Entry(term: 1, index: 3, kind: .command, payload: [2]),
            ], commit: 1)
        #expect(ready.kinds(to: 2) == [expected])
        #expect(ready.kinds(to: 3) == [expected])
    }

    @Test("ticks send heartbeats while disk and apply stand still (etcd 13527, 16847)")
    func ticksDoNotWait() {
        var node = makeNode()
        node.lead()
        _ = node.propose([[1]])
        var heartbeats = 0
        for tick in 0..<40 {
            node.tick()
            heartbeats += node.takeReady().messages.count { if case .heartbeat = $0.kind { true } else { false } }
            if tick % 4 == 0 { node.receive(.heartbeatResponse(round: 1), from: 2, term: 1) }
        }
        #expect(heartbeats == 40)
        #expect(node.status.role == .leader)
        #expect(node.syncedIndex == 1)
    }

    @Test("a rejection takes the leader back to the end of the common term in one step (Raft §5.3)")
    func fastBacktrack() {
        var node = makeNode(
            hardState: HardState(term: 5, vote: nil),
            entries: makeEntries(1...10, term: 1) + makeEntries(11...90, term: 5))
        node.win()
        _ = node.drain()
        node.receive(.appendRejected(rejected: 90, hint: at(60, 3)), from: 2, term: 6)
        #expect(node.progress[0].next == 11)
        #expect(node.progress[0].state == .probe)
        // Late: it does not answer the probe that is under way.
        _ = node.drain()
        node.receive(.appendRejected(rejected: 90, hint: at(2, 1)), from: 2, term: 6)
        #expect(node.progress[0].next == 11)
    }

    @Test("a lost probe is repeated with the next answer to a heartbeat, not before")
    func probeResumes() {
        var node = makeNode()
        node.win()
        #expect(node.drain().kinds(to: 2).count == 1)
        _ = node.propose([[1]])
        #expect(node.drain().kinds(to: 2).isEmpty)
        node.receive(.heartbeatResponse(round: 0), from: 2, term: 1)
        #expect(node.drain().kinds(to: 2).count == 1)
    }

    @Test("appends under way to a follower are bounded in number and bytes, appends in bytes")
    func inflightWindow() {
        var options = Options()
        options.inflightMessagesMax = 3
        options.appendBytesMax = 2 * (Entry.overheadBytes + 8)
        var node = makeNode(options: options)
        node.lead()
        _ = node.propose(Array(repeating: Array(repeating: 0, count: 8), count: 20))
        let sent = node.drain().kinds(to: 2)
        #expect(sent.count == 3)
        for case .append(_, let entries, _) in sent { #expect(entries.count == 2) }
        node.receive(.appendAccepted(match: 3), from: 2, term: 1)
        #expect(node.drain().kinds(to: 2).count == 1)

        options.inflightMessagesMax = 64
        options.inflightBytesMax = 100
        var other = makeNode(options: options)
        other.lead()
        _ = other.propose(Array(repeating: Array(repeating: 0, count: 8), count: 20))
        #expect(other.drain().kinds(to: 2).count == 2)
    }

    @Test("a full window of lost appends recovers with the answer to a heartbeat")
    func lostWindow() {
        var options = Options()
        options.inflightMessagesMax = 2
        var node = makeNode(options: options)
        node.lead()
        for payload in 0..<5 {
            _ = node.propose([[UInt8(payload)]])
            _ = node.drain()
        }
        #expect(node.drain().kinds(to: 2).isEmpty)
        node.receive(.heartbeatResponse(round: 0), from: 2, term: 1)
        #expect(node.drain().kinds(to: 2) == [.append(previous: at(3, 1), entries: [], commit: 1)])
        node.receive(.appendRejected(rejected: 3, hint: at(1, 1)), from: 2, term: 1)
        #expect(node.drain().kinds(to: 2).count == 1)
        node.receive(.appendAccepted(match: 6), from: 2, term: 1)
        #expect(node.progress[0] == PeerProgress(id: 2, match: 6, next: 7, state: .replicate, isActive: true))
    }

    @Test("a leader without quorum takes a bounded number of bytes, then says overloaded")
    func overloaded() {
        var options = Options()
        options.uncommittedBytesMax = 1_000
        var node = makeNode(options: options)
        node.lead()
        var accepted = 0
        for _ in 0..<10_000 {
            if case .accepted = node.propose([Array(repeating: 0, count: 68)]) { accepted += 1 }
        }
        #expect(accepted == 10)
        #expect(node.propose([[]]) == .overloaded)
        #expect(node.lastIndex == 11)
        _ = node.drain()
        node.acknowledge()
        #expect(node.propose([[]]) == .accepted(first: 12, term: 1))
    }

    @Test("one proposal above the limit is taken when nothing else is uncommitted")
    func oversized() {
        var options = Options()
        options.uncommittedBytesMax = 100
        var node = makeNode(options: options)
        node.lead()
        #expect(node.propose([Array(repeating: 0, count: 500)]) == .accepted(first: 2, term: 1))
        #expect(node.propose([[]]) == .overloaded)
    }

    @Test("a follower does not take proposals and names the leader")
    func proposeAtFollower() {
        var node = makeNode()
        #expect(node.propose([[1]]) == .notLeader(leader: nil))
        node.receive(.heartbeat(commit: 0, round: 1), from: 3, term: 1)
        #expect(node.propose([[1]]) == .notLeader(leader: 3))
    }

    @Test("a second leader in the same term is not believed (Raft §5.2)")
    func twoLeaders() {
        var node = makeNode()
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        _ = node.drain()
        node.receive(.append(previous: .zero, entries: [makeEntry(1, 1)], commit: 0), from: 3, term: 1)
        #expect(node.drain().messages.isEmpty)
        #expect(node.status.leader == 2)
        #expect(node.lastIndex == 0)
    }

    @Test("an acknowledgement of more than the log holds is ignored")
    func impossibleAcknowledgement() {
        var node = makeNode()
        node.lead()
        node.receive(.appendAccepted(match: 99), from: 2, term: 1)
        #expect(node.progress[0].match == 1)
    }
}
