import RaftCore
import Simulation
import Testing

/// A checker that finds nothing proves nothing: each is shown what it must find.
@Suite("Checkers find what is planted")
struct CheckerTests {
    private let one = NodeID(1)
    private let two = NodeID(2)
    private let three = NodeID(3)

    private var quorum: Configuration {
        Configuration(
            voters: [one, two, three].map { Member(id: $0, disk: .unknown, peerAddress: "", clientAddress: "") })
    }

    private func entry(_ index: UInt64, term: UInt64, _ byte: UInt8) -> Entry {
        Entry(term: Term(term), index: LogIndex(index), kind: .command, payload: [byte])
    }

    private func finds(_ rule: String, _ body: () throws -> Void) {
        do {
            try body()
            Issue.record("nothing was found against: \(rule)")
        } catch {
            #expect((error as? Violation)?.rule == rule)
        }
    }

    @Test("two leaders in one term")
    func twoLeaders() throws {
        var checker = RaftChecker()
        try checker.leads(one, in: Term(3))
        try checker.leads(one, in: Term(3))
        try checker.leads(two, in: Term(4))
        finds("election safety") { try checker.leads(three, in: Term(4)) }
    }

    @Test("a commit that rests on one disk")
    func commitWithoutQuorum() throws {
        var checker = RaftChecker()
        let position = LogPosition(index: LogIndex(5), term: Term(2))
        finds("durable commit") {
            try checker.commits(position, on: one, durable: [one: true, two: false, three: false], quorum: quorum)
        }
        try checker.commits(position, on: one, durable: [one: true, two: false, three: true], quorum: quorum)
        #expect(checker.committed == position)
    }

    @Test("a leader without a committed entry")
    func incompleteLeader() throws {
        var checker = RaftChecker()
        try checker.commits(
            LogPosition(index: LogIndex(5), term: Term(2)), on: one, durable: [one: true, two: true, three: true],
            quorum: quorum)
        finds("leader completeness") { try checker.mustHoldCommitted(two, term: Term(3)) { _ in false } }
        try checker.mustHoldCommitted(two, term: Term(3)) { _ in true }
    }

    @Test("different entries applied at one index")
    func differentEntries() throws {
        var checker = RaftChecker()
        try checker.applies([entry(1, term: 1, 7), entry(2, term: 1, 8)], on: one)
        try checker.applies([entry(1, term: 1, 7)], on: two)
        finds("state machine safety") { try checker.applies([entry(2, term: 1, 9)], on: two) }
        finds("state machine safety") { try checker.applies([entry(2, term: 2, 8)], on: three) }
    }

    @Test("different digests at one index")
    func differentDigests() throws {
        var checker = RaftChecker()
        try checker.reaches(7, at: LogIndex(4), on: one)
        try checker.reaches(7, at: LogIndex(4), on: two)
        finds("equal digests") { try checker.reaches(8, at: LogIndex(4), on: three) }
    }

    @Test("a term that falls")
    func fallingTerm() throws {
        var checker = RaftChecker()
        try checker.isInTerm(Term(4), one)
        try checker.isInTerm(Term(3), two)
        finds("monotonic term") { try checker.isInTerm(Term(3), one) }
    }

    @Test("a stale read, and a read of what nobody wrote")
    func staleRead() throws {
        var checker = ClientChecker()
        checker.sendsWrite("r", 1)
        checker.acknowledgesWrite("r", 1)
        checker.sendsWrite("r", 2)
        let floor = checker.floor(of: "r")
        try checker.returnsRead("r", 1, floor: floor)
        // Not acknowledged yet, but seen once: from now on it may not be gone.
        try checker.returnsRead("r", 2, floor: floor)
        finds("linearizable reads") { try checker.returnsRead("r", 1, floor: checker.floor(of: "r")) }
        finds("linearizable reads") { try checker.returnsRead("r", 3, floor: 0) }
    }

    @Test("an acknowledged topic that is gone, and a topic from nowhere")
    func lostTopic() throws {
        var checker = ClientChecker()
        checker.sendsTopic("a")
        checker.sendsTopic("b")
        checker.acknowledgesTopic("a")
        try checker.judge(topics: ["a"], on: one)
        try checker.judge(topics: ["a", "b"], on: one)
        finds("acknowledged never lost") { try checker.judge(topics: ["b"], on: one) }
        finds("no invention") { try checker.judge(topics: ["a", "c"], on: one) }
    }
}
