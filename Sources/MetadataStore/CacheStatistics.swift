import GRDB
import GRDBSQLite
internal import MetadataModel

/// The page cache of one connection.
package struct CacheStatistics: Hashable, Sendable {
    /// Memory that its pages take.
    package var bytes = 0
    /// Pages that were found in it, and those that were read from the file, since the connection was opened.
    package var hits = 0
    package var misses = 0

    package init() {}

    init(_ connection: Connection) {
        bytes = Self.status(connection, SQLITE_DBSTATUS_CACHE_USED)
        hits = Self.status(connection, SQLITE_DBSTATUS_CACHE_HIT)
        misses = Self.status(connection, SQLITE_DBSTATUS_CACHE_MISS)
    }

    private static func status(_ connection: Connection, _ operation: Int32) -> Int {
        var (current, highest): (Int32, Int32) = (0, 0)
        sqlite3_db_status(connection.handle, operation, &current, &highest, 0)
        return Int(current)
    }
}

extension MetadataStore {
    /// Whether a batch could be written now: takes the lock that it would take and gives it back, without a change. Called from
    /// the apply thread, and waits as long as a batch would.
    package func probeWriter() throws(StoreError) -> CacheStatistics {
        try Self.onWriter(of: writerQueue, "probe") { (connection) throws(StoreError) in
            // Who has a transaction open has the lock.
            if connection.isInTransaction { return CacheStatistics(connection) }
            return try connection.transaction("probe") { () throws(StoreError) in CacheStatistics(connection) }
        }
    }

    /// Gives back the pages that the writing connection keeps and does not need now. Called from the apply thread.
    package func releaseMemory() { writerQueue.inDatabase { $0.releaseMemory() } }
}

extension MetadataReader {
    /// Whether the database can be read now: reads a row in a transaction of its own.
    package func probe() throws(StoreError) -> CacheStatistics {
        _ = try answer([.summary])
        return try cacheStatistics()
    }
}
