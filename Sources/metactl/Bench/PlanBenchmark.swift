import Coordination
import MetadataModel
import RaftCore

/// Clusters of a given size to plan for, the same for the same size.
struct PlanBenchmark {
    var brokers: Int
    var racks: Int
    var partitions: Int
    var replicationFactor: Int

    private static let partitionsPerTopic = 100

    /// Replicas lie where chance put them: everything is to do.
    func scattered() -> ClusterLayout {
        var random = SeededGenerator(seed: 7)
        var layout = empty(members())
        for partition in 0..<partitions {
            var chosen: [BrokerID] = []
            while chosen.count < replicationFactor {
                let broker = BrokerID(Int32.random(in: 0..<Int32(brokers), using: &random))
                if !chosen.contains(broker) { chosen.append(broker) }
            }
            layout.append(replicas: chosen, beginsTopic: partition % PlanBenchmark.partitionsPerTopic == 0)
        }
        return layout
    }

    /// The same cluster with something else about its brokers: a change that a plan reacts to.
    func changed(
        _ layout: ClusterLayout, _ plan: RebalancePlan, _ change: (inout [ClusterLayout.Broker]) -> Void
    ) -> ClusterLayout {
        var members = layout.brokers
        change(&members)
        var changed = empty(members)
        var next = 0
        for partition in 0..<layout.partitionCount {
            var replicas = layout.replicas(of: partition)
            if next < plan.changes.count, plan.changes[next].partition == partition {
                replicas = plan.changes[next].replicas
                next += 1
            }
            changed.append(replicas: replicas, beginsTopic: partition % PlanBenchmark.partitionsPerTopic == 0)
        }
        return changed
    }

    func rack(of broker: Int) -> String { racks == 0 ? "" : "rack-\(broker % racks)" }

    private func members() -> [ClusterLayout.Broker] {
        (0..<brokers).map { .init(id: BrokerID(Int32($0)), rack: rack(of: $0), role: .open) }
    }

    private func empty(_ members: [ClusterLayout.Broker]) -> ClusterLayout {
        var layout = ClusterLayout(brokers: members)
        layout.reserve(partitions: partitions, replicas: partitions * replicationFactor)
        return layout
    }
}
