package import MetadataModel
package import RaftCore

/// What members say to each other on a peer connection. A connection carries frames in one direction only, from the
/// dialling member to the listening one; answers travel on the other member's own connection. Only hello is answered.
package enum PeerFrame: Hashable, Sendable {
    /// The first frame in each direction.
    case hello(PeerHello)
    /// Raft messages, in order. Batched: whatever queued up while the last frame was written. With them, which of their
    /// entries are traced.
    case messages([Message], traced: [TracedEntry] = [])
    case snapshotChunk(SnapshotChunk)
    /// The receiver asks for the chunk at `offset` of the snapshot next, or reports the end.
    case snapshotProgress(SnapshotProgress)
    case notice(PeerNotice)
    /// The listening side does not listen, or no more; it closes the connection.
    case refusal(PeerRefusal)
}

package struct PeerHello: Hashable, Sendable {
    package var clusterID: String
    package var node: NodeID
    package var disk: DiskID
    /// Whom the dialler believes to reach; zero in the answer.
    package var target: NodeID
    /// Where the configuration that the sender goes by stands in its log; zero when it knows none.
    package var configurationIndex: LogIndex
    /// Where other members can dial the sender; empty when it does not say.
    package var peerAddress: String
    /// The highest feature level that the sender understands.
    package var featureLevelMax: UInt32

    package init(
        clusterID: String, node: NodeID, disk: DiskID, target: NodeID, configurationIndex: LogIndex = .zero,
        peerAddress: String = "", featureLevelMax: UInt32 = Limits.featureLevelMax
    ) {
        self.clusterID = clusterID
        self.node = node
        self.disk = disk
        self.target = target
        self.configurationIndex = configurationIndex
        self.peerAddress = peerAddress
        self.featureLevelMax = featureLevelMax
    }
}

/// An entry whose way through the members is traced.
package struct TracedEntry: Hashable, Sendable {
    package var position: LogPosition
    /// The span of whoever sends it, as W3C Trace Context writes it: `traceparentBytes` of ASCII.
    package var traceparent: String

    /// Version 00 of W3C Trace Context.
    package static let traceparentBytes = 55

    package init(position: LogPosition, traceparent: String) {
        self.position = position
        self.traceparent = traceparent
    }
}

/// Why a member does not listen to another.
package struct PeerRefusal: Hashable, Sendable, Error {
    package enum Reason: Hashable, Sendable, CaseIterable {
        /// The dialler is no member, by a configuration that is at least as new as its own.
        case notAMember
        /// The dialler came with another disk than the one that joined.
        case anotherDisk
        case wrongCluster
        /// Another node than the dialler meant.
        case wrongTarget
    }

    package var reason: Reason
    package var detail: String

    package init(reason: Reason, detail: String) {
        self.reason = reason
        self.detail = detail
    }
}

/// A piece of a snapshot file.
package struct SnapshotChunk: Hashable, Sendable {
    /// Tells one attempt from another; chosen by the sender, unique while it leads.
    package var snapshotID: UInt64
    package var term: Term
    package var position: LogPosition
    package var configuration: Configuration
    package var offset: UInt64
    package var totalBytes: UInt64
    /// CRC32 (zlib) of `bytes`.
    package var checksum: UInt32
    package var bytes: [UInt8]

    package init(
        snapshotID: UInt64, term: Term, position: LogPosition, configuration: Configuration, offset: UInt64,
        totalBytes: UInt64, checksum: UInt32, bytes: [UInt8]
    ) {
        self.snapshotID = snapshotID
        self.term = term
        self.position = position
        self.configuration = configuration
        self.offset = offset
        self.totalBytes = totalBytes
        self.checksum = checksum
        self.bytes = bytes
    }

    package var isLast: Bool { offset + UInt64(bytes.count) >= totalBytes }
}

package struct SnapshotProgress: Hashable, Sendable {
    package var snapshotID: UInt64
    package var state: State

    package enum State: Hashable, Sendable {
        /// Everything before `offset` is there.
        case received(offset: UInt64)
        case installed
        /// The receiver gave up; the reason is for the log.
        case failed(String)
    }

    package init(snapshotID: UInt64, state: State) {
        self.snapshotID = snapshotID
        self.state = state
    }
}
