package import MetadataModel

/// What a coordinator wants to know of the state machine. It is found out off the node loop, since a plan may take seconds.
package struct SurveyRequest: Hashable, Sendable {
    /// Names the answer; answers to earlier requests are dropped.
    package var ticket: UInt64
    /// Partitions to look at one by one; at most `CoordinatorOptions.movesLimit`.
    package var partitions: [PartitionKey]
    /// What to read all partitions for; nil: for nothing.
    package var scan: Scan?
    /// See `CoordinatorOptions`.
    package var leaderImbalanceMax: Double

    package enum Scan: Hashable, Sendable {
        /// How even the cluster is.
        case measure
        /// That, and what a rebalance is to move.
        case rebalance(BalanceStrategy, excluded: [BrokerID])
        /// That, and what is to leave draining brokers.
        case drain
    }
}

/// The answer to a `SurveyRequest`.
package struct SurveyReport: Hashable, Sendable {
    package var ticket: UInt64
    package var version: Version
    package var featureLevel: UInt32
    /// The latest rebalance.
    package var rebalance: Rebalance?
    /// Why nothing is to be moved now, in the words of whoever paused it; nil when nobody did.
    package var pause: String?
    /// Partitions without a leader, counted up to a page.
    package var offline: Int
    /// Partitions with a reassignment under way, up to a page.
    package var reassigning: [Partition]
    /// There are more than a page.
    package var hasMoreReassigning: Bool
    /// Those that were asked for and exist.
    package var partitions: [Partition]
    package var plan: PlanReport?

    package init(
        ticket: UInt64, version: Version, featureLevel: UInt32, rebalance: Rebalance? = nil, offline: Int = 0,
        reassigning: [Partition] = [], hasMoreReassigning: Bool = false, partitions: [Partition] = [],
        plan: PlanReport? = nil
    ) {
        self.ticket = ticket
        self.version = version
        self.featureLevel = featureLevel
        self.rebalance = rebalance
        self.offline = offline
        self.reassigning = reassigning
        self.hasMoreReassigning = hasMoreReassigning
        self.partitions = partitions
        self.plan = plan
    }
}

/// What a scan of all partitions has found.
package struct PlanReport: Hashable, Sendable {
    /// The first of the moves.
    package var moves: [PlannedMove] = []
    /// All of them.
    package var moveCount = 0
    /// Replicas that cannot leave a draining broker; the first of them.
    package var blocked: [StuckReplica] = []
    package var blockedCount = 0
    /// See `RebalancePlan.Spread.imbalance`.
    package var imbalance = 0.0
    /// As it would be when everything has moved.
    package var imbalanceAfter = 0.0
    /// What draining brokers hold; by id.
    package var drains: [BrokerLoad] = []
    /// Partitions whose preferred leader is in sync and does not lead, of brokers that lead too few of theirs; the first.
    package var elections: [PartitionKey] = []

    package init() {}

    /// Moves, and elections, of one report.
    static let movesMax = 10_000
    /// Blocked replicas of one report.
    static let blockedMax = 100
}

/// A partition that is to get other replicas, or the same in another order.
package struct PlannedMove: Hashable, Sendable {
    package var partition: PartitionKey
    /// As the plan found them, without those that were leaving.
    package var from: [BrokerID]
    package var to: [BrokerID]
}

extension SurveyRequest {
    /// Finds out what was asked for. Best from one moment; what has changed meanwhile is found out when a step is applied.
    ///
    /// - Parameter ask: answers a query from the state machine.
    package func answer<Failure: Error>(
        _ ask: (Query) throws(Failure) -> QueryResult
    ) throws(Failure) -> SurveyReport {
        var report = SurveyReport(ticket: ticket, version: .zero, featureLevel: 0)
        if case .summary(let summary) = try ask(.summary) {
            report.version = summary.version
            report.featureLevel = summary.featureLevel
        }
        report.rebalance = try clusterConfig(Rebalance.configName, ask).flatMap { Rebalance($0) }
        report.pause = try clusterConfig(Rebalance.pauseConfigName, ask)?.value
        if case .partitions(let page) = try ask(.clusterPartitions(.offline, after: nil, limit: Limits.pageItemsMax)) {
            report.offline = page.items.count
        }
        let reassigning = try ask(.clusterPartitions(.reassigning, after: nil, limit: Limits.pageItemsMax))
        if case .partitions(let page) = reassigning {
            report.reassigning = page.items
            report.hasMoreReassigning = page.hasMore
        }
        for key in partitions {
            if case .partition(let partition) = try ask(.partition(.id(key.topic), key.index)) {
                report.partitions.append(partition)
            }
        }
        if let scan { report.plan = try plan(scan, ask) }
        return report
    }

    /// The first row behind the last name that could come before it, if that is the one.
    private func clusterConfig<Failure: Error>(
        _ name: String, _ ask: (Query) throws(Failure) -> QueryResult
    ) throws(Failure) -> ConfigEntry? {
        var before = Array(name.utf8)
        guard let last = before.popLast() else { return nil }
        // `z` is the greatest character that a name may have.
        before += [last - 1] + [UInt8](repeating: UInt8(ascii: "z"), count: Limits.configNameBytesMax - name.utf8.count)
        let after = String(decoding: before, as: UTF8.self)
        guard case .configs(let page) = try ask(.configs(.cluster, after: after, limit: 1)) else { return nil }
        return page.items.first { $0.name == name }
    }

    private func plan<Failure: Error>(
        _ scan: Scan, _ ask: (Query) throws(Failure) -> QueryResult
    ) throws(Failure) -> PlanReport {
        var cluster = try ScannedCluster(scan, ask)
        try cluster.readPartitions(ask)
        return cluster.report(scan, leaderImbalanceMax: leaderImbalanceMax)
    }
}
