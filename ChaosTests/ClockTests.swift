import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Clocks that jump under running nodes.
@Suite("Clocks", .serialized)
struct ClockTests {
    private static let settings = [
        "resilience.timeouts.heartbeat_interval=1s", "resilience.timeouts.heartbeat_timeout=3s",
    ]

    @Test(
        "the time of day jumps by an hour, forward on one node and back on another: nobody notices",
        .timeLimit(.minutes(2)))
    func wallClock() async throws {
        try await withFaults(settings: Self.settings + LocalCluster.patient) { cluster, client, faults in
            let writer = TopicWriter(client: client, prefix: "writer")
            let leader = try await cluster.leader()
            let term = try await self.term(cluster)
            try await withRunning([writer]) {
                for jump in [3_600_000, -3_600_000, 0, 86_400_000] {
                    try faults.set(.wallClock, to: jump, on: leader)
                    try faults.set(.wallClock, to: -jump, on: leader % 3 + 1)
                    // Longer than a broker may be silent.
                    try await Task.sleep(for: .seconds(4))
                    try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
                }
            }
            #expect(try faults.count(.clockReads, on: leader) > 0, "nobody looked at the clock")
            #expect(try await self.term(cluster) == term, "somebody's leadership was disturbed")
            #expect(try await client.brokers().map(\.state) == [.active])
            let book = writer.stop()
            #expect(book.failed.isEmpty && book.unknown.isEmpty, "\(book.failed) \(book.unknown)")
            try await judge([writer], cluster, client)
        }
    }

    @Test(
        "the clock that only goes forward leaps by ten seconds on a follower: the leader leads on",
        .timeLimit(.minutes(2)))
    func followerLeaps() async throws {
        try await withFaults(settings: LocalCluster.patient) { cluster, client, faults in
            let writer = TopicWriter(client: client, prefix: "writer")
            let leader = try await cluster.leader()
            let term = try await self.term(cluster)
            try await withRunning([writer]) {
                for leap in 1...5 {
                    try faults.set(.monotonicClock, to: leap * 10_000, on: leader % 3 + 1)
                    try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
                    try await Task.sleep(for: .milliseconds(500))
                }
            }
            #expect(try faults.count(.clockReads, on: leader % 3 + 1) > 0)
            #expect(try await cluster.leader() == leader)
            #expect(
                try await self.term(cluster) == term, "a node that thinks it heard nobody for long disturbed the others"
            )
            try await judge([writer], cluster, client)
        }
    }

    @Test(
        "it leaps on the leader, which may step down: writes go on, reads are fresh, nothing is lost",
        .timeLimit(.minutes(2)))
    func leaderLeaps() async throws {
        try await withFaults { cluster, client, faults in
            let writer = TopicWriter(client: client, prefix: "writer")
            try await withRunning([writer]) {
                // Together more than a broker may be silent.
                var ahead: [Int: Int] = [:]
                for _ in 1...5 {
                    let leader = try await cluster.leader()
                    let before = try await client.summary().version
                    ahead[leader, default: 0] += 10_000
                    try faults.set(.monotonicClock, to: ahead[leader] ?? 0, on: leader)
                    try await waitForWrites([writer], beyond: writer.acknowledgedCount + 50)
                    #expect(try await client.summary().version > before)
                    #expect(try faults.count(.clockReads, on: leader) > 0)
                    _ = try await waitUntilBack(cluster)
                }
            }
            #expect(try await client.brokers().map(\.state) == [.active], "a leap was taken for silence")
            print("longest pause of a writer while the leader's clock leapt: \(writer.stop().longestGap)")
            try await judge([writer], cluster, client)
        }
    }

    private func term(_ cluster: LocalCluster) async throws -> UInt64 {
        await cluster.statuses().map(\.term).max() ?? 0
    }
}
