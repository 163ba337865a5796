import GRDB
import GRDBSQLite

/// The administrative side of a connection: settings, plain SQL, the mapping of errors.
struct Connection {
    let handle: OpaquePointer

    init(_ database: Database, _ operation: String) throws(StoreError) {
        guard let handle = database.sqliteConnection else { throw .closed(operation: operation) }
        self.handle = handle
    }

    init(_ handle: OpaquePointer) {
        self.handle = handle
    }

    func prepare(_ sql: String, _ operation: String) throws(StoreError) -> PreparedStatement {
        try PreparedStatement(handle, sql, operation)
    }

    /// Runs SQL once, ignoring rows.
    func execute(_ sql: String, _ operation: String) throws(StoreError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw StoreError.ofSQLite(code, handle, operation) }
    }

    func integer(_ sql: String, _ operation: String) throws(StoreError) -> Int64 {
        let statement = try prepare(sql, operation)
        return try statement.first { (row) throws(StoreError) in row.int64(0) } ?? 0
    }

    func text(_ sql: String, _ operation: String) throws(StoreError) -> String {
        let statement = try prepare(sql, operation)
        return try statement.first { (row) throws(StoreError) in row.text(0) } ?? ""
    }

    /// Sets a pragma and reads it back: a setting that SQLite ignored is found here and not after a power loss.
    func set(_ pragma: String, to value: Int, readingBack expected: Int? = nil) throws(StoreError) {
        try execute("PRAGMA \(pragma) = \(value)", "set \(pragma)")
        let found = try integer("PRAGMA \(pragma)", "check \(pragma)")
        guard found == Int64(expected ?? value) else {
            throw .pragma(name: pragma, wanted: "\(expected ?? value)", found: "\(found)")
        }
    }

    func requireWAL() throws(StoreError) {
        let mode = try text("PRAGMA journal_mode", "check journal_mode")
        guard mode == "wal" else { throw .pragma(name: "journal_mode", wanted: "wal", found: mode) }
    }

    /// Runs `body`. Once `isCancelled` is true the statement under way, however long it takes, fails with SQLITE_INTERRUPT.
    func interrupted<Value>(
        when isCancelled: @escaping () -> Bool, _ body: () throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        let question = Question(isCancelled: isCancelled)
        sqlite3_progress_handler(
            handle, Question.stepsBetween,
            { context in
                guard let context else { return 0 }
                return Unmanaged<Question>.fromOpaque(context).takeUnretainedValue().isCancelled() ? 1 : 0
            }, Unmanaged.passUnretained(question).toOpaque())
        // The connection forgets it before it goes.
        defer { withExtendedLifetime(question) { sqlite3_progress_handler(handle, 0, nil, nil) } }
        return try body()
    }

    /// What the progress handler of SQLite asks.
    private final class Question {
        let isCancelled: () -> Bool

        init(isCancelled: @escaping () -> Bool) { self.isCancelled = isCancelled }

        /// Instructions of SQLite's virtual machine, a fraction of a millisecond.
        static let stepsBetween: Int32 = 1_000
    }

    var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    /// Runs `body` in one transaction. After a failure nothing of it remains.
    func transaction<Value>(
        _ operation: String, _ body: () throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        // Taken at once: a lock that comes later could fail in the middle.
        try execute("BEGIN IMMEDIATE", "\(operation): begin")
        return try rollingBack(operation) { () throws(StoreError) in
            let value = try body()
            try execute("COMMIT", "\(operation): commit")
            return value
        }
    }

    /// Runs `body`. After a failure no transaction is open.
    func rollingBack<Value>(
        _ operation: String, _ body: () throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        do throws(StoreError) {
            return try body()
        } catch {
            // SQLite ends the transaction by itself after some errors (a full disk, for one).
            if isInTransaction { try execute("ROLLBACK", "\(operation): roll back after \(error)") }
            throw error
        }
    }

    /// Runs `body` in one read transaction: everything it reads is of one moment, and writers go on.
    func readTransaction<Value>(
        _ operation: String, _ body: () throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        try execute("BEGIN DEFERRED", "\(operation): begin")
        do throws(StoreError) {
            let value = try body()
            try execute("COMMIT", "\(operation): end")
            return value
        } catch {
            if isInTransaction { try execute("ROLLBACK", "\(operation): end after \(error)") }
            throw error
        }
    }
}

extension StoreError {
    /// The error of a result code, with the message of the connection.
    static func ofSQLite(_ code: Int32, _ connection: OpaquePointer?, _ operation: String) -> StoreError {
        let extended = connection.map { sqlite3_extended_errcode($0) } ?? code
        let message = connection.flatMap { sqlite3_errmsg($0) }.map { String(cString: $0) } ?? ""
        return ofSQLite(code: code, extendedCode: extended, message: message, operation)
    }

    /// SQLITE_IOERR_SHMSIZE and SQLITE_IOERR_NOMEM: macros with arithmetic, which Swift does not import.
    private static let ioErrorOfSharedMemorySize = SQLITE_IOERR | (19 << 8)
    private static let ioErrorOfMemory = SQLITE_IOERR | (12 << 8)

    static func ofSQLite(code: Int32, extendedCode: Int32, message: String, _ operation: String) -> StoreError {
        switch code & 0xff {
        case SQLITE_FULL: .diskFull(operation: operation)
        // The shared memory file of the WAL could not be made longer: the same lack, another place.
        case SQLITE_IOERR where extendedCode == ioErrorOfSharedMemorySize: .diskFull(operation: operation)
        case SQLITE_NOMEM: .outOfMemory(operation: operation)
        case SQLITE_IOERR where extendedCode == ioErrorOfMemory: .outOfMemory(operation: operation)
        case SQLITE_BUSY: .busy(operation: operation)
        case SQLITE_CORRUPT, SQLITE_NOTADB: .corrupt(what: "\(operation): \(message)")
        default:
            .sqlite(code: code & 0xff, extendedCode: extendedCode, message: message, operation: operation)
        }
    }

    /// An error that came out of GRDB.
    static func ofGRDB(_ error: any Error, _ operation: String) -> StoreError {
        switch error {
        case let error as StoreError: error
        case let error as DatabaseError:
            ofSQLite(
                code: error.resultCode.rawValue, extendedCode: error.extendedResultCode.rawValue,
                message: error.message ?? "", operation)
        default: .sqlite(code: SQLITE_ERROR, extendedCode: SQLITE_ERROR, message: "\(error)", operation: operation)
        }
    }
}
