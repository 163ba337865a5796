internal import RaftCore

/// A member's log as its disk has it. Writes are handed over, and become durable when their sync ends; what a crash
/// finds still on its way is lost, or kept in part: a prefix, since the log's checksums are chained.
struct SimulatedDisk {
    private(set) var hardState = HardState.initial
    private(set) var base = LogPosition.zero
    private(set) var entries: [Entry] = []
    /// In effect at `base`; what the database of a real node remembers.
    var baseConfiguration = Configuration.empty
    private var unsynced: [Persist] = []

    init(formattedWith first: Entry) {
        entries = [first]
        hardState = HardState(term: first.term, vote: nil)
    }

    var last: LogPosition { entries.last?.position ?? base }

    mutating func write(_ persist: Persist) { unsynced.append(persist) }

    /// The oldest write is on the platter now.
    mutating func synced(_ sequence: UInt64) {
        precondition(unsynced.first?.sequence == sequence, "synced \(sequence) out of order")
        apply(unsynced.removeFirst())
    }

    /// The power goes. How many of the writes under way still make it is up to `generator`.
    mutating func crash(_ generator: inout SeededGenerator) {
        let kept = generator.below(unsynced.count + 1)
        for persist in unsynced.prefix(kept) { apply(persist) }
        if kept < unsynced.count {
            // The next one is torn: some of its entries are there, its hard state is not.
            var torn = unsynced[kept]
            if torn.reset == nil {
                torn.hardState = nil
                torn.entries = Array(torn.entries.prefix(generator.below(torn.entries.count + 1)))
                apply(torn)
            }
        }
        unsynced = []
        // As the log on disk does: an entry of a later term proves that the member saw that term.
        if let last = entries.last, last.term > hardState.term { hardState = HardState(term: last.term, vote: nil) }
    }

    mutating func compact(to position: LogPosition, configuration: Configuration) {
        guard position.index > base.index else { return }
        let count = Int(position.index.rawValue - base.index.rawValue)
        precondition(count <= entries.count, "cut to \(position), the durable log ends at \(last)")
        precondition(
            entries[count - 1].position == position, "cut to \(position), there is \(entries[count - 1].position)")
        entries.removeFirst(count)
        base = position
        baseConfiguration = configuration
    }

    mutating func reset(to position: LogPosition, configuration: Configuration) {
        base = position
        entries = []
        baseConfiguration = configuration
    }

    /// The term at `index`, if this disk holds it; entries up to the base are known to be there in the database.
    func term(at index: LogIndex) -> Term? {
        if index == base.index { return base.term }
        guard index > base.index, index <= last.index else { return nil }
        return entries[Int(index.rawValue - base.index.rawValue) - 1].term
    }

    private mutating func apply(_ persist: Persist) {
        if let reset = persist.reset {
            base = reset
            entries = []
        }
        if let from = persist.truncateFrom {
            precondition(from > base.index, "truncated from \(from), base is \(base)")
            entries.removeLast(max(0, Int(last.index.rawValue + 1) - Int(from.rawValue)))
        }
        for entry in persist.entries {
            precondition(entry.index == last.index.next, "entry \(entry.index) does not follow \(last)")
            entries.append(entry)
        }
        if let state = persist.hardState { hardState = state }
    }
}
