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
