import MetadataModel
import RaftCore
import Testing

@testable import Replica

@Suite("A replica whose state is damaged")
struct QuarantineTests {
    private let token = RequestToken(connection: 3, request: 4)

    @Test("it answers nothing from its state, and repairs itself when another leads and the others are whole")
    func follower() {
        var member = OfThree()
        member.follow(NodeID(2))
        member.others()
        member.replica.read(.atLeast(Version(1_000)), token: token, now: member.now)
        member.turn()
        member.replica.damaged("a row flipped")
        member.turn()
        #expect(member.seen.contains(.refuseReads([token], .repairing)), "a read that waits is refused too")
        #expect(member.repairs == [], "it may be that all are damaged and have not said so yet")
        member.wait(2_100)
        #expect(member.repairs == ["a row flipped"])
        member.seen = []
        for consistency in [ReadConsistency.linearizable, .stale(maxLagMilliseconds: 9_999), .atLeast(Version(0))] {
            member.replica.read(consistency, token: token, now: member.now)
        }
        member.turn()
        #expect(member.seen == Array(repeating: .refuseReads([token], .repairing), count: 3))
        member.wait(1_000)
        #expect(member.repairs == [], "it is asked for once")
    }

    @Test("a snapshot in place of the damaged state ends it, and nothing is repaired")
    func replaced() {
        var member = OfThree()
        member.follow(NodeID(2))
        member.others()
        member.replica.damaged("a row flipped")
        let snapshot = IncomingSnapshot(
            id: 1, from: NodeID(2), term: Term(2), position: LogPosition(index: LogIndex(10), term: Term(2)),
            configuration: member.replica.core.configuration)
        member.replica.snapshotReceived(snapshot)
        member.turn()
        #expect(member.replica.quarantine == "a row flipped")
        member.seen = []
        member.replica.snapshotInstalled(
            StateMachineImage(applied: snapshot.position, version: Version(10), logTimeMilliseconds: 0, brokers: []))
        member.turn()
        #expect(member.seen.contains(.protection(.stateReplaced)))
        let fit = PeerNotice.condition(PeerCondition(isDiskLow: false, isUnfit: false))
        #expect(member.seen.contains(.notify(NodeID(2), fit)), "the others go on without it")
        #expect(member.replica.quarantine == nil)
        member.seen = []
        member.wait(3_000)
        member.replica.read(.atLeast(Version(10)), token: token, now: member.now)
        member.turn()
        #expect(member.repairs == [])
        #expect(!member.seen.contains(.refuseReads([token], .repairing)))
    }

    @Test("it keeps its log, whatever its length: a damaged database is no snapshot")
    func keepsItsLog() {
        func base(isDamaged: Bool) -> LogIndex {
            var member = OfThree(options: ReplicaOptions(logEntriesMax: 20, checkpointBytes: 1))
            member.follow(NodeID(2))
            if isDamaged { member.replica.damaged("x") }
            var last = LogPosition(index: LogIndex(1), term: Term(1))
            for index in UInt64(2)...60 {
                let entry = Entry(term: Term(2), index: LogIndex(index), kind: .noop, payload: [])
                member.receive(.append(previous: last, entries: [entry], commit: entry.index), from: NodeID(2))
                last = entry.position
                member.replica.checkpointed(last)
                member.turn()
            }
            #expect(member.replica.appliedIndex == last.index)
            return member.replica.core.base.index
        }
        #expect(base(isDamaged: false) > .zero)
        #expect(base(isDamaged: true) == .zero)
    }

    @Test("members that one entry damages within moments keep their logs: what was said before does not count")
    func together() {
        let unfit = PeerCondition(isDiskLow: false, isUnfit: true)
        var member = OfThree()
        member.follow(NodeID(2))
        member.others()
        member.replica.damaged("a bad entry")
        member.turn()
        member.now += 10
        member.others(unfit)
        member.wait(3_000, unfit)
        #expect(member.repairs == [])

        var late = OfThree()
        late.follow(NodeID(2))
        late.replica.damaged("a bad entry")
        late.wait(1_900)
        late.wait(3_000, unfit)
        #expect(late.repairs == [], "the others took a moment longer to meet it")
    }

    @Test("it keeps its log while the others cannot do without it: alone, leaderless, or when they are damaged too")
    func waits() {
        var silent = OfThree()
        silent.follow(NodeID(2))
        silent.replica.damaged("x")
        silent.wait(3_000, nil)
        #expect(silent.repairs == [], "nobody has said that he is whole")

        var leaderless = OfThree()
        leaderless.others()
        leaderless.replica.damaged("x")
        for _ in 0..<30 {
            leaderless.tick(100)
            leaderless.others()
        }
        #expect(leaderless.repairs == [])

        var together = OfThree()
        together.follow(NodeID(2))
        together.others(PeerCondition(isDiskLow: false, isUnfit: true))
        together.replica.damaged("x")
        together.wait(3_000, PeerCondition(isDiskLow: false, isUnfit: true))
        #expect(together.repairs == [], "a quorum that is damaged discards nothing")
        together.others()
        together.tick()
        #expect(together.repairs == ["x"])
    }

    @Test("as a leader it hands over first, and steps down if nobody takes over")
    func leader() {
        var member = OfThree(options: ReplicaOptions(diskSilenceMilliseconds: 300))
        member.lead()
        member.replica.damaged("x")
        member.turn()
        let asked = member.seen.contains {
            if case .send(let messages) = $0 { messages.contains { $0.kind == .timeoutNow } } else { false }
        }
        #expect(asked, "nobody was asked to take over")
        #expect(member.replica.isLeader)
        member.replica.write(member.intent(.expireSessions), token: token)
        member.turn()
        #expect(member.seen.contains(.replyWrite(token, .notLeader(nil))))
        for _ in 0..<35 {
            member.tick()
            if member.replica.isLeader { member.others() }
        }
        #expect(!member.replica.isLeader)
        #expect(member.repairs == [], "another has to lead first")
        member.receive(
            .heartbeat(commit: LogIndex(0), round: 1), from: NodeID(3), term: member.replica.status.term.next)
        member.wait(2_000, under: NodeID(3))
        #expect(member.repairs == ["x"])
    }

    @Test("elected long after it was damaged, because it alone has everything, it stays until another is up to date")
    func electedLate() {
        var member = OfThree(options: ReplicaOptions(diskSilenceMilliseconds: 300))
        member.follow(NodeID(2))
        member.replica.damaged("x")
        member.wait(1_900)
        for _ in 0..<60 where !member.replica.isLeader {
            member.tick()
            member.receive(.preVoteResponse(granted: true), from: NodeID(3), term: member.replica.status.term.next)
            member.receive(.voteResponse(granted: true), from: NodeID(3))
        }
        member.seen = []
        for _ in 0..<5 { member.tick() }
        #expect(member.replica.isLeader, "another is not up to date yet")
        member.others()
        let asked = member.seen.contains {
            if case .send(let messages) = $0 { messages.contains { $0.kind == .timeoutNow } } else { false }
        }
        #expect(asked, "nobody was asked to take over")
        for _ in 0..<35 where member.replica.isLeader { member.tick() }
        #expect(!member.replica.isLeader, "nobody took over")
    }

    @Test("a leader that nobody whole could follow up stays, and answers no reads: leadership does not flap")
    func lonelyLeader() {
        var member = OfThree(options: ReplicaOptions(diskSilenceMilliseconds: 300))
        member.lead()
        let term = member.replica.status.term
        member.others(PeerCondition(isDiskLow: false, isUnfit: true))
        member.replica.damaged("x")
        for _ in 0..<60 {
            member.tick()
            member.others(PeerCondition(isDiskLow: false, isUnfit: true))
        }
        #expect(member.replica.isLeader && member.replica.status.term == term)
        member.replica.read(.linearizable, token: token, now: member.now)
        member.turn()
        #expect(member.seen.contains(.refuseReads([token], .repairing)))
        #expect(member.repairs == [])
    }

    @Test(
        "a quarantined leader refuses heartbeats and writes, so it fences no broker and expires no session for silence")
    func silenceOfItsOwn() {
        let broker = Broker(
            id: BrokerID(1), epoch: BrokerEpoch(1), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
            rack: "", state: .active, version: Version(1))
        func growth(isDamaged: Bool) -> UInt64 {
            let unfit = PeerCondition(isDiskLow: false, isUnfit: true)
            var member = OfThree(brokers: [broker])
            member.lead()
            member.others(unfit)
            if isDamaged { member.replica.damaged("x") }
            member.turn()
            let length = member.replica.core.lastIndex.rawValue
            for _ in 0..<600 {
                member.tick(100)
                member.others(unfit)
            }
            #expect(member.replica.isLeader)
            return member.replica.core.lastIndex.rawValue - length
        }
        #expect(growth(isDamaged: false) > 0)
        #expect(growth(isDamaged: true) == 0)
    }

    @Test("a leader counts no quorum on a member that is damaged or being repaired, however well it hears it")
    func unfitIsNoQuorum() {
        var member = OfThree()
        member.lead()
        member.replica.notified(.condition(PeerCondition(isDiskLow: false, isUnfit: true)), from: NodeID(3))
        member.replica.changeMembers(.remove(NodeID(2)), isForced: false, token: token)
        member.turn()
        let reasons = member.seen.map { effect -> MembershipRefusal.Reason? in
            if case .replyMembership(token, .refused(let refusal)) = effect { refusal.reason } else { nil }
        }
        #expect(reasons.contains(.quorumAtRisk))
    }

    @Test("while it takes everything again it serves no reads, and tells the others that it must not lead")
    func recovering() {
        var member = OfThree(isRecovering: true)
        member.tick()
        let condition = PeerNotice.condition(PeerCondition(isDiskLow: false, isUnfit: true))
        #expect(member.seen.contains(.notify(NodeID(2), condition)))
        member.follow(NodeID(2))
        member.replica.read(.stale(maxLagMilliseconds: 9_999), token: token, now: member.now)
        member.turn()
        #expect(member.seen.contains(.refuseReads([token], .repairing)))
    }
}
