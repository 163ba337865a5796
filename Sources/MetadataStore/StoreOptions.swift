/// The settings of a store and its bounds.
package struct StoreOptions: Hashable, Sendable {
    /// Page cache of the connection that writes.
    package var writerCacheBytes = 64 << 20
    /// Page cache of each connection that reads.
    package var readerCacheBytes = 8 << 20
    /// How long a connection waits for a lock of another. The writer only ever waits for a checkpoint's short locks.
    package var busyTimeoutMilliseconds = 5_000
    /// How long a checkpoint may hold up the writer while it waits for readers. Far below `busyTimeoutMilliseconds`, or
    /// the writer's patience could end before the checkpoint's.
    package var checkpointTimeoutMilliseconds = 100
    /// Beyond this many frames, a checkpoint that completed also makes the writer start again at the WAL's beginning.
    package var walFramesRestart = 16_384
    /// What is kept of a WAL file that grew long, to be written over.
    package var walFileBytesKept = 256 << 20
    /// What is kept of the change feed: the youngest blobs up to this many bytes ...
    package var feedBytesMax = 64 << 20
    /// ... and up to this many rows (one row a batch, or more for a large batch).
    package var feedRowsMax = 100_000
    /// What is staged at most before it is committed, in entries.
    package var stagedEntriesMax: UInt64 = 8_192
    /// The most pages the database may have, as `PRAGMA max_page_count`; nil: SQLite's own bound.
    package var pageCountMax: Int?

    package init() {}

    /// Bytes of one row of the change feed, after which the next event begins another row.
    static let feedRowBytes = 1 << 20
    /// Encoded bytes of one page of an answer, roughly; the item that crosses the line is the last. It keeps an answer
    /// far below the frame cap.
    static let pageBytesMax = 1 << 20
    /// Bytes of the feed that one question looks through when its filter lets little pass.
    static let feedScanBytesMax = 8 << 20
}
