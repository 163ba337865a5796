import DequeModule

/// The part of the log that is kept in memory: every entry after `base`.
///
/// Appending, reading a term, and dropping either end cost nothing that grows with the log. Payloads are shared, never copied.
struct EntryLog: Sendable {
    /// The position before the first entry: zero, or what compaction or a snapshot left.
    private(set) var base: LogPosition
    /// Entries `base.index + 1 ...`, without a gap, with terms that never fall.
    private(set) var entries: Deque<Entry>

    init(base: LogPosition, entries: [Entry]) {
        self.base = base
        self.entries = Deque(entries)
    }

    var lastIndex: LogIndex { base.index.advanced(by: entries.count) }

    var last: LogPosition { entries.last?.position ?? base }

    /// The term of the entry at `index`, or of `base`; nil when the log does not know (compacted away or not there yet).
    func term(at index: LogIndex) -> Term? {
        guard index >= base.index, index <= lastIndex else { return nil }
        return index == base.index ? base.term : entries[offset(of: index)].term
    }

    func contains(_ position: LogPosition) -> Bool { term(at: position.index) == position.term }

    /// The entries of `range`, which has to lie in the log.
    func slice(_ range: Range<LogIndex>) -> [Entry] {
        guard !range.isEmpty else { return [] }
        precondition(
            range.lowerBound > base.index && range.upperBound <= lastIndex.next,
            "entries \(range.lowerBound)..<\(range.upperBound) are not in the log \(base.index.next)...\(lastIndex)")
        return Array(entries[offset(of: range.lowerBound)..<offset(of: range.upperBound)])
    }

    /// The longest run of entries from `first` on that costs at most `bytesMax`, but at least one if there is one.
    func batch(from first: LogIndex, bytesMax: Int) -> (entries: [Entry], cost: Int) {
        precondition(first > base.index, "entry \(first) is not after the base \(base)")
        guard first <= lastIndex else { return ([], 0) }
        let start = offset(of: first)
        var end = start
        var cost = 0
        while end < entries.count {
            let next = cost + entries[end].cost
            if end > start && next > bytesMax { break }
            cost = next
            end += 1
        }
        return (Array(entries[start..<end]), cost)
    }

    /// What the entries of `range` are charged with.
    func cost(of range: Range<LogIndex>) -> Int {
        guard !range.isEmpty else { return 0 }
        precondition(range.lowerBound > base.index && range.upperBound <= lastIndex.next, "range outside of the log")
        var cost = 0
        for offset in offset(of: range.lowerBound)..<offset(of: range.upperBound) { cost += entries[offset].cost }
        return cost
    }

    /// The last index at or before `limit` whose term is at most `term`: the furthest place where another log that has
    /// `term` at `limit` can still agree with this one (Raft §5.3, last paragraph). Terms never fall, so it is found by
    /// bisection. An answer before `base` says that only a snapshot helps.
    func lastIndex(notAfter limit: LogIndex, termAtMost term: Term) -> LogIndex {
        let limit = min(limit, lastIndex)
        guard limit > base.index else { return base.term <= term ? limit : min(limit, base.index.previous) }
        var low = 0
        var high = offset(of: limit) + 1
        while low < high {
            let middle = low + (high - low) / 2
            if entries[middle].term <= term { low = middle + 1 } else { high = middle }
        }
        if low == 0 && base.term > term { return base.index.previous }
        return base.index.advanced(by: low)
    }

    mutating func append(_ entry: Entry) {
        precondition(entry.index == lastIndex.next, "entry \(entry.position) leaves a gap after \(last)")
        precondition(entry.term >= last.term, "the term falls from \(last) to \(entry.position)")
        entries.append(entry)
    }

    /// Removes the entries from `index` on.
    mutating func truncate(from index: LogIndex) {
        precondition(index > base.index, "cannot truncate from \(index), the log starts after \(base)")
        guard index <= lastIndex else { return }
        entries.removeLast(entries.count - offset(of: index))
    }

    /// Removes the entries up to and including `index`, which becomes the base.
    mutating func compact(to index: LogIndex) {
        guard let term = term(at: index) else {
            preconditionFailure("cannot compact to \(index), the log holds \(base.index)...\(lastIndex)")
        }
        entries.removeFirst(Int(index.rawValue - base.index.rawValue))
        base = LogPosition(index: index, term: term)
        if entries.isEmpty { entries = [] }
    }

    /// Forgets everything: the log starts after `position`.
    mutating func reset(to position: LogPosition) {
        base = position
        entries = []
    }

    private func offset(of index: LogIndex) -> Int { Int(index.rawValue - base.index.rawValue) - 1 }
}
