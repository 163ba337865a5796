import MetadataModel

/// A stream of changes that somebody follows, across the connections that carry it.
struct Watch: Sendable {
    enum Place: Sendable {
        /// Exits: `open` when a node is there, `paused` never.
        case unplaced
        /// Asked for on a connection, under the request id. Exits: `unplaced` when the connection is lost or the node has
        /// no leader, `paused` when the consumer is slow.
        case open(ConnectionID, requestID: CallID)
        /// The consumer holds more than enough. Exits: `unplaced` when it has made room.
        case paused
    }

    /// Everything up to here was delivered: where to resume.
    var cursor: Version
    let filter: WatchFilter
    let buffer: WatchBuffer
    var place: Place = .unplaced
    /// The node that the watch was taken from last because it had no leader.
    var avoids: NodeKey?
}
