package import MetadataModel

/// Which replicas are to move where. Planning changes nothing.
package struct RebalancePlan: Sendable {
    /// The replicas of one partition as they are to be, the preferred leader first.
    package struct Change: Hashable, Sendable {
        /// Its number in the layout.
        package var partition: Int
        package var replicas: [BrokerID]
    }

    /// A replica that was to leave its broker, and why it does not.
    package struct Blocked: Hashable, Sendable {
        package var partition: Int
        package var broker: BrokerID
        package var reason: String
    }

    /// How loads are spread.
    package struct Spread: Hashable, Sendable {
        /// Replicas, and partitions of which the broker is the preferred leader; by broker, in the layout's order.
        package var loads: [BrokerLoad]
        /// The standard deviation of replicas in proportion to capacity, as a part of their mean, over the brokers that may
        /// be given replicas. 0 is even.
        package var imbalance: Double
        package var leaderImbalance: Double
    }

    /// In the layout's order; partitions that stay as they are left out.
    package let changes: [Change]
    /// Replicas that come to another broker: what has to be copied.
    package let replicaMoves: Int
    /// Partitions that get another preferred leader.
    package let leaderChanges: Int
    package let blocked: [Blocked]
    package let before: Spread
    package let after: Spread
}

/// Plans how replicas are spread. Pure and deterministic: the same layout gives the same plan.
package enum RebalancePlanner {
    package static func plan(_ layout: ClusterLayout, strategy: BalanceStrategy = .balanced) -> RebalancePlan {
        switch strategy {
        case .balanced, .sticky:
            var replicas = ReplicaBalancer(layout)
            guard strategy == .balanced else {
                replicas.moveWhatMust()
                return plan(layout, slots: replicas.slots, blocked: replicas.blocked)
            }
            replicas.balance()
            var leaders = LeaderBalancer(layout, slots: replicas.slots)
            leaders.balance()
            return plan(layout, slots: leaders.slots, blocked: replicas.blocked)
        case .roundRobin:
            var dealer = ReplicaDealer(layout)
            for partition in 0..<layout.partitionCount { dealer.deal(partition, turn: partition) }
            return plan(layout, slots: dealer.slots, blocked: [])
        case .range:
            var dealer = ReplicaDealer(layout)
            for (number, start) in layout.topicStarts.enumerated() {
                let end =
                    number + 1 < layout.topicStarts.count
                    ? Int(layout.topicStarts[number + 1]) : layout.partitionCount
                dealer.dealRanges(Int(start)..<end)
            }
            return plan(layout, slots: dealer.slots, blocked: [])
        }
    }

    /// How loads are spread as they are.
    package static func spread(of layout: ClusterLayout) -> RebalancePlan.Spread { spread(layout, layout.slots) }

    private static func plan(_ layout: ClusterLayout, slots: [UInt16], blocked: [Int]) -> RebalancePlan {
        var changes: [RebalancePlan.Change] = []
        var (replicaMoves, leaderChanges) = (0, 0)
        for partition in 0..<layout.partitionCount {
            let range = layout.range(of: partition)
            let (old, new) = (layout.slots[range], slots[range])
            guard old != new else { continue }
            for place in new where !old.contains(place) { replicaMoves += 1 }
            if old.first != new.first { leaderChanges += 1 }
            changes.append(
                RebalancePlan.Change(partition: partition, replicas: new.map { layout.brokers[Int($0)].id }))
        }
        return RebalancePlan(
            changes: changes, replicaMoves: replicaMoves, leaderChanges: leaderChanges,
            blocked: reasons(layout, slots, blocked), before: spread(layout, layout.slots), after: spread(layout, slots)
        )
    }

    /// Every replica that cannot leave says why (redpanda 12030: a decommission that hung and said nothing).
    private static func reasons(_ layout: ClusterLayout, _ slots: [UInt16], _ blocked: [Int]) -> [RebalancePlan.Blocked]
    {
        var partition = 0
        return blocked.sorted().map { slot in
            while layout.range(of: partition).upperBound <= slot { partition += 1 }
            let held = slots[layout.range(of: partition)]
            let isAnyFree = layout.brokers.indices.contains {
                layout.brokers[$0].role == .open && !held.contains(UInt16($0))
            }
            return RebalancePlan.Blocked(
                partition: partition, broker: layout.brokers[Int(slots[slot])].id,
                reason: isAnyFree
                    ? "every broker that could take it shares a rack with another replica"
                    : "every broker that may be given replicas holds one already")
        }
    }

    private static func spread(_ layout: ClusterLayout, _ slots: [UInt16]) -> RebalancePlan.Spread {
        var loads = layout.brokers.map { BrokerLoad(id: $0.id, replicas: 0, leaders: 0) }
        for place in slots { loads[Int(place)].replicas += 1 }
        for partition in 0..<layout.partitionCount {
            let range = layout.range(of: partition)
            guard !range.isEmpty else { continue }
            loads[Int(slots[range.lowerBound])].leaders += 1
        }
        return RebalancePlan.Spread(
            loads: loads, imbalance: deviation(layout, loads.map(\.replicas)),
            leaderImbalance: deviation(layout, loads.map(\.leaders)))
    }

    private static func deviation(_ layout: ClusterLayout, _ counts: [Int]) -> Double {
        var relative: [Double] = []
        for (place, broker) in layout.brokers.enumerated() where broker.role == .open {
            relative.append(Double(counts[place]) / Double(max(broker.capacity, 1)))
        }
        guard !relative.isEmpty else { return 0 }
        let mean = relative.reduce(0, +) / Double(relative.count)
        guard mean > 0 else { return 0 }
        let variance = relative.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(relative.count)
        return variance.squareRoot() / mean
    }
}
