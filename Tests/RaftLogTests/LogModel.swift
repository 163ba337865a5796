import RaftCore

@testable import RaftLog

/// What a log holds, as far as anybody may rely on it: the oracle of the crash tests.
struct LogModel: Hashable {
    var hardState = HardState.initial
    var base = LogPosition.zero
    var entries: [Entry] = []

    mutating func apply(_ persist: Persist) {
        if let position = persist.reset { (base, entries) = (position, []) }
        if let index = persist.truncateFrom { entries.removeAll { $0.index >= index } }
        entries += persist.entries
        if let state = persist.hardState { hardState = state }
    }

    /// Every state that a crash may leave of a group that was not acknowledged: the order of the steps is kept, and each
    /// may be the last one that happened. The hard state goes first, and comes as a whole.
    static func intermediates(of group: [Persist], from start: LogModel) -> [LogModel] {
        var result = [start]
        var step = start
        if let state = group.last(where: { $0.hardState != nil })?.hardState { step.hardState = state }
        result.append(step)
        for persist in group {
            if let position = persist.reset {
                (step.base, step.entries) = (position, [])
                result.append(step)
            }
            if let index = persist.truncateFrom {
                step.entries.removeAll { $0.index >= index }
                result.append(step)
            }
            for entry in persist.entries {
                step.entries.append(entry)
                result.append(step)
            }
        }
        return result
    }

    /// The same log after compaction up to `position`, where that is one of its entries.
    func compacted(to position: LogPosition) -> LogModel {
        guard position.index > base.index else { return self }
        var copy = self
        copy.base = position
        copy.entries.removeAll { $0.index <= position.index }
        return copy
    }
}

extension RecoveredLog {
    var model: LogModel { LogModel(hardState: hardState, base: base, entries: entries) }
}

/// One call of the log.
enum LogStep {
    case write([Persist])
    case compact(LogPosition)
    case close
}

/// Entries `range`, all of one term.
func entries(_ range: ClosedRange<Int>, term: Int, bytes: Int = 60) -> [Entry] {
    range.map { entry($0, term: term, bytes: bytes + $0 % 9) }
}

/// An entry whose payload has no zero byte and differs from that of any other index and term.
func entry(_ index: Int, term: Int, bytes: Int = 20, kind: Entry.Kind = .command) -> Entry {
    let payload = (0..<bytes).map { UInt8(1 + ($0 &* 31 &+ index &* 7 &+ term) % 255) }
    return Entry(term: Term(UInt64(term)), index: LogIndex(UInt64(index)), kind: kind, payload: payload)
}

func position(_ index: Int, _ term: Int) -> LogPosition {
    LogPosition(index: LogIndex(UInt64(index)), term: Term(UInt64(term)))
}

func hardState(_ term: Int, vote: Int? = nil) -> HardState {
    HardState(term: Term(UInt64(term)), vote: vote.map { NodeID(UInt64($0)) })
}
