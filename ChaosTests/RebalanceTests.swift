import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Rebalances and drains while leaders die.
@Suite("Rebalances", .serialized)
struct RebalanceTests {
    private static let movesMax = 3

    @Test(
        "a rebalance and a drain go on under the next leader, within their limits, and come to their end",
        .timeLimit(.minutes(4)))
    func leaderKilled() async throws {
        let cluster = try await LocalCluster.started(
            settings: ["coordinator.rebalance.moves_max=\(Self.movesMax)", "raft.election_timeout=1s"])
        let client = await cluster.client()
        let sessions = try await brokers(1...4, client)
        let one = [BrokerID(1), BrokerID(2)]
        _ = try await client.createTopic(
            name: "orders", partitions: 0, replicationFactor: 0, assignment: Array(repeating: one, count: 24))
        try await waitForFeatureLevel(client)
        let follower = CopyingBrokers(client: client)
        let copying = Task { await follower.run() }

        let started = try await cluster.metactl(["rebalance", "run"])
        #expect(started.status == 0 && started.output.contains("\"rebalance\""), "\(started)")
        let id = try #require(try await client.rebalance()).id
        try await wait("some moves") { await follower.completed >= 3 }
        let killed = try await cluster.leader()
        try await cluster.kill(killed)
        let running = try #require(try await client.rebalance())
        #expect(running.id == id && running.isRunning, "the leader was killed too late: \(running)")
        // Two of three nodes are left, so nothing is begun before the third is back.
        try await wait("a pause with its reason") {
            let coordinator = await cluster.statuses().compactMap(\.coordinator).first
            return coordinator?.detail == "the quorum could not lose another member"
        }
        try await cluster.start(killed)
        try await wait("the end of the rebalance") { try await client.rebalance()?.isRunning == false }
        let ended = try #require(try await client.rebalance())
        guard case .ended(.finished, _, "") = ended.state, ended.id == id else {
            Issue.record("\(ended)")
            return
        }
        var counts = try await replicas(client)
        #expect(counts.values.sorted() == [12, 12, 12, 12], "\(counts)")

        try await client.drainBroker(BrokerID(3))
        try await wait("some more moves") { try await replicas(client)[BrokerID(3)] ?? 0 < 10 }
        let next = try await cluster.leader()
        try await cluster.kill(next)
        try await cluster.start(next)
        try await wait("an empty broker") { try await replicas(client)[BrokerID(3)] == nil }
        let status = try await cluster.metactl(["brokers", "status", "3"])
        #expect(status.output.contains("\"replicas\" : 0"), "\(status)")
        counts = try await replicas(client)
        #expect(counts.values.reduce(0, +) == 48)

        copying.cancel()
        await copying.value
        let most = await follower.most
        #expect(most <= Self.movesMax, "\(most) moves at once")
        for session in sessions { await session.close() }
        await client.close()
        try await cluster.waitUntilHealthy()
        await cluster.stop()
    }

    private func brokers(_ ids: ClosedRange<Int32>, _ client: MetadataClient) async throws -> [BrokerSession] {
        var sessions: [BrokerSession] = []
        for id in ids {
            let session = BrokerSession(
                client: client, id: BrokerID(id),
                endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: UInt16(9_000 + id))],
                heartbeatInterval: .seconds(1))
            for await event in session.events {
                if case .unfenced = event { break }
            }
            sessions.append(session)
        }
        return sessions
    }

    private func replicas(_ client: MetadataClient) async throws -> [BrokerID: Int] {
        var counts: [BrokerID: Int] = [:]
        for partition in try await client.partitions(of: .name("orders")) {
            for broker in partition.replicas { counts[broker, default: 0] += 1 }
        }
        return counts
    }

    private func waitForFeatureLevel(_ client: MetadataClient) async throws {
        try await wait("the feature level") {
            try await client.summary().featureLevel >= Limits.featureLevelOfRebalances
        }
    }

    private func wait(_ what: String, until holds: () async throws -> Bool) async throws {
        for _ in 0..<600 {
            if try await holds() { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw LocalCluster.HarnessFailure(description: "\(what) did not come within a minute")
    }
}

/// The partition leaders of all brokers together: a replica that was added is in sync a moment later, and they say so.
private actor CopyingBrokers {
    private let client: MetadataClient
    /// Reports that were taken.
    private(set) var completed = 0
    /// Partitions under way at once.
    private(set) var most = 0

    init(client: MetadataClient) { self.client = client }

    func run() async {
        while !Task.isCancelled {
            do {
                try await copy()
                try await Task.sleep(for: .milliseconds(100))
            } catch {
                // No leader for a moment, or the end.
                continue
            }
        }
    }

    private func copy() async throws {
        let page = try await client.partitions(.reassigning)
        most = max(most, page.items.count)
        for partition in page.items {
            guard let leader = partition.leader, let broker = try await client.broker(leader) else { continue }
            let report = Command.ISRReport(
                partition: partition.key, leaderEpoch: partition.leaderEpoch,
                partitionEpoch: partition.partitionEpoch,
                isr: partition.isr + partition.adding.filter { !partition.isr.contains($0) })
            let results = try await client.alterPartitions(
                Command.AlterPartitions(broker: leader, brokerEpoch: broker.epoch, reports: [report]))
            completed += results.count { if case .done = $0 { true } else { false } }
        }
    }
}
