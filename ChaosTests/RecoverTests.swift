import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Two of three nodes are lost for good, and the third becomes a new cluster.
@Suite("A lost quorum", .serialized)
struct RecoverTests {
    @Test(
        "the survivor of a lost quorum goes on as a new cluster, and the old nodes are refused", .timeLimit(.minutes(3))
    )
    func survivor() async throws {
        let cluster = try await LocalCluster.started()
        let old = await cluster.client()
        let broker = BrokerSession(
            client: old, id: BrokerID(1), endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9_092)],
            heartbeatInterval: .seconds(1))
        for await event in broker.events {
            if case .unfenced = event { break }
        }
        for number in 1...50 {
            _ = try await old.createTopic(name: "kept-\(number)", partitions: 3, replicationFactor: 1)
        }
        let before = try await old.summary()
        let leaderEpoch = try #require(try await old.partitions(of: .name("kept-1")).first).leaderEpoch
        let nodes = try await cluster.waitUntilHealthy()
        await broker.close()
        for id in 1...3 { try await cluster.kill(id) }

        let data = cluster.directory(of: 1).path
        #expect(try cluster.metactlOffline(["recover", data, "--new-cluster-id", "chaos-2", "--dry-run"]) == 0)
        #expect(try cluster.metactlOffline(["recover", data, "--new-cluster-id", "chaos-2"]) == 2, "it did not ask")
        #expect(try cluster.metactlOffline(["recover", data, "--new-cluster-id", "chaos-2", "--yes"]) == 0)
        #expect(try cluster.metactlOffline(["recover", data, "--new-cluster-id", "chaos-2", "--yes"]) == 2)
        try await cluster.start(1, ownSettings: ["cluster.id=chaos-2"])

        // A client that knows the old cluster is told so, clearly; it still looks for the other two.
        let refused = await #expect(throws: MetadataError.self) { try await old.summary(timeout: .seconds(3)) }
        #expect(
            refused?.description.contains("belongs to cluster chaos-2, not to chaos") == true,
            "it was told \(String(describing: refused))")
        await old.close()

        let endpoint = try #require(await cluster.endpoints.first)
        var options = MetadataClient.Options(endpoints: [endpoint])
        options.clusterID = "chaos-2"
        let client = MetadataClient(options)
        let after = try await client.summary()
        #expect(after.totals.topics == 50 && after.totals.partitions == 150)
        #expect(after.version > before.version)
        #expect(try await client.topics().count == 50)
        let partition = try #require(try await client.partitions(of: .name("kept-1")).first)
        #expect(partition.leaderEpoch > leaderEpoch, "an old leader's epoch fits again")
        // A watch from a version of the old cluster is told to begin anew.
        var watch = client.watch(after: before.version).makeAsyncIterator()
        if case .restart? = try await watch.next() {
        } else {
            Issue.record("the old version was taken for one of this cluster")
        }

        let again = BrokerSession(
            client: client, id: BrokerID(1), endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9_092)],
            heartbeatInterval: .seconds(1))
        for await event in again.events {
            if case .unfenced = event { break }
        }
        _ = try await client.createTopic(name: "new-1", partitions: 1, replicationFactor: 1)

        // The old nodes turn up; they have a quorum of the old cluster and none of this one.
        for id in 2...3 { try await cluster.start(id) }
        var log = ""
        for _ in 0..<400 {
            log = try await cluster.logText(of: 1)
            if log.contains("belongs to cluster chaos,") { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(log.contains("belongs to cluster chaos, this is chaos-2"), "nobody refused the old nodes by name")
        _ = try await client.createTopic(name: "new-2", partitions: 1, replicationFactor: 1)
        #expect(try await client.topics().count == 52)
        let status = await client.nodeStatuses(timeout: .seconds(2))
        #expect(status.count == 1 && nodes.count == 3)

        // A restart of the recovered node finds everything again.
        let settings = ["cluster.id=chaos-2"]
        #expect(try await cluster.terminate(1) == 0)
        try await cluster.start(1, ownSettings: settings)
        #expect(try await client.topics().count == 52)

        // The two are made anew and join: three voters again, as the procedure says.
        for id in 2...3 { try await cluster.kill(id) }
        for id in 2...3 {
            try await cluster.prepareToJoin(id, ownSettings: settings)
            try await cluster.start(id, ownSettings: settings)
            for _ in 0..<400 where await !cluster.statuses().contains(where: { $0.nodeID == UInt64(id) }) {
                try await Task.sleep(for: .milliseconds(50))
            }
            let target = await cluster.endpoints[id - 1].description
            let added = try await cluster.metactl(["members", "add", target, "--wait", "--timeout", "20s"])
            #expect(added.status == 0, "\(added.errors)")
        }
        try await cluster.waitUntilHealthy()
        // The node that was recovered is not needed any more, by clients that were told of the others.
        options = MetadataClient.Options(endpoints: await cluster.endpoints)
        options.clusterID = "chaos-2"
        let last = MetadataClient(options)
        try await cluster.kill(1)
        #expect(try await last.topics(timeout: .seconds(20)).count == 52)
        _ = try await last.createTopic(name: "new-3", partitions: 1, replicationFactor: 1, timeout: .seconds(20))
        await again.close()
        await client.close()
        await last.close()
        await cluster.stop()
    }
}
