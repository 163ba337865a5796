internal import MetadataModel

/// The reading side of the change feed, on one connection.
final class FeedReader {
    private let select: PreparedStatement

    init(_ connection: Connection) throws(StoreError) {
        select = try connection.prepare(
            "SELECT body FROM feed WHERE last_version > ?1 ORDER BY last_version", "read the feed")
    }

    /// The events after a version that the filter lets pass. One question looks through a bounded part of the feed and
    /// returns a bounded page; `through` says where to go on.
    func page(
        after version: Version, filter: WatchFilter, limit: Int, state: StateRow
    ) throws(StoreError) -> ChangePage {
        guard version <= state.version else { return .notYet(current: state.version) }
        guard version >= state.feedFloor else { return .tooOld(oldest: state.feedFloor) }
        let itemsMax = Limits.pageItems(limit)
        var events: [ChangeEvent] = []
        var pageBytes = 0
        var scannedBytes = 0
        var scannedThrough = version
        var isFull = false
        select.bind(version.rawValue, at: 1)
        try select.query { (row) throws(StoreError) in
            try row.withBlob(0) { (body) throws(StoreError) in
                try FeedCoding.forEachEvent(in: body, after: version) { (event, bytes) throws(StoreError) in
                    scannedThrough = event.version
                    scannedBytes += bytes
                    if let passing = event.filtered(by: filter) {
                        events.append(passing)
                        pageBytes += bytes
                    }
                    isFull =
                        events.count >= itemsMax || pageBytes >= StoreOptions.pageBytesMax
                        || scannedBytes >= StoreOptions.feedScanBytesMax
                    return !isFull
                }
            }
            return !isFull
        }
        // Versions without an event (a feature level) lie between the last event and the current version.
        return .events(events, through: isFull ? scannedThrough : state.version)
    }
}
