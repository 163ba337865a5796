import Foundation
import MetadataClient
import MetadataModel
import Synchronization
import Testing

/// Each level of reading, on nodes that are paused or cut off.
@Suite("Reads", .serialized)
struct ReadTests {
    /// What a writer and a reader beside it share.
    private final class Course: Sendable {
        let acknowledged = Mutex(0)
        let isOver = Mutex(false)
    }

    /// Changes by a value that only grows, so that a stale answer is a smaller one.
    private func write(_ value: Int, _ client: MetadataClient) async throws -> Version {
        try await client.alterConfigs(
            .cluster, changes: [ConfigChange(name: "user.counter", value: "\(value)")], timeout: .seconds(20))
    }

    private func value(_ client: MetadataClient, _ consistency: ReadConsistency = .linearizable) async throws -> Int {
        let entries = try await client.configs(of: .cluster, consistency: consistency, timeout: .seconds(20))
        return entries.first { $0.name == "user.counter" }.flatMap { Int($0.value) } ?? 0
    }

    @Test(
        "a leader that was paused while another was elected answers no linearizable read with the past (etcd 20418)",
        .timeLimit(.minutes(3)))
    func pausedLeader() async throws {
        let cluster = try await LocalCluster.started()
        let writer = await cluster.client()
        // It waits for the leader it knows, however long that is silent.
        var patient = MetadataClient.Options(endpoints: await cluster.endpoints)
        patient.attemptTimeout = .seconds(30)
        var held = 0
        for round in 1...6 {
            let reader = MetadataClient(patient)
            _ = try await write(2 * round - 1, writer)
            #expect(try await value(reader) == 2 * round - 1)
            let leader = try await cluster.leader()
            await cluster.pause(leader)
            // Acknowledged by the others before the reads begin.
            _ = try await write(2 * round, writer)
            let began = ContinuousClock.now
            let values = try await withThrowingTaskGroup(of: (Int, Duration).self) { group in
                for _ in 1...8 {
                    group.addTask { (try await value(reader), ContinuousClock.now - began) }
                }
                try await Task.sleep(for: .milliseconds(300))
                await cluster.resume(leader)
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for (value, _) in values { #expect(value == 2 * round, "round \(round): a read went back in time") }
            held += values.count { $0.1 >= .milliseconds(250) }
            await reader.close()
            try await cluster.waitUntilHealthy()
        }
        #expect(held > 0, "no read ever waited for the paused leader: nothing was tested")
        await writer.close()
        await cluster.stop()
    }

    @Test(
        "without a majority no linearizable read and no write is answered; stale ones are, within their lag",
        .timeLimit(.minutes(2)))
    func minority() async throws {
        let cluster = try await LocalCluster.started()
        let client = await cluster.client()
        let version = try await write(7, client)
        try await cluster.waitUntilHealthy()
        let leader = try await cluster.leader()
        for id in 1...3 where id != leader { try await cluster.kill(id) }
        // It gives up leading within an election timeout, and then says so.
        await #expect(throws: MetadataError.self) {
            try await client.summary(consistency: .linearizable, timeout: .seconds(2))
        }
        #expect(try await value(client, .stale(maxLagMilliseconds: 60_000)) == 7)
        #expect(try await value(client, .atLeast(version)) == 7)
        await #expect(throws: MetadataError.self) {
            try await client.summary(consistency: .atLeast(Version(version.rawValue + 1_000)), timeout: .seconds(3))
        }
        await #expect(throws: MetadataError.self) {
            try await client.summary(consistency: .stale(maxLagMilliseconds: 200), timeout: .seconds(2))
        }
        await client.close()
        await cluster.stop()
    }

    @Test(
        "a follower answers linearizable reads through a change of the leader, and never with the past",
        .timeLimit(.minutes(3)))
    func followerAcrossTransfers() async throws {
        let cluster = try await LocalCluster.started(settings: LocalCluster.patient)
        let writer = await cluster.client()
        _ = try await write(0, writer)
        let leader = try await cluster.leader()
        let others = (1...3).filter { $0 != leader }
        let port = await cluster.nodes[others[0] - 1].clientPort
        let course = Course()
        // The follower stays one: leadership goes to and fro between the other two.
        let reading = Task.detached {
            let reader = try DirectReader(port: port)
            var (answered, refused) = (0, 0)
            while !course.isOver.withLock({ $0 }) {
                let floor = course.acknowledged.withLock { $0 }
                guard let text = try reader.config("user.counter", .linearizable) else {
                    refused += 1
                    continue
                }
                answered += 1
                let value = Int(text) ?? -1
                if value < floor { Issue.record("read \(value) after \(floor) was acknowledged") }
            }
            return (answered, refused)
        }
        let writing = Task {
            var value = 0
            while !course.isOver.withLock({ $0 }) {
                value += 1
                _ = try await write(value, writer)
                course.acknowledged.withLock { [value] in $0 = value }
            }
        }
        for target in [others[1], leader, others[1], leader] {
            try await Task.sleep(for: .milliseconds(500))
            let result = try await cluster.metactl(["members", "transfer-leadership", "--to", "\(target)"])
            #expect(result.status == 0, "\(result.errors)")
        }
        try await Task.sleep(for: .milliseconds(500))
        course.isOver.withLock { $0 = true }
        let (answered, refused) = try await reading.value
        try await writing.value
        print(
            "\(answered) reads answered by a follower, \(refused) refused, \(course.acknowledged.withLock { $0 }) writes"
        )
        #expect(try await cluster.leader() == leader)
        #expect(answered > 100 && course.acknowledged.withLock { $0 } > 100)
        await writer.close()
        await cluster.stop()
    }

    @Test("a read at least as new as a client's own write sees it on every node, at once", .timeLimit(.minutes(2)))
    func ownWrites() async throws {
        let cluster = try await LocalCluster.started()
        let client = await cluster.client()
        for number in 1...300 {
            let version = try await write(number, client)
            // Reads of this level go round the nodes.
            for _ in 1...3 { #expect(try await value(client, .atLeast(version)) >= number) }
        }
        await client.close()
        await cluster.stop()
    }
}
