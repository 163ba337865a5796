import RaftCore
import Testing

@testable import Replica

@Suite("How a log fits its state machine")
struct LogFitTests {
    private func entries(_ terms: [UInt64], from first: UInt64 = 11) -> [Entry] {
        terms.enumerated().map {
            Entry(term: Term($1), index: LogIndex(first + UInt64($0)), kind: .noop, payload: [])
        }
    }

    private let base = LogPosition(index: LogIndex(10), term: Term(2))

    private func fit(_ index: UInt64, _ term: UInt64) -> LogFit {
        LogFit(
            base: base, entries: entries([2, 3, 3]), applied: LogPosition(index: LogIndex(index), term: Term(term)))
    }

    @Test("the four ways")
    func ways() {
        #expect(fit(10, 2) == .fits)
        #expect(fit(11, 2) == .fits)
        #expect(fit(13, 3) == .fits)
        #expect(fit(12, 2) == .mustBeginAnew, "the log says something else there")
        #expect(fit(14, 3) == .mustBeginAnew, "the log ends before it")
        #expect(fit(10, 1) == .mustBeginAnew)
        #expect(fit(9, 2) == .entriesAreMissing)
    }
}
