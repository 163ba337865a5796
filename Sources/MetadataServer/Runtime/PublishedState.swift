import Coordination
import Foundation
import MetadataModel
import NIOCore
import RaftCore
import Synchronization
import Wire

/// What the node loop says of itself, four times a second.
struct NodeReading: Sendable {
    var status: NodeStatus
    var lastIndex: UInt64
    var syncedIndex: UInt64
    var peers: [PeerProgress]
    var linksUp: [NodeID]
    var sinceCommit: TimeAmount
    var sinceLeaderContact: UInt64?
    var isStopping: Bool
    var leadershipChanges: UInt64
    var openWrites: Int
    var openReads: Int
    var connections: Int
    var watches: Int
    var brokers: [Broker]
    /// Sorted.
    var voters: [NodeID]
    var protection: ProtectionReading
    var rebalances: RebalanceReading
    var gate: RequestGate.Reading
    /// Nil on a node that does not lead.
    var liveness: LivenessReading?
    var snapshotsOut: SnapshotTransfers
    var snapshotsIn: SnapshotTransfers

    /// Entries that the peer lacks.
    func lag(of peer: PeerProgress) -> UInt64 { lastIndex - min(lastIndex, peer.match.rawValue) }
}

/// Snapshots that went one way, since the start of the process.
struct SnapshotTransfers: Sendable {
    var succeeded: UInt64 = 0
    var failed: UInt64 = 0
    /// Those that were sent again included.
    var bytes: UInt64 = 0
    var isUnderWay = false
    /// How long the latest took.
    var lastMilliseconds: UInt64 = 0
}

/// Damage and room, as the node loop sees them.
struct ProtectionReading: Sendable {
    var isQuarantined: Bool
    var isRepairing: Bool
    var isDiskLow: Bool
    /// The entry at which no digest had a majority.
    var undecidedDigest: UInt64?
    var counts: ProtectionCounts
}

/// The latest reading, for probes and metrics on other threads. Whoever asks never waits for the node loop; a loop that has
/// stopped turning shows by the age of its reading.
final class PublishedState: HealthSource {
    /// A loop that said nothing for this long does not turn.
    static let silenceMax: TimeAmount = .seconds(5)

    private struct Latest {
        var reading: NodeReading?
        var at = NIODeadline.now()
        var failure: String?
    }

    private let latest = Mutex(Latest())
    private let nodeID: NodeID
    private let clusterID: String
    private let sizes: Mutex<DirectorySizes>

    /// - Parameter dataDirectory: measured here for the first time; from then on whoever watches the disk does.
    init(nodeID: NodeID, clusterID: String, dataDirectory: String) {
        self.nodeID = nodeID
        self.clusterID = clusterID
        sizes = Mutex(DirectorySizes(of: dataDirectory))
    }

    func update(_ reading: NodeReading) {
        latest.withLock {
            $0.reading = reading
            $0.at = .now()
        }
    }

    func measured(_ measured: DirectorySizes) { sizes.withLock { $0 = measured } }

    func failed(_ reason: String) { latest.withLock { $0.failure = reason } }

    var reading: NodeReading? { latest.withLock { $0.reading } }

    func snapshot() -> NodeHealth {
        let (reading, at, failure) = latest.withLock { ($0.reading, $0.at, $0.failure) }
        var failures: [String] = []
        if let failure { failures.append(failure) }
        let silence = NIODeadline.now() - at
        if silence > PublishedState.silenceMax {
            failures.append("the node loop has not turned for \(silence.nanoseconds / 1_000_000_000) s")
        }
        guard let reading else {
            return NodeHealth(
                nodeID: nodeID, clusterID: clusterID, failures: failures, notReadyReasons: ["the node is starting"])
        }
        let sizes = directorySizes
        return NodeHealth(
            nodeID: nodeID, clusterID: clusterID, failures: failures,
            notReadyReasons: reading.status.healthy ? [] : [reading.status.detail], raft: raft(reading),
            store: NodeHealth.Store(
                version: reading.status.version.rawValue, databaseBytes: sizes.database, logBytes: sizes.log,
                freeBytes: sizes.free,
                suspendedReason: reading.status.healthy || reading.status.leader == nil || reading.isStopping
                    ? nil : reading.status.detail),
            warnings: warnings(reading.protection))
    }

    private func warnings(_ protection: ProtectionReading) -> NodeHealth.Warnings {
        NodeHealth.Warnings(
            disk: protection.isDiskLow
                ? "nearly full: writes that make the metadata larger are refused until there is room" : nil,
            digest: protection.undecidedDigest.map {
                "the members' states differ at entry \($0) and none has a majority"
            })
    }

    private func raft(_ reading: NodeReading) -> NodeHealth.Raft {
        NodeHealth.Raft(
            role: NodeHealth.Role(rawValue: reading.status.role) ?? .none, term: Term(reading.status.term),
            leader: reading.status.leader.map { NodeID($0.nodeID) },
            commitIndex: LogIndex(reading.status.commitIndex), appliedIndex: LogIndex(reading.status.appliedIndex),
            lastLogIndex: LogIndex(reading.lastIndex),
            peers: reading.peers.map {
                NodeHealth.Peer(
                    id: $0.id, matchIndex: $0.match, lagEntries: reading.lag(of: $0), isActive: $0.isActive,
                    isVoter: reading.voters.contains($0.id))
            },
            sinceLastCommit: .nanoseconds(reading.sinceCommit.nanoseconds))
    }

    /// As last measured: who asks never waits for a disk.
    var directorySizes: DirectorySizes { sizes.withLock { $0 } }
}

/// How much room the data directory takes and how much is left.
struct DirectorySizes: Sendable {
    var database: UInt64 = 0
    var log: UInt64 = 0
    var free: UInt64 = 0

    init() {}

    init(of directory: String) {
        let manager = FileManager.default
        guard let walk = manager.enumerator(atPath: directory) else { return }
        for case let path as String in walk {
            guard let size = walk.fileAttributes?[.size] as? NSNumber,
                walk.fileAttributes?[.type] as? FileAttributeType == .typeRegular
            else { continue }
            if path.contains(".sqlite") { database += size.uint64Value } else { log += size.uint64Value }
        }
        do {
            let attributes = try manager.attributesOfFileSystem(forPath: directory)
            free = (attributes[.systemFreeSize] as? NSNumber)?.uint64Value ?? 0
        } catch {
            // The directory is gone; the node will say so with its next write.
            free = 0
        }
    }
}
