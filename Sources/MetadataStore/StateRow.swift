internal import MetadataModel
internal import RaftCore

/// The one row of the table `state`: what belongs to the state as a whole. It is written once per batch, in the batch's
/// own transaction, so the rows and the index up to which they were applied cannot part (pitfall: etcd 3.5.0).
struct StateRow: Hashable, Sendable {
    var applied: LogPosition
    var version: Version
    var digest: UInt64
    var logTimeMilliseconds: UInt64
    var featureLevel: UInt32
    var totals: MetadataTotals
    var configCount: Int
    /// `Configuration.encoded()` of the last configuration entry that was applied; nil before the first.
    var configuration: [UInt8]?
    /// The change feed holds every event after this version.
    var feedFloor: Version
}

/// Reads and writes the `state` row of one connection.
final class StateStatements {
    private let select: PreparedStatement
    private let update: PreparedStatement

    init(_ connection: Connection) throws(StoreError) {
        select = try connection.prepare(
            """
            SELECT applied_index, applied_term, version, digest, log_time, feature_level, brokers, topics, partitions,
                configs, sessions, configuration, feed_floor FROM state WHERE id = 0
            """, "read state")
        update = try connection.prepare(
            """
            UPDATE state SET applied_index = ?1, applied_term = ?2, version = ?3, digest = ?4, log_time = ?5,
                feature_level = ?6, brokers = ?7, topics = ?8, partitions = ?9, configs = ?10, sessions = ?11,
                configuration = ?12, feed_floor = ?13 WHERE id = 0
            """, "write state")
    }

    func read() throws(StoreError) -> StateRow {
        let row = try select.first { (row) throws(StoreError) -> StateRow in
            guard let featureLevel = UInt32(exactly: row.int64(5)) else {
                throw .corrupt(what: "feature level \(row.int64(5))")
            }
            let totals = MetadataTotals(
                brokers: row.int(6), topics: row.int(7), partitions: row.int(8), sessions: row.int(10))
            guard totals.brokers >= 0, totals.topics >= 0, totals.partitions >= 0, totals.sessions >= 0 else {
                throw .corrupt(what: "negative totals \(totals)")
            }
            return StateRow(
                applied: LogPosition(index: LogIndex(row.uint64(0)), term: Term(row.uint64(1))),
                version: Version(row.uint64(2)), digest: row.uint64(3), logTimeMilliseconds: row.uint64(4),
                featureLevel: featureLevel, totals: totals, configCount: row.int(9),
                configuration: row.isNull(11) ? nil : row.blob(11), feedFloor: Version(row.uint64(12)))
        }
        guard let row else { throw .corrupt(what: "the state row is missing") }
        guard row.version.rawValue <= row.applied.index.rawValue else {
            throw .corrupt(what: "version \(row.version) is beyond the applied index \(row.applied.index)")
        }
        return row
    }

    func write(_ row: StateRow) throws(StoreError) {
        precondition(
            row.version.rawValue <= row.applied.index.rawValue,
            "version \(row.version) is beyond the applied index \(row.applied.index)")
        update.bind(row.applied.index.rawValue, at: 1)
        update.bind(row.applied.term.rawValue, at: 2)
        update.bind(row.version.rawValue, at: 3)
        update.bind(row.digest, at: 4)
        update.bind(row.logTimeMilliseconds, at: 5)
        update.bind(Int64(row.featureLevel), at: 6)
        update.bind(row.totals.brokers, at: 7)
        update.bind(row.totals.topics, at: 8)
        update.bind(row.totals.partitions, at: 9)
        update.bind(row.configCount, at: 10)
        update.bind(row.totals.sessions, at: 11)
        if let configuration = row.configuration {
            update.bind(configuration, at: 12)
        } else {
            update.bindNull(at: 12)
        }
        update.bind(row.feedFloor.rawValue, at: 13)
        try update.run()
        guard update.changeCount == 1 else { throw .corrupt(what: "the state row is missing") }
    }
}

extension StateRow {
    var summary: MetadataSummary {
        MetadataSummary(
            version: version, appliedIndex: applied.index.rawValue, digest: digest, totals: totals,
            featureLevel: featureLevel)
    }
}
