import RaftCore
import Simulation
import Testing

@Suite("Raft checkers accept what is right and find what is planted")
struct RaftCheckerTests {
    private let all = VoterGroups(voters: [one, two, three])

    @Test("two leaders in one term")
    func twoLeaders() throws {
        var checker = ElectionSafetyChecker()
        try checker.leads(one, in: Term(3))
        try checker.leads(one, in: Term(3))
        try checker.leads(two, in: Term(4))
        finds("election safety") { try checker.leads(three, in: Term(4)) }
    }

    @Test("the same position with another content, or behind another term")
    func mismatchedLogs() throws {
        var checker = LogMatchingChecker()
        try checker.writes([entry(1, term: 1), entry(2, term: 1, 7), entry(3, term: 2)], after: .zero, on: one)
        try checker.writes([entry(2, term: 1, 7)], after: Term(1), on: two)
        // Another term at the same index is another entry, and a conflict that Raft resolves.
        try checker.writes([entry(2, term: 3, 8)], after: Term(1), on: three)
        finds("log matching") { try checker.writes([entry(2, term: 1, 9)], after: Term(1), on: three) }
        finds("log matching") { try checker.writes([entry(3, term: 2)], after: Term(2), on: three) }
    }

    @Test("a leader without a committed entry, also one that comes late")
    func incompleteLeader() throws {
        var checker = LeaderCompletenessChecker()
        try checker.leads(one, in: Term(1)) { _ in false }
        checker.commits(position(5, term: 2))
        checker.commits(position(7, term: 4))
        try checker.leads(two, in: Term(5)) { $0 == position(7, term: 4) }
        finds("leader completeness") { try checker.leads(two, in: Term(5)) { $0 == position(5, term: 2) } }
        // The leader of term 3 owes what was committed in terms before its own, and nothing else.
        try checker.leads(three, in: Term(3)) { $0 == position(5, term: 2) }
        try checker.leads(three, in: Term(2)) { _ in false }
        finds("leader completeness") { try checker.leads(three, in: Term(3)) { _ in false } }
    }

    @Test("different entries applied at one index, and a gap")
    func differentEntries() throws {
        var checker = StateMachineSafetyChecker()
        try checker.applies([entry(1, term: 1, 7), entry(2, term: 1, 8)], on: one)
        try checker.applies([entry(1, term: 1, 7)], on: two)
        checker.stands(three, at: LogIndex(1))
        finds("state machine safety") { try checker.applies([entry(2, term: 1, 9)], on: two) }
        finds("state machine safety") { try checker.applies([entry(2, term: 2, 8)], on: three) }
        finds("applied in order") { try checker.applies([entry(4, term: 2)], on: one) }
        finds("applied in order") { try checker.applies([entry(2, term: 1, 8)], on: one) }
        checker.stands(one, at: LogIndex(3))
        try checker.applies([entry(4, term: 2)], on: one)
    }

    @Test("a commit that rests on one disk of three, or on one side of a joint configuration")
    func commitWithoutQuorum() throws {
        var checker = DurableCommitChecker()
        finds("durable commit") { try checker.commits(position(5, term: 2), on: one, holders: [one], voters: all) }
        try checker.commits(position(5, term: 2), on: one, holders: [one, three], voters: all)
        #expect(checker.committed == position(5, term: 2))
        // Known already: whoever learns it later proves nothing.
        try checker.commits(position(4, term: 2), on: two, holders: [], voters: all)
        let joint = VoterGroups(voters: [three, four, five], outgoing: [one, two, three])
        finds("durable commit") {
            try checker.commits(position(6, term: 2), on: one, holders: [one, two, three], voters: joint)
        }
        try checker.commits(position(6, term: 2), on: one, holders: [one, three, five], voters: joint)
    }

    @Test("a leader that commits by counting what is of an earlier term (Raft §5.4.2, Figure 8)")
    func commitOfAnEarlierTerm() throws {
        var checker = LeaderCommitChecker()
        try checker.commits(position(5, term: 2), leading: Term(2), on: one)
        finds("a leader commits what is of its term") {
            try checker.commits(position(5, term: 2), leading: Term(4), on: one)
        }
        // A snapshot holds only what somebody else has committed.
        checker.installs(at: LogIndex(5), on: one)
        try checker.commits(position(5, term: 2), leading: Term(4), on: one)
        finds("a leader commits what is of its term") {
            try checker.commits(position(6, term: 2), leading: Term(4), on: one)
        }
        finds("a leader commits what is of its term") {
            try checker.commits(position(5, term: 2), leading: Term(4), on: two)
        }
    }

    @Test(
        "a leader that takes more than its limit beside what is not committed (pitfall: an uncommitted log without bound)"
    )
    func uncommittedBound() throws {
        let checker = UncommittedBoundChecker(bytesMax: 100)
        try checker.takes(60, beside: 40, on: one)
        // Alone a proposal may be larger, and who takes nothing breaks nothing.
        try checker.takes(500, beside: 0, on: one)
        try checker.takes(0, beside: 500, on: one)
        finds("the uncommitted log is bounded") { try checker.takes(61, beside: 40, on: one) }
    }

    @Test("a leader that leads on while its disk is silent (hashicorp/raft 503)")
    func silentDisk() throws {
        var checker = SilentDiskChecker(boundMicroseconds: 100)
        try checker.observes(one, leads: true, handedOut: 1, inFlight: 1, at: 1_000)
        try checker.observes(one, leads: true, handedOut: 2, inFlight: 2, at: 1_100)
        // An answer, and then silence again; whoever does not lead owes nobody anything.
        try checker.observes(one, leads: true, handedOut: nil, inFlight: 1, at: 1_101)
        try checker.observes(one, leads: true, handedOut: nil, inFlight: 1, at: 1_201)
        try checker.observes(one, leads: false, handedOut: nil, inFlight: 1, at: 5_000)
        finds("a leader with a silent disk hands over") {
            try checker.observes(one, leads: true, handedOut: nil, inFlight: 1, at: 1_202)
        }
        try checker.observes(one, leads: true, handedOut: nil, inFlight: 0, at: 1_203)
        try checker.observes(one, leads: true, handedOut: 3, inFlight: 1, at: 9_000)
        checker.restarts(one)
        try checker.observes(one, leads: true, handedOut: 4, inFlight: 2, at: 9_500)
    }

    @Test("a committed entry that changes, or is removed")
    func committedChanges() throws {
        var checker = CommittedEntriesChecker()
        try checker.commits([entry(1, term: 1), entry(2, term: 1, 3)], on: one)
        try checker.commits([entry(2, term: 1, 3)], on: two)
        finds("committed never changes") { try checker.commits([entry(2, term: 2, 3)], on: three) }
        try checker.truncates(from: LogIndex(3), on: one)
        try checker.truncates(from: LogIndex(1), on: five)
        finds("committed never changes") { try checker.truncates(from: LogIndex(2), on: one) }
        // What was committed and not applied before a crash is known again later.
        checker.restarts(one, applied: LogIndex(1))
        try checker.truncates(from: LogIndex(2), on: one)
    }

    @Test("a term, a commit index or a vote that goes back")
    func stateGoesBack() throws {
        var checker = MonotonicStateChecker()
        try checker.observes(one, term: Term(4), vote: nil, commit: LogIndex(5))
        try checker.observes(one, term: Term(4), vote: two, commit: LogIndex(6))
        finds("one vote in a term") { try checker.observes(one, term: Term(4), vote: three, commit: LogIndex(6)) }
        finds("one vote in a term") { try checker.observes(one, term: Term(4), vote: nil, commit: LogIndex(6)) }
        finds("monotonic commit") { try checker.observes(one, term: Term(4), vote: two, commit: LogIndex(5)) }
        finds("monotonic term") { try checker.observes(one, term: Term(3), vote: two, commit: LogIndex(6)) }
        try checker.observes(one, term: Term(5), vote: nil, commit: LogIndex(6))
        try checker.observes(two, term: Term(1), vote: nil, commit: .zero)
    }

    @Test("a promise that a crash takes back")
    func brokenPromise() throws {
        var checker = MonotonicStateChecker()
        let voted = HardState(term: Term(4), vote: two)
        try checker.promises(one, term: Term(4), vote: two, durable: voted)
        try checker.restarts(one, durable: voted, applied: .zero)
        finds("one vote in a term") {
            try checker.restarts(one, durable: HardState(term: Term(4), vote: nil), applied: .zero)
        }
        finds("monotonic term") {
            try checker.restarts(one, durable: HardState(term: Term(3), vote: nil), applied: .zero)
        }
        finds("one vote in a term") {
            try checker.promises(one, term: Term(4), vote: three, durable: HardState(term: Term(4), vote: three))
        }
        // Nobody was told of term 5.
        try checker.observes(one, term: Term(5), vote: nil, commit: .zero)
        try checker.restarts(one, durable: voted, applied: .zero)
        // A disk that was wiped belongs to somebody else.
        checker.forgets(one)
        try checker.restarts(one, durable: .initial, applied: .zero)
    }

    @Test("a promise before its sync")
    func earlyPromise() throws {
        var checker = MonotonicStateChecker()
        let rule = "promises rest on the disk"
        finds(rule) {
            try checker.promises(one, term: Term(4), vote: two, durable: HardState(term: Term(3), vote: nil))
        }
        finds(rule) {
            try checker.promises(one, term: Term(4), vote: two, durable: HardState(term: Term(4), vote: nil))
        }
        try checker.promises(one, term: Term(4), vote: nil, durable: HardState(term: Term(4), vote: nil))
        finds(rule) { try checker.acknowledges(one, through: LogIndex(9), durable: LogIndex(8)) }
        try checker.acknowledges(one, through: LogIndex(8), durable: LogIndex(8))
    }

    @Test("a member that lost its log and votes, or calls itself whole, too early")
    func earlyRecovery() throws {
        var checker = RecoveryChecker()
        try checker.takesPart(one)
        checker.loses(one, [position(7, term: 1), position(8, term: 1)])
        finds("who lost its log votes for nobody") { try checker.takesPart(one) }
        try checker.takesPart(two)
        // Lost again on the way: what was owed is owed still.
        checker.loses(one, [position(3, term: 1)])
        var early = checker
        finds("recovered means whole") { try early.recovers(one, holding: LogIndex(7)) { _ in Term(1) } }
        // The end of the lost log was never committed; another entry stands there now.
        try checker.recovers(one, holding: LogIndex(7)) { $0 == LogIndex(8) ? Term(2) : Term(1) }
        try checker.takesPart(one)
        checker.loses(two, [position(8, term: 1)])
        checker.forgets(two)
        try checker.takesPart(two)
    }

    @Test("configurations that can decide without each other")
    func disjointConfigurations() throws {
        var checker = ConfigurationOverlapChecker()
        try checker.commits(all, at: LogIndex(1))
        try checker.commits(VoterGroups(voters: [one, two, three, four]), at: LogIndex(2))
        try checker.commits(VoterGroups(voters: [four, five], outgoing: [one, two, three, four]), at: LogIndex(3))
        try checker.commits(VoterGroups(voters: [four, five]), at: LogIndex(4))
        // Told again by a node that comes later.
        try checker.commits(all, at: LogIndex(1))
        finds("configurations overlap") { try checker.commits(all, at: LogIndex(5)) }
    }

    @Test("whether two configurations overlap, against all sets of members")
    func overlapExhaustively() {
        let members = [one, two, three, four, five]
        let sets = (1..<32).map { bits in members.enumerated().filter { bits >> $0.offset & 1 == 1 }.map(\.element) }
        for first in sets {
            for second in sets {
                let (a, b) = (VoterGroups(voters: first), VoterGroups(voters: second))
                let disjoint = sets.contains { set in
                    a.decides(Set(set)) && b.decides(Set(members).subtracting(set))
                }
                #expect(a.overlaps(b) == !disjoint, "\(a) and \(b)")
            }
        }
    }

    @Test("different digests at one index, and a digest that the rows do not have")
    func differentDigests() throws {
        var checker = DigestChecker()
        try checker.reaches(7, at: LogIndex(4), on: one)
        try checker.reaches(7, at: LogIndex(4), on: two)
        finds("equal digests") { try checker.reaches(8, at: LogIndex(4), on: three) }
        try checker.scrubs(kept: 7, rows: 7, at: LogIndex(4), on: one)
        finds("digest of the rows") { try checker.scrubs(kept: 7, rows: 8, at: LogIndex(4), on: one) }
    }

    @Test("a log time that falls")
    func fallingTime() throws {
        var checker = LogTimeChecker()
        try checker.commits(10, at: LogIndex(2))
        try checker.commits(10, at: LogIndex(3))
        try checker.commits(9, at: LogIndex(1))
        finds("log time never falls") { try checker.commits(9, at: LogIndex(4)) }
    }

    @Test("a cluster that is without a leader for too long")
    func leaderless() throws {
        var checker = LeaderlessChecker(boundMicroseconds: 100, start: 1_000)
        try checker.observes(hasLeader: false, at: 900)
        try checker.observes(hasLeader: false, at: 1_100)
        finds("no leaderless stretch") { try checker.observes(hasLeader: true, at: 1_101) }
        try checker.observes(hasLeader: true, at: 1_090)
        try checker.observes(hasLeader: true, at: 5_000)
        try checker.observes(hasLeader: false, at: 5_010)
        try checker.observes(hasLeader: false, at: 5_110)
        finds("no leaderless stretch") { try checker.observes(hasLeader: false, at: 5_111) }
    }
}
