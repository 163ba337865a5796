#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

import MetadataModel
import RaftCore

/// The JSON form of `NodeHealth`, after draft-inadarei-api-health-check: a status that machines read first, then the
/// checks behind it. Field names are in snake case and part of the interface; adding one is compatible.
struct HealthReport: Encodable, Equatable {
    typealias Status = CheckResult.Status

    struct Check: Encodable, Equatable {
        var componentType: String
        var status: Status
        /// When this status began.
        var since: String
        /// When it was last looked at.
        @Nullable var time: String?
        var output: String?
        /// How long the look took.
        var observedValue: Double?
        var observedUnit: String?
    }

    struct Peer: Encodable, Equatable {
        var id: UInt64
        var matchIndex: UInt64
        var lagEntries: UInt64
        var active: Bool
        var voter: Bool
    }

    struct Quorum: Encodable, Equatable {
        var voters: Int
        var needed: Int
        /// Known to the leader alone.
        @Nullable var heard: Int?
    }

    struct Raft: Encodable, Equatable {
        var nodeId: UInt64
        var role: String
        var term: UInt64
        /// Null while there is none.
        @Nullable var leader: UInt64?
        var commitIndex: UInt64
        var appliedIndex: UInt64
        var lastLogIndex: UInt64
        var quorum: Quorum
        @Nullable var millisecondsSinceLastCommit: Int64?
        var peers: [Peer]
    }

    struct Store: Encodable, Equatable {
        var version: UInt64
        var databaseBytes: UInt64
        var logBytes: UInt64
        var freeBytes: UInt64
        @Nullable var suspendedReason: String?
    }

    struct Brokers: Encodable, Equatable {
        var registered: Int
        var active: Int
        /// These are known to the leader.
        @Nullable var millisecondsSinceLastHeartbeat: Int64?
        @Nullable var longestSilenceMilliseconds: Int64?
        @Nullable var millisecondsSinceLeaseCheck: Int64?
    }

    struct Coordinator: Encodable, Equatable {
        struct Rebalance: Encodable, Equatable {
            var id: UInt64
            var strategy: String
            /// `running`, or how it ended.
            var state: String
            @Nullable var milliseconds: UInt64?
        }

        var running: Bool
        @Nullable var activity: String?
        var movesUnderWay: Int
        var replicasStuck: Int
        @Nullable var rebalance: Rebalance?
    }

    /// The answer of the overall endpoint.
    struct Whole: Encodable, Equatable {
        var status: Status
        var serviceId: String
        var description: String
        var nodeId: UInt64
        var clusterId: String
        var live: Bool
        var ready: Bool
        var reasons: [String]
        /// By `component:measurement`; one of each.
        var checks: [String: [Check]]
        var raft: Raft
        var store: Store
        var brokers: Brokers
        var coordinator: Coordinator
    }

    /// The answer of the probes for life and readiness.
    struct Probe: Encodable, Equatable {
        var status: Status
        var reasons: [String]
    }

    static let mediaType = "application/health+json"

    static func raft(_ health: NodeHealth) -> Raft {
        let raft = health.raft
        return Raft(
            nodeId: health.nodeID.rawValue, role: raft.role.rawValue, term: raft.term.rawValue,
            leader: raft.leader?.rawValue, commitIndex: raft.commitIndex.rawValue,
            appliedIndex: raft.appliedIndex.rawValue, lastLogIndex: raft.lastLogIndex.rawValue,
            quorum: Quorum(voters: raft.voters, needed: raft.voters / 2 + 1, heard: raft.votersHeard),
            millisecondsSinceLastCommit: raft.sinceLastCommit?.milliseconds,
            peers: raft.peers.sorted { $0.id < $1.id }.map {
                Peer(
                    id: $0.id.rawValue, matchIndex: $0.matchIndex.rawValue, lagEntries: $0.lagEntries,
                    active: $0.isActive, voter: $0.isVoter)
            })
    }

    static func whole(_ health: NodeHealth) -> Whole {
        let store = health.store
        let warns = health.checks.contains { $0.result.status != .pass }
        return Whole(
            status: health.isReady ? (warns ? .warn : .pass) : .fail, serviceId: "metad-\(health.nodeID)",
            description: "node \(health.nodeID) of the metadata quorum \(health.clusterID)",
            nodeId: health.nodeID.rawValue, clusterId: health.clusterID, live: health.isLive, ready: health.isReady,
            reasons: health.failures + health.notReadyReasons,
            checks: Dictionary(
                health.checks.map { ($0.component.rawValue, [Check($0)]) }, uniquingKeysWith: { first, _ in first }),
            raft: raft(health),
            store: Store(
                version: store.version, databaseBytes: store.databaseBytes, logBytes: store.logBytes,
                freeBytes: store.freeBytes, suspendedReason: store.suspendedReason),
            brokers: Brokers(
                registered: health.brokers.registered, active: health.brokers.active,
                millisecondsSinceLastHeartbeat: health.brokers.sinceLastHeartbeat?.milliseconds,
                longestSilenceMilliseconds: health.brokers.longestSilence?.milliseconds,
                millisecondsSinceLeaseCheck: health.brokers.sinceLeaseCheck?.milliseconds),
            coordinator: Coordinator(health.coordinator))
    }

    static func live(_ health: NodeHealth) -> Probe {
        Probe(status: health.isLive ? .pass : .fail, reasons: health.failures)
    }

    static func ready(_ health: NodeHealth) -> Probe {
        Probe(status: health.isReady ? .pass : .fail, reasons: health.failures + health.notReadyReasons)
    }

    /// Keys are sorted, so that two equal answers have equal bytes.
    static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value)
    }
}

extension CheckResult.Status: Encodable {}

extension HealthReport.Check {
    init(_ check: NodeHealth.Check) {
        self.init(
            componentType: check.component.kind, status: check.result.status, since: "\(check.since)",
            time: check.checkedAt.map { "\($0)" }, output: check.result.detail.isEmpty ? nil : check.result.detail,
            observedValue: check.latency.map { ($0 / .microseconds(1)).rounded() / 1_000 },
            observedUnit: check.latency == nil ? nil : "ms")
    }
}

extension HealthReport.Coordinator {
    init(_ coordinator: NodeHealth.Coordinator) {
        self.init(
            running: coordinator.isRunning, activity: coordinator.activity,
            movesUnderWay: coordinator.movesUnderWay, replicasStuck: coordinator.replicasStuck,
            rebalance: coordinator.rebalance.map(Rebalance.init))
    }
}

extension HealthReport.Coordinator.Rebalance {
    init(_ rebalance: MetadataModel.Rebalance) {
        self.init(
            id: rebalance.id.rawValue, strategy: rebalance.strategy.rawValue, state: "running", milliseconds: nil)
        guard case .ended(let ending, let milliseconds, _) = rebalance.state else { return }
        state = ending.rawValue
        self.milliseconds = milliseconds - min(rebalance.startedMilliseconds, milliseconds)
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 { Int64(self / .milliseconds(1)) }
}

/// An optional that is written as `null`, where a synthesized `encode` would leave the field out: a reader should not
/// have to tell an absent field from a renamed one.
@propertyWrapper
struct Nullable<Value: Encodable & Equatable>: Encodable, Equatable {
    var wrappedValue: Value?

    init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
    }
}
