/// Writes a snapshot file row by row. The bytes are not durable, and the name is not the final one, before `finish`.
struct SnapshotWriter {
    private let file: any StoreFile
    private var rows = ByteWriter()
    private var blockCount: UInt32 = 0
    private var bytes = 0

    init(path: String, in fileSystem: any StoreFileSystem, state: StateRow) throws(StoreError) {
        file = try fileSystem.create(path)
        try write(SnapshotFormat.encode(state))
    }

    mutating func append(_ kind: RowCoding.Kind, _ body: (inout ByteWriter) -> Void) throws(StoreError) {
        rows.append(kind.rawValue)
        let lengthOffset = rows.count
        rows.append(UInt32(0))
        body(&rows)
        rows.fillLength(at: lengthOffset)
        if rows.count >= SnapshotFormat.blockBytes { try flush() }
    }

    /// Ends the file and syncs it. Returns its size.
    mutating func finish() throws(StoreError) -> Int {
        if rows.count > 0 { try flush() }
        try writeBlock(raw: blockCount, stored: [])
        try file.sync()
        try file.close()
        return bytes
    }

    private mutating func flush() throws(StoreError) {
        guard rows.count <= SnapshotFormat.blockBytesMax else {
            throw .snapshot(
                reason: "a block of \(rows.count) bytes holds a row that is too large, \(SnapshotFormat.blockBytesMax) "
                    + "are allowed")
        }
        try writeBlock(
            raw: UInt32(rows.count), stored: try Compression.compress(rows.bytes, level: SnapshotFormat.zlibLevel))
        blockCount += 1
        rows.removeAll()
    }

    private mutating func writeBlock(raw: UInt32, stored: [UInt8]) throws(StoreError) {
        var header = ByteWriter()
        header.append(UInt32(stored.count))
        header.append(raw)
        let lengths = Checksum.crc32(header.bytes)
        header.append(stored.withUnsafeBytes { Checksum.continued(lengths, $0) })
        try write(header.bytes)
        try write(stored)
    }

    private mutating func write(_ part: [UInt8]) throws(StoreError) {
        var failure: StoreError?
        part.withUnsafeBytes { buffer in
            do throws(StoreError) { try file.write(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
        bytes += part.count
    }
}
