import Foundation
import MetadataModel
import MetadataSchema
import RaftCore

@testable import MetadataStore

extension FuzzTarget {
    /// Rows, the change feed and snapshot files.
    static let store = [
        FuzzTarget(name: "row", examples: { exampleRows() }) { bytes in
            guard let tag = bytes.first, let kind = RowCoding.Kind(rawValue: tag) else { return .refused }
            let body = Array(bytes.dropFirst())
            let encoded: [UInt8]
            do throws(StoreError) {
                encoded = try reencoded(kind, body)
            } catch {
                return .refused
            }
            // Every value has exactly one encoding, or nodes with the same state would differ.
            guard kind == .session || encoded == body else { throw Finding("\(kind) \(body) is encoded as \(encoded)") }
            return .accepted
        },
        FuzzTarget(
            name: "feed",
            examples: {
                exampleEvents().map { encoded([$0]) } + [encoded(exampleEvents())]
            }
        ) { bytes in
            try roundTrip(bytes, decode: { try events($0) }, encode: { encoded($0) })
        },
        FuzzTarget(name: "snapshot", examples: { [snapshot(of: exampleRows().map(framed).joined())] }) { bytes in
            try read(bytes)
        },
        // The same with all checksums right, so that the rows are looked at.
        FuzzTarget(
            name: "snapshot-rows",
            examples: { [Array(exampleRows().map(framed).joined())] }
        ) { bytes in
            try read(snapshot(of: bytes))
        },
    ]

    private static func reencoded(_ kind: RowCoding.Kind, _ body: [UInt8]) throws(StoreError) -> [UInt8] {
        try body.withByteReader("a row") { (reader) throws(StoreError) in
            var writer = ByteWriter()
            switch kind {
            case .broker: RowCoding.append(try RowCoding.broker(&reader), to: &writer)
            case .topic: RowCoding.append(try RowCoding.topic(&reader), to: &writer)
            case .partition: RowCoding.append(try RowCoding.partition(&reader), to: &writer)
            case .config: RowCoding.append(try RowCoding.config(&reader), to: &writer)
            case .session:
                let id = SessionID(try reader.integer())
                let bytes = [UInt8](try reader.take(reader.remaining))
                writer.append(id.rawValue)
                writer.append(raw: try RowCoding.session(id, bytes).schemaBytes())
            }
            try reader.end()
            return writer.bytes
        }
    }

    private static func events(_ bytes: [UInt8]) throws(StoreError) -> [ChangeEvent] {
        try bytes.withBytes { (row) throws(StoreError) in
            var events: [ChangeEvent] = []
            try FeedCoding.forEachEvent(in: row, after: .zero) { event, _ in
                events.append(event)
                return true
            }
            return events
        }
    }

    private static func encoded(_ events: [ChangeEvent]) -> [UInt8] {
        var writer = ByteWriter()
        for event in events { FeedCoding.append(event, to: &writer) }
        return writer.bytes
    }

    /// One row of each kind: its kind, then its body.
    private static func exampleRows() -> [[UInt8]] {
        func row(_ kind: RowCoding.Kind, _ body: (inout ByteWriter) -> Void) -> [UInt8] {
            var writer = ByteWriter()
            writer.append(kind.rawValue)
            body(&writer)
            return writer.bytes
        }
        let config = ConfigEntry(resource: .topic(exampleTopic().id), name: "x", value: "1", version: Version(9))
        let session = exampleSessions()[0]
        return [
            row(.broker) { RowCoding.append(exampleBroker(7), to: &$0) },
            row(.topic) { RowCoding.append(exampleTopic(), to: &$0) },
            row(.partition) { RowCoding.append(examplePartition(0), to: &$0) },
            row(.config) { RowCoding.append(config, to: &$0) },
            row(.session) {
                $0.append(session.session.id.rawValue)
                $0.append(raw: session.schemaBytes())
            },
        ]
    }

    /// As it stands in a block: with the length of its body.
    private static func framed(_ row: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(row[0])
        writer.append(long: row.dropFirst())
        return writer.bytes
    }

    /// A snapshot file whose one block holds `rows`, with right checksums, and a header that fits the example rows.
    private static func snapshot(of rows: some Sequence<UInt8>) -> [UInt8] {
        let rows = Array(rows)
        let config = ConfigEntry(resource: .topic(exampleTopic().id), name: "x", value: "1", version: Version(9))
        let digest =
            StateDigest.of(featureLevel: 0) &+ StateDigest.of(exampleBroker(7)) &+ StateDigest.of(exampleTopic())
            &+ StateDigest.of(examplePartition(0)) &+ StateDigest.of(config) &+ StateDigest.of(exampleSessions()[0])
        var writer = ByteWriter()
        writer.append(
            raw: SnapshotFormat.encode(
                StateRow(
                    applied: LogPosition(index: LogIndex(30), term: Term(2)), version: Version(20), digest: digest,
                    logTimeMilliseconds: 5, featureLevel: 0,
                    totals: MetadataTotals(brokers: 1, topics: 1, partitions: 1, sessions: 1), configCount: 1,
                    configuration: exampleConfigurations()[1].encoded(), feedFloor: Version(20))))
        do throws(StoreError) {
            let stored = try Compression.compress(rows, level: SnapshotFormat.zlibLevel)
            append(UInt32(rows.count), stored, to: &writer)
        } catch {
            preconditionFailure("the rows cannot be packed: \(error)")
        }
        append(1, [], to: &writer)
        return writer.bytes
    }

    private static func append(_ raw: UInt32, _ stored: [UInt8], to writer: inout ByteWriter) {
        var header = ByteWriter()
        header.append(UInt32(stored.count))
        header.append(raw)
        let lengths = Checksum.crc32(header.bytes)
        header.append(stored.withUnsafeBytes { Checksum.continued(lengths, $0) })
        writer.append(raw: header.bytes)
        writer.append(raw: stored)
    }

    private static let file = NSTemporaryDirectory() + "fuzz-snapshot-\(UUID().uuidString)"

    private static func read(_ bytes: [UInt8]) throws -> Verdict {
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        defer { unlink(file) }
        do throws(StoreError) {
            var reader = try SnapshotReader(path: file, in: PosixStoreFileSystem())
            let snapshot = try reader.readAll { (_) throws(StoreError) in }
            guard snapshot.bytes == bytes.count else { return .refused }
        } catch {
            return .refused
        }
        return .accepted
    }
}
