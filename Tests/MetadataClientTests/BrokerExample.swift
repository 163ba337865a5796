import MetadataClient
import MetadataModel

/// The example of docs/client.md, so that it compiles. A test of `TidyTests` compares the two.
///
/// Needs a running cluster and goes on until the session ends; nothing calls it.
func brokerExample(_ log: some ReplicaLog) async throws {
    let client = MetadataClient(.init(endpoints: [.init(host: "127.0.0.1", port: 7401)]))
    let cache = MetadataCache(client: client)
    let listener = Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9092)
    let session = BrokerSession(client: client, id: BrokerID(1), endpoints: [listener], cache: cache)

    for await assignment in session.assignments {
        switch assignment {
        case .becomeLeader(let partition, _),
            .update(let partition, _) where partition.leader == BrokerID(1):
            log.lead(partition.key, epoch: partition.leaderEpoch, replicas: partition.replicas)
            let inSync = partition.replicas.filter { log.hasCaughtUp($0, partition.key) }
            guard Set(inSync) != Set(partition.isr) else { continue }
            // Reports of many partitions travel together; do not wait for one before the next.
            Task {
                let report = Command.ISRReport(
                    partition: partition.key, leaderEpoch: partition.leaderEpoch,
                    partitionEpoch: partition.partitionEpoch, isr: inSync)
                print("\(partition.key): \(await session.reportISR(report))")
            }
        case .becomeFollower(let partition, _), .update(let partition, _):
            let leader = partition.leader.flatMap { cache.broker($0)?.endpoints.first }
            log.follow(partition.key, epoch: partition.leaderEpoch, from: leader)
        case .stopReplica(let key, let reason):
            log.stop(key, deletes: reason == .deleted)
        }
    }
}

/// What the example needs of a broker's storage.
protocol ReplicaLog: Sendable {
    func lead(_ key: PartitionKey, epoch: Int32, replicas: [BrokerID])
    func follow(_ key: PartitionKey, epoch: Int32, from leader: Endpoint?)
    func stop(_ key: PartitionKey, deletes: Bool)
    func hasCaughtUp(_ broker: BrokerID, _ key: PartitionKey) -> Bool
}
