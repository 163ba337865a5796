import Coordination
import MetadataClient
import MetadataModel

/// Where everything is, read page by page: what a plan is made from.
///
/// The pages show several moments, and what a plan asks for may be overtaken before it is carried out; every step of it is
/// checked again then. So planning is no work for the nodes: they serve 1,000 pages of a million partitions, from any
/// number of nodes, and the computing is done here.
struct ClusterSurvey {
    var brokers: [Broker]
    var layout: ClusterLayout
    /// The partitions in the order of the layout.
    var keys: [PartitionKey]
    /// Those with a replica on the broker that was asked for.
    var held: [Partition] = []

    /// - Parameters:
    ///   - excluded: brokers that are given nothing, whatever their state.
    ///   - holder: whose partitions to keep.
    init(_ client: MetadataClient, excluded: Set<BrokerID> = [], holder: BrokerID? = nil) async throws {
        brokers = try await client.brokers()
        let known = Set(brokers.map(\.id))
        if let unknown = excluded.first(where: { !known.contains($0) }) {
            throw CommandFailure.notFound(
                code: Refusal.Reason.brokerNotFound.rawValue, "broker \(unknown) is not registered")
        }
        var layout = ClusterLayout(brokers: brokers.map { ClusterLayout.Broker($0, excluded: excluded) })
        var keys: [PartitionKey] = []
        while true {
            let page = try await client.partitions(.all, after: keys.last)
            for partition in page.items {
                // What is on its way counts as done.
                let replicas = partition.replicas.filter { !partition.removing.contains($0) }
                guard layout.append(replicas: replicas, beginsTopic: keys.last?.topic != partition.key.topic) else {
                    throw CommandFailure.unavailable(
                        code: "cluster_changed", "a broker was registered or removed while the cluster was being read")
                }
                keys.append(partition.key)
                if let holder, partition.replicas.contains(holder) { held.append(partition) }
            }
            guard page.hasMore, !page.items.isEmpty else { break }
        }
        self.layout = layout
        self.keys = keys
    }
}
