import Coordination
import MetadataModel
import MetadataStore
import RaftCore
import RaftLog
import Telemetry
import Wire

/// The figures of a node under the names that dashboards use. They are read from the latest reading when somebody scrapes;
/// the hot path pays nothing for them.
enum NodeMetrics {
    static func register(in registry: MetricsRegistry, published: PublishedState, storage: NodeStorage) {
        registerRaft(in: registry, published: published)
        registerSnapshots(in: registry, published: published)
        registerMetadata(in: registry, published: published, store: storage.store)
        registerRuntime(in: registry, published: published, storage: storage)
        registerProtection(in: registry, published: published)
        registerCoordinator(in: registry, published: published)
        GateMetrics.register(in: registry, published: published)
        TurnMetrics.register(in: registry, published: published)
        ProcessMetrics.register(in: registry)
    }

    private static func registerRaft(in registry: MetricsRegistry, published: PublishedState) {
        let term = registry.gauge("raft_term", help: "Current term.")
        let commit = registry.gauge("raft_commit_index", help: "Last log index known to be committed.")
        let applied = registry.gauge("raft_applied_index", help: "Last log index applied to the state machine.")
        let last = registry.gauge("raft_last_log_index", help: "Last log index in memory.")
        let synced = registry.gauge("raft_synced_index", help: "Last log index synced to this node's disk.")
        let peers = registry.gauge("raft_peers_count", help: "Voting members of the quorum, this node included.")
        let connected = registry.gauge("raft_peers_connected", help: "Peers that this node's connections reach.")
        let elections = registry.counter(
            "raft_leadership_changes_total", help: "How often this node became leader.")
        let roles = ["leader", "follower", "candidate", "pre_candidate", "learner"].map { role in
            (role, registry.gauge("raft_role", help: "1 for the role that the node has.", labels: ["role": role]))
        }
        let hasLeader = registry.gauge("raft_has_leader", help: "1 when the node knows a leader.")
        registry.addCollector { registry in
            guard let reading = published.reading else { return }
            term.set(reading.status.term)
            commit.set(reading.status.commitIndex)
            applied.set(reading.status.appliedIndex)
            last.set(reading.lastIndex)
            synced.set(reading.syncedIndex)
            peers.set(reading.voters.count)
            elections.raise(to: reading.leadershipChanges)
            connected.set(reading.linksUp.count)
            for (role, gauge) in roles { gauge.set(role == reading.status.role) }
            hasLeader.set(reading.status.leader != nil)
            registry.gauges(
                "raft_peer_lag_entries", help: "Entries that the peer lacks, as the leader knows it.", label: "peer",
                reading.peers.map { ("\($0.id)", Double(reading.lag(of: $0))) })
        }
    }

    private static func registerSnapshots(in registry: MetricsRegistry, published: PublishedState) {
        func counter(_ direction: String, _ result: String) -> CounterHandle {
            registry.counter(
                "raft_snapshot_transfers_total", help: "Snapshots that were sent or received, by how that ended.",
                labels: ["direction": direction, "result": result])
        }
        func bytes(_ direction: String) -> CounterHandle {
            registry.counter(
                "raft_snapshot_bytes_total", help: "Bytes of snapshots, those that were sent again included.",
                labels: ["direction": direction])
        }
        let (sent, unsent) = (counter("sent", "ok"), counter("sent", "failed"))
        let (received, refused) = (counter("received", "ok"), counter("received", "failed"))
        let (sentBytes, receivedBytes) = (bytes("sent"), bytes("received"))
        let underWay = registry.gauge("raft_snapshot_under_way", help: "1 while this node sends a snapshot.")
        let duration = registry.gauge(
            "raft_snapshot_duration_seconds", help: "How long the latest transfer to a follower took.")
        registry.addCollector { _ in
            guard let reading = published.reading else { return }
            let (out, incoming) = (reading.snapshotsOut, reading.snapshotsIn)
            sent.raise(to: out.succeeded)
            unsent.raise(to: out.failed)
            sentBytes.raise(to: out.bytes)
            received.raise(to: incoming.succeeded)
            refused.raise(to: incoming.failed)
            receivedBytes.raise(to: incoming.bytes)
            underWay.set(out.isUnderWay)
            duration.set(Double(out.lastMilliseconds) / 1_000)
        }
    }

    private static func registerMetadata(
        in registry: MetricsRegistry, published: PublishedState, store: MetadataStore
    ) {
        let version = registry.gauge("metadata_version", help: "Log index of the last change of the metadata.")
        let brokers = registry.gauge("metadata_brokers_count", help: "Registered brokers.")
        let active = registry.gauge("cluster_brokers_active", help: "Registered brokers that are not fenced.")
        let silence = registry.gauge(
            "cluster_heartbeat_age_seconds",
            help: "The longest silence of a broker that is not fenced; 0 on nodes that do not lead.")
        let all = registry.gauge("cluster_partitions_total", help: "Partitions of all topics.")
        let offline = registry.gauge("cluster_partitions_offline", help: "Partitions without a leader.")
        let underReplicated = registry.gauge(
            "cluster_partitions_under_replicated", help: "Partitions with replicas that are not in sync.")
        let reassigning = registry.gauge(
            "cluster_partitions_reassigning", help: "Partitions with a reassignment under way.")
        let topics = registry.gauge("metadata_topics_count", help: "Topics.")
        let partitions = registry.gauge("metadata_partitions_count", help: "Partitions of all topics.")
        let sessions = registry.gauge("metadata_sessions_count", help: "Open client sessions.")
        registry.addCollector { _ in
            guard let reading = published.reading else { return }
            version.set(reading.status.version.rawValue)
            brokers.set(reading.brokers.count)
            active.set(reading.brokers.count { $0.state == .active })
            silence.set(Double(reading.liveness?.longestSilenceMilliseconds ?? 0) / 1_000)
            let (totals, tally) = (store.summary.totals, store.partitionTally)
            all.set(totals.partitions)
            offline.set(tally.offline)
            underReplicated.set(tally.underReplicated)
            reassigning.set(tally.reassigning)
            topics.set(totals.topics)
            partitions.set(totals.partitions)
            sessions.set(totals.sessions)
        }
    }

    private static func registerCoordinator(in registry: MetricsRegistry, published: PublishedState) {
        let imbalance = registry.gauge(
            "cluster_imbalance_score",
            help: "Standard deviation of replicas by capacity, as a part of their mean; 0 on nodes that do not lead.")
        let duration = registry.gauge(
            "cluster_rebalance_duration_seconds", help: "How long the latest rebalance took.")
        let underWay = registry.gauge(
            "cluster_moves_under_way", help: "Partitions with a reassignment under way; 0 on nodes that do not lead.")
        let stuck = registry.gauge(
            "cluster_replicas_stuck", help: "Replicas that are to move and cannot; 0 on nodes that do not lead.")
        func counter(_ status: String) -> CounterHandle {
            registry.counter(
                "cluster_rebalances_total", help: "Rebalances that began, and how they ended.",
                labels: ["status": status])
        }
        let started = counter("started")
        let ended = Rebalance.Ending.allCases.map { ($0, counter($0.rawValue)) }
        registry.addCollector { _ in
            guard let reading = published.reading else { return }
            let status = reading.status.coordinator
            imbalance.set(status?.imbalance ?? 0)
            underWay.set(status?.movesUnderWay ?? 0)
            stuck.set(status?.stuckCount ?? 0)
            duration.set(Double(reading.rebalances.lastMilliseconds ?? 0) / 1_000)
            started.raise(to: reading.rebalances.started)
            for (ending, counter) in ended { counter.raise(to: reading.rebalances.ended[ending] ?? 0) }
        }
    }

    private static func registerProtection(in registry: MetricsRegistry, published: PublishedState) {
        let quarantined = registry.gauge(
            "metad_quarantined", help: "1 while the node's state is damaged and nothing is answered from it.")
        let repairing = registry.gauge(
            "metad_repairing", help: "1 while the node takes everything again from the leader and does not vote.")
        let diskLow = registry.gauge(
            "metad_disk_low", help: "1 while writes that make the metadata larger are refused for want of room.")
        let undecided = registry.gauge(
            "metad_digest_undecided", help: "1 while the members' digests differ and none has a majority.")
        let mismatches = registry.counter(
            "metad_digest_mismatches_total", help: "Digests found to differ, as this node saw it while it led.")
        let quarantines = registry.counter("metad_quarantines_total", help: "How often damage was found in this node.")
        let repairs = registry.counter("metad_repairs_total", help: "Repairs that this process finished.")
        let scrubs = registry.counter("metad_scrubs_total", help: "Scrubs of the database that found nothing.")
        registry.addCollector { _ in
            guard let protection = published.reading?.protection else { return }
            quarantined.set(protection.isQuarantined)
            repairing.set(protection.isRepairing)
            diskLow.set(protection.isDiskLow)
            undecided.set(protection.undecidedDigest != nil)
            mismatches.raise(to: protection.counts.mismatches)
            quarantines.raise(to: protection.counts.quarantines)
            repairs.raise(to: protection.counts.repairs)
            scrubs.raise(to: protection.counts.scrubs)
        }
    }

    private static func registerRuntime(
        in registry: MetricsRegistry, published: PublishedState, storage: NodeStorage
    ) {
        let writes = registry.gauge("metad_open_writes", help: "Writes that wait for their outcome.")
        let reads = registry.gauge("metad_open_reads", help: "Reads that wait for confirmation or apply.")
        let connections = registry.gauge("metad_client_connections", help: "Open client connections.")
        let watches = registry.gauge("metad_watches", help: "Open watches.")
        let syncs = registry.counter("raft_log_syncs_total", help: "Syncs of the log since the start.")
        let bytes = registry.counter("raft_log_bytes_written_total", help: "Bytes written to the log since the start.")
        let lastSync = registry.gauge("raft_log_last_sync_seconds", help: "How long the latest sync of the log took.")
        let logBytes = registry.gauge("metad_log_size_bytes", help: "Size of the log on disk.")
        let databaseBytes = registry.gauge("metad_database_size_bytes", help: "Size of the database on disk.")
        let free = registry.gauge("metad_disk_free_bytes", help: "Free room on the data directory's file system.")
        registry.addCollector { registry in
            registry.gauges(
                "metad_queue_depth", help: "What waits for each of the node's threads.", label: "queue",
                storage.queueDepths.map { ($0, Double($1)) })
            let log = storage.logMetrics.metrics
            syncs.raise(to: log.syncs)
            bytes.raise(to: log.bytesWritten)
            lastSync.set(Double(log.lastSyncNanoseconds) / 1e9)
            let sizes = published.directorySizes
            logBytes.set(sizes.log)
            databaseBytes.set(sizes.database)
            free.set(sizes.free)
            guard let reading = published.reading else { return }
            writes.set(reading.openWrites)
            reads.set(reading.openReads)
            connections.set(reading.connections)
            watches.set(reading.watches)
        }
    }
}
