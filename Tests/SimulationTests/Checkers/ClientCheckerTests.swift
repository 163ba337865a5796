import MetadataModel
import RaftCore
import Simulation
import Testing

@Suite("Client checkers accept what is right and find what is planted")
struct ClientCheckerTests {
    @Test("what was answered and is gone, what comes back, and what comes from nowhere")
    func lostTopic() throws {
        var checker = AcknowledgedChecker()
        for name in ["a", "b", "c"] { checker.sendsCreation(name) }
        for name in ["a", "c"] { checker.acknowledgesCreation(name) }
        try checker.judge(["a", "c"], on: one)
        try checker.judge(["a", "b", "c"], on: one)
        finds("acknowledged never lost") { try checker.judge(["b", "c"], on: one) }
        finds("no invention") { try checker.judge(["a", "c", "d"], on: one) }
        checker.sendsRemoval("a")
        try checker.judge(["a", "c"], on: one)
        try checker.judge(["c"], on: one)
        checker.acknowledgesRemoval("a")
        finds("removed stays away") { try checker.judge(["a", "c"], on: one) }
        checker.sendsCreation("a")
        try checker.judge(["a", "c"], on: one)
    }

    @Test("a write that takes effect twice, and one that is answered in two ways")
    func twoEffects() throws {
        var checker = OneEffectChecker()
        let (session, other) = (SessionID(7), SessionID(8))
        try checker.takesEffect(session, 1, at: LogIndex(9))
        try checker.takesEffect(session, 1, at: LogIndex(9))
        try checker.takesEffect(other, 1, at: LogIndex(10))
        finds("one effect") { try checker.takesEffect(session, 1, at: LogIndex(11)) }
        try checker.answers(session, 1, .done(.changed(Version(9))))
        try checker.answers(session, 1, .done(.changed(Version(9))))
        try checker.answers(session, 1, .refused(Refusal(.sessionExpired, "")))
        finds("one answer") { try checker.answers(session, 1, .refused(Refusal(.topicExists, ""))) }
    }

    @Test("reads that show less than was asked for, too much, or come from a node that heard nobody")
    func staleReads() throws {
        var checker = ReadFreshnessChecker()
        checker.commits(Version(5))
        try checker.serves(Version(5), atLeast: Version(5), on: one)
        finds("read at least") { try checker.serves(Version(4), atLeast: Version(5), on: one) }
        finds("read from the future") { try checker.serves(Version(6), atLeast: Version(5), on: one) }
        try checker.serves(Version(5), committedBefore: Version(5), on: one)
        finds("read shows what was committed") {
            try checker.serves(Version(4), committedBefore: Version(5), on: one)
        }
        finds("read from the future") { try checker.serves(Version(6), committedBefore: Version(5), on: one) }
        func serve(at now: UInt64) throws {
            try checker.serves(Version(5), lagMaxMicroseconds: 100, slackMicroseconds: 10, on: one, at: now)
        }
        finds("bounded staleness") { try serve(at: 50) }
        checker.hears(one, at: 1_000)
        try serve(at: 1_110)
        finds("bounded staleness") { try serve(at: 1_111) }
        checker.restarts(one)
        finds("bounded staleness") { try serve(at: 1_001) }
    }

    @Test("a leader hears itself for as long as a majority answers, of both voter sets")
    func staleLeader() throws {
        let (two, three, four) = (NodeID(2), NodeID(3), NodeID(4))
        let members = [one, two, three, four].map {
            Member(id: $0, disk: DiskID(high: 1, low: 1), peerAddress: "", clientAddress: "")
        }
        let three3 = Configuration(members: Array(members.prefix(3)), voters: [one, two, three])
        let joint = Configuration(members: members, voters: [one, four], outgoing: [one, two, three])
        var checker = ReadFreshnessChecker(doubtMicroseconds: 1_000)
        func serve(at now: UInt64) throws {
            try checker.serves(.zero, lagMaxMicroseconds: 100, slackMicroseconds: 10, on: one, at: now)
        }
        checker.leads(one, three3, in: Term(1), at: 5_000)
        try serve(at: 5_110)
        checker.receives(one, from: two, in: Term(1), at: 7_000)
        checker.leads(one, three3, in: Term(1), at: 7_000)
        try serve(at: 7_110)
        // Paused until then: what it knows is as old as the last answer, and the doubt that it is allowed.
        checker.leads(one, three3, in: Term(1), at: 20_000)
        try serve(at: 8_110)
        finds("bounded staleness") { try serve(at: 20_000) }
        checker.receives(one, from: two, in: Term(2), at: 20_000)
        checker.leads(one, three3, in: Term(1), at: 20_000)
        finds("bounded staleness") { try serve(at: 20_000) }
        checker.receives(one, from: two, in: Term(1), at: 20_000)
        checker.leads(one, joint, in: Term(1), at: 20_000)
        finds("bounded staleness") { try serve(at: 20_000) }
        checker.receives(one, from: four, in: Term(1), at: 20_000)
        checker.leads(one, joint, in: Term(1), at: 20_000)
        try serve(at: 20_110)
    }
}
