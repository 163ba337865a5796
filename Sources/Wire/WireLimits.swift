internal import RaftCore

/// Every bound of the protocol.
package enum WireLimits {
    /// The length in front of each frame.
    package static let lengthPrefixBytes = 4
    /// A frame between members.
    package static let peerFrameBytesMax = 16 << 20
    /// A frame between a client and a node. An encoded command (`Limits.commandBytesMax`) fits.
    package static let clientFrameBytesMax = 8 << 20
    /// The first frame on a connection: until hello is understood, a stranger is held to this.
    package static let helloBytesMax = 64 << 10
    /// A sender of Raft messages closes a batch that has reached this, by `PeerFrame.approximateBytes(of:)`. Far enough
    /// below the largest frame that the message which crosses it still fits, whatever it is.
    package static let peerBatchBytes = 1 << 20
    /// Entries in all appends of one frame. A sender that keeps to `PeerFrame.approximateBytes` never gets there.
    package static let entriesPerFrameMax = peerFrameBytesMax / Entry.overheadBytes
    /// Raft messages in one frame; as above.
    package static let messagesPerFrameMax = peerFrameBytesMax / messageOverheadBytes
    /// Traced entries that are named in one frame; few are traced, and of more the rest is not told.
    package static let tracedPerFrameMax = 64
    /// What the fixed fields of any Raft message take at most, as a frame has them.
    package static let messageOverheadBytes = 96
    /// Bytes of snapshot in one chunk, at most: what the chunk says besides fits the frame.
    package static let snapshotChunkBytesMax = 8 << 20
}

/// The two kinds of connection. They have listeners of their own; the preamble keeps them from being mixed up.
package enum ConnectionKind: Hashable, Sendable, CaseIterable {
    case client
    case peer

    package var frameBytesMax: Int {
        switch self {
        case .client: WireLimits.clientFrameBytesMax
        case .peer: WireLimits.peerFrameBytesMax
        }
    }
}
