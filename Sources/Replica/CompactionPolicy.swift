internal import RaftCore

/// When to checkpoint the database and how much of the log to cut after it. The database is the snapshot, so cutting costs
/// nothing but the entries that a follower may still want.
struct CompactionPolicy {
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
    mutating func shouldCheckpoint(entriesInLog: Int) -> Bool {
        guard !checkpointIsUnderWay else { return false }
        let isDue = appliedBytes >= checkpointBytes || (isLogTooLong(entriesInLog) && appliedBytes > 0)
        if isDue {
            checkpointIsUnderWay = true
            appliedBytes = 0
        }
        return isDue
    }

    mutating func checkpointFinished() { checkpointIsUnderWay = false }

    /// How far the log may be cut: half of what it holds, never beyond what is durable elsewhere.
    ///
    /// - Parameter isSnapshotUnderWay: asked only when the log is long, since this is called in every turn.
    func cut(
        core: borrowing RaftNode, durable: LogPosition, isSnapshotUnderWay: @autoclosure () -> Bool
    ) -> LogIndex? {
        let held = Int(core.lastIndex.rawValue - core.base.index.rawValue)
        guard isLogTooLong(held) else { return nil }
        // A snapshot on its way is useless if the entries after it are gone when it arrives; held back within a bound.
        let slack = isSnapshotUnderWay() ? 2 : 1
        guard held > entriesMax * slack || logBytes > bytesMax * slack else { return nil }
        let half = core.base.index.advanced(by: held / 2)
        // After a snapshot the database may be further than the log it has to be explained by.
        let target = min(half, durable.index, core.appliedIndex)
        return target > core.base.index ? target : nil
    }

    mutating func cutDone(bytes: Int) { logBytes = max(0, logBytes - bytes) }

    private func isLogTooLong(_ entries: Int) -> Bool { entries > entriesMax || logBytes > bytesMax }
}
