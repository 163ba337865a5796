import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Nodes that the system gives no more of something.
@Suite("Nothing left", .serialized)
struct ResourceTests {
    @Test(
        "the leader has no file descriptors left: it serves those it has, and takes new ones when there are some again",
        .timeLimit(.minutes(2)))
    func noDescriptors() async throws {
        try await withWritableCluster(settings: LocalCluster.patient) { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer", pace: .milliseconds(20))
            let leader = try await cluster.leader()
            let term = await cluster.statuses().map(\.term).max()
            let process = try #require(await cluster.processID(of: leader))
            let port = await cluster.nodes[leader - 1].clientPort
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 20)
                let open = try descriptors(of: process)
                try limit(process, "--nofile=\(open + 4):")
                var strangers: [Int32] = []
                defer { for stranger in strangers { close(stranger) } }
                // The system takes connections on behalf of a process that does not.
                for _ in 1...40 { strangers.append(try connectedSocket(port: port)) }
                func isShort() async throws -> Bool {
                    try await cluster.logText(of: leader).contains("connections wait: none can be taken")
                }
                for _ in 1...500 where try await !isShort() { try await Task.sleep(for: .milliseconds(20)) }
                #expect(try await isShort(), "there are descriptors left")
                let (began, used, before) = (ContinuousClock.now, try time(of: process), writer.acknowledgedCount)
                try await waitForWrites([writer], beyond: before + 100)
                // Whoever is told again and again of what it cannot take would do nothing else.
                let share = (try time(of: process) - used) / (ContinuousClock.now - began)
                print("node \(leader) was busy for \(Int(share * 100)) % of the time without a descriptor")
                #expect(share < 0.75, "it spins")
                #expect(throws: (any Error).self, "a connection was served without a descriptor") {
                    _ = try DirectReader(port: port, patience: .seconds(1))
                }
                for stranger in strangers { close(stranger) }
                strangers = []
                try limit(process, "--nofile=4096:")
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 20)
                _ = try await waitUntilBack(cluster)
                _ = try DirectReader(port: port)
            }
            #expect(await cluster.processID(of: leader) == process, "node \(leader) did not survive")
            #expect(await cluster.statuses().map(\.term).max() == term, "there was an election")
            try await judge([writer], cluster, client)
        }
    }

    @Test(
        "a follower that cannot open the next file of its log ends with the reason, and the others go on",
        .timeLimit(.minutes(2)))
    func noDescriptorForTheLog() async throws {
        try await withWritableCluster(settings: ["raft.segment_bytes=1MiB"]) { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer")
            let victim = try await cluster.leader() % 3 + 1
            let process = try #require(await cluster.processID(of: victim))
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 20)
                try limit(process, "--nofile=3:")
                for round in 1...60 where await cluster.processID(of: victim) != nil {
                    _ = try await client.alterConfigs(
                        .cluster,
                        changes: [ConfigChange(name: "user.big\(round)", value: String(repeating: "x", count: 60_000))])
                }
                #expect(try await cluster.waitForEnd(of: victim) == 70)
                #expect(try await cluster.logText(of: victim).contains("Too many open files"))
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
                try await cluster.start(victim)
            }
            try await judge([writer], cluster, client)
        }
    }

    @Test(
        "a node that gives up without descriptors, and ends when there are some again, is started again by the nemesis",
        .timeLimit(.minutes(3)))
    func endsBehindTheShortage() async throws {
        try await withFaults(settings: ["raft.segment_bytes=1MiB"], losesPower: false) { cluster, client, faults in
            let clock = RunClock()
            let monitor = await ClusterMonitor(cluster, clock: clock)
            let nemesis = Nemesis(
                cluster, monitor, client: client, library: faults, losesPower: false, brokers: nil, members: 3,
                clock: clock, seed: 1)
            var evidence = ""
            // A busy machine may move its end to the wrong side.
            for _ in 1...5 where !evidence.contains("it ended soon after") {
                let victim = try await cluster.leader() % 3 + 1
                let process = try #require(await cluster.processID(of: victim))
                // It gives up when it has synced twice or three times, and closes its database with two syncs.
                try faults.set(.delaySyncs, to: 1_000, on: victim)
                let shortage = PlannedFault(
                    .takeDescriptors(.node(victim)), at: .zero, lasting: .milliseconds(3_400))
                async let strike: Void = nemesis.run([shortage], from: clock.now)
                while ProcessReading.limit("Max open files", of: process) != 3 {
                    try await Task.sleep(for: .milliseconds(5))
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...40 {
                        let value = String(repeating: "x", count: 60_000)
                        let change = ConfigChange(name: "user.big\(number)", value: value)
                        group.addTask { _ = try await client.alterConfigs(.cluster, changes: [change]) }
                    }
                    try await group.waitForAll()
                }
                await strike
                try faults.set(.delaySyncs, to: 0, on: victim)
                #expect(await nemesis.failures.map(\.reason) == [])
                try await cluster.waitUntilHealthy()
                evidence = await nemesis.records.last?.evidence ?? ""
                print(evidence)
            }
            await monitor.stop()
            #expect(evidence.contains("it ended soon after"))
        }
    }

    @Test(
        "a leader that gets no more memory dies, the others go on, and it comes back with what it had",
        .timeLimit(.minutes(2)))
    func noMemory() async throws {
        try await withWritableCluster { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer")
            let victim = try await cluster.leader()
            let process = try #require(await cluster.processID(of: victim))
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 20)
                // It keeps what it has; nothing is added to it.
                try limit(process, "--data=1:")
                let began = ContinuousClock.now
                for round in 1...400 where await cluster.processID(of: victim) != nil {
                    // What the leader answers while it dies is nobody's concern here.
                    _ = try? await client.alterConfigs(
                        .cluster,
                        changes: [
                            ConfigChange(name: "user.big\(round)", value: String(repeating: "x", count: 60_000))
                        ], timeout: .seconds(3))
                }
                #expect(await cluster.processID(of: victim) == nil, "node \(victim) needed no memory")
                print("node \(victim) without memory for more died after \(ContinuousClock.now - began)")
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
                #expect(try await cluster.leader() != victim)
                try await cluster.start(victim)
            }
            print("longest pause of a writer: \(writer.stop().longestGap)")
            try await judge([writer], cluster, client)
        }
    }

    // MARK: Helpers

    private func descriptors(of process: pid_t) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count
    }

    /// Of the processor (proc(5), stat: the 14th and 15th number; the second is a name in parentheses).
    private func time(of process: pid_t) throws -> Duration {
        let status = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        let fields = try #require(status.split(separator: ")").last).split(separator: " ")
        return .milliseconds(try [11, 12].map { try #require(Int(fields[$0])) }.reduce(0, +) * 10)
    }

    private func limit(_ process: pid_t, _ limit: String) throws {
        try run("/usr/bin/prlimit", "--pid", "\(process)", limit)
    }
}
