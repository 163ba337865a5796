import GRDB

/// Opens connections, and gives each the settings on which the guarantees rest.
enum DatabaseOpening {
    /// The pool: one connection that writes, and some that read for dumps and scrubs.
    static func pool(path: String, options: StoreOptions) throws(StoreError) -> DatabasePool {
        let pool: DatabasePool
        do {
            try refuseForeign(path: path, options: options)
            pool = try DatabasePool(path: path, configuration: configuration("store", options, readonly: false))
            try DatabaseSchema.migrator.migrate(pool)
        } catch {
            throw StoreError.ofGRDB(error, "open \(path)")
        }
        try MetadataStore.onWriter(of: pool, "set up the writer") { (connection) throws(StoreError) in
            try setUpWriter(connection, options: options)
        }
        // The names of the files that were created belong to the directory.
        try FileAccess.syncDirectory(of: path)
        return pool
    }

    /// A connection of its own that can only read.
    static func reader(path: String, label: String, options: StoreOptions) throws(StoreError) -> DatabaseQueue {
        do {
            return try DatabaseQueue(path: path, configuration: configuration(label, options, readonly: true))
        } catch {
            throw StoreError.ofGRDB(error, "open \(path) for \(label)")
        }
    }

    /// A connection of its own for checkpoints.
    static func checkpointer(path: String, options: StoreOptions) throws(StoreError) -> DatabaseQueue {
        let queue: DatabaseQueue
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration("checkpoint", options, readonly: false))
        } catch {
            throw StoreError.ofGRDB(error, "open \(path) for checkpoints")
        }
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

    /// Looked at before the pool opens, which would make a WAL beside a file that is not ours.
    private static func refuseForeign(path: String, options: StoreOptions) throws {
        guard FileAccess.exists(path) else { return }
        let queue = try DatabaseQueue(path: path, configuration: configuration("check", options, readonly: false))
        try onQueue(queue, "check \(path)") { (connection) throws(StoreError) in
            try DatabaseSchema.check(connection, path: path)
        }
        try queue.close()
    }

    private static func configuration(_ label: String, _ options: StoreOptions, readonly: Bool) -> Configuration {
        var configuration = Configuration()
        configuration.label = "metadata.\(label)"
        configuration.readonly = readonly
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(Double(options.busyTimeoutMilliseconds) / 1_000)
        configuration.maximumReaderCount = 3
        // Applies to the pool's readers; the writer's larger cache is set when it is set up.
        configuration.prepareDatabase { database in
            let connection = try Connection(database, "set up \(label)")
            try connection.set("cache_size", to: -(options.readerCacheBytes / 1_024))
            try connection.execute("PRAGMA temp_store = MEMORY", "set temp_store")
        }
        return configuration
    }

    /// GRDB resets some settings after `prepareDatabase`, so these are set when it is done, and read back.
    private static func setUpWriter(_ connection: Connection, options: StoreOptions) throws(StoreError) {
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
