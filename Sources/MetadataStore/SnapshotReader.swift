internal import MetadataModel
internal import RaftCore

/// Reads a snapshot file from its first byte to its last and believes none of it: checksums, counts, the order of the
/// rows, the digest. Only after `readAll` returned is what was read known to be a whole snapshot.
struct SnapshotReader {
    /// A row as it stands in the file.
    enum Row {
        case broker(Broker)
        case topic(Topic)
        case partition(Partition)
        case config(ConfigEntry)
        case session(SessionID, [UInt8])
    }

    let state: StateRow
    let configuration: RaftCore.Configuration?
    let bytes: Int
    private let file: any StoreFile
    private var remaining: Int
    private var tally: SnapshotTally

    /// Opens the file and reads its header.
    init(path: String, in fileSystem: any StoreFileSystem) throws(StoreError) {
        file = try fileSystem.open(path)
        bytes = try file.size()
        remaining = bytes
        let start = try Self.take(SnapshotFormat.magic.count + 8, from: file, &remaining)
        guard start.starts(with: SnapshotFormat.magic) else { throw .snapshot(reason: "not a snapshot file") }
        let (version, headerCount) = try start.withByteReader("the start of a snapshot") {
            (reader) throws(StoreError) in
            _ = try reader.take(SnapshotFormat.magic.count)
            return (try reader.integer(UInt32.self), Int(try reader.integer(UInt32.self)))
        }
        guard version == SnapshotFormat.version else {
            throw .snapshot(reason: "format \(version), this release reads format \(SnapshotFormat.version)")
        }
        guard headerCount <= SnapshotFormat.headerBytesMax else {
            throw .snapshot(reason: "a header of \(headerCount) bytes")
        }
        let header = try Self.take(headerCount, from: file, &remaining)
        let stored = try Self.take(4, from: file, &remaining).withByteReader("a checksum") {
            (reader) throws(StoreError) in try reader.integer(UInt32.self)
        }
        guard Checksum.crc32(start + header) == stored else { throw .snapshot(reason: "the header is damaged") }
        state = try Self.asSnapshotError { () throws(StoreError) in
            try header.withBytes { (bytes) throws(StoreError) in try SnapshotFormat.decode(header: bytes) }
        }
        let encoded = state.configuration
        configuration = try Self.asSnapshotError { () throws(StoreError) in try MetadataStore.decode(encoded) }
        tally = SnapshotTally(state)
    }

    /// Hands out every row in order, then checks the whole.
    ///
    /// Errors of `body` come out as they are.
    mutating func readAll(_ body: (Row) throws(StoreError) -> Void) throws(StoreError) -> SnapshotFile {
        var blockCount = 0
        while true {
            let header = try Self.take(SnapshotFormat.blockHeaderBytes, from: file, &remaining)
            let (storedCount, rawCount, checksum) = try header.withByteReader("the header of a block") {
                (reader) throws(StoreError) in
                let stored = Int(try reader.integer(UInt32.self))
                let raw = Int(try reader.integer(UInt32.self))
                return (stored, raw, try reader.integer(UInt32.self))
            }
            let stored = try Self.take(storedCount, from: file, &remaining)
            let lengths = Checksum.crc32(Array(header[..<8]))
            guard stored.withUnsafeBytes({ Checksum.continued(lengths, $0) }) == checksum else {
                throw .snapshot(reason: "block \(blockCount) is damaged")
            }
            if storedCount == 0 {
                guard rawCount == blockCount else {
                    throw .snapshot(reason: "\(blockCount) blocks where the end mark counts \(rawCount)")
                }
                break
            }
            // The checksum has passed, and still a length is not trusted before it is bounded.
            guard rawCount <= SnapshotFormat.blockBytesMax else {
                throw .snapshot(reason: "block \(blockCount) claims \(rawCount) bytes")
            }
            let raw = stored.withUnsafeBytes { Compression.decompress($0, rawCount: rawCount) }
            guard let raw else { throw .snapshot(reason: "block \(blockCount) cannot be unpacked") }
            try raw.withByteReader("a block") { (reader) throws(StoreError) in
                while reader.remaining > 0 {
                    let row = try Self.asSnapshotError { () throws(StoreError) in try nextRow(&reader) }
                    try body(row)
                }
            }
            blockCount += 1
        }
        guard remaining == 0 else { throw .snapshot(reason: "\(remaining) bytes after the end mark") }
        try tally.check()
        return SnapshotFile(
            position: state.applied, configuration: configuration, version: state.version, digest: state.digest,
            bytes: bytes)
    }

    private mutating func nextRow(_ reader: inout ByteReader) throws(StoreError) -> Row {
        let tag = try reader.integer(UInt8.self)
        guard let kind = RowCoding.Kind(rawValue: tag) else { throw .snapshot(reason: "a row of kind \(tag)") }
        var body = ByteReader(try reader.long(), "a row of a snapshot")
        let row: Row
        switch kind {
        case .broker: row = .broker(try RowCoding.broker(&body))
        case .topic: row = .topic(try RowCoding.topic(&body))
        case .partition: row = .partition(try RowCoding.partition(&body))
        case .config: row = .config(try RowCoding.config(&body))
        case .session:
            let id = SessionID(try body.integer())
            row = .session(id, [UInt8](try body.take(body.remaining)))
        }
        try body.end()
        try tally.add(row)
        return row
    }

    /// The row codings are shared with the database and speak of it; here it is the file that is wrong.
    private static func asSnapshotError<Value>(
        _ body: () throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        do throws(StoreError) {
            return try body()
        } catch {
            if case .corrupt(let what) = error { throw .snapshot(reason: what) }
            throw error
        }
    }

    /// Never allocates more than the file has left.
    private static func take(_ count: Int, from file: any StoreFile, _ remaining: inout Int) throws(StoreError)
        -> [UInt8]
    {
        guard count <= remaining else {
            throw .snapshot(reason: "the file ends early: \(count) bytes wanted, \(remaining) left")
        }
        let part = try file.read(count)
        guard part.count == count else { throw .snapshot(reason: "the file became shorter while it was read") }
        remaining -= count
        return part
    }
}

/// What the rows of a snapshot add up to, compared with what its header promises.
private struct SnapshotTally {
    private let state: StateRow
    private var digest: UInt64
    private var totals = MetadataTotals(brokers: 0, topics: 0, partitions: 0, sessions: 0)
    private var configCount = 0
    /// The rows must be in strictly ascending order; this is the last, as a key that sorts like the rows.
    private var last: [UInt8] = []

    init(_ state: StateRow) {
        self.state = state
        digest = StateDigest.of(featureLevel: state.featureLevel)
    }

    mutating func add(_ row: SnapshotReader.Row) throws(StoreError) {
        var key = ByteWriter()
        switch row {
        case .broker(let broker):
            totals.brokers += 1
            digest &+= StateDigest.of(broker)
            key.append(RowCoding.Kind.broker.rawValue)
            // Flipping the sign bit makes signed numbers sort as bytes.
            key.append(UInt32(bitPattern: broker.id.rawValue) ^ 0x8000_0000)
        case .topic(let topic):
            totals.topics += 1
            digest &+= StateDigest.of(topic)
            key.append(RowCoding.Kind.topic.rawValue)
            key.append(topic.id)
        case .partition(let partition):
            totals.partitions += 1
            digest &+= StateDigest.of(partition)
            key.append(RowCoding.Kind.partition.rawValue)
            key.append(partition.key.topic)
            key.append(UInt32(bitPattern: partition.key.index.rawValue) ^ 0x8000_0000)
        case .config(let config):
            configCount += 1
            digest &+= StateDigest.of(config)
            key.append(RowCoding.Kind.config.rawValue)
            key.append(raw: RowCoding.key(of: config.resource))
            key.append(raw: config.name.utf8)
        case .session(let id, let body):
            totals.sessions += 1
            digest &+= StateDigest.of(try RowCoding.session(id, body))
            key.append(RowCoding.Kind.session.rawValue)
            key.append(id.rawValue)
        }
        guard last.lexicographicallyPrecedes(key.bytes) else { throw .snapshot(reason: "rows are out of order") }
        last = key.bytes
    }

    func check() throws(StoreError) {
        guard totals == state.totals, configCount == state.configCount else {
            throw .snapshot(
                reason: "it holds \(totals) and \(configCount) configs where its header promises \(state.totals) and "
                    + "\(state.configCount)")
        }
        guard digest == state.digest else {
            throw .snapshot(reason: "its rows have digest \(digest) where its header promises \(state.digest)")
        }
    }
}

extension [UInt8] {
    /// `withUnsafeBytes` with a typed error.
    func withBytes<Value>(
        _ body: (UnsafeRawBufferPointer) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        let result = withUnsafeBytes { bytes in Result { () throws(StoreError) in try body(bytes) } }
        return try result.get()
    }

    func withByteReader<Value>(
        _ what: StaticString, _ body: (inout ByteReader) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        try withBytes { (bytes) throws(StoreError) in
            var reader = ByteReader(bytes, what)
            return try body(&reader)
        }
    }
}
