import Coordination
import Foundation
import MetadataModel
import NIOCore
import RaftCore
import Resilience
import Synchronization
import Wire

/// What the node loop says of itself, four times a second.
struct NodeReading: Sendable {
    var status: NodeStatus
    /// As `Node.milliseconds`.
    var takenAt: UInt64
    /// Why the node must not be asked, whatever else works.
    var halt: String?
    /// Why the log cannot be written at the moment.
    var logTrouble: String?
    /// Why nothing is applied at the moment.
    var storeTrouble: String?
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
    var turns: [TurnName: KeyedLockReading]

    /// Entries that the peer lacks.
    func lag(of peer: PeerProgress) -> UInt64 { lastIndex - min(lastIndex, peer.match.rawValue) }
}

/// What is done by one at a time, while others wait for their turn.
enum TurnName: String, CaseIterable, Sendable {
    case rebalance
    /// Snapshots that this node sends.
    case snapshot
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
final class PublishedState: Sendable {
    private struct Latest {
        var reading: NodeReading?
        var at = NIODeadline.now()
        var failure: String?
    }

    private let latestWord = Mutex(Latest())
    let nodeID: NodeID
    let clusterID: String
    private let sizes: Mutex<DirectorySizes>

    /// - Parameter dataDirectory: measured here for the first time; from then on whoever watches the disk does.
    init(nodeID: NodeID, clusterID: String, dataDirectory: String) {
        self.nodeID = nodeID
        self.clusterID = clusterID
        sizes = Mutex(DirectorySizes(of: dataDirectory))
    }

    func update(_ reading: NodeReading) {
        latestWord.withLock {
            $0.reading = reading
            $0.at = .now()
        }
    }

    func measured(_ measured: DirectorySizes) { sizes.withLock { $0 = measured } }

    func failed(_ reason: String) { latestWord.withLock { $0.failure = reason } }

    var reading: NodeReading? { latestWord.withLock { $0.reading } }

    /// The latest word of the node loop, how old it is, and why the node cannot go on.
    var latest: (reading: NodeReading?, age: Duration, failure: String?) {
        let (reading, at, failure) = latestWord.withLock { ($0.reading, $0.at, $0.failure) }
        return (reading, .nanoseconds((NIODeadline.now() - at).nanoseconds), failure)
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
