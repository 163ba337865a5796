import GRDB

/// Where a database lies.
struct DatabaseLocation {
    let path: String
    let fileSystem: any StoreFileSystem

    /// The name by which SQLite opens it.
    var databaseName: String {
        guard let vfs = fileSystem.vfsName else { return path }
        precondition(!path.utf8.contains { "?#%".utf8.contains($0) }, "\(path) means something else in a URI")
        return "file:\(path)?vfs=\(vfs)"
    }
}

/// Opens connections, and gives each the settings on which the guarantees rest.
///
/// A connection is a queue of its own, whose work runs on the thread that asks for it: the library starts no thread, and a
/// simulator can run all of a node's connections in one.
enum DatabaseOpening {
    /// The one connection that writes, on a database with the present schema.
    static func writer(_ location: DatabaseLocation, options: StoreOptions) throws(StoreError) -> DatabaseQueue {
        try refuseForeign(location, options: options)
        // Its transactions hold several batches.
        let queue = try open(location, "writer", options, readonly: false, leavesTransactionsOpen: true)
        try onQueue(queue, "set up the writer") { (connection) throws(StoreError) in
            try setUpWriter(connection, options: options)
        }
        do {
            try DatabaseSchema.migrator.migrate(queue)
        } catch {
            throw StoreError.ofGRDB(error, "migrate \(location.path)")
        }
        // The names of the files that were created belong to the directory.
        try location.fileSystem.syncDirectory(of: location.path)
        return queue
    }

    /// A connection of its own that can only read.
    static func reader(
        _ location: DatabaseLocation, label: String, options: StoreOptions
    ) throws(StoreError) -> DatabaseQueue {
        try open(location, label, options, readonly: true)
    }

    /// A connection of its own for checkpoints.
    static func checkpointer(_ location: DatabaseLocation, options: StoreOptions) throws(StoreError) -> DatabaseQueue {
        let queue = try open(location, "checkpoint", options, readonly: false)
        try onQueue(queue, "set up the checkpoints") { (connection) throws(StoreError) in
            try connection.requireWAL()
            // A checkpoint on a connection that does not sync would call volatile what it promises durable.
            try connection.set("synchronous", to: synchronousNormal)
            try connection.set("wal_autocheckpoint", to: 0)
            try connection.set("busy_timeout", to: options.checkpointTimeoutMilliseconds)
        }
        return queue
    }

    static func onQueue<Value>(
        _ queue: DatabaseQueue, _ operation: String, _ body: (Connection) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        let result = queue.inDatabase { database in
            Result { () throws(StoreError) in try body(try Connection(database, operation)) }
        }
        return try result.get()
    }

    static let synchronousNormal = 1
    static let synchronousFull = 2

    static func close(_ queue: DatabaseQueue, _ operation: String) throws(StoreError) {
        do {
            try queue.close()
        } catch {
            throw StoreError.ofGRDB(error, operation)
        }
    }

    /// Looked at before the writer opens, which would make a WAL beside a file that is not ours.
    private static func refuseForeign(_ location: DatabaseLocation, options: StoreOptions) throws(StoreError) {
        guard location.fileSystem.exists(location.path) else { return }
        let queue = try open(location, "check", options, readonly: false)
        try onQueue(queue, "check \(location.path)") { (connection) throws(StoreError) in
            try DatabaseSchema.check(connection, path: location.path)
        }
        try close(queue, "check \(location.path)")
    }

    private static func open(
        _ location: DatabaseLocation, _ label: String, _ options: StoreOptions, readonly: Bool,
        leavesTransactionsOpen: Bool = false
    ) throws(StoreError) -> DatabaseQueue {
        do {
            var configuration = configuration(label, options, readonly: readonly)
            configuration.allowsUnsafeTransactions = leavesTransactionsOpen
            return try DatabaseQueue(path: location.databaseName, configuration: configuration)
        } catch {
            throw StoreError.ofGRDB(error, "open \(location.path) as \(label)")
        }
    }

    private static func configuration(_ label: String, _ options: StoreOptions, readonly: Bool) -> Configuration {
        var configuration = Configuration()
        configuration.label = "metadata.\(label)"
        configuration.readonly = readonly
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(Double(options.busyTimeoutMilliseconds) / 1_000)
        // The writer's larger cache is set when it is set up.
        configuration.prepareDatabase { database in
            let connection = try Connection(database, "set up \(label)")
            try connection.set("cache_size", to: -(options.readerCacheBytes / 1_024))
            try connection.execute("PRAGMA temp_store = MEMORY", "set temp_store")
        }
        return configuration
    }

    /// Read back, each: a library or a build of SQLite may have its own mind.
    private static func setUpWriter(_ connection: Connection, options: StoreOptions) throws(StoreError) {
        try connection.execute("PRAGMA journal_mode = WAL", "set journal_mode")
        try connection.requireWAL()
        // FULL would sync each commit, for which the Raft log is there already; OFF loses consistency (design).
        try connection.set("synchronous", to: synchronousNormal)
        // Checkpoints are made elsewhere: the writer would stall.
        try connection.set("wal_autocheckpoint", to: 0)
        // A WAL that grew long is cut to this when the writer starts again at its beginning.
        try connection.set("journal_size_limit", to: options.walFileBytesKept)
        try connection.set("secure_delete", to: 0)
        try connection.set("foreign_keys", to: 0)
        try connection.set("cache_size", to: -(options.writerCacheBytes / 1_024))
        try connection.set("busy_timeout", to: options.busyTimeoutMilliseconds)
        if let pageCountMax = options.pageCountMax {
            try connection.execute("PRAGMA max_page_count = \(pageCountMax)", "set max_page_count")
        }
    }
}
