import RaftCore
import Simulation
import Testing

@Suite("The checkers of disturbances and of the configuration in effect")
struct DisturbanceTests {
    private let all = VoterGroups(voters: [one, two, three])

    private func checker() -> DisturbanceChecker {
        DisturbanceChecker(electionTimeoutMicroseconds: 100, slackMicroseconds: 10)
    }

    @Test("a cut-off member that counts terms up")
    func inflation() throws {
        var checker = checker()
        try checker.campaigns(one, in: Term(2), isAlone: false)
        checker.receives(one, from: two, term: Term(2), isLeaders: false, at: 5)
        try checker.campaigns(one, in: Term(3), isAlone: false)
        finds("no term without being heard") { try checker.campaigns(one, in: Term(4), isAlone: false) }
        try checker.campaigns(one, in: Term(4), isAlone: true)
        checker.restarts(one)
        try checker.campaigns(one, in: Term(5), isAlone: false)
    }

    @Test("a vote for another while the leader is heard")
    func disloyalty() throws {
        var checker = checker()
        try checker.votes(one, for: two, in: Term(2), at: 50)
        checker.receives(one, from: three, term: Term(2), isLeaders: true, at: 1_000)
        let rule = "who hears its leader votes for nobody"
        finds(rule) { try checker.votes(one, for: two, in: Term(3), at: 1_089) }
        try checker.votes(one, for: two, in: Term(3), at: 1_090)
        // A vote in the leader's own term or before elected it, or tried to.
        try checker.votes(one, for: two, in: Term(2), at: 1_001)
        // Neither another member's message nor one of an earlier leader counts.
        checker.receives(one, from: two, term: Term(2), isLeaders: false, at: 1_085)
        checker.receives(one, from: two, term: Term(1), isLeaders: true, at: 1_085)
        try checker.votes(one, for: two, in: Term(3), at: 1_090)
        checker.losesLeader(one)
        try checker.votes(one, for: two, in: Term(3), at: 1_001)
    }

    @Test("a leader that no majority answers and that stays")
    func lonelyLeader() throws {
        var checker = checker()
        func observe(_ checker: inout DisturbanceChecker, at now: UInt64) throws {
            try checker.observes(one, leads: true, voters: all, at: now)
        }
        try observe(&checker, at: 1_000)
        try observe(&checker, at: 1_210)
        finds("a leader that nobody hears steps down") { try observe(&checker, at: 1_211) }
        checker.receives(one, from: three, term: Term(2), isLeaders: false, at: 1_200)
        try observe(&checker, at: 1_410)
        finds("a leader that nobody hears steps down") { try observe(&checker, at: 1_411) }
        try checker.observes(one, leads: false, voters: all, at: 1_411)
        try observe(&checker, at: 1_412)
    }

    @Test("leadership that is handed to who lags")
    func laggingSuccessor() throws {
        let checker = checker()
        try checker.transfers(to: two, holding: position(5, term: 2), last: position(5, term: 2))
        finds("a successor has the whole log") {
            try checker.transfers(to: two, holding: position(4, term: 2), last: position(5, term: 2))
        }
        finds("a successor has the whole log") {
            try checker.transfers(to: two, holding: position(9, term: 1), last: position(5, term: 2))
        }
    }

    @Test("a configuration in effect that is not the last one")
    func staleConfiguration() throws {
        var checker = ConfigurationInEffectChecker()
        // Nothing is known yet.
        try checker.hasInEffect([9], last: nil, base: .zero, on: one)
        checker.commits([1], at: LogIndex(1))
        checker.commits([2], at: LogIndex(5))
        checker.commits([1], at: LogIndex(1))
        try checker.hasInEffect([1], last: nil, base: LogIndex(4), on: one)
        try checker.hasInEffect([2], last: nil, base: LogIndex(5), on: one)
        try checker.hasInEffect([3], last: [3], base: LogIndex(5), on: one)
        let rule = "configuration in effect"
        finds(rule) { try checker.hasInEffect([1], last: nil, base: LogIndex(5), on: one) }
        finds(rule) { try checker.hasInEffect([3], last: nil, base: LogIndex(5), on: one) }
        finds(rule) { try checker.hasInEffect([2], last: [3], base: LogIndex(5), on: one) }
    }
}
