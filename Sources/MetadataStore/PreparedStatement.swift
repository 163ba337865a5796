import GRDBSQLite

/// A prepared statement on a connection, driven through SQLite's C API: the hot path has no room for records.
///
/// Parameters are numbered from 1 and columns from 0, as in SQLite. A statement that was stepped and not reset keeps
/// its read transaction open, so every use ends in `reset` (`run` and `query` see to it).
final class PreparedStatement {
    private let handle: OpaquePointer
    private let connection: OpaquePointer
    /// Names the statement in errors.
    private let operation: String
    /// The first failure of a binding; `step` reports it.
    private var bindingCode = SQLITE_OK

    init(_ connection: OpaquePointer, _ sql: String, _ operation: String) throws(StoreError) {
        var handle: OpaquePointer?
        let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
        guard code == SQLITE_OK, let handle else {
            throw StoreError.ofSQLite(code, connection, operation)
        }
        self.handle = handle
        self.connection = connection
        self.operation = operation
    }

    deinit {
        // The result repeats the error of the last step, which was thrown there.
        _ = sqlite3_finalize(handle)
    }

    // MARK: Parameters

    func bind(_ value: Int64, at position: Int32) {
        note(sqlite3_bind_int64(handle, position, value))
    }

    func bind(_ value: Int32, at position: Int32) { bind(Int64(value), at: position) }
    func bind(_ value: Int, at position: Int32) { bind(Int64(value), at: position) }

    /// SQLite's integers are signed: the 64 bits are kept, the order only below 2^63 (which indexes never reach).
    func bind(_ value: UInt64, at position: Int32) { bind(Int64(bitPattern: value), at: position) }

    func bindNull(at position: Int32) {
        note(sqlite3_bind_null(handle, position))
    }

    func bind(_ text: String, at position: Int32) {
        var text = text
        let code = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                // An empty buffer may have no address, which SQLite would take for NULL.
                sqlite3_bind_text(handle, position, $0.baseAddress ?? Self.empty, Int32($0.count), Self.transient)
            }
        }
        note(code)
    }

    func bind(_ blob: [UInt8], at position: Int32) {
        note(blob.withUnsafeBytes { bindBytes($0, at: position) })
    }

    func bindBytes(_ bytes: UnsafeRawBufferPointer, at position: Int32) -> Int32 {
        bytes.isEmpty
            ? sqlite3_bind_zeroblob(handle, position, 0)
            : sqlite3_bind_blob(handle, position, bytes.baseAddress, Int32(bytes.count), Self.transient)
    }

    func note(_ code: Int32) {
        if code != SQLITE_OK, bindingCode == SQLITE_OK { bindingCode = code }
    }

    // MARK: Execution

    /// Runs a statement that returns no row, and makes it ready for the next use.
    func run() throws(StoreError) {
        defer { reset() }
        let hasRow = try step()
        precondition(!hasRow, "\(operation) returned a row and was run as if it returned none")
    }

    /// Runs `body` while rows come, and makes the statement ready for the next use. `body` returns false to stop early.
    func query(_ body: (PreparedStatement) throws(StoreError) -> Bool) throws(StoreError) {
        defer { reset() }
        while try step() {
            guard try body(self) else { return }
        }
    }

    /// The first row as `body` reads it, or nil when there is none.
    func first<Value>(_ body: (PreparedStatement) throws(StoreError) -> Value) throws(StoreError) -> Value? {
        defer { reset() }
        guard try step() else { return nil }
        return try body(self)
    }

    /// Rows that the last run of a writing statement on this connection changed.
    var changeCount: Int { Int(sqlite3_changes(connection)) }

    private func step() throws(StoreError) -> Bool {
        guard bindingCode == SQLITE_OK else { throw StoreError.ofSQLite(bindingCode, connection, operation) }
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code: throw StoreError.ofSQLite(code, connection, operation)
        }
    }

    private func reset() {
        // Both repeat or forget what `step` already reported.
        _ = sqlite3_reset(handle)
        bindingCode = SQLITE_OK
    }

    // MARK: Columns of the current row

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
    func int64(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }
    func uint64(_ column: Int32) -> UInt64 { UInt64(bitPattern: int64(column)) }
    func int(_ column: Int32) -> Int { Int(int64(column)) }

    /// A number that has to fit 32 bits: another one was not written by this store.
    func int32(_ column: Int32) throws(StoreError) -> Int32 { try narrow(column) }
    func uint32(_ column: Int32) throws(StoreError) -> UInt32 { try narrow(column) }

    private func narrow<Number: FixedWidthInteger>(_ column: Int32) throws(StoreError) -> Number {
        guard let value = Number(exactly: int64(column)) else {
            throw .corrupt(what: "\(operation): column \(column) does not fit \(Number.bitWidth) bits")
        }
        return value
    }

    func text(_ column: Int32) -> String {
        guard let start = sqlite3_column_text(handle, column) else { return "" }
        let bytes = UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column)))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes of a blob, valid within `body` only.
    func withBlob<Value>(
        _ column: Int32, _ body: (UnsafeRawBufferPointer) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        let start = sqlite3_column_blob(handle, column)
        let count = Int(sqlite3_column_bytes(handle, column))
        return try body(UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
    }

    func blob(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(handle, column) else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }

    /// SQLITE_TRANSIENT: SQLite copies the bytes before the call returns.
    private static var transient: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }
    private static var empty: UnsafePointer<CChar> {
        emptyText.withUTF8Buffer {
            UnsafeRawPointer($0.baseAddress.unsafelyUnwrapped).assumingMemoryBound(to: CChar.self)
        }
    }
    private static let emptyText: StaticString = ""
}
