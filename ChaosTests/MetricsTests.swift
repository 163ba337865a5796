import Foundation
import MetadataClient
import MetadataModel
import Testing

/// The metrics pages of real nodes against what was counted from outside.
@Suite("Metrics", .serialized)
struct MetricsTests {
    @Test("operations are counted and timed as their client saw them", .timeLimit(.minutes(2)))
    func operations() async throws {
        let cluster = try await LocalCluster.started()
        let client = await cluster.client()
        for value in 1...50 {
            _ = try await client.alterConfigs(
                .cluster, changes: [ConfigChange(name: "user.counter", value: "\(value)")])
        }
        for _ in 1...3 {
            await #expect(throws: MetadataError.self) {
                try await client.deleteTopic(.name("nobody-made-it"))
            }
        }
        for _ in 1...30 { _ = try await client.summary() }
        let pages = try await MetricsPage.all(of: cluster)
        func total(_ name: String, _ labels: String...) -> Double {
            pages.values.reduce(0) { $0 + $1.sum(name, labels) }
        }
        let operations = "metadata_operations_total"
        #expect(total(operations, #"operation="alter_configs""#, #"status="ok""#) == 50)
        #expect(total(operations, #"operation="delete_topic""#, #"status="refused""#) == 3)
        // The harness asks as well while it waits.
        #expect(total(operations, #"operation="summary""#, #"status="ok""#) >= 30)
        #expect(total("metadata_operation_duration_seconds_count", #"operation="alter_configs""#) >= 50)
        let leader = try #require(pages[try await cluster.leader()])
        let committed =
            leader.sum("raft_proposals_total", [#"result="ok""#])
            + leader.sum("raft_proposals_total", [#"result="refused""#])
        #expect(leader.sum("raft_proposal_duration_seconds_count", []) == committed)
        #expect(committed >= 53)
        let seconds = leader.sum("raft_proposal_duration_seconds_sum", [])
        #expect(seconds > 0 && seconds < 53 * 5)
        #expect(leader.sum("raft_log_sync_duration_seconds_count", []) >= 50)
        await client.close()
        await cluster.stop()
    }

    @Test(
        "under load the counters say what the clients counted, and partitions what a listing says",
        .timeLimit(.minutes(2)))
    func load() async throws {
        // Brokers that send no heartbeats, for as long as this takes.
        let cluster = try await LocalCluster.started(settings: ["resilience.timeouts.heartbeat_timeout=10m"])
        let client = await cluster.client()
        for id in Int32(1)...2 {
            let broker = try await client.registerBroker(
                BrokerID(id), incarnation: IncarnationID(high: 1, low: UInt64(id)),
                endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: UInt16(9_000 + id))])
            try await client.unfenceBroker(BrokerID(id), epoch: broker.epoch)
            if id == 1 { continue }
            let both = [BrokerID(2), BrokerID(1)]
            _ = try await client.createTopic(
                name: "both", partitions: 0, replicationFactor: 0, assignment: Array(repeating: both, count: 6))
            _ = try await client.createTopic(
                name: "one", partitions: 0, replicationFactor: 0,
                assignment: Array(repeating: [BrokerID(2)], count: 3))
            try await client.fenceBroker(BrokerID(2), epoch: broker.epoch)
        }
        // A request that meets an election is answered twice: only a time without one can be compared.
        var compared = false
        for _ in 1...3 where !compared { compared = try await compareUnderLoad(cluster) }
        #expect(compared, "three elections in a row")
        for page in try await waitForPages(cluster, try await client.summary().version).values {
            #expect(page.sum("cluster_partitions_total", []) == 9)
            #expect(page.sum("metadata_partitions_count", []) == 9)
            for (filter, name) in [(PartitionFilter.offline, "offline"), (.underReplicated, "under_replicated")] {
                let listed = try await client.partitions(filter).items.count
                #expect(listed > 0)
                #expect(page.sum("cluster_partitions_\(name)", []) == Double(listed), "\(name)")
            }
            #expect(page.sum("metadata_brokers_count", []) == 2)
            #expect(page.sum("cluster_brokers_active", []) == 1)
        }
        await client.close()
        await cluster.stop()
    }

    /// What one client has seen.
    private struct Seen {
        var changed = 0
        var refused = 0
        var read = 0
    }

    private func compareUnderLoad(_ cluster: LocalCluster) async throws -> Bool {
        let before = try await MetricsPage.all(of: cluster)
        let endpoints = await cluster.endpoints
        let seen = try await withThrowingTaskGroup(of: Seen.self) { group in
            for lane in 1...4 {
                group.addTask {
                    let client = MetadataClient(MetadataClient.Options(endpoints: endpoints))
                    var seen = Seen()
                    for round in 1...100 {
                        _ = try await client.alterConfigs(
                            .cluster, changes: [ConfigChange(name: "user.lane\(lane)", value: "\(round)")])
                        seen.changed += 1
                        do {
                            try await client.deleteTopic(.name("nobody-made-it"))
                        } catch let error as MetadataError where error.code == .refused {
                            seen.refused += 1
                        }
                        _ = try await client.topics(consistency: .linearizable)
                        seen.read += 1
                    }
                    await client.close()
                    return seen
                }
            }
            var all = Seen()
            for try await one in group {
                all.changed += one.changed
                all.refused += one.refused
                all.read += one.read
            }
            return all
        }
        let after = try await MetricsPage.all(of: cluster)
        func grown(_ name: String, _ labels: String...) -> Double {
            after.values.reduce(0) { $0 + $1.sum(name, labels) } - before.values.reduce(0) { $0 + $1.sum(name, labels) }
        }
        guard grown("raft_leadership_changes_total") == 0 else { return false }
        let operations = "metadata_operations_total"
        #expect(seen.changed == 400 && seen.refused == 400 && seen.read == 400)
        #expect(grown(operations, #"operation="alter_configs""#, #"status="ok""#) == Double(seen.changed))
        #expect(grown(operations, #"operation="delete_topic""#, #"status="refused""#) == Double(seen.refused))
        #expect(grown(operations, #"operation="topics""#, #"status="ok""#) == Double(seen.read))
        #expect(grown("raft_proposals_total", #"result="refused""#) == Double(seen.refused))
        #expect(grown("metadata_operation_duration_seconds_count", #"operation="topics""#) >= Double(seen.read))
        return true
    }

    /// The pages of all nodes when each has published that it is so far.
    private func waitForPages(_ cluster: LocalCluster, _ version: Version) async throws -> [Int: MetricsPage] {
        for _ in 1...200 {
            let pages = try await MetricsPage.all(of: cluster)
            if pages.values.allSatisfy({ $0.sum("metadata_version", []) >= Double(version.rawValue) }) { return pages }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw LocalCluster.HarnessFailure(description: "the pages did not get to version \(version)")
    }

    @Test("the breaker of a peer that is gone opens, and closes when it is back", .timeLimit(.minutes(2)))
    func peerBreaker() async throws {
        let cluster = try await LocalCluster.started()
        let leader = try await cluster.leader()
        let gone = leader == 1 ? 2 : 1
        let name = #"name="peer-\#(gone)""#
        func page() async throws -> MetricsPage {
            try await MetricsPage(cluster.get(leader, "/metrics", port: .metrics).body)
        }
        #expect(try await page().sum("circuitbreaker_state", [name]) == 0)
        try await cluster.kill(gone)
        var opened = 0.0
        for _ in 1...200 where opened == 0 {
            try await Task.sleep(for: .milliseconds(50))
            opened = try await page().sum(
                "circuitbreaker_state_changes_total", [name, #"from="closed""#, #"to="open""#])
        }
        #expect(opened == 1)
        #expect(try await page().sum("circuitbreaker_requests_total", [name, #"result="failure""#]) >= 5)
        try await cluster.start(gone)
        try await cluster.waitUntilHealthy()
        #expect(try await page().sum("circuitbreaker_requests_total", [name, #"result="success""#]) >= 2)
        #expect(try await page().sum("circuitbreaker_state", [name]) == 0)
        await cluster.stop()
    }

    @Test("a read that its client has given up is dropped before it costs anything", .timeLimit(.minutes(2)))
    func lateReads() async throws {
        let cluster = try await LocalCluster.started()
        let client = await cluster.client()
        _ = try await client.summary()
        let leader = try await cluster.leader()
        let followers = (1...3).filter { $0 != leader }
        var dropped = 0.0
        for _ in 1...20 where dropped == 0 {
            // Nobody confirms; the leader stays in office as long as this is shorter than its patience.
            for id in followers { await cluster.pause(id) }
            await #expect(throws: MetadataError.self) { _ = try await client.summary(timeout: .milliseconds(50)) }
            for id in followers { await cluster.resume(id) }
            try await cluster.waitUntilHealthy()
            for page in try await MetricsPage.all(of: cluster).values {
                dropped += page.sum("metadata_operations_total", [#"operation="summary""#, #"status="timeout""#])
            }
        }
        #expect(dropped > 0)
        await client.close()
        await cluster.stop()
    }
}

/// What Prometheus would read.
private struct MetricsPage {
    private let lines: [Substring]

    init(_ text: String) { lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") } }

    static func all(of cluster: LocalCluster) async throws -> [Int: MetricsPage] {
        var pages: [Int: MetricsPage] = [:]
        for id in 1...3 { pages[id] = try await MetricsPage(cluster.get(id, "/metrics", port: .metrics).body) }
        return pages
    }

    /// The sum over the series of that name that have these labels.
    func sum(_ name: String, _ labels: [String]) -> Double {
        lines.reduce(0) { sum, line in
            guard line.hasPrefix(name + "{") || line.hasPrefix(name + " "), labels.allSatisfy(line.contains),
                let value = line.split(separator: " ").last.flatMap({ Double($0) })
            else { return sum }
            return sum + value
        }
    }
}
