import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Machines that lose power: what was written and not synced is gone, all of it or any blocks of it.
@Suite("Loss of power", .serialized)
struct PowerTests {
    private static let settings = ["raft.segment_bytes=1MiB", "raft.log_keep_entries=2000", "raft.log_keep_bytes=1MiB"]

    @Test(
        "all nodes lose power at once, again and again: what was not synced is gone, and nothing acknowledged was",
        .timeLimit(.minutes(4)), arguments: [0.0, 0.5])
    func all(surviving probability: Double) async throws {
        try await withFaults(settings: Self.settings) { cluster, client, faults in
            let writers = (1...4).map { TopicWriter(client: client, prefix: "writer\($0)") }
            var lost = FaultLibrary.PowerLoss()
            try await withRunning(writers) {
                for round in 1...4 {
                    let written = writers.map(\.acknowledgedCount).reduce(0, +)
                    try await waitForWrites(writers, beyond: written + 150)
                    for id in 1...3 { try await cluster.kill(id) }
                    for id in 1...3 {
                        let loss = try faults.losePower(
                            id, surviving: probability, seed: UInt64(round * 10 + id))
                        lost.blocks += loss.blocks
                        lost.survivors += loss.survivors
                        lost.files += loss.files
                    }
                    for id in 1...3 {
                        try await cluster.start(id, environment: faults.environment(id, losesPower: true))
                    }
                    _ = try await waitUntilBack(cluster)
                }
                let written = writers.map(\.acknowledgedCount).reduce(0, +)
                try await waitForWrites(writers, beyond: written + 20)
            }
            print("lost \(lost.blocks) blocks, \(lost.survivors) survived, of \(Set(lost.files).sorted())")
            #expect(lost.blocks > 0, "everything had been synced")
            if probability > 0 { #expect(lost.survivors > 0) }
            try await judge(writers, cluster, client)
        }
    }

    @Test(
        "one node loses power under writers, the leader or not, and comes back with its word kept",
        .timeLimit(.minutes(3)))
    func one() async throws {
        try await withFaults(settings: Self.settings) { cluster, client, faults in
            let writers = (1...4).map { TopicWriter(client: client, prefix: "writer\($0)") }
            try await withRunning(writers) {
                for round in 1...4 {
                    let leader = try await cluster.leader()
                    let victim = round.isMultiple(of: 2) ? leader : leader % 3 + 1
                    let written = writers.map(\.acknowledgedCount).reduce(0, +)
                    try await waitForWrites(writers, beyond: written + 100)
                    try await cluster.kill(victim)
                    let loss = try faults.losePower(victim, surviving: 0.3, seed: UInt64(round))
                    print("node \(victim) lost \(loss.blocks) blocks of \(loss.files)")
                    try await cluster.start(victim, environment: faults.environment(victim, losesPower: true))
                    _ = try await waitUntilBack(cluster)
                    #expect(!(try await cluster.logText(of: victim)).contains("is corrupt at offset"))
                }
            }
            try await judge(writers, cluster, client)
        }
    }

    @Test("disks that say they synced and did not: the loss is found, so this suite can fail", .timeLimit(.minutes(2)))
    func lyingDisks() async throws {
        try await withFaults(settings: Self.settings) { cluster, client, faults in
            let writer = TopicWriter(client: client, prefix: "writer")
            try await withRunning([writer]) {
                try await waitForWrites([writer], beyond: 50)
                for id in 1...3 { try faults.set(.ignoreSyncs, to: 1, on: id) }
                try await waitForWrites([writer], beyond: writer.acknowledgedCount + 200)
            }
            for id in 1...3 {
                try await cluster.kill(id)
                #expect(try faults.count(.ignored, on: id) > 0, "node \(id) synced nothing")
                _ = try faults.losePower(id)
                try faults.set(.ignoreSyncs, to: 0, on: id)
            }
            for id in 1...3 { try await cluster.start(id, environment: faults.environment(id, losesPower: true)) }
            try await cluster.waitUntilHealthy()
            let names = Set(try await client.topics().map(\.name))
            #expect(!writer.stop().acknowledged.subtracting(names).isEmpty, "nothing was lost, and nothing was synced")
        }
    }
}
