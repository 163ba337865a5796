internal import MetadataModel

/// All brokers and partitions, read once for a plan: about 40 MB for a million partitions.
struct ScannedCluster {
    private var layout: ClusterLayout
    /// The partitions in the order of the layout.
    private var keys: [PartitionKey] = []
    /// Active, and not draining.
    private let ableToLead: Set<BrokerID>
    /// Partitions of which a broker is the preferred leader, and those that it could lead and does not.
    private var preferred: [BrokerID: Int] = [:]
    private var notLed: [BrokerID: [PartitionKey]] = [:]

    init<Failure: Error>(
        _ scan: SurveyRequest.Scan, _ ask: (Query) throws(Failure) -> QueryResult
    ) throws(Failure) {
        var excluded: Set<BrokerID> = []
        if case .rebalance(_, let brokers) = scan { excluded = Set(brokers) }
        var brokers: [Broker] = []
        while case .brokers(let page) = try ask(.brokers(after: brokers.last?.id, limit: Limits.pageItemsMax)) {
            brokers += page.items
            guard page.hasMore, !page.items.isEmpty else { break }
        }
        layout = ClusterLayout(brokers: brokers.map { ClusterLayout.Broker($0, excluded: excluded) })
        ableToLead = Set(brokers.filter { $0.takesReplicas }.map(\.id))
    }

    mutating func readPartitions<Failure: Error>(_ ask: (Query) throws(Failure) -> QueryResult) throws(Failure) {
        while case .partitions(let page) = try ask(
            .clusterPartitions(.all, after: keys.last, limit: Limits.pageItemsMax))
        {
            for partition in page.items { add(partition) }
            guard page.hasMore, !page.items.isEmpty else { break }
        }
    }

    private mutating func add(_ partition: Partition) {
        // What is on its way counts as done.
        let replicas = partition.replicas.filter { !partition.removing.contains($0) }
        // One with a broker that was registered while this was being read is left to the next plan.
        guard layout.append(replicas: replicas, beginsTopic: keys.last?.topic != partition.key.topic) else { return }
        keys.append(partition.key)
        guard let first = replicas.first else { return }
        preferred[first, default: 0] += 1
        if partition.leader != first, partition.isr.contains(first), ableToLead.contains(first),
            !partition.isReassigning
        {
            notLed[first, default: []].append(partition.key)
        }
    }

    func report(_ scan: SurveyRequest.Scan, leaderImbalanceMax: Double) -> PlanReport {
        var report = PlanReport()
        report.elections = elections(leaderImbalanceMax)
        let plan: RebalancePlan
        switch scan {
        case .measure:
            let spread = RebalancePlanner.spread(of: layout)
            report.imbalance = spread.imbalance
            report.imbalanceAfter = spread.imbalance
            report.drains = drains(spread)
            return report
        case .rebalance(let strategy, _): plan = RebalancePlanner.plan(layout, strategy: strategy)
        case .drain: plan = RebalancePlanner.plan(layout, strategy: .sticky)
        }
        report.imbalance = plan.before.imbalance
        report.imbalanceAfter = plan.after.imbalance
        report.drains = drains(plan.before)
        let draining = Set(report.drains.map(\.id))
        for change in plan.changes {
            let from = layout.replicas(of: change.partition)
            // Sticky also mends racks, which is the business of a rebalance.
            if scan == .drain, !from.contains(where: { draining.contains($0) && !change.replicas.contains($0) }) {
                continue
            }
            report.moveCount += 1
            guard report.moves.count < PlanReport.movesMax else { continue }
            report.moves.append(PlannedMove(partition: keys[change.partition], from: from, to: change.replicas))
        }
        report.blockedCount = plan.blocked.count
        report.blocked = plan.blocked.prefix(PlanReport.blockedMax).map {
            StuckReplica(partition: keys[$0.partition], broker: $0.broker, reason: $0.reason)
        }
        return report
    }

    private func drains(_ spread: RebalancePlan.Spread) -> [BrokerLoad] {
        zip(layout.brokers, spread.loads).filter { $0.0.role == .draining }.map { $0.1 }
    }

    private func elections(_ imbalanceMax: Double) -> [PartitionKey] {
        var keys: [PartitionKey] = []
        for broker in layout.brokers {
            guard let waiting = notLed[broker.id], let all = preferred[broker.id],
                Double(waiting.count) > imbalanceMax * Double(all)
            else { continue }
            keys += waiting.prefix(PlanReport.movesMax - keys.count)
        }
        return keys
    }
}
