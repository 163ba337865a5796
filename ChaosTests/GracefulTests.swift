import Foundation
import MetadataClient
import MetadataModel
import Testing

/// What an operator does to a healthy cluster, under writers, readers and watches.
@Suite("Graceful restarts", .serialized)
struct GracefulTests {
    @Test(
        "each node is restarted in turn, three times, and no request of the client library fails",
        .timeLimit(.minutes(4)))
    func rollingRestart() async throws {
        let cluster = try await LocalCluster.started()
        let client = await cluster.client()
        let broker = BrokerSession(
            client: client, id: BrokerID(1), endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9_092)],
            heartbeatInterval: .seconds(1))
        for await event in broker.events {
            if case .unfenced = event { break }
        }
        let writers = (1...4).map { TopicWriter(client: client, prefix: "writer\($0)") }
        let reader = TopicReader(client: client)
        let watcher = TopicWatcher(client: client, after: try await client.summary().version)
        let watching = Task { await watcher.run() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in writers { group.addTask { await writer.run() } }
            group.addTask { await reader.run() }
            do {
                var led = 0
                for _ in 1...3 {
                    // The leader last, so that it is stopped as leader each time.
                    let leader = try await cluster.leader()
                    for id in (1...3).filter({ $0 != leader }) + [leader] {
                        if try await cluster.leader() == id { led += 1 }
                        #expect(try await cluster.terminate(id) == 0)
                        try await cluster.start(id)
                        try await waitUntilBack(cluster)
                    }
                }
                #expect(led >= 3, "a leader was stopped \(led) times")
            } catch {
                for writer in writers { _ = writer.stop() }
                reader.stop()
                throw error
            }
            for writer in writers { _ = writer.stop() }
            reader.stop()
            try await group.waitForAll()
        }
        var acknowledged = 0
        for writer in writers {
            let book = writer.stop()
            acknowledged += book.acknowledged.count
            #expect(book.failed.isEmpty && book.unknown.isEmpty, "failed: \(book.failed), unknown: \(book.unknown)")
            #expect(book.refusals.isEmpty)
            print("longest gap of a writer: \(book.longestGap)")
        }
        #expect(acknowledged > 200)
        #expect(reader.failures.isEmpty, "reads failed: \(reader.failures.prefix(3))")
        let written = writers.reduce(into: Set<String>()) { $0.formUnion($1.stop().acknowledged) }
        for _ in 1...200 where !watcher.heard.isSuperset(of: written) { try await Task.sleep(for: .milliseconds(50)) }
        watching.cancel()
        await watching.value
        #expect(watcher.heard == written, "the watch heard of \(watcher.heard.count) of \(written.count) topics")
        #expect(watcher.failures.isEmpty, "the watch: \(watcher.failures.prefix(3))")
        await broker.close()
        await client.close()
        await cluster.stop()
    }

    private func waitUntilBack(_ cluster: LocalCluster) async throws {
        for _ in 0..<600 {
            let seen = await cluster.statuses()
            if seen.count == 3, seen.allSatisfy(\.healthy) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw LocalCluster.HarnessFailure(description: "a restarted node did not come back")
    }
}
