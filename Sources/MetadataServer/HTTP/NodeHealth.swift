import MetadataModel
import RaftCore
import Telemetry

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
        package var voters: Int
        /// Voters that a leader has heard within an election timeout, itself included; nil elsewhere.
        package var votersHeard: Int?
        /// Known to the leader alone; empty elsewhere.
        package var peers: [Peer]
        /// Time since the commit index last rose; nil before the first commit.
        package var sinceLastCommit: Duration?

        package init(
            role: Role = .none, term: Term = .zero, leader: NodeID? = nil, commitIndex: LogIndex = .zero,
            appliedIndex: LogIndex = .zero, lastLogIndex: LogIndex = .zero, voters: Int = 0, votersHeard: Int? = nil,
            peers: [Peer] = [], sinceLastCommit: Duration? = nil
        ) {
            self.role = role
            self.term = term
            self.leader = leader
            self.commitIndex = commitIndex
            self.appliedIndex = appliedIndex
            self.lastLogIndex = lastLogIndex
            self.voters = voters
            self.votersHeard = votersHeard
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

    /// The broker registry.
    package struct Brokers: Equatable, Sendable {
        package var registered: Int
        /// Not fenced.
        package var active: Int
        /// Known to the leader alone; nil elsewhere.
        package var sinceLastHeartbeat: Duration?
        package var longestSilence: Duration?
        /// Since the leases were last looked at.
        package var sinceLeaseCheck: Duration?

        package init(
            registered: Int = 0, active: Int = 0, sinceLastHeartbeat: Duration? = nil,
            longestSilence: Duration? = nil, sinceLeaseCheck: Duration? = nil
        ) {
            self.registered = registered
            self.active = active
            self.sinceLastHeartbeat = sinceLastHeartbeat
            self.longestSilence = longestSilence
            self.sinceLeaseCheck = sinceLeaseCheck
        }
    }

    /// What moves replicas; it runs on the leader.
    package struct Coordinator: Equatable, Sendable {
        package var isRunning: Bool
        /// What it does, on the leader.
        package var activity: String?
        package var movesUnderWay: Int
        package var replicasStuck: Int
        /// The latest rebalance that this process has seen begin or end.
        package var rebalance: Rebalance?

        package init(
            isRunning: Bool = false, activity: String? = nil, movesUnderWay: Int = 0, replicasStuck: Int = 0,
            rebalance: Rebalance? = nil
        ) {
            self.isRunning = isRunning
            self.activity = activity
            self.movesUnderWay = movesUnderWay
            self.replicasStuck = replicasStuck
            self.rebalance = rebalance
        }
    }

    /// One part of the node, as it was last judged.
    package struct Check: Equatable, Sendable {
        package var component: HealthComponent
        package var result: CheckResult
        /// When the status began.
        package var since: Timestamp
        /// When it was last looked at; nil before the first answer.
        package var checkedAt: Timestamp?
        /// How long the latest look took, or takes until now; nil where that means nothing.
        package var latency: Duration?

        package init(
            component: HealthComponent, result: CheckResult, since: Timestamp, checkedAt: Timestamp? = nil,
            latency: Duration? = nil
        ) {
            self.component = component
            self.result = result
            self.since = since
            self.checkedAt = checkedAt
            self.latency = latency
        }
    }

    package var nodeID: NodeID
    package var clusterID: String
    /// Why the process should be restarted; empty while it lives.
    package var failures: [String]
    /// Why the node should get no requests now, whatever its parts do; empty when nothing speaks against it.
    package var refusals: [String]
    package var checks: [Check]
    package var raft: Raft
    package var store: Store
    package var brokers: Brokers
    package var coordinator: Coordinator

    package init(
        nodeID: NodeID, clusterID: String, failures: [String] = [], refusals: [String] = [], checks: [Check] = [],
        raft: Raft = Raft(), store: Store = Store(), brokers: Brokers = Brokers(),
        coordinator: Coordinator = Coordinator()
    ) {
        self.nodeID = nodeID
        self.clusterID = clusterID
        self.failures = failures
        self.refusals = refusals
        self.checks = checks
        self.raft = raft
        self.store = store
        self.brokers = brokers
        self.coordinator = coordinator
    }

    /// Whether the process works at all. A node without a leader lives: restarting it would not help.
    package var isLive: Bool { failures.isEmpty }
    /// Whether it should get requests.
    package var isReady: Bool { isLive && notReadyReasons.isEmpty }
    /// Why the node should get no requests now; empty when it is ready.
    package var notReadyReasons: [String] {
        refusals
            + checks.filter { $0.component.decidesReadiness && $0.result.status == .fail }.map {
                $0.result.detail.isEmpty ? $0.component.rawValue : $0.result.detail
            }
    }

    /// Whether the node knows a leader, and a leader its majority.
    var hasQuorum: Bool {
        [HealthComponent.leader, .quorum].allSatisfy { component in
            checks.first { $0.component == component }.map { $0.result.status != .fail } ?? false
        }
    }
}

/// Gives the latest health. Called for every request, so it only hands out a value that is kept up to date elsewhere.
package protocol HealthSource: Sendable {
    func snapshot() -> NodeHealth
}
