import RaftCore

/// What a node knows about its own health, as one value.
package struct NodeHealth: Equatable, Sendable {
    package enum Role: String, Sendable {
        case leader
        case follower
        case candidate
        case preCandidate = "pre_candidate"
        case learner
        /// Not running yet, or stopped after a failure.
        case none
    }

    package struct Peer: Equatable, Sendable {
        package var id: NodeID
        /// The last entry that is known to be synced there.
        package var matchIndex: LogIndex
        package var lagEntries: UInt64
        /// Whether the leader has heard from it within an election timeout.
        package var isActive: Bool
        package var isVoter: Bool

        package init(id: NodeID, matchIndex: LogIndex, lagEntries: UInt64, isActive: Bool, isVoter: Bool = true) {
            self.id = id
            self.matchIndex = matchIndex
            self.lagEntries = lagEntries
            self.isActive = isActive
            self.isVoter = isVoter
        }
    }

    package struct Raft: Equatable, Sendable {
        package var role: Role
        package var term: Term
        package var leader: NodeID?
        package var commitIndex: LogIndex
        package var appliedIndex: LogIndex
        package var lastLogIndex: LogIndex
        /// Known to the leader alone; empty elsewhere.
        package var peers: [Peer]
        /// Time since the commit index last rose; nil before the first commit.
        package var sinceLastCommit: Duration?

        package init(
            role: Role = .none, term: Term = .zero, leader: NodeID? = nil, commitIndex: LogIndex = .zero,
            appliedIndex: LogIndex = .zero, lastLogIndex: LogIndex = .zero, peers: [Peer] = [],
            sinceLastCommit: Duration? = nil
        ) {
            self.role = role
            self.term = term
            self.leader = leader
            self.commitIndex = commitIndex
            self.appliedIndex = appliedIndex
            self.lastLogIndex = lastLogIndex
            self.peers = peers
            self.sinceLastCommit = sinceLastCommit
        }
    }

    package struct Store: Equatable, Sendable {
        /// The version of the metadata: the index of the last entry that changed something.
        package var version: UInt64
        package var databaseBytes: UInt64
        package var logBytes: UInt64
        /// Free space on the file system of the data directory.
        package var freeBytes: UInt64
        /// Why nothing is applied at the moment, such as a full disk.
        package var suspendedReason: String?

        package init(
            version: UInt64 = 0, databaseBytes: UInt64 = 0, logBytes: UInt64 = 0, freeBytes: UInt64 = 0,
            suspendedReason: String? = nil
        ) {
            self.version = version
            self.databaseBytes = databaseBytes
            self.logBytes = logBytes
            self.freeBytes = freeBytes
            self.suspendedReason = suspendedReason
        }
    }

    /// What does not keep the node from serving and wants somebody's attention; nil where all is well.
    package struct Warnings: Equatable, Sendable {
        package var disk: String?
        package var digest: String?

        package init(disk: String? = nil, digest: String? = nil) {
            self.disk = disk
            self.digest = digest
        }
    }

    package var nodeID: NodeID
    package var clusterID: String
    /// Why the process should be restarted; empty while it lives.
    package var failures: [String]
    /// Why the node should get no requests now; empty when it is ready.
    package var notReadyReasons: [String]
    package var raft: Raft
    package var store: Store
    package var warnings: Warnings

    package init(
        nodeID: NodeID, clusterID: String, failures: [String] = [], notReadyReasons: [String] = [],
        raft: Raft = Raft(), store: Store = Store(), warnings: Warnings = Warnings()
    ) {
        self.nodeID = nodeID
        self.clusterID = clusterID
        self.failures = failures
        self.notReadyReasons = notReadyReasons
        self.raft = raft
        self.store = store
        self.warnings = warnings
    }

    /// Whether the process works at all. A node without a leader lives: restarting it would not help.
    package var isLive: Bool { failures.isEmpty }
    /// Whether it should get requests.
    package var isReady: Bool { isLive && notReadyReasons.isEmpty }
}

/// Gives the latest health. Called for every request, so it only hands out a value that is kept up to date elsewhere.
package protocol HealthSource: Sendable {
    func snapshot() -> NodeHealth
}
