package import MetadataModel
package import RaftCore

/// A snapshot file that was written, or verified from its first byte to its last.
package struct SnapshotFile: Hashable, Sendable {
    /// The last entry whose effect it holds.
    package var position: LogPosition
    /// The last configuration entry at or before `position`; nil when there was none.
    package var configuration: RaftCore.Configuration?
    package var version: Version
    package var digest: UInt64
    /// The size of the file.
    package var bytes: Int

    package init(
        position: LogPosition, configuration: RaftCore.Configuration?, version: Version, digest: UInt64, bytes: Int
    ) {
        self.position = position
        self.configuration = configuration
        self.version = version
        self.digest = digest
        self.bytes = bytes
    }
}

/// The layout of snapshot files (docs/formats/snapshot.md).
///
/// ```
/// file    8  magic "SBMDSNAP"
///         4  format version, 2
///         4  length of the header
///         -  header
///         4  CRC32 of everything above
///         -  blocks
///         -  the end mark: a block of stored length 0 whose raw length is the number of blocks
/// block   4  stored length
///         4  raw length
///         4  CRC32 of the two lengths and the stored bytes
///         -  stored bytes: a zlib stream (level 1) of whole rows
/// row     1  kind
///         4  length of the body
///         -  body (`RowCoding`)
/// ```
///
/// Integers are big-endian. Rows come by kind and then by key, each key once, so that the same state gives the same raw
/// bytes on every node. The header holds nothing that differs between nodes.
enum SnapshotFormat {
    static let magic: [UInt8] = Array("SBMDSNAP".utf8)
    static let version: UInt32 = 2
    static let zlibLevel: Int32 = 1
    /// A block ends with the row that crosses this.
    static let blockBytes = 256 << 10
    /// The largest row is a session whose results are as heavy as `Limits.sessionResultsWeightMax` lets them be, far below
    /// this.
    static let blockBytesMax = 64 << 20
    static let headerBytesMax = 1 << 20
    static let blockHeaderBytes = 12
    static let rowHeaderBytes = 5

    static func encode(_ state: StateRow) -> [UInt8] {
        var body = ByteWriter()
        body.append(state.applied.index.rawValue)
        body.append(state.applied.term.rawValue)
        body.append(state.version.rawValue)
        body.append(state.digest)
        body.append(state.logTimeMilliseconds)
        body.append(state.featureLevel)
        body.append(UInt64(state.totals.brokers))
        body.append(UInt64(state.totals.topics))
        body.append(UInt64(state.totals.partitions))
        body.append(UInt64(state.configCount))
        body.append(UInt64(state.totals.sessions))
        body.append(UInt8(state.configuration == nil ? 0 : 1))
        body.append(long: state.configuration ?? [])
        var writer = ByteWriter()
        writer.append(raw: magic)
        writer.append(version)
        writer.append(long: body.bytes)
        writer.append(Checksum.crc32(writer.bytes))
        return writer.bytes
    }

    static func decode(header: UnsafeRawBufferPointer) throws(StoreError) -> StateRow {
        var reader = ByteReader(header, "the header of a snapshot")
        let index = LogIndex(try reader.integer())
        let applied = LogPosition(index: index, term: Term(try reader.integer()))
        let version = Version(try reader.integer())
        let digest = try reader.integer(UInt64.self)
        let logTime = try reader.integer(UInt64.self)
        let featureLevel = try reader.integer(UInt32.self)
        let brokers = try count(&reader)
        let topics = try count(&reader)
        let partitions = try count(&reader)
        let configs = try count(&reader)
        let sessions = try count(&reader)
        let hasConfiguration = try reader.integer(UInt8.self)
        let configuration = [UInt8](try reader.long())
        try reader.end()
        guard hasConfiguration == 1 || hasConfiguration == 0 && configuration.isEmpty else {
            throw .snapshot(reason: "configuration mark \(hasConfiguration)")
        }
        guard version.rawValue <= index.rawValue, index.rawValue <= UInt64(Int64.max) else {
            throw .snapshot(reason: "version \(version) at index \(index)")
        }
        return StateRow(
            applied: applied, version: version, digest: digest, logTimeMilliseconds: logTime,
            featureLevel: featureLevel,
            totals: MetadataTotals(brokers: brokers, topics: topics, partitions: partitions, sessions: sessions),
            configCount: configs, configuration: hasConfiguration == 1 ? configuration : nil,
            // The feed does not travel: a watcher of an earlier version has to take a new image.
            feedFloor: version)
    }

    private static func count(_ reader: inout ByteReader) throws(StoreError) -> Int {
        let value = try reader.integer(UInt64.self)
        guard let count = Int(exactly: value) else { throw .snapshot(reason: "a count of \(value) rows") }
        return count
    }
}
