import Coordination
import MetadataModel
import NIOCore
import RaftCore
import Wire

extension NodeHealth {
    /// - Parameter reading: nil while the node is starting.
    init(
        nodeID: NodeID, clusterID: String, reading: NodeReading?, sizes: DirectorySizes, failures: [String],
        checks: [Check]
    ) {
        guard let reading else {
            self.init(nodeID: nodeID, clusterID: clusterID, failures: failures, refusals: ["the node is starting"])
            return
        }
        self.init(
            nodeID: nodeID, clusterID: clusterID, failures: failures, refusals: reading.halt.map { [$0] } ?? [],
            checks: checks, raft: Raft(reading),
            store: Store(
                version: reading.status.version.rawValue, databaseBytes: sizes.database, logBytes: sizes.log,
                freeBytes: sizes.free, suspendedReason: reading.storeTrouble),
            brokers: Brokers(reading), coordinator: Coordinator(reading))
    }
}

extension NodeHealth.Raft {
    fileprivate init(_ reading: NodeReading) {
        self.init(
            role: NodeHealth.Role(rawValue: reading.status.role) ?? .none, term: Term(reading.status.term),
            leader: reading.status.leader.map { NodeID($0.nodeID) },
            commitIndex: LogIndex(reading.status.commitIndex), appliedIndex: LogIndex(reading.status.appliedIndex),
            lastLogIndex: LogIndex(reading.lastIndex), voters: reading.voters.count,
            votersHeard: reading.isLeader ? reading.votersHeard : nil,
            peers: reading.peers.map {
                NodeHealth.Peer(
                    id: $0.id, matchIndex: $0.match, lagEntries: reading.lag(of: $0), isActive: $0.isActive,
                    isVoter: reading.voters.contains($0.id))
            },
            sinceLastCommit: .nanoseconds(reading.sinceCommit.nanoseconds))
    }
}

extension NodeHealth.Brokers {
    fileprivate init(_ reading: NodeReading) {
        self.init(
            registered: reading.brokers.count, active: reading.brokers.count { $0.state == .active },
            sinceLastHeartbeat: reading.liveness?.millisecondsSinceHeartbeat.map { .milliseconds($0) },
            longestSilence: reading.liveness.map { .milliseconds($0.longestSilenceMilliseconds) },
            sinceLeaseCheck: reading.liveness.map {
                .milliseconds(reading.takenAt - min($0.checkedAt, reading.takenAt))
            })
    }
}

extension NodeHealth.Coordinator {
    fileprivate init(_ reading: NodeReading) {
        let status = reading.status.coordinator
        self.init(
            isRunning: status != nil, activity: status?.activity.rawValue, movesUnderWay: status?.movesUnderWay ?? 0,
            replicasStuck: status?.stuckCount ?? 0, rebalance: reading.rebalances.latest)
    }
}
