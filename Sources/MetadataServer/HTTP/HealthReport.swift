import MetadataModel
import RaftCore
import Telemetry

/// The JSON form of `NodeHealth`, after draft-inadarei-api-health-check: a status that machines read first, then the
/// checks behind it. Names are in snake case and part of the interface; adding one is compatible. Two equal answers have
/// equal bytes.
enum HealthReport {
    static let mediaType = "application/health+json"

    /// The answer of the overall endpoint.
    static func whole(_ health: NodeHealth) -> [UInt8] {
        JSONText.object { json in
            let warns = health.checks.contains { $0.result.status != .pass }
            let status = health.isReady ? (warns ? CheckResult.Status.warn : .pass) : .fail
            json.member("status", status.rawValue)
            json.member("service_id", "metad-\(health.nodeID)")
            json.member("description", "node \(health.nodeID) of the metadata quorum \(health.clusterID)")
            json.member("node_id", health.nodeID.rawValue)
            json.member("cluster_id", health.clusterID)
            json.member("live", health.isLive)
            json.member("ready", health.isReady)
            json.texts("reasons", health.failures + health.notReadyReasons)
            json.member("checks") { json in
                // By `component:measurement`; a list each, which holds one.
                for check in health.checks {
                    json.member(check.component.rawValue, CollectionOfOne(check)) { $0.check($1) }
                }
            }
            json.member("raft") { $0.raft(health) }
            json.member("store") { $0.store(health.store) }
            json.member("brokers") { $0.brokers(health.brokers) }
            json.member("coordinator") { $0.coordinator(health.coordinator) }
        }
    }

    static func raft(_ health: NodeHealth) -> [UInt8] { JSONText.object { $0.raft(health) } }

    static func live(_ health: NodeHealth) -> [UInt8] { probe(health.isLive, health.failures) }

    static func ready(_ health: NodeHealth) -> [UInt8] {
        probe(health.isReady, health.failures + health.notReadyReasons)
    }

    /// The answer of the probes for life and readiness.
    private static func probe(_ passes: Bool, _ reasons: [String]) -> [UInt8] {
        JSONText.object { json in
            json.member("status", (passes ? CheckResult.Status.pass : .fail).rawValue)
            json.texts("reasons", reasons)
        }
    }
}

extension JSONText {
    fileprivate mutating func texts(_ key: String, _ texts: [String]) {
        member(key, texts) { json, text in text.write(to: &json) }
    }

    fileprivate mutating func check(_ check: NodeHealth.Check) {
        object { json in
            json.member("component_type", check.component.kind)
            json.member("status", check.result.status.rawValue)
            json.member("since", "\(check.since)")
            // When it was last looked at.
            json.member("time", check.checkedAt.map { "\($0)" })
            if !check.result.detail.isEmpty { json.member("output", check.result.detail) }
            // How long the look took.
            guard let latency = check.latency else { return }
            json.member("observed_value", (latency / .microseconds(1)).rounded() / 1_000)
            json.member("observed_unit", "ms")
        }
    }

    fileprivate mutating func raft(_ health: NodeHealth) {
        let raft = health.raft
        member("node_id", health.nodeID.rawValue)
        member("role", raft.role.rawValue)
        member("term", raft.term.rawValue)
        member("leader", raft.leader?.rawValue)
        member("commit_index", raft.commitIndex.rawValue)
        member("applied_index", raft.appliedIndex.rawValue)
        member("last_log_index", raft.lastLogIndex.rawValue)
        member("quorum") { json in
            json.member("voters", raft.voters)
            json.member("needed", raft.voters / 2 + 1)
            // Known to the leader alone.
            json.member("heard", raft.votersHeard)
        }
        member("milliseconds_since_last_commit", raft.sinceLastCommit?.milliseconds)
        member("peers", raft.peers.sorted { $0.id < $1.id }) { json, peer in
            json.object { json in
                json.member("id", peer.id.rawValue)
                json.member("match_index", peer.matchIndex.rawValue)
                json.member("lag_entries", peer.lagEntries)
                json.member("active", peer.isActive)
                json.member("voter", peer.isVoter)
            }
        }
    }

    fileprivate mutating func store(_ store: NodeHealth.Store) {
        member("version", store.version)
        member("database_bytes", store.databaseBytes)
        member("log_bytes", store.logBytes)
        member("free_bytes", store.freeBytes)
        member("suspended_reason", store.suspendedReason)
    }

    /// The times are known to the leader.
    fileprivate mutating func brokers(_ brokers: NodeHealth.Brokers) {
        member("registered", brokers.registered)
        member("active", brokers.active)
        member("milliseconds_since_last_heartbeat", brokers.sinceLastHeartbeat?.milliseconds)
        member("longest_silence_milliseconds", brokers.longestSilence?.milliseconds)
        member("milliseconds_since_lease_check", brokers.sinceLeaseCheck?.milliseconds)
    }

    fileprivate mutating func coordinator(_ coordinator: NodeHealth.Coordinator) {
        member("running", coordinator.isRunning)
        member("activity", coordinator.activity)
        member("moves_under_way", coordinator.movesUnderWay)
        member("replicas_stuck", coordinator.replicasStuck)
        guard let rebalance = coordinator.rebalance else { return member("rebalance", nil as String?) }
        member("rebalance") { json in
            json.member("id", rebalance.id.rawValue)
            json.member("strategy", rebalance.strategy.rawValue)
            guard case .ended(let ending, let milliseconds, _) = rebalance.state else {
                json.member("state", "running")
                return json.member("milliseconds", nil as UInt64?)
            }
            json.member("state", ending.rawValue)
            json.member("milliseconds", milliseconds - min(rebalance.startedMilliseconds, milliseconds))
        }
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 { Int64(self / .milliseconds(1)) }
}
