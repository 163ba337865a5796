import Coordination
import NIOCore
import RaftCore
import Replica
import Resilience

/// The configuration in the terms of the node loop.
struct NodeSettings: Sendable {
    var id: NodeID
    var clusterID: String
    var disk: DiskID
    /// Where this node is to be found, by its own settings.
    var clientAddress: NetworkAddress
    var peerAddress: NetworkAddress
    /// Where others find the pages of this node; empty where there are none.
    var healthURL: String
    var metricsURL: String
    var tick: TimeAmount
    var replica: ReplicaOptions
    var clientConnectionsMax: Int
    var gate: RequestGate.Settings
    var scrubInterval: TimeAmount
    /// How often the room on the disk is measured.
    var checkInterval: TimeAmount
    var reserveBytes: Int
    var snapshots: SnapshotSenderMachine.Options
    /// Of the breaker to each peer: Raft's messages are held back for an election timeout at most.
    var peerBreaker: CircuitBreaker.Options
    /// Differs at each start, so that members do not draw the same timeouts.
    var seed: UInt64

    init(_ configuration: NodeConfiguration, disk: DiskID, seed: UInt64) {
        let timeouts = configuration.resilience.timeouts
        id = configuration.node.id
        clusterID = configuration.cluster.id
        self.disk = disk
        clientAddress = configuration.node.advertisedClientAddress
        peerAddress = configuration.node.advertisedPeerAddress
        let (health, metrics) = (configuration.health.http, configuration.metrics)
        healthURL = health.isEnabled ? health.address.url(seenFrom: clientAddress) : ""
        metricsURL = metrics.isEnabled ? metrics.address.url(seenFrom: clientAddress) + metrics.path : ""
        tick = TimeAmount(configuration.raft.tick)
        replica = ReplicaOptions(
            raft: configuration.raft.options,
            // A cut takes half: what is kept stays.
            logEntriesMax: configuration.raft.logKeepEntries * 2, logBytesMax: configuration.raft.logKeepBytes * 2,
            brokerTimeoutMilliseconds: timeouts.heartbeatTimeout.wholeMilliseconds,
            brokerGraceMilliseconds: timeouts.heartbeatTimeout.wholeMilliseconds,
            diskSilenceMilliseconds: configuration.raft.electionTimeout.wholeMilliseconds,
            pauseMilliseconds: configuration.raft.electionTimeout.wholeMilliseconds,
            digestIntervalMilliseconds: configuration.storage.digestInterval.wholeMilliseconds,
            diskLowBytes: UInt64(configuration.storage.diskLowBytes),
            diskHighBytes: UInt64(configuration.storage.diskHighBytes),
            catchUpRoundMilliseconds: configuration.raft.electionTimeout.wholeMilliseconds,
            coordinator: CoordinatorOptions(configuration.coordinator, step: timeouts.rebalance),
            turns: KeyedLockOptions(configuration.resilience.keyedLock),
            raisesFeatureLevel: configuration.coordinator.raisesFeatureLevel)
        clientConnectionsMax = DescriptorLimit.connections(wanted: configuration.limits.clientConnectionsMax)
        gate = RequestGate.Settings(configuration)
        scrubInterval = TimeAmount(configuration.storage.scrubInterval)
        checkInterval = TimeAmount(configuration.health.checkInterval)
        reserveBytes = configuration.storage.reserveBytes
        snapshots = SnapshotSenderMachine.Options(
            chunkBytes: configuration.raft.snapshotChunkBytes,
            bytesPerSecond: configuration.raft.snapshotBytesPerSecond,
            timeoutMilliseconds: timeouts.snapshot.wholeMilliseconds,
            turnMilliseconds: configuration.resilience.keyedLock.acquisitionTimeout.wholeMilliseconds)
        peerBreaker = CircuitBreaker.Options(configuration.resilience.circuitBreaker)
            .forPeer(electionTimeout: configuration.raft.electionTimeout)
        self.seed = seed
    }
}

extension CoordinatorOptions {
    /// - Parameter step: how long a move may make no progress.
    init(_ configuration: NodeConfiguration.Coordinator, step: Duration) {
        let (rebalance, leaders) = (configuration.rebalance, configuration.leaders)
        self.init(
            startsRebalances: rebalance.isAutomatic, strategy: rebalance.strategy,
            imbalanceMax: Double(rebalance.thresholdPercent) / 100,
            rebalanceIntervalMilliseconds: rebalance.interval.wholeMilliseconds,
            movesPerBrokerMax: rebalance.movesPerBrokerMax, movesMax: rebalance.movesMax,
            stepMilliseconds: step.wholeMilliseconds, electsPreferredLeaders: leaders.isAutomatic,
            leaderImbalanceMax: Double(leaders.thresholdPercent) / 100,
            leaderIntervalMilliseconds: leaders.interval.wholeMilliseconds)
    }
}

extension CircuitBreaker.Options {
    init(_ configuration: NodeConfiguration.Resilience.CircuitBreaker) {
        self.init(
            failureThreshold: configuration.failureThreshold, successThreshold: configuration.successThreshold,
            timeout: configuration.timeout, halfOpenRequestsMax: configuration.requestsHalfOpenMax)
    }
}

extension KeyedLockOptions {
    init(_ configuration: NodeConfiguration.Resilience.KeyedLock) {
        self.init(
            acquisitionTimeout: configuration.acquisitionTimeout.wholeMilliseconds,
            staleAfter: configuration.staleAfter.wholeMilliseconds)
    }
}

extension NetworkAddress {
    /// One that listens everywhere is found where clients find the node.
    fileprivate func url(seenFrom client: NetworkAddress) -> String {
        "http://\(NetworkAddress(host: isWildcard ? client.host : host, port: port))"
    }
}

extension Duration {
    var wholeMilliseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds)) * 1_000 + UInt64(max(0, attoseconds)) / 1_000_000_000_000_000
    }
}
