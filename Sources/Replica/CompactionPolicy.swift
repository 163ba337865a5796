internal import RaftCore

/// When to checkpoint the database and how much of the log to cut after it. The database is the snapshot, so cutting costs
/// nothing but the entries that a follower may still want.
struct CompactionPolicy {
    /// How many times its length the log may have while it is held back.
    private static let heldBackMax = 4

    private let entriesMax: Int
    private let bytesMax: Int
    private let checkpointBytes: Int

    /// Cost of the entries applied since the last checkpoint was asked for.
    private var appliedBytes = 0
    /// Cost of the entries after the log's base.
    private var logBytes = 0
    private var checkpointIsUnderWay = false

    /// - Parameter jitter: drawn once by each member from its seed, so that they do not all checkpoint and cut at the same time.
    init(entriesMax: Int, bytesMax: Int, checkpointBytes: Int, jitter: UInt64) {
        let share = Int(jitter % 25)
        self.entriesMax = entriesMax - entriesMax * share / 100
        self.bytesMax = bytesMax - bytesMax * share / 100
        self.checkpointBytes = checkpointBytes - checkpointBytes * share / 100
    }

    mutating func restored(logBytes: Int) { self.logBytes = logBytes }

    mutating func handedToApply(bytes: Int) {
        appliedBytes += bytes
        logBytes += bytes
    }

    /// True once when a checkpoint is due; nothing more is due before `checkpointFinished`.
    ///
    /// - Parameter target: where the log is to be cut (`target(of:)`).
    mutating func shouldCheckpoint(before target: LogIndex?, durable: LogPosition) -> Bool {
        guard !checkpointIsUnderWay else { return false }
        // One that made nothing durable is not repeated before there is something new.
        let isDue = appliedBytes >= checkpointBytes || appliedBytes > 0 && target.map { $0 > durable.index } ?? false
        if isDue {
            checkpointIsUnderWay = true
            appliedBytes = 0
        }
        return isDue
    }

    mutating func checkpointFinished() { checkpointIsUnderWay = false }

    /// Up to where the log is to be cut, as soon as that is durable elsewhere: half of what it holds. Nil while it is short, or
    /// held back for a follower that answers. Otherwise what it needs would be gone when its snapshot is there, or while it
    /// catches up, and it would have to take the next one. Within a bound: a follower that is too slow even so must not fill
    /// the memory.
    func target(of core: borrowing RaftNode) -> LogIndex? {
        let held = Int(core.lastIndex.rawValue - core.base.index.rawValue)
        guard isLonger(held, than: 1) else { return nil }
        let half = min(core.base.index.advanced(by: held / 2), core.appliedIndex)
        guard half > core.base.index else { return nil }
        let isWanted = core.heldByActiveFollowers.map { $0 < half } ?? false
        return isWanted && !isLonger(held, than: Self.heldBackMax) ? nil : half
    }

    mutating func cutDone(bytes: Int) { logBytes = max(0, logBytes - bytes) }

    private func isLonger(_ entries: Int, than times: Int) -> Bool {
        entries > entriesMax * times || logBytes > bytesMax * times
    }
}
