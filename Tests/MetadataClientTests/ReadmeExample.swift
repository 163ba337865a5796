import MetadataClient
import MetadataModel

/// The example of README.md, so that it compiles. A test of `TidyTests` compares the two.
///
/// Needs a running cluster and goes on until it is cancelled; nothing calls it.
func readmeExample() async throws {
    let client = MetadataClient(.init(endpoints: [.init(host: "127.0.0.1", port: 7401)]))
    let listener = Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9092)
    let broker = BrokerSession(client: client, id: BrokerID(1), endpoints: [listener])
    for await event in broker.events where event == .unfenced { break }

    let topic = try await client.createTopic(name: "orders", partitions: 6, replicationFactor: 1)
    for try await event in client.watch(after: topic.version) {
        guard case .changes(let change) = event else { continue }
        print("version \(change.version): \(change.changes.count) changes; may lead: \(broker.mayLead)")
    }
}
