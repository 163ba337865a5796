import Foundation
import MetadataClient
import MetadataModel
import Testing

/// A follower that needs a snapshot, and a connection that breaks in the middle of it.
@Suite("Snapshot transfers", .serialized)
struct SnapshotTests {
    @Test(
        "a transfer whose connection is cut goes on where it stopped, and writers do not notice",
        .timeLimit(.minutes(4)))
    func cutConnection() async throws {
        let network = ProxyNetwork()
        // Slow and in small pieces, so that there is a middle in which to cut.
        let cluster = try await LocalCluster.started(
            settings: [
                "raft.log_keep_entries=400", "raft.snapshot_bytes_per_second=64KiB", "raft.snapshot_chunk_bytes=4KiB",
                "raft.election_timeout=1s",
            ], network: network)
        let client = await cluster.client()
        do {
            try await cutConnection(cluster, client, network)
        } catch {
            for id in 1...3 {
                print("node \(id) printed at last:\n\(try await cluster.logText(of: id).suffix(3_000))")
            }
            await client.close()
            await cluster.stop()
            throw error
        }
        await client.close()
        await cluster.stop()
    }

    private func cutConnection(
        _ cluster: LocalCluster, _ client: MetadataClient, _ network: ProxyNetwork
    ) async throws {
        let broker = BrokerSession(
            client: client, id: BrokerID(1), endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9_092)],
            heartbeatInterval: .seconds(1))
        for await event in broker.events {
            if case .unfenced = event { break }
        }
        let leader = try await cluster.leader()
        let follower = leader % 3 + 1
        try await cluster.kill(follower)
        for number in 1...300 {
            _ = try await client.createTopic(name: "filled-\(number)", partitions: 200, replicationFactor: 1)
        }
        // More than the log keeps, so that the follower needs a snapshot; the writer below writes less than what is then kept.
        for number in 1...800 {
            let change = ConfigChange(name: "user.filled", value: "\(number)")
            _ = try await client.alterConfigs(.cluster, changes: [change])
        }
        let before = try await network.bytes(to: follower)
        try await cluster.start(follower)
        let writer = TopicWriter(client: client, prefix: "during", pace: .milliseconds(20))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await writer.run() }
            do {
                try await wait("the middle of the transfer") {
                    try await network.bytes(to: follower) - before > 80_000
                }
                let links = Link.all([1, 2, 3]).filter { $0.to == follower }
                try await network.set(.refused, on: links)
                try await Task.sleep(for: .milliseconds(1_500))
                #expect(try !logs("snapshot installed", await cluster.logText(of: follower)), "it was over too soon")
                try await network.set(.open, on: links)
                try await wait("the snapshot") {
                    try logs("snapshot installed", await cluster.logText(of: follower))
                }
            } catch {
                _ = writer.stop()
                throw error
            }
            _ = writer.stop()
            try await group.waitForAll()
        }
        try await cluster.waitUntilHealthy()

        // Up to the end of the first transfer: writers may have outrun the log that was kept for it, and then there is another.
        let lines = try await cluster.logText(of: leader).split(separator: "\n")
        let end = try #require(lines.firstIndex { $0.contains("snapshot transfer ended") })
        let story = lines[...end]
        let resumed = try #require(
            story.first { $0.contains("snapshot transfer resumed") }.flatMap { number("offset", in: $0) })
        #expect(resumed > 0, "it began anew")
        let (bytes, sent) = (
            try #require(number("bytes", in: lines[end])), try #require(number("sent_bytes", in: lines[end]))
        )
        #expect(bytes > 120_000, "too small for a middle: \(bytes)")
        // What was under way at the cut leaves twice, and no more than that.
        #expect(sent <= bytes + 3 * 4_096, "\(sent) bytes were sent for a file of \(bytes)")
        #expect(story.count { $0.contains("copying the state for a snapshot") } == 1, "it was copied anew")
        let book = writer.stop()
        #expect(book.acknowledged.count > 50)
        print("resumed at \(resumed) of \(bytes), sent \(sent); writer: longest gap \(book.longestGap)")
        #expect(book.longestGap < .seconds(2), "a write took as long as an election")
        await broker.close()
    }

    // MARK: Helpers

    private func wait(_ what: String, until isTrue: () async throws -> Bool) async throws {
        for _ in 0..<1_200 {
            if try await isTrue() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw LocalCluster.HarnessFailure(description: "no sign of \(what) for 60 s")
    }

    private func logs(_ text: String, _ log: String) -> Bool { log.contains(text) }

    /// The number behind `key=`.
    private func number(_ key: String, in line: Substring) -> Int? {
        for word in line.split(whereSeparator: { $0 == " " || $0 == "," }) where word.hasPrefix(key + "=") {
            return Int(word.dropFirst(key.count + 1).filter(\.isNumber))
        }
        return nil
    }
}
