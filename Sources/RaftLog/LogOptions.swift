package import RaftCore

/// How a log is laid out.
package struct LogOptions: Hashable, Sendable {
    /// A segment that has reached this size is followed by a new one. One entry may exceed it alone.
    package var segmentBytes: Int
    /// How far ahead of the last record a segment is filled with zeros.
    package var fillStepBytes: Int
    /// Written into each file and compared when it is opened; `.unknown` compares nothing.
    package var diskID: DiskID
    /// Whether an empty folder becomes an empty log. False where `metad format` has made the log: then an empty folder is a
    /// log that was lost together with its votes.
    package var createIfEmpty: Bool

    package init(
        segmentBytes: Int = 16 << 20, fillStepBytes: Int = 1 << 20, diskID: DiskID = .unknown,
        createIfEmpty: Bool = true
    ) {
        precondition(segmentBytes > LogFormat.segmentHeaderBytes, "a segment of \(segmentBytes) bytes holds no record")
        precondition(
            segmentBytes <= LogFormat.segmentBytesMax, "a segment of \(segmentBytes) bytes is beyond the limit")
        precondition(fillStepBytes > 0, "segments grow by \(fillStepBytes) bytes")
        self.segmentBytes = segmentBytes
        self.fillStepBytes = fillStepBytes
        self.diskID = diskID
        self.createIfEmpty = createIfEmpty
    }
}

/// Numbers about a log since it was opened, except for `segments`.
package struct LogMetrics: Hashable, Sendable {
    /// Bytes of batches, headers and hard states; without the zeros that are written ahead.
    package var bytesWritten: UInt64 = 0
    package var entriesWritten: UInt64 = 0
    package var batchesWritten: UInt64 = 0
    /// Syncs of files, not of folders.
    package var syncs: UInt64 = 0
    /// Segment files at present.
    package var segments: Int = 0
    package var lastSyncNanoseconds: UInt64 = 0

    package init() {}
}

/// What was in the log when it was opened. Everything in it is synced.
package struct RecoveredLog: Hashable, Sendable {
    package var hardState: HardState
    /// The position before the first entry.
    package var base: LogPosition
    /// All entries after `base`, without a gap.
    package var entries: [Entry]
    /// What was cut off the end, for a log line; nil after an orderly stop and after most crashes.
    package var truncatedTail: TornTail?

    package init(hardState: HardState, base: LogPosition, entries: [Entry], truncatedTail: TornTail? = nil) {
        self.hardState = hardState
        self.base = base
        self.entries = entries
        self.truncatedTail = truncatedTail
    }
}

/// The end of a batch that was being written when the machine stopped. No entry of it was ever acknowledged.
package struct TornTail: Hashable, Sendable, CustomStringConvertible {
    package var file: String
    /// Where the cut was made.
    package var offset: Int
    /// Bytes that were set to zero again.
    package var bytes: Int
    /// The index that the first entry of the batch would have had.
    package var firstIndex: LogIndex
    package var reason: String

    package var description: String {
        "cut \(bytes) bytes at offset \(offset) of \(file), from entry \(firstIndex) on: \(reason)"
    }
}
