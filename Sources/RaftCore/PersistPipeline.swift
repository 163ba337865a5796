import DequeModule

/// What has been handed out for writing and what is known to be synced.
///
/// Several writes are under way at a time; they finish in the order of their sequence numbers.
struct PersistPipeline: Sendable {
    private struct Issued: Sendable {
        var sequence: UInt64
        /// Once this write is synced, the log is synced up to here. Lowered when entries of it are overwritten later.
        var lastIndex: LogIndex
        var hardState: HardState
    }

    /// Writes under way; sequences grow by one from `doneSequence + 1` to `lastSequence`.
    private var issued: Deque<Issued> = []
    /// The sequence of the last write that was handed out; zero before the first.
    private(set) var lastSequence: UInt64 = 0
    /// Everything up to this sequence is synced. At most `lastSequence`.
    private(set) var doneSequence: UInt64 = 0
    /// The first index that has not been handed out for writing. After `syncedIndex`, at most one after the log's last.
    private(set) var nextIndex: LogIndex
    /// The log is on stable storage up to here, with the entries that are in memory. Falls when entries are overwritten.
    private(set) var syncedIndex: LogIndex
    private(set) var issuedHardState: HardState
    private(set) var syncedHardState: HardState
    /// Set when entries that were handed out for writing have been removed since.
    private var truncation: LogIndex?
    /// Set when the log was replaced by a snapshot since the last write was handed out.
    private var reset: LogPosition?

    init(lastIndex: LogIndex, hardState: HardState) {
        nextIndex = lastIndex.next
        syncedIndex = lastIndex
        issuedHardState = hardState
        syncedHardState = hardState
    }

    var isIdle: Bool { doneSequence == lastSequence }

    /// Entries from `index` on left the log. A write that is under way and still contains them must not count for them.
    mutating func truncated(from index: LogIndex) {
        guard index < nextIndex else { return }
        clamp(to: index.previous)
        nextIndex = index
        truncation = min(truncation ?? index, index)
    }

    /// The log now starts after `position`, which is durable in the state machine.
    mutating func replaced(by position: LogPosition) {
        clamp(to: position.index)
        syncedIndex = position.index
        nextIndex = position.index.next
        truncation = nil
        reset = position
    }

    /// Everything that has to be written and was not handed out yet; nil when there is nothing.
    mutating func issue(log: EntryLog, hardState: HardState) -> Persist? {
        precondition(nextIndex <= log.lastIndex.next, "next to write is \(nextIndex), the log ends at \(log.lastIndex)")
        let hasEntries = nextIndex <= log.lastIndex
        guard hasEntries || truncation != nil || reset != nil || hardState != issuedHardState else { return nil }
        lastSequence += 1
        let persist = Persist(
            sequence: lastSequence, reset: reset, truncateFrom: truncation,
            entries: log.slice(nextIndex..<log.lastIndex.next),
            hardState: hardState == issuedHardState ? nil : hardState)
        reset = nil
        truncation = nil
        nextIndex = log.lastIndex.next
        issuedHardState = hardState
        issued.append(Issued(sequence: lastSequence, lastIndex: log.lastIndex, hardState: hardState))
        return persist
    }

    /// Every write up to `sequence` is synced.
    mutating func done(_ sequence: UInt64) {
        precondition(
            sequence <= lastSequence, "write \(sequence) is reported, but only \(lastSequence) were handed out")
        while let first = issued.first, first.sequence <= sequence {
            syncedIndex = max(syncedIndex, first.lastIndex)
            syncedHardState = first.hardState
            doneSequence = first.sequence
            issued.removeFirst()
        }
        precondition(syncedIndex < nextIndex, "synced up to \(syncedIndex), but \(nextIndex) was never handed out")
    }

    private mutating func clamp(to index: LogIndex) {
        syncedIndex = min(syncedIndex, index)
        for position in issued.indices { issued[position].lastIndex = min(issued[position].lastIndex, index) }
    }
}
