import Testing

@testable import RaftCore

@Suite struct SnapshotTests {
    private let three = Cluster.configuration(voters: [1, 2, 3])
    private let withLearner = Cluster.configuration(voters: [1, 2, 3], learners: [4])

    /// A leader that has compacted away what 2 needs.
    private func leaderWithLaggard() -> RaftNode {
        var node = makeNode()
        node.lead()
        _ = node.propose([[1], [2], [3]])
        _ = node.drain()
        node.receive(.appendAccepted(match: 4), from: 3, term: 1)
        _ = node.drain()
        node.compact(to: 3)
        node.receive(.appendRejected(rejected: 4, hint: at(1, 1)), from: 2, term: 1)
        return node
    }

    @Test("a snapshot that is not newer than the commit index is ignored, and acknowledged (openraft 0.7.3)")
    func old() {
        var node = makeNode(
            hardState: HardState(term: 1, vote: nil), base: at(3, 1), entries: makeEntries(4...6, term: 1), applied: 5)
        node.receive(.installSnapshot(position: at(4, 1), configuration: withLearner), from: 2, term: 1)
        let ready = node.drain()
        #expect(ready.persist?.reset == nil)
        #expect(ready.kinds(to: 2) == [.appendAccepted(match: 5)])
        #expect(node.base == at(3, 1))
        #expect(node.configuration == three)
    }

    @Test("a snapshot removes a conflicting log tail, and is acknowledged when that is on the disk (openraft 0.7.3)")
    func conflictingTail() {
        var node = makeNode(hardState: HardState(term: 1, vote: nil), entries: makeEntries(1...9, term: 1), applied: 2)
        node.receive(.installSnapshot(position: at(5, 2), configuration: three), from: 2, term: 2)
        let ready = node.takeReady()
        #expect(
            ready.persist
                == Persist(sequence: 1, reset: at(5, 2), entries: [], hardState: HardState(term: 2, vote: nil)))
        #expect(ready.messages.isEmpty)
        #expect(node.base == at(5, 2))
        #expect(node.lastIndex == 5 && node.commitIndex == 5 && node.appliedIndex == 5)
        node.persisted(1)
        #expect(node.takeReady().kinds(to: 2) == [.appendAccepted(match: 5)])
        node.receive(.append(previous: at(5, 2), entries: [makeEntry(6, 2)], commit: 6), from: 2, term: 2)
        #expect(node.drain().committed == LogIndex(6)..<LogIndex(7))
    }

    @Test("a snapshot's configuration replaces the one of the entries it covers (openraft 1808)")
    func configurationReplaced() {
        let stale = Entry(
            term: 1, index: 2, kind: .configuration,
            payload: Cluster.configuration(voters: [1, 2, 3], learners: [9]).encoded())
        var node = makeNode(
            hardState: HardState(term: 1, vote: nil), entries: [makeEntry(1, 1), stale, makeEntry(3, 1)], applied: 1)
        #expect(node.configuration.learners == [9])
        node.receive(.installSnapshot(position: at(7, 2), configuration: withLearner), from: 2, term: 2)
        #expect(node.configuration == withLearner)
    }

    @Test("a snapshot at a position that the synced log holds only moves the commit index")
    func fastForward() {
        var node = makeNode(hardState: HardState(term: 1, vote: nil), entries: makeEntries(1...9, term: 1), applied: 2)
        node.receive(.installSnapshot(position: at(5, 1), configuration: withLearner), from: 2, term: 1)
        let ready = node.drain()
        #expect(ready.persist?.reset == nil)
        #expect(ready.kinds(to: 2) == [.appendAccepted(match: 5)])
        #expect(node.commitIndex == 5 && node.lastIndex == 9)
        #expect(node.configuration == three)
    }

    @Test("a snapshot at a position that is in memory but not synced replaces the log")
    func unsyncedPosition() {
        var node = makeNode()
        node.receive(.append(previous: .zero, entries: makeEntries(1...9, term: 1), commit: 0), from: 2, term: 1)
        _ = node.takeReady()
        node.receive(.installSnapshot(position: at(5, 1), configuration: three), from: 2, term: 1)
        #expect(node.base == at(5, 1))
        #expect(node.lastIndex == 5)
        #expect(node.takeReady().persist?.reset == at(5, 1))
        // The first write is reported late: what it held is gone.
        node.persisted(1)
        #expect(node.syncedIndex == 5)
        #expect(node.takeReady().messages.isEmpty)
        node.persisted(2)
        #expect(node.takeReady().kinds(to: 2).last == .appendAccepted(match: 5))
    }

    @Test("a gap between snapshot and log is found at the start, with the reason (redisraft 43)")
    func gapAtStart() {
        func problem(_ base: LogPosition, _ entries: [Entry], term: UInt64 = 3, applied: UInt64) -> String? {
            RestoredState(
                hardState: HardState(term: Term(term), vote: nil), base: base, entries: entries,
                applied: LogIndex(applied),
                configuration: three
            ).problem()
        }
        #expect(problem(at(5, 1), makeEntries(6...8, term: 2), applied: 7) == nil)
        #expect(problem(at(5, 1), makeEntries(7...8, term: 2), applied: 7) == "the log has a gap: entry 7 follows 5")
        #expect(problem(at(5, 3), makeEntries(6...8, term: 2), applied: 7) == "the term falls from 5@3 to 6@2")
        #expect(problem(at(5, 1), makeEntries(6...8, term: 2), applied: 9) == "applied is 9, but the log ends at 8")
        #expect(
            problem(at(5, 1), makeEntries(6...8, term: 2), applied: 4)
                == "applied is 4, but entries up to 5 are gone from the log")
        #expect(
            problem(at(5, 1), makeEntries(6...8, term: 4), applied: 5)
                == "the term 3 is older than the last entry, 8@4")
        let bad = Entry(term: 2, index: 6, kind: .configuration, payload: [1])
        #expect(problem(at(5, 1), [bad], applied: 5) == "the configuration at 6@2 does not decode: truncated")
    }

    @Test("a follower that needs compacted entries is named once, until its transfer is reported (etcd 18055)")
    func namedOnce() {
        var node = leaderWithLaggard()
        #expect(node.drain().snapshotsWanted == [2])
        #expect(node.progress[0].state == .snapshot)
        for _ in 0..<5 {
            node.tick()
            node.receive(.heartbeatResponse(round: 0), from: 2, term: 1)
            #expect(node.drain().snapshotsWanted.isEmpty)
        }
        node.snapshotFinished(to: 2, succeeded: false)
        #expect(node.progress[0].state == .probe)
        #expect(node.drain().snapshotsWanted.isEmpty)
        node.receive(.heartbeatResponse(round: 0), from: 2, term: 1)
        #expect(node.drain().snapshotsWanted == [2])
    }

    @Test("a second snapshot in short order waits for the report of the first (etcd 18055)")
    func twoInShortOrder() {
        var node = leaderWithLaggard()
        #expect(node.drain().snapshotsWanted == [2])
        // The first one arrives, but it is compacted past before the report.
        node.receive(.appendAccepted(match: 3), from: 2, term: 1)
        _ = node.propose([[4], [5]])
        _ = node.drain()
        node.receive(.appendAccepted(match: 6), from: 3, term: 1)
        _ = node.drain()
        node.compact(to: 6)
        node.receive(.appendRejected(rejected: 6, hint: at(3, 1)), from: 2, term: 1)
        #expect(node.drain().snapshotsWanted.isEmpty)
        #expect(node.progress[0].state == .snapshot)
        node.snapshotFinished(to: 2, succeeded: true)
        _ = node.drain()
        node.receive(.appendRejected(rejected: 6, hint: at(3, 1)), from: 2, term: 1)
        #expect(node.drain().snapshotsWanted == [2])
    }

    @Test("replication goes on after the snapshot, whether its acknowledgement or the report comes first")
    func afterSnapshot() {
        var first = leaderWithLaggard()
        _ = first.drain()
        first.receive(.appendAccepted(match: 4), from: 2, term: 1)
        #expect(first.progress[0].state == .replicate)
        first.snapshotFinished(to: 2, succeeded: true)
        #expect(first.progress[0] == PeerProgress(id: 2, match: 4, next: 5, state: .replicate, isActive: true))

        var second = leaderWithLaggard()
        _ = second.drain()
        second.snapshotFinished(to: 2, succeeded: true)
        #expect(second.progress[0].state == .probe && second.progress[0].next == 4)
        second.receive(.appendAccepted(match: 4), from: 2, term: 1)
        #expect(second.progress[0].state == .replicate)
    }

    @Test("a silent follower gets no snapshot")
    func silent() {
        var node = leaderWithLaggard()
        for _ in 0..<node.options.electionTimeoutTicks {
            node.tick()
            node.receive(.heartbeatResponse(round: 0), from: 3, term: 1)
        }
        #expect(node.progress[0].isActive == false)
        #expect(node.drain().snapshotsWanted.isEmpty)
    }

    @Test("what the followers hold that answer is known, so that the cut can wait for the slowest")
    func held() {
        var node = leaderWithLaggard()
        #expect(node.heldByActiveFollowers == 1)
        _ = node.drain()
        #expect(node.heldByActiveFollowers == 3, "what the snapshot will reach at least")
        node.receive(.appendAccepted(match: 4), from: 2, term: 1)
        _ = node.propose([[4]])
        _ = node.drain()
        node.receive(.appendAccepted(match: 5), from: 3, term: 1)
        #expect(node.heldByActiveFollowers == 4)
        for _ in 0..<node.options.electionTimeoutTicks {
            node.tick()
            node.receive(.heartbeatResponse(round: 0), from: 3, term: 1)
        }
        #expect(node.heldByActiveFollowers == 5, "nothing is held back for one that is silent")
        #expect(makeNode().heldByActiveFollowers == nil, "a follower holds nothing back")
    }

    @Test("a leader that its own removal deposes asks for no snapshot any more")
    func wantedByTheRemoved() {
        let withLearner = Cluster.configuration(voters: [1, 2, 3], learners: [4])
        var node = RaftNode(
            id: 1, options: Options(),
            restored: RestoredState(
                hardState: HardState(term: 1, vote: nil), base: at(5, 1), entries: [], applied: 5,
                configuration: withLearner), seed: 1)
        node.win()
        _ = node.drain()
        for peer in [2, 3] as [NodeID] { node.receive(.appendAccepted(match: 6), from: peer, term: 2) }
        _ = node.drain()
        let joint = Cluster.configuration(voters: [2, 3], outgoing: [1, 2, 3], learners: [4])
        for step in [joint, Cluster.configuration(voters: [2, 3], learners: [4])] {
            _ = node.propose([step.encoded()], kind: .configuration)
            _ = node.drain()
            node.receive(.appendAccepted(match: node.lastIndex), from: 2, term: 2)
            if step == joint { node.receive(.appendAccepted(match: node.lastIndex), from: 3, term: 2) }
            _ = node.drain()
        }
        // One turn: the learner says that it has nothing, and the removal is committed.
        node.receive(.appendRejected(rejected: 5, hint: .zero), from: 4, term: 2)
        node.receive(.appendAccepted(match: node.lastIndex), from: 3, term: 2)
        let ready = node.takeReady()
        #expect(ready.status?.role == .learner)
        #expect(ready.snapshotsWanted == [])
    }

    @Test("compaction drops entries and keeps term and configuration of the base")
    func compaction() {
        let entry = Entry(term: 1, index: 2, kind: .configuration, payload: withLearner.encoded())
        var node = makeNode(
            hardState: HardState(term: 1, vote: nil),
            entries: [makeEntry(1, 1), entry, makeEntry(3, 1), makeEntry(4, 1)],
            applied: 4)
        node.compact(to: 3)
        node.checkInvariants()
        #expect(node.base == at(3, 1))
        #expect(node.term(at: 3) == 1 && node.term(at: 2) == nil)
        #expect(node.configuration == withLearner)
        node.compact(to: 1)
        #expect(node.base == at(3, 1))
    }

    @Test("a snapshot of a deposed leader is committed state all the same; its sender learns the present term")
    func staleSender() {
        var node = makeNode(hardState: HardState(term: 5, vote: nil))
        node.receive(.installSnapshot(position: at(7, 2), configuration: three), from: 2, term: 3)
        let ready = node.drain()
        #expect(node.base == at(7, 2))
        #expect(node.status == Status(role: .follower, term: 5, leader: nil))
        #expect(ready.messages.map(\.term) == [5])
    }
}
