import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Disks that hang, fail or are full under real nodes.
@Suite("Bad disks", .serialized)
struct DiskTests {
    @Test(
        "a leader whose syncs hang loses leadership within two election timeouts, and does no harm when they wake up",
        .timeLimit(.minutes(3)))
    func hangs() async throws {
        try await withFaults { cluster, client, faults in
            let writer = TopicWriter(client: client, prefix: "writer")
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 20)
                let victim = try await cluster.leader()
                try faults.set(.hangSyncs, to: 1, on: victim)
                let before = writer.acknowledgedCount
                let began = ContinuousClock.now
                while try await cluster.leader() == victim {
                    guard ContinuousClock.now - began < .seconds(10) else {
                        throw LocalCluster.HarnessFailure(description: "node \(victim) leads with a disk that hangs")
                    }
                    try await Task.sleep(for: .milliseconds(20))
                }
                print("another leader after \(ContinuousClock.now - began)")
                try await waitForWrites([writer], beyond: before + 50)
                let status = await cluster.statuses().first { $0.nodeID == UInt64(victim) }
                #expect(status?.role != "leader")
                try faults.set(.hangSyncs, to: 0, on: victim)
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
            }
            try await judge([writer], cluster, client)
        }
    }

    @Test(
        "a sync that fails ends its node with status 70 and the reason, and the others go on", .timeLimit(.minutes(3)))
    func fails() async throws {
        try await withFaults { cluster, client, faults in
            let writer = TopicWriter(client: client, prefix: "writer")
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 20)
                let victim = try await cluster.leader()
                try faults.set(.failSyncsFrom, to: 1, on: victim)
                #expect(try await cluster.waitForEnd(of: victim) == 70)
                #expect(try faults.count(.failed, on: victim) > 0)
                let log = try await cluster.logText(of: victim)
                #expect(log.contains("cannot synchronize"), "no reason was given")
                #expect(log.contains("Input/output error"))
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
                try await cluster.start(victim)
            }
            try await judge([writer], cluster, client)
        }
    }

    @Test(
        "slow disks make writes slow and nothing else: the leader leads on, and a slow follower holds nobody up",
        .timeLimit(.minutes(2)))
    func slow() async throws {
        try await withFaults { cluster, client, faults in
            let writers = (1...4).map { TopicWriter(client: client, prefix: "writer\($0)") }
            let written = { writers.map(\.acknowledgedCount).reduce(0, +) }
            let leader = try await cluster.leader()
            let term = await cluster.statuses().map(\.term).max()
            try await withRunning(writers) {
                try await waitForWrites(writers, beyond: 40)
                for id in 1...3 { try faults.set(.delaySyncs, to: 40, on: id) }
                var began = ContinuousClock.now
                let before = written()
                try await waitForWrites(writers, beyond: before + 100)
                let together = ContinuousClock.now - began
                for id in 1...3 { #expect(try faults.count(.delayed, on: id) > 5, "node \(id) was not slow") }
                // Each round of four writes waits for two syncs, one after the other, or one when they overlap.
                #expect(together > .milliseconds(40 * 100 / 4 / 2), "100 writes took \(together)")
                for id in 1...3 { try faults.set(.delaySyncs, to: 0, on: id) }
                let slow = leader % 3 + 1
                let delayed = try faults.count(.delayed, on: slow)
                try faults.set(.delaySyncs, to: 500, on: slow)
                began = .now
                let then = written()
                try await waitForWrites(writers, beyond: then + 400)
                let alone = ContinuousClock.now - began
                print("100 writes on slow disks took \(together), 400 with one slow follower \(alone)")
                try await Task.sleep(for: .seconds(2))
                #expect(try faults.count(.delayed, on: slow) > delayed)
                try faults.set(.delaySyncs, to: 0, on: slow)
            }
            #expect(await cluster.statuses().map(\.term).max() == term, "a slow disk cost an election")
            try await judge(writers, cluster, client)
        }
    }

    @Test(
        "a leader whose file system takes no more writes hands over, and goes on when it does again",
        .timeLimit(.minutes(3)))
    func noRoom() async throws {
        // Free blocks are there by the file system's own count, so only the failed write itself tells.
        try await withFaults(settings: ["raft.segment_bytes=1MiB"]) { cluster, client, faults in
            let writer = TopicWriter(client: client, prefix: "writer")
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 20)
                let victim = try await cluster.leader()
                try faults.set(.fullFrom, to: 1, on: victim)
                // Enough for the log to need another file.
                for round in 1...60 {
                    _ = try await client.alterConfigs(
                        .cluster,
                        changes: [
                            ConfigChange(name: "user.big\(round)", value: String(repeating: "x", count: 60_000))
                        ], timeout: .seconds(20))
                }
                #expect(try faults.count(.refused, on: victim) > 0, "every write had room")
                #expect(try await cluster.leader() != victim, "node \(victim) leads without room for its log")
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
                try faults.set(.fullFrom, to: 0, on: victim)
                if await cluster.processID(of: victim) == nil { try await cluster.start(victim) }
            }
            print("longest pause of the writer: \(writer.stop().longestGap)")
            try await judge([writer], cluster, client)
        }
    }

    @Test(
        "a stop while the disk hangs ends within its deadline, with status 70 and the reason", .timeLimit(.minutes(2)))
    func stopWhileHanging() async throws {
        try await stopped(settings: ["resilience.timeouts.shutdown=4s"]) { cluster, faults, victim in
            let began = ContinuousClock.now
            await cluster.beginTermination(victim)
            #expect(try await cluster.waitForEnd(of: victim) == 70)
            let took = ContinuousClock.now - began
            // Two seconds for the threads; the rest is a slow machine.
            #expect(took < .seconds(8), "it took \(took)")
            let log = try await cluster.logText(of: victim)
            #expect(log.contains("does the disk hang?"))
        }
    }

    @Test("a log that fails while the node stops is not a stop in order: status 70", .timeLimit(.minutes(2)))
    func failureWhileStopping() async throws {
        try await stopped(settings: ["resilience.timeouts.shutdown=60s"]) { cluster, faults, victim in
            await cluster.beginTermination(victim)
            try await cluster.waitForLog(of: victim, "stopping")
            try faults.set(.failSyncsFrom, to: 1, on: victim)
            try faults.set(.hangSyncs, to: 0, on: victim)
            #expect(try await cluster.waitForEnd(of: victim) == 70)
            let log = try await cluster.logText(of: victim)
            #expect(log.contains("Input/output error"))
        }
    }

    /// A cluster with a follower whose disk hangs with a write on it, which `body` stops.
    private func stopped(
        settings: [String], _ body: (LocalCluster, FaultLibrary, Int) async throws -> Void
    ) async throws {
        try await withWritableCluster(settings: settings) { cluster, client in
            guard let faults = try FaultLibrary.compiled(in: cluster.folder) else {
                return print("no C compiler: the disk cannot be made to hang")
            }
            let leader = try await cluster.leader()
            let victim = leader == 1 ? 2 : 1
            #expect(try await cluster.terminate(victim) == 0)
            try await cluster.start(victim, environment: faults.environment(victim))
            try await cluster.waitUntilHealthy()
            try faults.set(.hangSyncs, to: 1, on: victim)
            for number in 0..<5 {
                _ = try await client.alterConfigs(
                    .cluster, changes: [ConfigChange(name: "user.n", value: "\(number)")])
            }
            try await body(cluster, faults, victim)
        }
    }

    @Test(
        "with full disks writes that grow are refused as disk_full, deletes work, and it ends by itself",
        .timeLimit(.minutes(3)))
    func full() async throws {
        guard getuid() == 0 else { return print("mounting a small disk needs root") }
        let disks = try SmallDisks(megabytes: 48)
        defer { disks.unmount() }
        let settings = [
            "raft.segment_bytes=1MiB", "health.check_interval=100ms", "storage.disk_low_bytes=16MiB",
            "storage.disk_high_bytes=20MiB", "storage.reserve_bytes=1MiB",
        ]
        try await withWritableCluster(settings: settings, folder: disks.folder) { cluster, client in
            _ = try await client.createTopic(name: "before", partitions: 1, replicationFactor: 1)
            // Something else fills the disks of all three.
            for id in 1...3 { try disks.fill(id, leavingMegabytes: 8) }
            var refused: MetadataError?
            for number in 1...200 where refused == nil {
                do {
                    _ = try await client.createTopic(name: "topic\(number)", partitions: 1, replicationFactor: 1)
                    try await Task.sleep(for: .milliseconds(20))
                } catch let error as MetadataError {
                    refused = error
                }
            }
            #expect(refused?.code == .diskFull)
            #expect(refused?.outcome == .definite)
            let leader = try await cluster.leader()
            // Pages show what was published last, which is a few times a second.
            var (health, metrics) = ("", "")
            for _ in 1...60 where !health.contains("nearly full") || !metrics.contains("\nmetad_disk_low 1") {
                try await Task.sleep(for: .milliseconds(50))
                health = try await cluster.get(leader, "/health").body
                metrics = try await cluster.get(leader, "/metrics", port: .metrics).body
            }
            #expect(health.contains("nearly full"))
            #expect(metrics.contains("\nmetad_disk_low 1"))
            try await client.deleteTopic(.name("before"))
            for id in 1...3 { try disks.empty(id) }
            var isBack = false
            for _ in 1...100 where !isBack {
                do {
                    _ = try await client.createTopic(name: "after", partitions: 1, replicationFactor: 1)
                    isBack = true
                } catch {
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            #expect(isBack, "room came back and writes did not")
            try await cluster.waitUntilHealthy()
            let names = Set(try await client.topics().map(\.name))
            #expect(names.contains("after") && !names.contains("before"))
        }
    }

    @Test(
        "a leader whose disk alone is full hands over to one with room; its log waits and goes on",
        .timeLimit(.minutes(3)))
    func oneFull() async throws {
        guard getuid() == 0 else { return print("mounting a small disk needs root") }
        let disks = try SmallDisks(megabytes: 48)
        defer { disks.unmount() }
        let settings = [
            "raft.segment_bytes=1MiB", "health.check_interval=100ms", "storage.disk_low_bytes=4MiB",
            "storage.disk_high_bytes=8MiB", "storage.reserve_bytes=1MiB",
        ]
        try await withWritableCluster(settings: settings, folder: disks.folder) { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer")
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 20)
                let victim = try await cluster.leader()
                try disks.fill(victim, leavingMegabytes: 0)
                for _ in 1...200 where try await cluster.leader() == victim {
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(try await cluster.leader() != victim)
                // Enough for the log of the full disk to need room that is not there.
                for round in 1...60 {
                    _ = try await client.alterConfigs(
                        .cluster,
                        changes: [
                            ConfigChange(name: "user.big\(round)", value: String(repeating: "x", count: 60_000))
                        ])
                }
                try await cluster.waitForLog(of: victim, "waits for room")
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 20)
                try disks.empty(victim)
            }
            try await judge([writer], cluster, client)
        }
    }
}

/// Small file systems in memory, one for each node.
private struct SmallDisks {
    let folder: URL

    init(megabytes: Int) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("disks-\(UUID().uuidString)")
        for id in 1...3 {
            let disk = folder.appendingPathComponent("node\(id)")
            try FileManager.default.createDirectory(at: disk, withIntermediateDirectories: true)
            try run("/bin/mount", "-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", disk.path)
        }
    }

    /// Another program's file takes all but this much.
    func fill(_ id: Int, leavingMegabytes: Int) throws {
        let disk = folder.appendingPathComponent("node\(id)")
        let filler = disk.appendingPathComponent("filler")
        guard FileManager.default.createFile(atPath: filler.path, contents: nil) else {
            throw LocalCluster.HarnessFailure(description: "cannot make \(filler.path)")
        }
        let handle = try FileHandle(forWritingTo: filler)
        defer { handle.closeFile() }
        let chunk = Data(repeating: 1, count: 64 << 10)
        while true {
            var status = statvfs()
            guard statvfs(disk.path, &status) == 0 else { return }
            let free = Int(status.f_bavail) * Int(status.f_frsize)
            guard free > leavingMegabytes << 20 else { return }
            do {
                try handle.write(contentsOf: chunk)
            } catch {
                // Full to the last page.
                return
            }
        }
    }

    func empty(_ id: Int) throws {
        try FileManager.default.removeItem(at: folder.appendingPathComponent("node\(id)/filler"))
    }

    func unmount() {
        for id in 1...3 {
            do {
                try run("/bin/umount", "-l", folder.appendingPathComponent("node\(id)").path)
            } catch {
                print("cannot unmount: \(error)")
            }
        }
        do {
            if FileManager.default.fileExists(atPath: folder.path) { try FileManager.default.removeItem(at: folder) }
        } catch {
            print("cannot remove \(folder.path): \(error)")
        }
    }
}
