import Foundation
import GRDB
import MetadataClient
import MetadataModel
import Testing

/// What the health pages of real nodes say while something is wrong.
@Suite("Health of running nodes", .serialized)
struct HealthTests {
    private static let quick = [
        "health.check_interval=200ms", "resilience.timeouts.health_check=400ms", "health.fail_after=300ms",
        "health.recover_after=200ms",
    ]

    @Test("an election takes no node out of service, and its winner says who is missing", .timeLimit(.minutes(2)))
    func leaderLost() async throws {
        let cluster = try await LocalCluster.started(settings: ["health.fail_after=20s"])
        let leader = try await cluster.leader()
        let followers = (1...3).filter { $0 != leader }
        // The pages follow what the nodes say by a look of the monitor.
        for id in followers {
            try await wait("node \(id) is ready") { try await HealthPage(cluster, id).httpStatus == 200 }
        }
        try await cluster.kill(leader)
        var next = 0
        for _ in 1...500 where next == 0 {
            for id in followers {
                let ready = try await cluster.get(id, "/health/ready")
                #expect(ready.status == 200, "\(ready.body)")
                if try await HealthPage(cluster, id).role == "leader" { next = id }
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(next != 0)
        try await wait("the new leader misses the old one") {
            let page = try await HealthPage(cluster, next)
            return page.status(of: "raft:quorum") == "warn" && page.output(of: "raft:quorum") == "silent: \(leader)"
        }
        #expect(try await cluster.get(next, "/health/raft").status == 200)
        await cluster.stop()
    }

    @Test("a node without a quorum is not ready, lives, and is ready again when it is back", .timeLimit(.minutes(2)))
    func quorumLost() async throws {
        let cluster = try await LocalCluster.started(settings: Self.quick)
        // The page of a node that has just started knows no leader either.
        try await cluster.waitUntilReady()
        for id in 2...3 { await cluster.pause(id) }
        try await wait("node 1 is out of service") {
            let page = try await HealthPage(cluster, 1)
            return page.httpStatus == 503 && page.status(of: "raft:leader") == "fail"
        }
        #expect(try await cluster.get(1, "/health/raft").status == 503)
        #expect(try await cluster.get(1, "/health/live").status == 200)
        for id in 2...3 { await cluster.resume(id) }
        try await wait("node 1 is ready") { try await HealthPage(cluster, 1).httpStatus == 200 }
        await cluster.stop()
    }

    @Test(
        "a disk that hangs is said to hang at once, takes its node out of service, and heals", .timeLimit(.minutes(2)))
    func diskHangs() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("health-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        guard let faults = try FaultLibrary.compiled(in: folder) else { return print("no C compiler") }
        let cluster = try LocalCluster(settings: Self.quick, folder: folder)
        for id in 1...3 {
            try await cluster.format(id)
            try await cluster.start(id, environment: faults.environment(id))
        }
        try await cluster.waitUntilHealthy()
        let client = await cluster.client()
        let victim = try await cluster.leader() % 3 + 1
        try faults.set(.hangSyncs, to: 1, on: victim)
        // Something has to be synced.
        _ = try await client.alterConfigs(.cluster, changes: [ConfigChange(name: "user.counter", value: "1")])
        try await wait("node \(victim) says that its log hangs") {
            let page = try await HealthPage(cluster, victim)
            return page.httpStatus == 503 && page.status(of: "store:log") == "fail"
                && page.output(of: "store:log").hasPrefix("the check hangs")
        }
        // Whoever asks waits for nobody.
        let begun = ContinuousClock.now
        for _ in 1...20 { _ = try await cluster.get(victim, "/health") }
        #expect(begun.duration(to: .now) < .seconds(4), "twenty answers of a node whose disk hangs")
        #expect(try await cluster.get(victim, "/health/live").status == 200)
        let metrics = try await cluster.get(victim, "/metrics", port: .metrics).body
        #expect(metrics.contains("timeouts_total{operation=\"health_check\"} "))
        #expect(!metrics.contains("timeouts_total{operation=\"health_check\"} 0\n"))
        try faults.set(.hangSyncs, to: 0, on: victim)
        try await wait("node \(victim) is ready") { try await HealthPage(cluster, victim).httpStatus == 200 }
        await client.close()
        await cluster.stop()
    }

    @Test("a database that another program locks is found without a write, and heals", .timeLimit(.minutes(2)))
    func storeLocked() async throws {
        let cluster = try await LocalCluster.started(settings: Self.quick)
        let path = cluster.directory(of: 1).appendingPathComponent("metadata.sqlite").path
        var settings = GRDB.Configuration.insistent
        settings.allowsUnsafeTransactions = true
        let intruder = try DatabaseQueue(path: path, configuration: settings)
        try await intruder.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        try await wait("node 1 says that it cannot write") {
            let page = try await HealthPage(cluster, 1)
            return page.httpStatus == 503 && page.status(of: "store:apply") == "fail"
        }
        #expect(try await cluster.get(2, "/health/ready").status == 200)
        try await intruder.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        try await wait("node 1 is ready") { try await HealthPage(cluster, 1).httpStatus == 200 }
        try intruder.close()
        await cluster.stop()
    }

    @Test("metactl health finds what is wrong and tells it by its exit status", .timeLimit(.minutes(2)))
    func metactl() async throws {
        let cluster = try await LocalCluster.started(settings: Self.quick)
        try await wait("all is well") { try await cluster.metactl(["health"]).status == 0 }
        let leader = try await cluster.leader()
        let victim = leader % 3 + 1
        try await cluster.kill(victim)
        try await wait("the silent follower is found") {
            let look = try await cluster.metactl(["health"])
            return look.status == 3 && look.output.contains("\"silent: \(victim)\"")
                && look.output.contains("one more loss stops the cluster") && look.errors.contains("unhealthy")
        }
        await cluster.stop()
    }

    @Test("metactl validate tries everything and leaves nothing behind", .timeLimit(.minutes(2)))
    func validate() async throws {
        let cluster = try await LocalCluster.started()
        try await cluster.waitUntilReady()
        let client = await cluster.client()
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("validate-\(UUID().uuidString).json")
        let run = try await cluster.metactl(["validate", "--json", file.path])
        #expect(run.status == 0, "\(run.output) \(run.errors)")
        let written = try String(contentsOf: file, encoding: .utf8)
        #expect(written.contains("\"status\" : \"ok\"") && !written.contains("skipped"))
        #expect(try await client.brokers().isEmpty)
        #expect(try await client.topics().isEmpty)
        try await cluster.kill(try await cluster.leader() % 3 + 1)
        let broken = try await cluster.metactl(["validate", "--quick", "--timeout", "3s"])
        #expect(broken.status == 3 && broken.errors.contains("validation_failed"), "\(broken)")
        #expect(try await client.topics().isEmpty, "cleaned up after a failure")
        try FileManager.default.removeItem(at: file)
        await client.close()
        await cluster.stop()
    }

    private func wait(_ what: String, until condition: () async throws -> Bool) async throws {
        for _ in 1...300 {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw LocalCluster.HarnessFailure(description: "not within 15 s: \(what)")
    }
}

/// The page `/health`.
private struct HealthPage {
    let httpStatus: Int
    private let checks: [String: Any]
    let role: String

    init(_ cluster: LocalCluster, _ id: Int) async throws {
        let answer = try await cluster.get(id, "/health")
        httpStatus = answer.status
        let page = try #require(try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any])
        checks = page["checks"] as? [String: Any] ?? [:]
        role = (page["raft"] as? [String: Any])?["role"] as? String ?? ""
    }

    func status(of check: String) -> String { field("status", of: check) }
    func output(of check: String) -> String { field("output", of: check) }

    private func field(_ name: String, of check: String) -> String {
        (checks[check] as? [[String: Any]])?.first?[name] as? String ?? ""
    }
}
