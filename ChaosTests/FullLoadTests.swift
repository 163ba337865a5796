import Foundation
import MetadataClient
import MetadataModel
import Synchronization
import Testing

/// A machine with nothing to spare.
@Suite("Full load", .serialized)
struct FullLoadTests {
    /// `CHAOS_LOAD_SECONDS=600` for the whole of it.
    private static let seconds = max(5, Int(ProcessInfo.processInfo.environment["CHAOS_LOAD_SECONDS"] ?? "") ?? 15)

    @Test("full load on cores that are busy besides costs no election", .timeLimit(.minutes(20)))
    func noElection() async throws {
        let cluster = try await LocalCluster.started()
        let client = await cluster.client()
        let load = CounterLoad(client: client, writers: 256, pace: .zero)
        let reader = TopicReader(client: client)
        let before = try await cluster.waitUntilHealthy()
        let leader = try await cluster.leader()
        let isOver = Mutex(false)
        let spinners = ProcessInfo.processInfo.activeProcessorCount
        let idle = try idleTime()
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer {
                load.stop()
                reader.stop()
                isOver.withLock { $0 = true }
            }
            group.addTask { await load.run() }
            group.addTask { await reader.run() }
            for _ in 0..<spinners {
                let thread = Thread { while !isOver.withLock({ $0 }) {} }
                thread.start()
            }
            try await Task.sleep(for: .seconds(Self.seconds))
        }
        let share = Double(try idleTime() - idle) / Double(Self.seconds * spinners * 100)
        let after = await cluster.statuses()
        print("\(load.successes) writes in \(Self.seconds) s, longest pause \(load.longestPause), idle \(share)")
        #expect(share < 0.1, "the machine was idle")
        #expect(Set(after.map(\.term)) == Set(before.map(\.term)), "there was an election")
        #expect(try await cluster.leader() == leader)
        #expect(load.successes > Self.seconds * 50)
        #expect(load.failures.isEmpty && reader.failures.isEmpty, "\(load.failures) \(reader.failures.prefix(3))")
        try await cluster.waitUntilHealthy()
        await client.close()
        await cluster.stop()
    }

    /// Of all cores together, in hundredths of a second (proc(5), stat).
    private func idleTime() throws -> Int {
        let line = try String(contentsOfFile: "/proc/stat", encoding: .utf8).split(separator: "\n").first
        return try #require(line?.split(separator: " ").dropFirst(4).first.flatMap { Int($0) })
    }
}
