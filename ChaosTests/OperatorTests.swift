import Foundation
import MetadataClient
import MetadataModel
import Testing

/// What an operator does to running nodes without a restart, and what their logs say.
@Suite("Operators", .serialized)
struct OperatorTests {
    private func lines(_ cluster: LocalCluster, of id: Int) async throws -> [[String: Any]] {
        try await cluster.logText(of: id).split(separator: "\n").map { line in
            try #require(
                try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "no JSON object: \(line)")
        }
    }

    @Test(
        "every line of a real node is one JSON object with the known fields, and shutting down loses none",
        .timeLimit(.minutes(2)))
    func logLines() async throws {
        let cluster = try await LocalCluster.started(settings: ["logging.format=json"])
        let client = await cluster.client()
        let broker = BrokerSession(
            client: client, id: BrokerID(7), endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9_092)],
            heartbeatInterval: .seconds(1))
        for await event in broker.events {
            if case .unfenced = event { break }
        }
        for number in 0..<300 {
            _ = try await client.alterConfigs(
                .cluster, changes: [ConfigChange(name: "user.n", value: "\(number)")])
        }
        await broker.close()
        await client.close()
        for id in 1...3 { #expect(try await cluster.terminate(id) == 0) }
        var components: Set<String> = []
        var brokers = 0
        for id in 1...3 {
            let lines = try await lines(cluster, of: id)
            for line in lines {
                let time = try #require(line["timestamp"] as? String)
                #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/) != nil)
                let level = try #require(line["level"] as? String)
                #expect(["trace", "debug", "info", "notice", "warning", "error", "critical"].contains(level))
                #expect((line["message"] as? String)?.isEmpty == false)
                #expect(line["node_id"] as? String == "\(id)")
                components.insert(try #require(line["component"] as? String))
                if line["broker_id"] as? String == "7" { brokers += 1 }
            }
            #expect(lines.contains { $0["message"] as? String == "stopping" })
            // Three hundred writes, and none of them has a line.
            #expect(lines.count < 150, "\(lines.count) lines")
        }
        #expect(components.isSuperset(of: ["node", "raft", "registry", "peers"]), "\(components)")
        #expect(brokers > 0)
        await cluster.stop()
    }

    @Test(
        "log levels and settings change while a node runs, and a mistake in the file changes nothing",
        .timeLimit(.minutes(2)))
    func reload() async throws {
        let cluster = try await LocalCluster.started()
        let level = try await cluster.metactl(["log-level", "1", "debug", "--component", "clients"])
        #expect(level.status == 0, "\(level.errors)")
        try await cluster.waitForLog(of: 1, "[audit] audit")
        let unknown = try await cluster.metactl(["log-level", "1", "debug", "--component", "client"])
        #expect(unknown.status == 1 && unknown.errors.contains("audit, clients, "))

        let file = cluster.folder.appendingPathComponent("cluster.yaml")
        let before = try String(contentsOf: file, encoding: .utf8)
        try (before + "limits:\n  client_connections_max: 77\nraft:\n  tick: 21ms\n")
            .write(to: file, atomically: true, encoding: .utf8)
        let reload = try await cluster.metactl(["reload", "2"])
        #expect(reload.status == 0)
        #expect(
            reload.output.contains(
                "changed limits.client_connections_max: 10000 -> 77; needs a restart: raft.tick: 20ms -> 21ms"))
        try (before + "limits:\n  client_connections_max: none\n").write(to: file, atomically: true, encoding: .utf8)
        let mistake = try await cluster.metactl(["reload", "2"])
        #expect(mistake.status == 1 && mistake.errors.contains("limits.client_connections_max = none"))
        try before.write(to: file, atomically: true, encoding: .utf8)
        await cluster.hangUp(2)
        try await cluster.waitForLog(of: 2, "changed limits.client_connections_max: 77 -> 10000")
        try await cluster.waitUntilHealthy()
        await cluster.stop()
    }
}
