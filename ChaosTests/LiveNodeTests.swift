import Foundation
import MetadataClient
import MetadataModel
import Testing

/// What strangers and probes meet on the ports of running nodes.
@Suite("Live nodes", .serialized)
struct LiveNodeTests {
    @Test("garbage, foreign protocols and a foreign cluster are turned away and harm nobody", .timeLimit(.minutes(2)))
    func strangers() async throws {
        // Patient nodes: whoever is disturbed here was not disturbed by a slow disk.
        let cluster = try await LocalCluster.started(settings: ["raft.election_timeout=3s"])
        let before = try await cluster.waitUntilHealthy()
        let hostile: [[UInt8]] = [
            Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8),
            [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01],
            Array("SBMC".utf8) + [99],
            Array("SBMC".utf8) + [1, 0xFF, 0xFF, 0xFF, 0xFF],
            Array("SBMP".utf8) + [1, 0x00, 0x00, 0x00, 0x04, 0xDE, 0xAD, 0xBE, 0xEF],
            Array("SBMP".utf8) + [1, 0x7F, 0xFF, 0xFF, 0xFF],
            (0..<4_096).map { UInt8(truncatingIfNeeded: $0 &* 167) },
        ]
        for port in await cluster.openPorts(of: 1) {
            #expect(try closesConnection(port: port, after: []), "port \(port) put up with silence")
            for bytes in hostile {
                #expect(try closesConnection(port: port, after: bytes), "port \(port) put up with \(bytes.prefix(8))")
            }
        }
        var options = MetadataClient.Options(endpoints: await cluster.endpoints)
        options.clusterID = "another"
        options.timeout = .seconds(2)
        let foreigner = MetadataClient(options)
        await #expect(throws: MetadataError.self) { try await foreigner.summary() }
        await foreigner.close()

        let after = try await cluster.waitUntilHealthy()
        #expect(after.map(\.term) == before.map(\.term), "somebody's leadership was disturbed")
        let log = try await cluster.logText(of: 1)
        #expect(log.contains("closing a client connection"))
        #expect(log.contains("closing a peer connection"))
        await cluster.stop()
    }

    @Test("health pages tell a leader from a cluster without one", .timeLimit(.minutes(2)))
    func health() async throws {
        let cluster = try await LocalCluster.started()
        try await cluster.waitUntilReady()
        for path in ["/health", "/health/live", "/health/ready", "/health/raft"] {
            let answer = try await cluster.get(1, path)
            #expect(answer.status == 200, "\(path) answers \(answer.status): \(answer.body)")
        }
        // Load balancers ask with HEAD.
        #expect(try await cluster.get(1, "/health/ready", method: "HEAD").status == 200)
        // Two of three gone: the last one lives, and is not ready.
        try await cluster.kill(2)
        try await cluster.kill(3)
        var ready = try await cluster.get(1, "/health/ready")
        for _ in 0..<100 where ready.status == 200 {
            try await Task.sleep(for: .milliseconds(50))
            ready = try await cluster.get(1, "/health/ready")
        }
        #expect(ready.status == 503)
        #expect(ready.body.contains("no leader"))
        #expect(try await cluster.get(1, "/health/live").status == 200)
        #expect(try await cluster.get(1, "/health/raft").status == 503)
        try await cluster.start(2)
        try await cluster.start(3)
        try await cluster.waitUntilHealthy()
        for _ in 0..<100 where ready.status != 200 {
            try await Task.sleep(for: .milliseconds(50))
            ready = try await cluster.get(1, "/health/ready")
        }
        #expect(ready.status == 200)
        await cluster.stop()
    }

    @Test("promtool accepts the metrics of a running node without a warning", .timeLimit(.minutes(2)))
    func metrics() async throws {
        guard let promtool = ProcessInfo.processInfo.environment["PROMTOOL"] else {
            print("PROMTOOL is not set: cluster/test sets it")
            return
        }
        let cluster = try await LocalCluster.started()
        let page = try await cluster.get(1, "/metrics", port: .metrics).body
        for name in ["raft_term", "raft_commit_index", "raft_applied_index", "metadata_version", "process_open_fds"] {
            #expect(page.contains("\n\(name) "), "\(name) is missing")
        }
        let check = Process()
        let input = Pipe()
        let output = Pipe()
        check.executableURL = URL(fileURLWithPath: promtool)
        check.arguments = ["check", "metrics"]
        check.standardInput = input
        check.standardOutput = output
        check.standardError = output
        try check.run()
        input.fileHandleForWriting.write(Data(page.utf8))
        try input.fileHandleForWriting.close()
        let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        check.waitUntilExit()
        #expect(check.terminationStatus == 0)
        #expect(said.isEmpty, "promtool says: \(said)")
        await cluster.stop()
    }

    @Test("a watch across a change of the leader misses nothing and repeats nothing", .timeLimit(.minutes(2)))
    func watchAcrossFailover() async throws {
        let cluster = try await LocalCluster.started()
        let client = await cluster.client()
        let start = try await client.summary().version
        let watching = Task {
            var seen: [(version: Version, value: String)] = []
            for try await event in client.watch(after: start) {
                guard case .changes(let change) = event else { continue }
                for case .configChanged(let entry) in change.changes { seen.append((change.version, entry.value)) }
                if seen.last?.value == "200" { break }
            }
            return seen
        }
        for value in 1...200 {
            if value == 70 || value == 140 {
                let leader = try await cluster.leader()
                try await cluster.kill(leader)
                try await cluster.start(leader)
            }
            _ = try await client.alterConfigs(
                .cluster, changes: [ConfigChange(name: "user.counter", value: "\(value)")])
        }
        let seen = try await watching.value
        #expect(seen.map(\.value) == (1...200).map(String.init))
        #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.version < $1.version })
        await client.close()
        await cluster.stop()
    }

    /// Sends `bytes` and says whether the other side hangs up.
    private func closesConnection(port: UInt16, after bytes: [UInt8]) throws -> Bool {
        let descriptor = try connectedSocket(port: port, patience: .seconds(15))
        defer { close(descriptor) }
        guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { return true }
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 { return true }
            if count < 0 { return errno == ECONNRESET }
        }
    }
}
