#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

import RaftCore

/// The JSON form of `NodeHealth`, after draft-inadarei-api-health-check: a status that machines read first, then the
/// checks behind it. Field names are in snake case and part of the interface; adding one is compatible.
struct HealthReport: Encodable, Equatable {
    enum Status: String, Encodable {
        case pass
        /// Serves, but somebody should look.
        case warn
        case fail
    }

    struct Check: Encodable, Equatable {
        var status: Status
        var output: String?
    }

    struct Peer: Encodable, Equatable {
        var id: UInt64
        var matchIndex: UInt64
        var lagEntries: UInt64
        var active: Bool
        var voter: Bool
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
        var checks: [String: Check]
        var raft: Raft
        var store: Store
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
            millisecondsSinceLastCommit: raft.sinceLastCommit.map { Int64($0 / .milliseconds(1)) },
            peers: raft.peers.sorted { $0.id < $1.id }.map {
                Peer(
                    id: $0.id.rawValue, matchIndex: $0.matchIndex.rawValue, lagEntries: $0.lagEntries,
                    active: $0.isActive, voter: $0.isVoter)
            })
    }

    static func whole(_ health: NodeHealth) -> Whole {
        let store = health.store
        let leaderCheck =
            health.raft.leader == nil ? Check(status: .fail, output: "no leader is known") : Check(status: .pass)
        let storeCheck =
            store.suspendedReason.map { Check(status: .fail, output: $0) } ?? Check(status: .pass)
        func warning(_ text: String?) -> Check { Check(status: text == nil ? .pass : .warn, output: text) }
        var checks = [
            "raft:leader": leaderCheck, "store:apply": storeCheck, "store:digest": warning(health.warnings.digest),
            "store:disk": warning(health.warnings.disk),
        ]
        // Only a leader hears from all others: elsewhere there is nothing to judge.
        if health.raft.role == .leader {
            let silent = health.raft.peers.filter { !$0.isActive }.map(\.id).sorted()
            let list = silent.map(\.description).joined(separator: ", ")
            checks["raft:peers"] = warning(silent.isEmpty ? nil : "silent: \(list)")
        }
        let warns = checks.values.contains { $0.status != .pass }
        return Whole(
            status: health.isReady ? (warns ? .warn : .pass) : .fail, serviceId: "metad-\(health.nodeID)",
            description: "node \(health.nodeID) of the metadata quorum \(health.clusterID)",
            nodeId: health.nodeID.rawValue, clusterId: health.clusterID, live: health.isLive, ready: health.isReady,
            reasons: health.failures + health.notReadyReasons, checks: checks, raft: raft(health),
            store: Store(
                version: store.version, databaseBytes: store.databaseBytes, logBytes: store.logBytes,
                freeBytes: store.freeBytes, suspendedReason: store.suspendedReason))
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
