import MetadataClient
import MetadataModel
import Testing

@testable import metactl

@Suite("bench failover")
struct FailoverTests {
    /// A runner with two writers on one connection, on a node that `kill` does something to.
    private func withRunner<Value: Sendable>(
        _ node: TestNode, recovery: Duration, kill: @escaping (UInt64) async throws -> Void,
        body: (FailoverRunner) async throws -> Value
    ) async throws -> Value {
        let endpoint = try #require(MetadataClient.Endpoint(parsing: node.endpoint))
        let client = MetadataClient(MetadataClient.Options(endpoints: [endpoint]))
        let monitor = MetadataClient(MetadataClient.Options(endpoints: [endpoint]))
        let workload = BenchWorkload(keys: 4, valueSize: 8)
        let meter = GapMeter()
        let lane = BenchLane(
            first: 0, stride: 1, succeeded: { meter.succeeded(at: $0) }, operation: client.writing(workload))
        let runner = FailoverRunner(
            rounds: 2, clients: 2, lanes: [lane], meter: meter, monitor: monitor, kill: kill, start: { _ in },
            settle: .milliseconds(50), observation: .milliseconds(100), recovery: recovery, grace: .seconds(5),
            console: Console(format: .json))
        do {
            let value = try await body(runner)
            #expect(lane.inFlight == 0)
            await client.close()
            await monitor.close()
            return value
        } catch {
            await client.close()
            await monitor.close()
            throw error
        }
    }

    /// How long the node is without a leader after a kill.
    private static let outage: Duration = .milliseconds(300)

    @Test("each round measures at least the time without a leader, and names who was killed and the term after")
    func gap() async throws {
        try await TestNode.run { node in
            let kill = { (id: UInt64) async throws -> Void in
                #expect(id == 1)
                node.loseLeader()
                try await Task.sleep(for: FailoverTests.outage)
                node.win()
            }
            let (rounds, _) = try await withRunner(node, recovery: .seconds(30), kill: kill) { try await $0.run() }
            #expect(rounds.map(\.round) == [1, 2])
            #expect(rounds.map(\.killedNode) == [1, 1])
            #expect(rounds.map(\.newTerm) == [4, 5])
            for round in rounds {
                #expect(round.gapMs >= FailoverTests.outage.inMilliseconds - 50)
                #expect(round.writes > 0)
            }
        }
    }

    @Test("a kill that elects nobody is an error and no gap (a fault that did not happen must not count)")
    func nothingHappened() async throws {
        try await TestNode.run { node in
            let failure = await #expect(throws: CommandFailure.self) {
                try await withRunner(node, recovery: .seconds(1), kill: { _ in }) { _ = try await $0.run() }
            }
            #expect(failure?.code == "no_failover")
            #expect(failure?.status == .unavailable)
        }
    }

    @Test("a cluster that takes no write again is reported within the time it is given")
    func noRecovery() async throws {
        try await TestNode.run { node in
            let failure = await #expect(throws: CommandFailure.self) {
                try await withRunner(node, recovery: .seconds(1), kill: { _ in node.loseLeader() }) {
                    _ = try await $0.run()
                }
            }
            #expect(failure?.code == "no_recovery")
        }
    }
}
