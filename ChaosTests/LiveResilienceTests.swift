import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Breakers, deadlines, bounds and what is done by hand, on running nodes.
@Suite("Live resilience", .serialized)
struct LiveResilienceTests {
    private func error(_ body: () async throws -> Void) async -> MetadataError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? MetadataError
        }
    }

    /// The value of the first series that begins like this.
    private func metric(_ name: String, of node: Int, _ cluster: LocalCluster) async throws -> Double? {
        let page = try await cluster.get(node, "/metrics", port: .metrics).body
        let line = page.split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.split(separator: " ").last.flatMap { Double($0) }
    }

    private func wait(_ what: String, _ isThere: () async throws -> Bool) async throws {
        for _ in 0..<600 {
            if try await isThere() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("waited in vain for \(what)")
    }

    @Test(
        "circuit breakers and rebalances are controlled by hand, and the log tells who did it", .timeLimit(.minutes(2)))
    func byHand() async throws {
        let cluster = try await LocalCluster.started()
        let client = await cluster.client()
        _ = try await client.summary()
        let leader = try await cluster.leader()
        let list = try await cluster.metactl(["breakers", "list"])
        #expect(list.status == 0, "\(list)")
        for name in ["coordinator", "proposals", "store", "peer-"] {
            #expect(list.output.contains("\"name\" : \"\(name)"))
        }

        #expect(try await cluster.metactl(["breakers", "open", "store", "--node", "\(leader)"]).status == 0)
        #expect(try await metric("circuitbreaker_state{name=\"store\"}", of: leader, cluster) == 1)
        // Reads that the leader turns down are served by the others.
        for _ in 0..<10 { _ = try await client.summary() }
        #expect(try await cluster.metactl(["breakers", "reset", "store", "--node", "\(leader)"]).status == 0)
        #expect(try await metric("circuitbreaker_state{name=\"store\"}", of: leader, cluster) == 0)

        #expect(try await cluster.metactl(["breakers", "open", "proposals", "--node", "\(leader)"]).status == 0)
        let refused = await error { _ = try await client.deleteTopic(.name("t"), timeout: .seconds(3)) }
        #expect(refused?.code == .circuitOpen && refused?.outcome == .definite, "\(String(describing: refused))")
        let retryAfter = try #require(refused?.retryAfter)
        #expect(retryAfter > .seconds(10) && retryAfter <= .seconds(30))
        #expect(try await cluster.metactl(["breakers", "reset", "proposals", "--node", "\(leader)"]).status == 0)
        try await client.alterConfigs(.cluster, changes: [ConfigChange(name: "user.a", value: "1")])

        let unknown = try await cluster.metactl(["breakers", "reset", "nothing", "--node", "\(leader)"])
        #expect(unknown.status == 1 && unknown.errors.contains("there are coordinator"), "\(unknown)")

        #expect(try await cluster.metactl(["rebalance", "pause", "--reason", "a disk is replaced"]).status == 0)
        let paused = try await cluster.metactl(["rebalance", "status"])
        #expect(paused.output.contains("\"paused\" : \"a disk is replaced\""), "\(paused)")
        #expect(try await cluster.metactl(["rebalance", "resume"]).status == 0)

        let log = try await cluster.logText(of: leader)
        let audit = log.split(separator: "\n").filter { $0.contains("audit") }
        for what in [
            "breakers open store", "breakers reset proposals", "breakers reset nothing", "user.rebalance.pause",
        ] {
            let line = try #require(audit.first { $0.contains(what) }, "no line about \(what)")
            #expect(line.contains("metactl-") && line.contains("127.0.0.1"), "\(line)")
        }
        #expect(audit.contains { $0.contains("breakers reset nothing") && $0.contains("invalid") })
        await client.close()
        await cluster.stop()
    }

    @Test(
        "starts of rebalances wait for their turn, also under the next leader; one that does not get on is told of",
        .timeLimit(.minutes(2)))
    func turns() async throws {
        // Longer than it takes to come to the second rebalance.
        let stale = Duration.seconds(12)
        let cluster = try await LocalCluster.started(settings: ["resilience.keyed_lock.stale_after=12s"])
        let client = await cluster.client()
        try await wait("the feature level") {
            try await client.summary().featureLevel >= Limits.featureLevelOfRebalances
        }
        // So that a rebalance that has nothing to do stays under way.
        #expect(try await cluster.metactl(["rebalance", "pause", "--reason", "a test"]).status == 0)
        let first = try await client.startRebalance()
        let waiting = Task { try await client.startRebalance(.sticky, timeout: .seconds(25)) }
        var leader = try await cluster.leader()
        try await wait("a start that waits") {
            try await metric("keyed_lock_waiting{name=\"rebalance\"}", of: leader, cluster) == 1
        }
        let began = ContinuousClock.now
        let refused = await error { _ = try await client.startRebalance(timeout: .milliseconds(2_500)) }
        #expect(refused?.refusal?.reason == .rebalanceInProgress, "\(String(describing: refused))")
        #expect(ContinuousClock.now - began > .seconds(1), "it did not wait")
        let run = try await cluster.metactl(["rebalance", "run", "--timeout", "2500ms"])
        #expect(run.status == 1 && run.errors.contains("rebalance_in_progress"), "\(run)")
        #expect(run.errors.contains("rebalance \(first) is under way: waiting for its end"), "\(run)")

        let next = leader % 3 + 1
        #expect(try await cluster.metactl(["members", "transfer-leadership", "--to", "\(next)"]).status == 0)
        leader = try await cluster.leader()
        try await wait("a start that waits for the next leader") {
            try await metric("keyed_lock_waiting{name=\"rebalance\"}", of: leader, cluster) == 1
        }
        try await client.cancelRebalance(first)
        let second = try await waiting.value
        #expect(second > first)
        #expect(try await client.rebalance()?.id == second)

        let since = ContinuousClock.now
        try await wait("a rebalance that is stale") {
            try await metric("keyed_lock_stale_total{name=\"rebalance\"}", of: leader, cluster) ?? 0 > 0
        }
        #expect(ContinuousClock.now - since > stale - .seconds(2))
        let line = try await cluster.logText(of: leader).split(separator: "\n").first {
            $0.contains("the rebalance does not get on")
        }
        #expect(line?.contains("paused by hand: a test") == true, "\(line ?? "nothing was said")")
        #expect(try await client.rebalance()?.isRunning == true)
        await client.close()
        await cluster.stop()
    }

    @Test(
        "writes that get no outcome are answered in time, open the breaker, and come through again afterwards",
        .timeLimit(.minutes(3)))
    func proposals() async throws {
        // A leader that hears nobody goes on for as long as this.
        let cluster = try await LocalCluster.started(
            settings: ["raft.election_timeout=5s", "resilience.timeouts.proposal=300ms"])
        let client = await cluster.client()
        try await client.alterConfigs(.cluster, changes: [ConfigChange(name: "user.a", value: "0")])
        let leader = try await cluster.leader()
        for other in 1...3 where other != leader { await cluster.pause(other) }
        let calls = (0..<8).map { number in
            Task {
                await error {
                    try await client.alterConfigs(
                        .cluster, changes: [ConfigChange(name: "user.a", value: "\(number)")], timeout: .seconds(3))
                }
            }
        }
        var errors: [MetadataError] = []
        for call in calls { errors.append(try #require(await call.value)) }
        #expect(errors.allSatisfy { $0.outcome == .indefinite }, "they are in the log: \(errors)")
        #expect(errors.contains { $0.code == .circuitOpen }, "\(errors)")
        let fresh = await error {
            try await client.alterConfigs(
                .cluster, changes: [ConfigChange(name: "user.b", value: "1")], timeout: .milliseconds(500))
        }
        #expect(fresh?.code == .circuitOpen && fresh?.outcome == .definite, "\(String(describing: fresh))")
        #expect(try await metric("circuitbreaker_state{name=\"proposals\"}", of: leader, cluster) == 1)
        try await wait("counts") {
            let late = try await metric("timeouts_total{operation=\"alter_configs\"}", of: leader, cluster) ?? 0
            let shed = try await metric("metad_shed_total{reason=\"breaker\"}", of: leader, cluster) ?? 0
            return late >= 5 && shed >= 1
        }
        for other in 1...3 where other != leader { await cluster.resume(other) }
        try await cluster.waitUntilHealthy()
        let next = try await cluster.leader()
        _ = try await cluster.metactl(["breakers", "reset", "proposals", "--node", "\(next)"])
        try await client.alterConfigs(.cluster, changes: [ConfigChange(name: "user.a", value: "9")])
        #expect(try await cluster.logText(of: leader).contains("requests missed their deadlines"))
        await client.close()
        await cluster.stop()
    }

    @Test(
        "a node that is short of memory refuses work, says for how long, and goes on as a member",
        .timeLimit(.minutes(2)))
    func memory() async throws {
        let cluster = try await LocalCluster.started(settings: ["limits.memory_max_bytes=8MiB"])
        let client = await cluster.client()
        try await wait("the measure") { try await self.metric("metad_memory_pressure", of: 1, cluster) == 2 }
        let refused = await error { _ = try await client.deleteTopic(.name("t"), timeout: .seconds(2)) }
        #expect(refused?.code == .overloaded && refused?.outcome == .definite, "\(String(describing: refused))")
        #expect(refused?.retryAfter == .seconds(1))
        #expect(refused?.metadata["node_operation"] == "open_session")
        let reading = await error { _ = try await client.summary(timeout: .seconds(2)) }
        #expect(reading?.code == .overloaded, "\(String(describing: reading))")
        let leader = try await cluster.leader()
        try await wait("counts") {
            try await metric("metad_shed_total{reason=\"memory\"}", of: leader, cluster) ?? 0 >= 1
        }
        #expect(try await metric("metad_memory_limit_bytes", of: leader, cluster) == Double(8 << 20))
        #expect(await cluster.statuses().count == 3, "status requests are served all the same")
        await client.close()
        await cluster.stop()
    }
}
