import MetadataModel
import RaftCore
import Resilience
import Testing

@testable import Coordination
@testable import Replica

@Suite("Turns at rebalances")
struct RebalanceTurnsTests {
    private static func start(_ number: UInt64, deadline: UInt64 = .max) -> RebalanceTurns.Start {
        RebalanceTurns.Start(
            token: RequestToken(connection: 1, request: number),
            intent: WriteIntent(
                session: nil, sequence: 0, acknowledgedBelow: 0, command: [UInt8(number)], deadline: deadline))
    }

    private static func course(_ identity: RebalanceCourse.Identity, ended: Int = 0) -> RebalanceCourse {
        RebalanceCourse(identity: identity, movesEnded: ended, movesUnderWay: 0, movesWaiting: 0, replicasInSync: 0)
    }

    /// A leader that has looked at the state, and a rebalance that runs there.
    private static func running(_ options: KeyedLockOptions = KeyedLockOptions()) -> RebalanceTurns {
        var turns = RebalanceTurns(options)
        turns.becameLeader(now: 0)
        _ = turns.tick(course(.rebalance(Version(7))), isOpen: { _ in false }, now: 10)
        return turns
    }

    /// Of those that are to be proposed.
    private func numbers(_ starts: [RebalanceTurns.Start]) -> [UInt64] { starts.map(\.token.request) }

    @Test("starts wait while a rebalance runs, and each that gets its turn hands it to the rebalance that it begins")
    func inOrder() {
        var turns = Self.running()
        let waited = [2, 1].map { turns.wants(Self.start($0), now: 20) }
        #expect(waited == [false, false])
        #expect(turns.waits(RequestToken(connection: 1, request: 2)))
        var due = turns.tick(Self.course(.rebalance(Version(7))), isOpen: { _ in false }, now: 30)
        #expect(numbers(due) == [])
        // It ends: the first is proposed, and nobody else while that has no answer.
        due = turns.tick(Self.course(.none), isOpen: { _ in true }, now: 40)
        #expect(numbers(due) == [2])
        #expect(due.first?.intent.command == [2])
        due = turns.tick(Self.course(.none), isOpen: { _ in true }, now: 50)
        #expect(numbers(due) == [])
        // It is answered and runs.
        due = turns.tick(Self.course(.rebalance(Version(9))), isOpen: { _ in false }, now: 60)
        #expect(numbers(due) == [])
        due = turns.tick(Self.course(.none), isOpen: { _ in false }, now: 70)
        #expect(numbers(due) == [1])
        // It was refused: whoever comes next does not wait.
        due = turns.tick(Self.course(.none), isOpen: { _ in false }, now: 80)
        let isNext = turns.wants(Self.start(3), now: 81)
        #expect(numbers(due) == [] && isNext)
        #expect(turns.reading.waiting == 0)
    }

    @Test("a start whose time to wait is over goes to the log: after 30 s, or a second before its client gives up")
    func timedOut() {
        var turns = Self.running()
        _ = turns.wants(Self.start(1), now: 100)
        _ = turns.wants(Self.start(2, deadline: 10_100), now: 100)
        // There is no time to wait for.
        let isProposed = turns.wants(Self.start(3, deadline: 1_100), now: 100)
        #expect(isProposed)
        let course = Self.course(.rebalance(Version(7)))
        var due = turns.tick(course, isOpen: { _ in false }, now: 9_099)
        #expect(numbers(due) == [])
        due = turns.tick(course, isOpen: { _ in false }, now: 9_100)
        #expect(numbers(due) == [2])
        due = turns.tick(course, isOpen: { _ in false }, now: 30_099)
        #expect(numbers(due) == [])
        due = turns.tick(course, isOpen: { _ in false }, now: 30_100)
        #expect(numbers(due) == [1])
        #expect(turns.reading.counts.timedOut == 2)
    }

    @Test("a rebalance that moves nothing for 6 min is stale and goes on all the same; one that gets on is not")
    func stale() {
        var turns = Self.running()
        for minute in UInt64(1)...10 {
            _ = turns.tick(
                Self.course(.rebalance(Version(7)), ended: Int(minute)), isOpen: { _ in false }, now: minute * 60_000)
        }
        #expect(turns.reading.counts.stale == 0)
        let stuck = Self.course(.rebalance(Version(7)), ended: 10)
        _ = turns.tick(stuck, isOpen: { _ in false }, now: 959_999)
        #expect(turns.reading.counts.stale == 0)
        _ = turns.tick(stuck, isOpen: { _ in false }, now: 960_000)
        #expect(turns.reading.counts.stale == 1)
        // It still runs, so starts still wait.
        let isProposed = turns.wants(Self.start(1), now: 960_001)
        #expect(!isProposed)
    }

    @Test("a leader that has not looked at the state yet lets starts wait; who waits when it resigns is told")
    func leadership() {
        var turns = RebalanceTurns(KeyedLockOptions())
        turns.becameLeader(now: 0)
        let waited = (UInt64(1)...3).map { turns.wants(Self.start($0), now: 1) }
        #expect(waited == [false, false, false])
        var due = turns.tick(Self.course(.unknown), isOpen: { _ in true }, now: 10)
        #expect(numbers(due) == [])
        due = turns.tick(Self.course(.none), isOpen: { _ in true }, now: 20)
        #expect(numbers(due) == [1])
        let told = turns.resigned()
        // The first is in the log: what becomes of it is not known here.
        #expect(told.map(\.request) == [2, 3])
        #expect(turns.reading.waiting == 0)
        turns.becameLeader(now: 40)
        due = turns.tick(Self.course(.none), isOpen: { _ in false }, now: 50)
        #expect(numbers(due) == [])
    }

    @Test("no more wait than 64; the others go to the log at once")
    func bound() {
        var turns = Self.running()
        let proposed = (UInt64(1)...66).filter { turns.wants(Self.start($0), now: 20) }
        #expect(proposed == [65, 66])
    }
}
