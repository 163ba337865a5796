#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

import Coordination
import RaftCore

/// The keys, their kinds, ranges and defaults.
extension NodeConfiguration {
    private static let anyDuration: ClosedRange<Duration> = .milliseconds(1) ... .seconds(86_400)

    static func read(_ fields: inout ConfigurationFields, currentDirectory: String?) -> NodeConfiguration {
        let configuration = NodeConfiguration(
            node: readNode(&fields, currentDirectory: currentDirectory),
            cluster: Cluster(
                id: fields.required("cluster.id", .clusterID, meanwhile: "missing"),
                initialMembers: fields.list("cluster.initial_members", .member)),
            raft: readRaft(&fields),
            storage: readStorage(&fields),
            coordinator: readCoordinator(&fields),
            resilience: readResilience(&fields),
            health: Health(
                checkInterval: fields.value("health.check_interval", .duration(anyDuration), default: "5s"),
                failAfter: fields.value("health.fail_after", .duration(anyDuration), default: "2s"),
                recoverAfter: fields.value("health.recover_after", .duration(anyDuration), default: "1s"),
                liveFailAfter: fields.value("health.live_fail_after", .duration(anyDuration), default: "30s"),
                http: Health.HTTP(
                    isEnabled: fields.value("health.http.enabled", .truth, default: "true"),
                    address: address(&fields, port: "health.http.port", "8080", host: "health.http.bind_address"))),
            metrics: Metrics(
                isEnabled: fields.value("metrics.enabled", .truth, default: "true"),
                address: address(&fields, port: "metrics.port", "9090", host: "metrics.bind_address"),
                path: fields.value("metrics.path", .path, default: "/metrics")),
            logging: Logging(
                level: fields.value("logging.level", .logLevel, default: "info"),
                format: fields.value("logging.format", .logFormat, default: "json"),
                output: fields.value("logging.output", .logOutput, default: "stdout")),
            tracing: Tracing(
                endpoint: fields.value("tracing.endpoint", .collector, default: "none"),
                sampling: fields.value("tracing.sampling", .fraction, default: "0.01")),
            limits: readLimits(&fields))
        configuration.checkTogether(&fields)
        return configuration
    }

    private static func readNode(_ fields: inout ConfigurationFields, currentDirectory: String?) -> Node {
        let id = fields.required("node.id", .nodeID, meanwhile: NodeID(1))
        let directory = fields.required("node.data_dir", .text, meanwhile: "missing")
        let start = currentDirectory ?? FileManager.default.currentDirectoryPath
        let clientAddress = fields.value("node.client_address", .listenAddress, default: "127.0.0.1:7400")
        let peerAddress = fields.value("node.peer_address", .listenAddress, default: "127.0.0.1:7500")
        return Node(
            id: id, dataDirectory: directory.hasPrefix("/") ? directory : start + "/" + directory,
            clientAddress: clientAddress, peerAddress: peerAddress,
            advertisedClientAddress: fields.value(
                "node.advertised_client_address", .advertisedAddress(of: clientAddress), default: "same"),
            advertisedPeerAddress: fields.value(
                "node.advertised_peer_address", .advertisedAddress(of: peerAddress), default: "same"))
    }

    private static func readRaft(_ fields: inout ConfigurationFields) -> Raft {
        let anyBytes = (64 << 10)...(1 << 30)
        return Raft(
            tick: fields.value("raft.tick", .duration(.milliseconds(1) ... .seconds(1)), default: "20ms"),
            electionTimeout: fields.value(
                "raft.election_timeout", .duration(.milliseconds(10) ... .seconds(60)), default: "300ms"),
            heartbeatInterval: fields.value(
                "raft.heartbeat_interval", .duration(.milliseconds(1) ... .seconds(20)), default: "60ms"),
            inflightMessagesMax: fields.value("raft.inflight_messages_max", .integer(1...65_536), default: "64"),
            inflightBytesMax: fields.value("raft.inflight_bytes_max", .bytes(anyBytes), default: "8MiB"),
            appendBytesMax: fields.value("raft.append_bytes_max", .bytes((4 << 10)...(4 << 20)), default: "1MiB"),
            uncommittedBytesMax: fields.value("raft.uncommitted_bytes_max", .bytes(anyBytes), default: "64MiB"),
            pendingReadsMax: fields.value("raft.pending_reads_max", .integer(1...10_000_000), default: "65536"),
            segmentBytes: fields.value("raft.segment_bytes", .bytes((1 << 20)...(1 << 30)), default: "16MiB"),
            logKeepBytes: fields.value("raft.log_keep_bytes", .bytes(0...(64 << 30)), default: "16MiB"),
            logKeepEntries: fields.value("raft.log_keep_entries", .integer(0...100_000_000), default: "50000"),
            snapshotBytesPerSecond: fields.value(
                "raft.snapshot_bytes_per_second", .bytes((64 << 10)...(64 << 30)), default: "64MiB"),
            snapshotChunkBytes: fields.value(
                "raft.snapshot_chunk_bytes", .bytes((4 << 10)...(4 << 20)), default: "256KiB"))
    }

    private static func readStorage(_ fields: inout ConfigurationFields) -> Storage {
        let anyBytes = 0...(1 << 50)
        return Storage(
            digestInterval: fields.value(
                "storage.digest_interval", .duration(.milliseconds(100) ... .seconds(86_400)), default: "60s"),
            scrubInterval: fields.value(
                "storage.scrub_interval", .duration(.milliseconds(100) ... .seconds(604_800)), default: "1h"),
            diskLowBytes: fields.value("storage.disk_low_bytes", .bytes(anyBytes), default: "256MiB"),
            diskHighBytes: fields.value("storage.disk_high_bytes", .bytes(anyBytes), default: "512MiB"),
            reserveBytes: fields.value("storage.reserve_bytes", .bytes(0...(1 << 30)), default: "32MiB"))
    }

    private static func readCoordinator(_ fields: inout ConfigurationFields) -> Coordinator {
        let interval = ConfigurationValue.duration(.seconds(1) ... .seconds(86_400))
        let moves = ConfigurationValue.integer(1...CoordinatorOptions.movesLimit)
        return Coordinator(
            raisesFeatureLevel: fields.value("coordinator.raise_feature_level", .truth, default: "true"),
            rebalance: Coordinator.Rebalance(
                isAutomatic: fields.value("coordinator.rebalance.auto", .truth, default: "false"),
                strategy: fields.value("coordinator.rebalance.strategy", .strategy, default: "balanced"),
                thresholdPercent: fields.value(
                    "coordinator.rebalance.threshold_percent", .integer(1...1_000), default: "10"),
                interval: fields.value("coordinator.rebalance.interval", interval, default: "5m"),
                movesPerBrokerMax: fields.value(
                    "coordinator.rebalance.moves_per_broker_max", moves, default: "5"),
                movesMax: fields.value("coordinator.rebalance.moves_max", moves, default: "50")),
            leaders: Coordinator.Leaders(
                isAutomatic: fields.value("coordinator.leaders.auto", .truth, default: "true"),
                thresholdPercent: fields.value(
                    "coordinator.leaders.threshold_percent", .integer(0...100), default: "10"),
                interval: fields.value("coordinator.leaders.interval", interval, default: "5m")))
    }

    private static func readResilience(_ fields: inout ConfigurationFields) -> Resilience {
        func timeout(_ name: String, _ fields: inout ConfigurationFields, _ text: String) -> Duration {
            fields.value("resilience.timeouts.\(name)", .duration(anyDuration), default: text)
        }
        let breaker = "resilience.circuit_breaker."
        let turn = ConfigurationValue.duration(.seconds(1) ... .seconds(86_400))
        return Resilience(
            circuitBreaker: Resilience.CircuitBreaker(
                failureThreshold: fields.value(breaker + "failure_threshold", .integer(1...10_000), default: "5"),
                successThreshold: fields.value(breaker + "success_threshold", .integer(1...10_000), default: "2"),
                timeout: fields.value(breaker + "timeout", .duration(anyDuration), default: "30s"),
                requestsHalfOpenMax: fields.value(
                    breaker + "max_requests_half_open", .integer(1...10_000), default: "3")),
            keyedLock: Resilience.KeyedLock(
                acquisitionTimeout: fields.value(
                    "resilience.keyed_lock.acquisition_timeout", turn, default: "30s"),
                staleAfter: fields.value("resilience.keyed_lock.stale_after", turn, default: "6m")),
            timeouts: Resilience.Timeouts(
                proposal: timeout("proposal", &fields, "5s"), healthCheck: timeout("health_check", &fields, "2s"),
                rebalance: timeout("rebalance", &fields, "30s"),
                heartbeatInterval: timeout("heartbeat_interval", &fields, "10s"),
                heartbeatTimeout: timeout("heartbeat_timeout", &fields, "30s"),
                leaderElection: timeout("leader_election", &fields, "10s"),
                snapshot: timeout("snapshot", &fields, "60s"), shutdown: timeout("shutdown", &fields, "15s")))
    }

    private static func readLimits(_ fields: inout ConfigurationFields) -> Limits {
        // A frame is no larger than 8 MiB.
        let bytes = ConfigurationValue.bytes((8 << 20)...(1 << 40))
        return Limits(
            clientConnectionsMax: fields.value(
                "limits.client_connections_max", .integer(1...1_000_000), default: "10000"),
            inflightRequestsMax: fields.value(
                "limits.inflight_requests_max", .integer(1...10_000_000), default: "65536"),
            inflightBytesMax: fields.value("limits.inflight_bytes_max", bytes, default: "64MiB"),
            totalInflightRequestsMax: fields.value(
                "limits.total_inflight_requests_max", .integer(1...100_000_000), default: "262144"),
            totalInflightBytesMax: fields.value("limits.total_inflight_bytes_max", bytes, default: "256MiB"),
            memoryMaxBytes: fields.value("limits.memory_max_bytes", .bytes(0...(1 << 50)), default: "0"),
            memoryShedPercent: fields.value("limits.memory_shed_percent", .integer(1...99), default: "80"),
            memoryRefusePercent: fields.value("limits.memory_refuse_percent", .integer(2...100), default: "90"))
    }

    private static func address(
        _ fields: inout ConfigurationFields, port: String, _ portText: String, host: String
    ) -> NetworkAddress {
        let number = fields.value(port, .integer(0...65_535), default: portText)
        let bind = ConfigurationValue.text.checked(
            allowed: "an address of this machine", "must be an address of this machine, without a port"
        ) { text in
            // A single colon is one of a port; an IPv6 address has more.
            guard text.count(where: { $0 == ":" }) != 1 else { return false }
            return NetworkAddress(parsing: (text.contains(":") ? "[\(text)]" : text) + ":0") != nil
        }
        return NetworkAddress(host: fields.value(host, bind, default: "127.0.0.1"), port: number)
    }

    /// What shows only when settings are seen together.
    private func checkTogether(_ fields: inout ConfigurationFields) {
        if raft.heartbeatInterval < raft.tick {
            fields.report(
                "raft.heartbeat_interval", DurationText.text(raft.heartbeatInterval),
                "must be at least raft.tick (\(DurationText.text(raft.tick)))")
        }
        // A follower must miss several heartbeats in a row before it doubts its leader (Raft §5.6).
        if raft.electionTimeout < raft.heartbeatInterval * 3 {
            fields.report(
                "raft.election_timeout", DurationText.text(raft.electionTimeout),
                "must be at least three times raft.heartbeat_interval "
                    + "(\(DurationText.text(raft.heartbeatInterval)))")
        }
        if raft.inflightBytesMax < raft.appendBytesMax {
            fields.report(
                "raft.inflight_bytes_max", ByteCount.text(raft.inflightBytesMax),
                "must be at least raft.append_bytes_max (\(ByteCount.text(raft.appendBytesMax)))")
        }
        if storage.diskHighBytes < storage.diskLowBytes {
            fields.report(
                "storage.disk_high_bytes", ByteCount.text(storage.diskHighBytes),
                "must be at least storage.disk_low_bytes (\(ByteCount.text(storage.diskLowBytes)))")
        }
        if limits.memoryRefusePercent <= limits.memoryShedPercent {
            fields.report(
                "limits.memory_refuse_percent", "\(limits.memoryRefusePercent)",
                "must be more than limits.memory_shed_percent (\(limits.memoryShedPercent))")
        }
        let timeouts = resilience.timeouts
        // A broker that loses one heartbeat to the network is not dead.
        if timeouts.heartbeatTimeout < timeouts.heartbeatInterval * 2 {
            fields.report(
                "resilience.timeouts.heartbeat_timeout", DurationText.text(timeouts.heartbeatTimeout),
                "must be at least twice resilience.timeouts.heartbeat_interval "
                    + "(\(DurationText.text(timeouts.heartbeatInterval)))")
        }
        checkMembers(&fields)
        checkPorts(&fields)
    }

    private func checkMembers(_ fields: inout ConfigurationFields) {
        let key = "cluster.initial_members"
        let members = cluster.initialMembers
        var seenIDs: Set<NodeID> = []
        var seenAddresses: Set<NetworkAddress> = []
        for member in members {
            if !seenIDs.insert(member.id).inserted {
                fields.report(key, member.description, "names node \(member.id) twice")
            }
            for address in [member.peerAddress, member.clientAddress] where !seenAddresses.insert(address).inserted {
                fields.report(key, member.description, "uses \(address) twice")
            }
        }
        if members.count > Self.initialMembersMax {
            fields.report(key, "\(members.count) members", "must be at most \(Self.initialMembersMax)")
        }
        if !members.isEmpty, !seenIDs.contains(node.id) {
            fields.report(
                key, nil,
                "does not name this node (node.id \(node.id)); leave the list empty on a node that joins later")
        }
    }

    /// More voters make every write slower and lose no less: seven survive three failures.
    static let initialMembersMax = 9

    /// Two listeners on one port would fail later and less clearly.
    private func checkPorts(_ fields: inout ConfigurationFields) {
        var listeners = [("node.client_address", node.clientAddress), ("node.peer_address", node.peerAddress)]
        if health.http.isEnabled { listeners.append(("health.http.port", health.http.address)) }
        if metrics.isEnabled { listeners.append(("metrics.port", metrics.address)) }
        for (position, (key, address)) in listeners.enumerated() where address.port != 0 {
            for (otherKey, other) in listeners[..<position] where other.port == address.port {
                guard other.host == address.host || other.isWildcard || address.isWildcard else { continue }
                fields.report(key, "\(address)", "is taken by \(otherKey) (\(other))")
            }
        }
    }
}
