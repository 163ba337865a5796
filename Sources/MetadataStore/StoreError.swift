import GRDBSQLite

/// Why the store could not do what it was asked. None of these is a refusal: a refusal is an answer and was applied.
package enum StoreError: Error, Hashable, Sendable {
    /// SQLite failed. Fatal for the node when it happens in `apply`.
    case sqlite(code: Int32, extendedCode: Int32, message: String, operation: String)
    /// No room on the disk, or the page limit is reached. Nothing was changed: free space and try the same call again.
    case diskFull(operation: String)
    /// Memory ran out. Nothing was changed: try the same call again.
    case outOfMemory(operation: String)
    /// Another connection held a lock for longer than the busy timeout. Nothing was changed: try the same call again.
    case busy(operation: String)
    /// A circuit breaker let nothing through, since the same failed again and again. Nothing was changed: try again later.
    case refused(operation: String, reason: String)
    /// What was read cannot have been written by this store.
    case corrupt(what: String)
    /// The file is a SQLite database of another program.
    case foreignDatabase(path: String, applicationID: Int64)
    /// A newer release wrote this database; this one must not touch it.
    case schemaTooNew(found: Int, supported: Int)
    /// SQLite did not accept a setting that the guarantees rest on.
    case pragma(name: String, wanted: String, found: String)
    /// A snapshot file was refused. Nothing was changed.
    case snapshot(reason: String)
    /// A file operation failed.
    case file(operation: String, path: String, errno: Int32)
    /// The store or reader was closed.
    case closed(operation: String)

    /// True when nothing was changed and the same call may succeed once there is room again (design: a lack of
    /// resources suspends apply, everything else stops the node).
    package var isRetriable: Bool {
        switch self {
        case .diskFull, .outOfMemory, .busy, .refused: true
        case .sqlite, .corrupt, .foreignDatabase, .schemaTooNew, .pragma, .snapshot, .file, .closed: false
        }
    }

    /// True when the database itself is not what was written, and not its surroundings: it has to be made anew from a healthy
    /// peer. Errors of the disk are not among them (a failed sync stops the node), nor is a database of a newer release.
    package var isDamage: Bool {
        switch self {
        case .corrupt, .foreignDatabase, .pragma: true
        case .sqlite(let code, _, _, _):
            [SQLITE_ERROR, SQLITE_READONLY, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_SCHEMA, SQLITE_FORMAT].contains(
                code)
        case .diskFull, .outOfMemory, .busy, .refused, .schemaTooNew, .snapshot, .file, .closed: false
        }
    }
}

extension StoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .sqlite(let code, let extendedCode, let message, let operation):
            "\(operation): SQLite error \(code) (extended \(extendedCode)): \(message)"
        case .diskFull(let operation): "\(operation): no space left for the database"
        case .outOfMemory(let operation): "\(operation): out of memory"
        case .busy(let operation): "\(operation): the database stayed locked"
        case .refused(let operation, let reason): "\(operation): \(reason)"
        case .corrupt(let what): "the database is damaged: \(what)"
        case .foreignDatabase(let path, let applicationID):
            "\(path) is a database of another program (application id \(applicationID))"
        case .schemaTooNew(let found, let supported):
            "the database has schema \(found), this release knows schemas up to \(supported)"
        case .pragma(let name, let wanted, let found): "PRAGMA \(name) is \(found) and must be \(wanted)"
        case .snapshot(let reason): "the snapshot was refused: \(reason)"
        case .file(let operation, let path, let errno): "\(operation) \(path): errno \(errno)"
        case .closed(let operation): "\(operation): the store is closed"
        }
    }
}
