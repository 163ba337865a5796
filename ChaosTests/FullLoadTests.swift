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

    /// So long may a disk take for a page of somebody else before what the nodes do says nothing: their leaders hand over after the
    /// election timeout, which is not much longer.
    private static let stallMax = Duration.milliseconds(250)

    @Test("full load on cores that are busy besides costs no election", .timeLimit(.minutes(30)))
    func noElection() async throws {
        for attempt in 1...3 {
            let stall = try await loaded(isLast: attempt == 3)
            guard let stall else { return }
            print("an election while the disk stood still for \(stall), for everybody: once more")
        }
    }

    /// - Returns: how long the disk stood still, when that excuses an election; nil when all is said.
    private func loaded(isLast: Bool) async throws -> Duration? {
        let cluster = try await LocalCluster.started()
        let client = await cluster.client()
        let load = CounterLoad(client: client, writers: 256, pace: .zero)
        let reader = TopicReader(client: client)
        let before = try await cluster.waitUntilHealthy()
        let leader = try await cluster.leader()
        let isOver = Mutex(false)
        let spinners = ProcessInfo.processInfo.activeProcessorCount
        let idle = try idleTime()
        let witness = try DiskWitness(in: cluster.folder)
        defer { _ = witness.stop() }
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
        let stall = witness.stop()
        let after = await cluster.statuses()
        print(
            "\(load.successes) writes in \(Self.seconds) s, longest pause \(load.longestPause), "
                + "longest sync of a witness \(stall), idle \(share)")
        let terms = (before: Set(before.map(\.term)), after: Set(after.map(\.term)))
        if terms.before != terms.after, stall > Self.stallMax, !isLast {
            await client.close()
            await cluster.stop()
            return stall
        }
        #expect(share < 0.1, "the machine was idle")
        #expect(terms.before == terms.after, "there was an election")
        #expect(try await cluster.leader() == leader)
        #expect(load.successes > Self.seconds * 50)
        #expect(load.failures.isEmpty && reader.failures.isEmpty, "\(load.failures) \(reader.failures.prefix(3))")
        try await cluster.waitUntilHealthy()
        await client.close()
        await cluster.stop()
        return nil
    }

    /// Of all cores together, in hundredths of a second (proc(5), stat).
    private func idleTime() throws -> Int {
        let line = try String(contentsOfFile: "/proc/stat", encoding: .utf8).split(separator: "\n").first
        return try #require(line?.split(separator: " ").dropFirst(4).first.flatMap { Int($0) })
    }
}
