internal import RaftCore
internal import RaftLog

/// What a member's disk has been told to hold and has said that it holds: the log as positions, kept beside the real one, so
/// that a checker can ask what rests on synced disks, and a restart can be compared with it.
struct SyncedLog {
    private(set) var base: LogPosition
    private(set) var hardState: HardState
    private var terms: [Term]

    /// Of an empty disk.
    init() {
        base = .zero
        hardState = .initial
        terms = []
    }

    init(_ recovered: RecoveredLog) {
        base = recovered.base
        hardState = recovered.hardState
        terms = recovered.entries.map(\.term)
    }

    var last: LogPosition {
        terms.last.map { LogPosition(index: base.index.advanced(by: terms.count), term: $0) } ?? base
    }

    /// Its base and what follows.
    var positions: [LogPosition] {
        [base] + terms.enumerated().map { LogPosition(index: base.index.advanced(by: $0 + 1), term: $1) }
    }

    /// The term at `index`; nil where this log has let go of it or never had it.
    func term(at index: LogIndex) -> Term? {
        if index == base.index { return base.term }
        guard index > base.index, index <= last.index else { return nil }
        return terms[Int(index.rawValue - base.index.rawValue) - 1]
    }

    mutating func synced(_ persist: Persist) {
        if let reset = persist.reset {
            base = reset
            terms = []
        }
        if let from = persist.truncateFrom {
            precondition(from > base.index, "truncated from \(from), base is \(base)")
            terms.removeLast(max(0, terms.count - Int(from.rawValue - base.index.rawValue) + 1))
        }
        for entry in persist.entries {
            precondition(entry.index == last.index.next, "entry \(entry.index) does not follow \(last)")
            terms.append(entry.term)
        }
        if let state = persist.hardState { hardState = state }
        // As the log has it: whoever holds something of a term has seen that term, without a vote in it.
        hardState.raise(to: last.term)
    }

    /// The files let go of what is at or before `position`; the log may still hold some of it.
    mutating func compacted(to position: LogPosition) {
        guard position.index > base.index, position.index <= last.index else { return }
        terms.removeFirst(Int(position.index.rawValue - base.index.rawValue))
        base = position
    }

    /// What is missing in a log that was read back, given the writes that were under way when the machine stopped; nil when
    /// everything that was synced is there.
    func loss(in recovered: RecoveredLog, underWay: [LogJob]) -> String? {
        var kept = last.index
        var given = base.index
        for job in underWay {
            switch job {
            case .write(let persist):
                // Half done, such a write leaves the old log or the new one.
                if let from = persist.truncateFrom { kept = min(kept, from.previous) }
                if let reset = persist.reset, recovered.base == reset { return nil }
            case .compact(let position):
                // Some of the segments that it lets go of may be gone.
                given = max(given, position.index)
            case .resume:
                break
            }
        }
        let read = SyncedLog(recovered)
        if read.hardState.term < hardState.term {
            return "says term \(read.hardState.term), synced was term \(hardState.term)"
        }
        if read.hardState.term == hardState.term, let vote = hardState.vote, read.hardState.vote != vote {
            return "forgot that it voted for \(vote) in term \(hardState.term)"
        }
        if read.base.index > given {
            return "begins after \(read.base), and what follows \(base) was kept"
        }
        var index = max(base.index, read.base.index)
        while index < kept {
            index = index.next
            if read.term(at: index) != term(at: index) {
                return "has \(read.term(at: index).map { "term \($0)" } ?? "nothing") at \(index), synced was "
                    + "term \(term(at: index).map { "\($0)" } ?? "none")"
            }
        }
        return nil
    }
}
