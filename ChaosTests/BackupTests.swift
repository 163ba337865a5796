import Foundation
import MetadataClient
import MetadataModel
import Testing

/// What docs/operations/backup.md tells operators to do.
@Suite("Backups", .serialized)
struct BackupTests {
    @Test("a cold copy becomes a cluster again", .timeLimit(.minutes(3)))
    func coldCopy() async throws {
        try await withWritableCluster { cluster, client in
            for number in 1...20 {
                _ = try await client.createTopic(name: "kept-\(number)", partitions: 2, replicationFactor: 1)
            }
            let follower = try await cluster.leader() % 3 + 1
            let copy = cluster.folder.appendingPathComponent("cold-copy")
            #expect(try await cluster.terminate(follower) == 0)
            try FileManager.default.copyItem(at: cluster.directory(of: follower), to: copy)
            try await cluster.start(follower)
            _ = try await client.createTopic(name: "later", partitions: 1, replicationFactor: 1)
            _ = try await waitUntilBack(cluster)
            let reached = try await client.summary().version

            for id in 1...3 {
                try await cluster.kill(id)
                try FileManager.default.removeItem(at: cluster.directory(of: id))
            }
            let directory = cluster.directory(of: follower)
            try FileManager.default.copyItem(at: copy, to: directory)
            let recovery = ["recover", directory.path, "--new-cluster-id", "chaos-2", "--yes"]
            #expect(try cluster.metactlOffline(recovery) == 0)
            try await cluster.start(follower, ownSettings: ["cluster.id=chaos-2"])
            var options = MetadataClient.Options(endpoints: [await cluster.endpoints[follower - 1]])
            options.clusterID = "chaos-2"
            let after = MetadataClient(options)
            let names = try await after.topics(timeout: .seconds(20)).map(\.name)
            #expect(Set(names) == Set((1...20).map { "kept-\($0)" }))
            #expect(
                try await after.summary().version > reached,
                "caches of the old cluster would take it for what they know")
            await after.close()
        }
    }
}
