import RaftCore
import Testing

@testable import Replica

/// What a member starts with, from what lies on its disk.
@Suite("Starts of a member")
struct MemberStartTests {
    private let members = Configuration(
        voters: [Member(id: NodeID(1), disk: .unknown, peerAddress: "a:1", clientAddress: "a:2")])
    private let base = LogPosition(index: LogIndex(10), term: Term(2))
    private let entries = (11...13).map { Entry(term: Term(3), index: LogIndex($0), kind: .noop, payload: []) }

    private func start(
        applied: LogPosition, configuration: Configuration?, entries: [Entry]? = nil, term: UInt64 = 3
    ) -> MemberStart {
        MemberStart(
            hardState: HardState(term: Term(term), vote: NodeID(1)), base: base, entries: entries ?? self.entries,
            applied: applied, configuration: configuration)
    }

    private func position(_ index: UInt64, _ term: UInt64) -> LogPosition {
        LogPosition(index: LogIndex(index), term: Term(term))
    }

    @Test("a database that lags starts with the whole log, which replays")
    func lags() throws {
        guard case .fits(let restored) = start(applied: position(12, 3), configuration: members) else {
            Issue.record("they fit")
            return
        }
        #expect(restored.applied == LogIndex(12))
        #expect(restored.base == base)
        #expect(restored.entries == entries)
        #expect(restored.configuration == members)
        #expect(restored.hardState == HardState(term: Term(3), vote: NodeID(1)))
    }

    @Test("a database that is ahead makes the log begin anew behind it, in its term and without a vote there")
    func ahead() throws {
        let applied = position(20, 5)
        guard case .beginsAnew(let write, let restored) = start(applied: applied, configuration: members) else {
            Issue.record("the log has to begin anew")
            return
        }
        #expect(write == Persist(sequence: 0, reset: applied))
        #expect(restored.base == applied)
        #expect(restored.entries.isEmpty)
        #expect(restored.hardState == HardState(term: Term(5), vote: nil))
        #expect(restored.problem() == nil)
    }

    @Test("missing entries, unknown members and a contradiction are refused, each with its reason (redisraft 43)")
    func refusals() throws {
        func refusal(_ start: MemberStart) -> MemberStart.Refusal? {
            if case .refused(let refusal) = start { refusal } else { nil }
        }
        #expect(
            refusal(start(applied: position(9, 2), configuration: members))
                == .entriesAreMissing(base: LogIndex(10), applied: LogIndex(9)))
        #expect(refusal(start(applied: position(12, 3), configuration: nil)) == .membersAreUnknown)
        guard case .unsound? = refusal(start(applied: position(12, 3), configuration: members, term: 1)) else {
            Issue.record("a log ahead of the term was accepted")
            return
        }
    }

    @Test("a formatted log names the first members and starts in term 1")
    func format() throws {
        let write = MemberStart.firstWrite(of: members.members)
        let start = MemberStart(
            hardState: try #require(write.hardState), base: .zero, entries: write.entries, applied: .zero,
            configuration: nil)
        guard case .fits(let restored) = start else {
            Issue.record("a formatted log does not start")
            return
        }
        #expect(try Configuration(decoding: restored.entries[0].payload) == members)
        #expect(restored.configuration == .empty)
    }
}
