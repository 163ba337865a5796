import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Real nodes, and simulated brokers of the client library that die and come back, while nodes do the same.
@Suite("Brokers", .serialized)
struct BrokerTests {
    private static let timeout = Duration.seconds(3)
    /// What leaders may take behind the timeout of a dead broker, counted from its last heartbeat, while the quorum has a leader.
    private static let election = Duration.seconds(1)
    /// For a machine that does much else beside. On one that does not the whole takes 0.1 s behind the timeout.
    private static let slack = Duration.seconds(2)
    private static let settings = [
        "resilience.timeouts.heartbeat_interval=1s", "resilience.timeouts.heartbeat_timeout=3s",
    ]
    private static let ids = Int32(1)...9
    /// Nothing here may take longer, however slow the machine is.
    private static let patience = Duration.seconds(60)

    /// A cluster, brokers 1 to 9 in three racks, a topic of 60 partitions with three replicas each, and a cache of it all.
    private func withBrokers(
        _ body: (LocalCluster, SimulatedBrokers, MetadataClient, MetadataCache) async throws -> Void
    ) async throws {
        let cluster = try await LocalCluster.started(settings: BrokerTests.settings)
        let client = await cluster.client()
        let brokers = try SimulatedBrokers(
            ["--count", "9", "--racks", "3", "--heartbeat-interval", "500ms", "--sync-delay", "200ms"],
            endpoints: await cluster.endpoints, folder: cluster.folder)
        let result: Result<Void, any Error>
        do {
            let cache = MetadataCache(client: client)
            try await wait(for: "nine active brokers", cache) { image in
                image.brokers.count { $0.state == .active } == 9
            }
            _ = try await client.createTopic(name: "orders", partitions: 60, replicationFactor: 3)
            try await waitUntilInSync(cache)
            result = .success(try await body(cluster, brokers, client, cache))
        } catch {
            print("the brokers printed at last:\n\(brokers.tail)")
            for id in 1...3 { print("node \(id):\n\(try await cluster.logText(of: id).suffix(2_000))") }
            result = .failure(error)
        }
        brokers.end()
        await client.close()
        await cluster.stop()
        try result.get()
    }

    /// Looks at every image that it can until the condition holds; each has to keep the rules.
    @discardableResult
    private func wait(
        for what: String, _ cache: MetadataCache, _ condition: (MetadataImage) -> Bool
    ) async throws -> Duration {
        let begun = ContinuousClock.now
        while true {
            let image = cache.image
            judge(image)
            if condition(image) { return begun.duration(to: .now) }
            guard begun.duration(to: .now) < BrokerTests.patience else {
                throw LocalCluster.HarnessFailure(
                    description: "no \(what) within \(BrokerTests.patience), at version \(image.version)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private func waitUntilInSync(_ cache: MetadataCache) async throws {
        try await wait(for: "60 partitions in sync", cache) { image in
            var inSync = 0
            image.forEachPartition { if $0.leader != nil, $0.isr.count == 3 { inSync += 1 } }
            return inSync == 60
        }
    }

    /// What holds at every version, whatever happens.
    private func judge(_ image: MetadataImage) {
        image.forEachPartition { partition in
            let name = "partition \(partition.key.index) at version \(image.version)"
            #expect(Set(partition.replicas).count == partition.replicas.count, "\(name): two replicas on one broker")
            #expect(!partition.isr.isEmpty && Set(partition.isr).isSubset(of: partition.replicas), "\(name): the ISR")
            guard let leader = partition.leader else { return }
            #expect(partition.isr.contains(leader), "\(name): its leader \(leader) is not in sync")
            let state = image.broker(leader)?.state
            #expect(state == .active || state == .fencing, "\(name): its leader \(leader) is fenced")
        }
    }

    /// Until the brokers lead nothing and every partition has a leader.
    private func waitUntilMoved(off ids: [Int32], _ cache: MetadataCache) async throws -> Duration {
        try await wait(for: "leaders in place of \(ids)", cache) { image in
            var isMoved = true
            image.forEachPartition { partition in
                guard let leader = partition.leader else {
                    isMoved = false
                    return
                }
                if ids.contains(leader.rawValue) { isMoved = false }
            }
            return isMoved
        }
    }

    private func leads(_ id: Int32, _ image: MetadataImage) -> Int {
        var count = 0
        image.forEachPartition { if $0.leader == BrokerID(id) { count += 1 } }
        return count
    }

    @Test("a dead broker's partitions have new leaders after its timeout, and nobody moves those of a live one")
    func killed() async throws {
        try await withBrokers { _, brokers, _, cache in
            #expect(leads(4, cache.image) > 0, "broker 4 leads nothing: the test would see nothing")
            try brokers.order("kill 4")
            let time = try await waitUntilMoved(off: [4], cache)
            // Its last heartbeat was up to 500 ms before it died.
            print("all partitions of a killed broker had leaders after \(time); its timeout is \(BrokerTests.timeout)")
            #expect(time > BrokerTests.timeout - .milliseconds(800), "moved before the timeout: by chance?")
            #expect(time <= BrokerTests.timeout + BrokerTests.election + BrokerTests.slack, "took \(time)")
            for id in BrokerTests.ids where id != 4 {
                #expect(cache.broker(BrokerID(id))?.state == .active, "broker \(id) lives and was fenced")
            }
            try brokers.order("revive 4")
            try await waitUntilInSync(cache)
            #expect(brokers.stop() == 0, "\(brokers.tail)")
            try await wait(for: "brokers that have all left in order", cache) { image in
                !image.brokers.contains { $0.state == .active }
            }
        }
    }

    @Test("brokers die while the leader of the quorum is killed and while it is paused; everything comes back in sync")
    func leaderFails() async throws {
        try await withBrokers { cluster, brokers, client, cache in
            let killed = try await cluster.leader()
            try await cluster.kill(killed)
            try brokers.order("kill 2")
            let afterKill = try await waitUntilMoved(off: [2], cache)
            print("with the leader of the quorum killed: \(afterKill)")
            try await cluster.start(killed)
            _ = try await waitUntilBack(cluster)

            let paused = try await cluster.leader()
            await cluster.pause(paused)
            try brokers.order("kill 5")
            try brokers.order("kill 7")
            let afterPause: Duration
            do {
                afterPause = try await waitUntilMoved(off: [5, 7], cache)
            } catch {
                await cluster.resume(paused)
                throw error
            }
            print("with the leader of the quorum paused: \(afterPause)")
            await cluster.resume(paused)
            let nodes = try await waitUntilBack(cluster)
            #expect(nodes.contains { $0.nodeID != UInt64(paused) && $0.role == "leader" }, "the pause elected nobody")

            try brokers.order("revive all")
            try await waitUntilInSync(cache)
            let summary = try await client.summary()
            try await cache.reached(summary.version, timeout: BrokerTests.patience)
            // What the cache made of all that is what the cluster has.
            let held = try await client.partitions(of: .name("orders"))
            let topic = try #require(cache.topic(named: "orders"))
            let cached = cache.partitions(of: topic.id)
            if cache.version == summary.version { #expect(cached == held) }
            try await cluster.waitUntilHealthy()
        }
    }
}
