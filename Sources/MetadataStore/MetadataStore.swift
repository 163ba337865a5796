import GRDB
package import MetadataModel
import MetadataSchema
package import RaftCore
import Synchronization

/// The state machine in SQLite: applies committed entries, answers questions, makes and installs snapshots.
///
/// The Raft log is the source of truth and this database its checkpoint: rows, sessions, change feed and the applied index move
/// together in one transaction, which holds one batch or many (`stage`, `commit`) and is committed without an fsync
/// (`synchronous=NORMAL`). After a crash the database has gone back to the last commit, after a power loss perhaps to an
/// earlier one, and the log replays what is missing. `checkpoint` says up to where it can no longer go back; the log is cut
/// only up to there.
///
/// One thread calls `apply`, `stage`, `commit` and `installSnapshot`. Everything else may be called from any thread and holds up
/// none of them.
package final class MetadataStore: Sendable {
    let location: DatabaseLocation
    let options: StoreOptions
    /// The one connection that writes.
    let writerQueue: DatabaseQueue
    private let writer: WriterConfined
    private let published: Mutex<Published>
    let checkpointer: Checkpointer

    /// What others may know of the state: as of the last batch, committed or not.
    private struct Published {
        var state: StateRow
        /// What readers see, and checkpoints can make durable.
        var committed: LogPosition
        var configuration: RaftCore.Configuration?
        var tally: PartitionTally
        var isClosed = false
    }

    /// Opens the database at `path`, or creates it; brings its schema up to date; sets and checks the settings.
    package init(
        path: String, options: StoreOptions = StoreOptions(),
        fileSystem: any StoreFileSystem = PosixStoreFileSystem()
    ) throws(StoreError) {
        location = DatabaseLocation(path: path, fileSystem: fileSystem)
        self.options = options
        writerQueue = try DatabaseOpening.writer(location, options: options)
        let writer = WriterConfined()
        let (state, tally) = try Self.onWriter(of: writerQueue, "open") { (connection) throws(StoreError) in
            try writer.load(connection, options)
        }
        self.writer = writer
        published = Mutex(
            Published(
                state: state, committed: state.applied, configuration: try Self.decode(state.configuration),
                tally: tally))
        checkpointer = try Checkpointer(location, options: options)
    }

    /// A connection that is closed while there are statements of it lives on until the last of them is gone, and only then rolls
    /// back what was staged: behind GRDB's back, whose hook for it is gone by then. So the statements go first.
    deinit {
        guard !published.withLock({ $0.isClosed }) else { return }
        writerQueue.inDatabase { database in _ = writer.take(in: database) }
    }

    // MARK: State

    /// Index and term of the last entry that was applied.
    package var applied: LogPosition { published.withLock { $0.state.applied } }
    /// Index and term of the last entry that was committed: what readers see.
    package var committed: LogPosition { published.withLock { $0.committed } }
    /// Something was applied that is not committed yet.
    package var isStaged: Bool { published.withLock { $0.committed != $0.state.applied } }
    /// The last configuration entry that was applied; nil before the first.
    package var configuration: RaftCore.Configuration? { published.withLock { $0.configuration } }
    package var digest: UInt64 { published.withLock { $0.state.digest } }
    package var version: Version { published.withLock { $0.state.version } }
    package var logTimeMilliseconds: UInt64 { published.withLock { $0.state.logTimeMilliseconds } }

    package var summary: MetadataSummary {
        let state = published.withLock { $0.state }
        return state.summary
    }

    package var partitionTally: PartitionTally { published.withLock { $0.tally } }

    // MARK: Apply

    /// Applies committed entries, which go on where `applied` ends, and commits them with what was staged before.
    ///
    /// A refusal is an outcome like any other. After an error nothing of the batch remains, in the database or in memory;
    /// when the error `isRetriable` the same batch may be tried again later, every other one is fatal for the node
    /// (KAFKA-14275: an apply that fails must not be skipped).
    package func apply(_ entries: [Entry]) throws(StoreError) -> AppliedBatch {
        let before = published.withLock { ($0.state, $0.configuration, $0.tally) }
        let batch = try stage(entries)
        do throws(StoreError) {
            try commit()
        } catch {
            writerQueue.inDatabase { writer.unstage(last: entries.count, in: $0) }
            published.withLock { ($0.state, $0.configuration, $0.tally) = before }
            throw error
        }
        return batch
    }

    /// Like `apply`, with the transaction left open: readers do not see it before `commit`, and a crash takes it back. To commit
    /// costs as much as to apply some entries, so under load a commit is shared by many batches.
    ///
    /// What was staged is kept in memory until it is committed: when a later batch or the commit fails and is tried again, it
    /// is applied once more.
    package func stage(_ entries: [Entry]) throws(StoreError) -> AppliedBatch {
        let configuration = try Self.lastConfiguration(of: entries)
        if stagedCount >= options.stagedEntriesMax { try commit() }
        let batch = try inTransaction("apply") { (_, apply, database) throws(StoreError) in
            let done = try apply.apply(entries)
            writer.stage(entries, in: database)
            return (done: done, state: apply.state, tally: apply.tally)
        }
        published.withLock { published in
            published.state = batch.state
            published.tally = batch.tally
            if let configuration { published.configuration = configuration }
        }
        return batch.done
    }

    /// Commits what was staged: now readers see it, and the next checkpoint makes it durable. After an error what was staged is
    /// still to be committed; when the error `isRetriable` this may be tried again later, every other one is fatal.
    package func commit() throws(StoreError) {
        guard stagedCount > 0 else { return }
        let state = try inTransaction("commit") { (connection, apply, database) throws(StoreError) in
            try apply.finish()
            try connection.execute("COMMIT", "commit")
            writer.unstageAll(in: database)
            return apply.state
        }
        published.withLock { published in
            published.state = state
            published.committed = state.applied
        }
    }

    private var stagedCount: UInt64 {
        published.withLock { $0.state.applied.index.rawValue - $0.committed.index.rawValue }
    }

    /// Decoded before anything is written: an unreadable configuration must stop the node, not be half applied.
    private static func lastConfiguration(of entries: [Entry]) throws(StoreError) -> RaftCore.Configuration? {
        guard let entry = entries.last(where: { $0.kind == .configuration }) else { return nil }
        return try decode(entry.payload)
    }

    static func decode(_ configuration: [UInt8]?) throws(StoreError) -> RaftCore.Configuration? {
        guard let configuration else { return nil }
        do {
            return try RaftCore.Configuration(decoding: configuration)
        } catch {
            throw .corrupt(what: "configuration: \(error)")
        }
    }

    /// Takes over what was put into the database otherwise than by entries.
    ///
    /// - Parameter tally: nil where it has not changed.
    func publish(_ state: StateRow, configuration: RaftCore.Configuration?, tally: PartitionTally? = nil) {
        published.withLock { published in
            published.state = state
            published.committed = state.applied
            published.configuration = configuration
            if let tally { published.tally = tally }
        }
    }

    // MARK: Readers

    /// A reader for one thread, on a connection of its own.
    package func makeReader() throws(StoreError) -> MetadataReader {
        try MetadataReader(location, options: options)
    }

    /// All brokers, by id. Thread-safe.
    package func brokers() throws(StoreError) -> [Broker] {
        try onReader("list brokers") { (connection) throws(StoreError) in
            var brokers: [Broker] = []
            try RowReader(connection).forEachBroker(after: nil) { (broker) throws(StoreError) in
                brokers.append(broker)
                return true
            }
            return brokers
        }
    }

    /// The value of a configuration key of the cluster; nil when it has none. Thread-safe.
    package func clusterConfig(_ name: String) throws(StoreError) -> String? {
        try onReader("read a configuration") { (connection) throws(StoreError) in
            try RowReader(connection).config(.cluster, name: name)?.value
        }
    }

    /// Reads all rows and compares their digest with the one that is kept beside them, both of one moment: what finds
    /// pages that changed by themselves. Thread-safe; holds a read transaction while it reads.
    ///
    /// - Parameters:
    ///   - pace: called every few thousand rows, on this thread: a caller that sleeps in it bounds the rate.
    ///   - isCancelled: asked often, on this thread; once it is true the scrub throws.
    package func scrub(
        pace: @escaping () -> Void = {}, isCancelled: @escaping () -> Bool = { false }
    ) throws(StoreError) -> ScrubResult {
        try onReader("scrub") { (connection) throws(StoreError) in
            try connection.interrupted(when: isCancelled) { () throws(StoreError) in
                try DigestScan.run(connection, pace: pace)
            }
        }
    }

    /// The most pages that the database may grow to, from now on: the bound that a full disk would be.
    package func limitPages(to pageCountMax: Int) throws(StoreError) {
        try Self.onWriter(of: writerQueue, "limit pages") { (connection) throws(StoreError) in
            try connection.execute("PRAGMA max_page_count = \(pageCountMax)", "set max_page_count")
        }
    }

    /// Ends all connections. Everything that is called later throws `closed`; what is under way is waited for.
    package func close() throws(StoreError) {
        published.withLock { $0.isClosed = true }
        try checkpointer.close()
        writerQueue.inDatabase { database in
            // Statements go before the connection that they belong to.
            _ = writer.take(in: database)
        }
        try DatabaseOpening.close(writerQueue, "close")
    }

    // MARK: Confinement

    /// Runs `body` in the open transaction, or in a new one with what was staged before, and leaves it open. When it fails the
    /// transaction is rolled back, and the state in memory, which is ahead of the database then, is loaded anew before its
    /// next use.
    private func inTransaction<Value>(
        _ operation: String, _ body: (Connection, ApplyState, Database) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        let result = writerQueue.inDatabase { database in
            Result { () throws(StoreError) in
                let connection = try Connection(database, operation)
                return try connection.rollingBack(operation) { () throws(StoreError) in
                    // Taken at once: a lock that comes later could fail in the middle.
                    if !connection.isInTransaction { try connection.execute("BEGIN IMMEDIATE", "\(operation): begin") }
                    let state = try writer.takeOrLoad(in: database, connection, options)
                    let value = try body(connection, state, database)
                    writer.keep(state, in: database)
                    return value
                }
            }
        }
        return try result.get()
    }

    /// Runs `body` on the writer's connection, with the state in memory dropped: it is loaded anew before its next use.
    func onWriterDroppingState<Value>(
        _ operation: String, _ body: (Connection) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        let result = writerQueue.inDatabase { database in
            Result { () throws(StoreError) in
                let connection = try Connection(database, operation)
                _ = writer.take(in: database)
                return try body(connection)
            }
        }
        return try result.get()
    }

    static func onWriter<Value>(
        of queue: DatabaseQueue, _ operation: String, _ body: (Connection) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        try DatabaseOpening.onQueue(queue, operation, body)
    }

    /// Runs `body` in a read transaction on a connection of its own.
    func onReader<Value>(
        _ operation: String, _ body: (Connection) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        guard !published.withLock({ $0.isClosed }) else { throw .closed(operation: operation) }
        let reader = try DatabaseOpening.reader(location, label: operation, options: options)
        let result = Result { () throws(StoreError) in
            try DatabaseOpening.onQueue(reader, operation) { (connection) throws(StoreError) in
                try connection.readTransaction(operation) { () throws(StoreError) in try body(connection) }
            }
        }
        try DatabaseOpening.close(reader, operation)
        return try result.get()
    }
}

/// What `apply` did, for those who wait for it.
package struct AppliedBatch: Sendable {
    package var applied: LogPosition
    package var version: Version
    package var digest: UInt64
    package var logTimeMilliseconds: UInt64
    /// One for every command entry of the batch, in order.
    package var outcomes: [(index: LogIndex, outcome: CommandOutcome)]
    /// What watchers are told, in order.
    package var events: [ChangeEvent]
    /// The digest as of each entry that asked for it, in order.
    package var digests: [DigestMark]
}

/// What a scrub found.
package struct ScrubResult: Hashable, Sendable {
    package var applied: LogPosition
    /// As it is kept from batch to batch.
    package var digest: UInt64
    /// As the rows give it.
    package var recomputed: UInt64
    /// What is wrong beside the rows: counts, indexes, the structure of the file.
    package var problem: String?

    /// What was found, in one line; nil when the database is what was written.
    package var finding: String? {
        if digest != recomputed {
            return "the rows have digest \(recomputed) at entry \(applied.index), and \(digest) was kept with them"
        }
        return problem
    }

    /// False: a row is not what was written.
    package var isSound: Bool { finding == nil }
}

/// Holds what only the writer's connection may touch.
///
/// `@unchecked Sendable`: every access happens inside `DatabaseQueue.inDatabase`, that is on GRDB's serial
/// queue of the one connection that writes. The methods ask for the `Database` as a witness of it, which GRDB hands out
/// there only.
private final class WriterConfined: @unchecked Sendable {
    private var current: ApplyState?
    /// What was applied since the last commit.
    private var staged: [Entry] = []

    func stage(_ entries: [Entry], in _: Database) { staged += entries }
    func unstage(last count: Int, in _: Database) { staged.removeLast(count) }
    func unstageAll(in _: Database) { staged.removeAll(keepingCapacity: true) }

    /// Loads the state from the database of the writer's connection.
    func load(
        _ connection: Connection, _ options: StoreOptions
    ) throws(StoreError) -> (StateRow, PartitionTally) {
        let state = try ApplyState(connection, options: options)
        current = state
        return (state.state, state.tally)
    }

    /// Hands the state out, to be kept again only by a use that went well.
    func take(in _: Database) -> ApplyState? {
        defer { current = nil }
        return current
    }

    func takeOrLoad(
        in database: Database, _ connection: Connection, _ options: StoreOptions
    ) throws(StoreError) -> ApplyState {
        if let state = take(in: database) { return state }
        let state = try ApplyState(connection, options: options)
        _ = try state.apply(staged)
        return state
    }

    func keep(_ state: ApplyState, in _: Database) { current = state }
}
