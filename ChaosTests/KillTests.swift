import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Real processes, killed without a word while clients write. What was acknowledged is there afterwards, on all nodes.
@Suite("Killed nodes", .serialized)
struct KillTests {
    @Test("ten kills of the leader lose no acknowledged topic and invent none", .timeLimit(.minutes(5)))
    func leaderKilledTenTimes() async throws {
        try await withWritableCluster { cluster, client in
            let writers = (1...4).map { TopicWriter(client: client, prefix: "writer\($0)") }
            try await withRunning(writers) {
                for round in 1...10 {
                    let before = await cluster.statuses()
                    let leader = try await cluster.leader()
                    let written = writers.map(\.acknowledgedCount).reduce(0, +)
                    try await cluster.kill(leader)
                    try await waitForWrites(writers, beyond: written + 20)
                    let successor = try await cluster.leader()
                    #expect(successor != leader, "round \(round): node \(leader) was killed and still leads")
                    try await cluster.start(leader)
                    let after = try await waitUntilBack(cluster)
                    let termBefore = before.map(\.term).max() ?? 0
                    #expect((after.map(\.term).max() ?? 0) > termBefore, "round \(round): no election took place")
                }
            }
            try await judge(writers, cluster, client)
        }
    }

    @Test("all three nodes killed at once come back with everything acknowledged", .timeLimit(.minutes(3)))
    func allKilledAtOnce() async throws {
        try await withWritableCluster { cluster, client in
            let writers = (1...4).map { TopicWriter(client: client, prefix: "writer\($0)") }
            try await withRunning(writers) {
                for _ in 1...3 {
                    let written = writers.map(\.acknowledgedCount).reduce(0, +)
                    try await waitForWrites(writers, beyond: written + 50)
                    for id in 1...3 { try await cluster.kill(id) }
                    #expect(await cluster.statuses().isEmpty, "somebody still answers")
                    for id in 1...3 { try await cluster.start(id) }
                    _ = try await cluster.leader()
                }
                let written = writers.map(\.acknowledgedCount).reduce(0, +)
                try await waitForWrites(writers, beyond: written + 20)
            }
            try await judge(writers, cluster, client)
        }
    }

    @Test("a follower that was away too long catches up by a snapshot", .timeLimit(.minutes(3)))
    func followerNeedsSnapshot() async throws {
        try await withWritableCluster(settings: ["raft.log_keep_entries=100"]) { cluster, client in
            let leader = try await cluster.leader()
            let follower = leader % 3 + 1
            let writer = TopicWriter(client: client, prefix: "writer")
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 20)
                try await cluster.kill(follower)
                try await waitForWrites([writer], beyond: 1_500)
                try await cluster.start(follower)
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
            }
            try await judge([writer], cluster, client)
            let log = try await cluster.logText(of: follower)
            #expect(log.contains("snapshot installed"), "node \(follower) caught up without a snapshot")
        }
    }

    @Test(
        "a restarted leader that was asked to stop ends with 0 and its successor is there at once",
        .timeLimit(.minutes(2)))
    func gracefulStop() async throws {
        try await withWritableCluster { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer")
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 20)
                let leader = try await cluster.leader()
                let code = try await cluster.terminate(leader)
                #expect(code == 0)
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 20)
                try await cluster.start(leader)
            }
            try await judge([writer], cluster, client)
        }
    }

    @Test("a wiped disk does not come back under its old name, and the others go on", .timeLimit(.minutes(2)))
    func wipedDisk() async throws {
        try await withWritableCluster(settings: LocalCluster.patient) { cluster, client in
            let writer = TopicWriter(client: client, prefix: "writer")
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 50)
                let leader = try await cluster.leader()
                let victim = leader % 3 + 1
                try await cluster.kill(victim)
                try await cluster.wipe(victim)
                try await cluster.start(victim)
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 200)
                let log = try await cluster.logText(of: leader)
                #expect(log.contains("another disk"), "nobody noticed that node \(victim) lost its disk")
                let wiped = await cluster.statuses().first { $0.nodeID == UInt64(victim) }
                #expect(wiped?.leader == nil, "a member that forgot its votes takes part again")
                #expect(wiped?.appliedIndex ?? 0 <= 1)
                #expect(try await cluster.leader() == leader, "the leader was disturbed")
            }
            #expect(!writer.stop().acknowledged.isEmpty)
        }
    }
}
