internal import MetadataModel

/// The writing side of the change feed: what watchers that fell behind, or come back, read.
///
/// A batch appends one row (more when it is large, so that a reader never holds much at a time). The oldest rows go when
/// the feed exceeds its bounds; `StateRow.feedFloor` says how far back it reaches. The borders of rows differ from node to
/// node and never show: an answer is made of events.
final class FeedWriter {
    private let insert: PreparedStatement
    private let oldest: PreparedStatement
    private let delete: PreparedStatement
    private let bytesMax: Int
    private let rowsMax: Int
    private var bytes: Int
    private var rows: Int

    init(_ connection: Connection, options: StoreOptions) throws(StoreError) {
        insert = try connection.prepare(
            "INSERT INTO feed (last_version, first_version, body) VALUES (?1, ?2, ?3)", "append to the feed")
        oldest = try connection.prepare(
            "SELECT last_version, length(body) FROM feed ORDER BY last_version LIMIT 1", "find the feed's oldest row")
        delete = try connection.prepare("DELETE FROM feed WHERE last_version = ?1", "trim the feed")
        bytesMax = options.feedBytesMax
        rowsMax = options.feedRowsMax
        bytes = Int(try connection.integer("SELECT coalesce(sum(length(body)), 0) FROM feed", "measure the feed"))
        rows = Int(try connection.integer("SELECT count(*) FROM feed", "count the feed"))
    }

    /// Appends the events of a batch, then lets go of the oldest. Returns the new floor.
    func append(_ events: [ChangeEvent], floor: Version) throws(StoreError) -> Version {
        var writer = ByteWriter()
        var first: Version?
        for (position, event) in events.enumerated() {
            FeedCoding.append(event, to: &writer)
            let rowFirst = first ?? event.version
            let isLast = position == events.count - 1
            if isLast || writer.count >= StoreOptions.feedRowBytes {
                insert.bind(event.version.rawValue, at: 1)
                insert.bind(rowFirst.rawValue, at: 2)
                insert.bind(writer.bytes, at: 3)
                try insert.run()
                bytes += writer.count
                rows += 1
                writer.removeAll()
                first = nil
            } else {
                first = rowFirst
            }
        }
        return try trim(floor: floor)
    }

    private func trim(floor: Version) throws(StoreError) -> Version {
        var floor = floor
        while bytes > bytesMax || rows > rowsMax {
            let found = try oldest.first { (row) throws(StoreError) in (version: row.uint64(0), bytes: row.int(1)) }
            guard let found else {
                throw .corrupt(what: "the change feed is empty where \(rows) rows were counted")
            }
            delete.bind(found.version, at: 1)
            try delete.runOnOneRow("the feed's row \(found.version)")
            bytes -= found.bytes
            rows -= 1
            floor = Version(found.version)
        }
        return floor
    }
}
