import GRDB
import GRDBSQLite
package import RaftCore
import Synchronization

/// How far a checkpoint goes.
package enum CheckpointMode: Hashable, Sendable {
    /// `passive`, and when the WAL has grown long also `restart`.
    case automatic
    /// Has the writer start again at the WAL's beginning, waiting for it and for readers within
    /// `StoreOptions.checkpointTimeoutMilliseconds`. In vain while a transaction is open.
    case restart
    /// Copies what it can and waits for nobody.
    case passive
    /// Holds the writer up until everything is copied, within the same time.
    case full
    /// Like `full`, and leaves an empty WAL. For shutdown.
    case truncate
}

/// Moves the WAL into the database file, on a connection of its own, and knows what can no longer be lost.
///
/// `Sendable`: the queue is, and the rest is behind a `Mutex`.
final class Checkpointer: Sendable {
    private let queue: DatabaseQueue
    private let options: StoreOptions
    private let durable = Mutex(Durable())
    private let isLong = Atomic(false)

    private struct Durable {
        /// The applied position behind which a power loss cannot take the database any more. Only grows, except by an
        /// install.
        var position = LogPosition.zero
        /// Installs that began or ended so far: odd while one is under way. An install may lead to an earlier position, so
        /// a checkpoint that overlaps one says nothing.
        var installBorders = 0
        /// What ended this: after a sync that failed, another one may succeed without what the first should have written
        /// (fsyncgate), so there is none.
        var failure: StoreError?

        mutating func passInstallBorder() {
            precondition(installBorders % 2 == 1, "an install ended that never began")
            installBorders += 1
        }
    }

    init(_ location: DatabaseLocation, options: StoreOptions) throws(StoreError) {
        queue = try DatabaseOpening.checkpointer(location, options: options)
        self.options = options
    }

    var durablePosition: LogPosition { durable.withLock { $0.position } }
    var isWALLong: Bool { isLong.load(ordering: .relaxed) }

    func installBegins() {
        durable.withLock { durable in
            precondition(durable.installBorders % 2 == 0, "two installs overlap")
            durable.installBorders += 1
        }
    }

    /// `position` is what the install synced.
    func installEnded(at position: LogPosition) {
        durable.withLock { durable in
            durable.passInstallBorder()
            durable.position = position
        }
    }

    /// The install changed nothing. Where the reason is the disk, this ends: the sync of an install is one of the same WAL, and
    /// when it failed, batches that were committed before may be gone as well.
    func installFailed(_ error: StoreError) {
        durable.withLock { durable in
            durable.passInstallBorder()
            if case .sqlite(SQLITE_IOERR, _, _, _) = error { durable.failure = error }
        }
    }

    /// A failure that is not `isRetriable` is the last: it comes back from every later call, which does nothing.
    ///
    /// `applied` gives a position that has been committed. It is asked before the checkpoint begins: one that completes
    /// covers every frame that was in the WAL at its beginning, so it covers that position, and nothing can be said of
    /// what came later.
    func checkpoint(_ mode: CheckpointMode, applied: () -> LogPosition) throws(StoreError) -> LogPosition {
        let (borders, failure) = durable.withLock { ($0.installBorders, $0.failure) }
        if let failure { throw failure }
        let position = applied()
        let isComplete: Bool
        do throws(StoreError) {
            isComplete = try DatabaseOpening.onQueue(queue, "checkpoint") { (connection) throws(StoreError) in
                try run(mode, connection)
            }
        } catch {
            if !error.isRetriable { durable.withLock { $0.failure = error } }
            throw error
        }
        return durable.withLock { durable in
            // Two checkpoints may end in the other order than they began.
            let isOverlapped = borders % 2 == 1 || borders != durable.installBorders
            if isComplete, !isOverlapped, position.index > durable.position.index { durable.position = position }
            return durable.position
        }
    }

    private func run(_ mode: CheckpointMode, _ connection: Connection) throws(StoreError) -> Bool {
        switch mode {
        case .passive:
            return try run(SQLITE_CHECKPOINT_PASSIVE, connection).isComplete
        case .automatic:
            let passive = try run(SQLITE_CHECKPOINT_PASSIVE, connection)
            guard isWALLong else { return passive.isComplete }
            // The bulk is copied: what is left to do under the writer's lock is little.
            let restart = try run(SQLITE_CHECKPOINT_RESTART, connection)
            return passive.isComplete || restart.isComplete
        case .restart:
            return try run(SQLITE_CHECKPOINT_RESTART, connection).isComplete
        case .full:
            return try run(SQLITE_CHECKPOINT_FULL, connection).isComplete
        case .truncate:
            return try run(SQLITE_CHECKPOINT_TRUNCATE, connection).isComplete
        }
    }

    private func run(
        _ mode: Int32, _ connection: Connection
    ) throws(StoreError) -> (isComplete: Bool, frames: Int) {
        var frames: Int32 = 0
        var copied: Int32 = 0
        let code = sqlite3_wal_checkpoint_v2(connection.handle, nil, mode, &frames, &copied)
        switch code & 0xff {
        case SQLITE_OK:
            // Both are -1 when there is no WAL, which a store of ours always has.
            guard frames >= 0 else { throw .pragma(name: "journal_mode", wanted: "wal", found: "none") }
            isLong.store(
                Int(frames) > options.walFramesRestart && mode == SQLITE_CHECKPOINT_PASSIVE, ordering: .relaxed)
            return (copied == frames, Int(frames))
        case SQLITE_BUSY, SQLITE_LOCKED:
            // Somebody else checkpoints, or a reader needs old frames: done in part, which is not an error.
            return (false, Int(max(frames, 0)))
        default:
            throw StoreError.ofSQLite(code, connection.handle, "checkpoint")
        }
    }

    func close() throws(StoreError) {
        try DatabaseOpening.close(queue, "close the checkpoints")
    }
}

extension MetadataStore {
    /// Moves the WAL into the database file and returns the position up to which the Raft log is no longer needed: what
    /// was applied before the checkpoint began, if it completed; else where an earlier one got to (`zero` after opening,
    /// until the first completes).
    ///
    /// Nothing else makes the WAL shorter, so the owner calls this regularly; the WAL grows with what is written between
    /// two calls. Thread-safe. Readers and the writer go on (see `CheckpointMode` for how far). An error that is not
    /// `isRetriable` is fatal for the node: what it wrote may not be on the disk, and no later sync would say so.
    package func checkpoint(_ mode: CheckpointMode = .automatic) throws(StoreError) -> LogPosition {
        try checkpointer.checkpoint(mode) { committed }
    }

    /// The WAL has grown long, and a checkpoint in which the writer takes part (`restart`) would have it begin anew.
    package var isWALLong: Bool { checkpointer.isWALLong }

    /// Where the last complete checkpoint got to.
    package var durablePosition: LogPosition { checkpointer.durablePosition }
}
