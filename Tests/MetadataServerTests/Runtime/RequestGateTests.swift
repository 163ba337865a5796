import NIOCore
import Resilience
import Testing
import Wire

@testable import MetadataServer

@Suite("The gate of requests")
struct RequestGateTests {
    private func configuration(_ overrides: [String: String] = [:]) async throws -> NodeConfiguration {
        try await NodeConfiguration.load(
            file: nil, environment: [:],
            overrides: ["node.id": "2", "node.data_dir": "/nowhere", "cluster.id": "test"].merging(overrides) { $1 })
    }

    @Test("settings under resilience and limits are those of the gate")
    func settings() async throws {
        let settings = RequestGate.Settings(
            try await configuration([
                "limits.inflight_requests_max": "3", "limits.inflight_bytes_max": "9MiB",
                "limits.total_inflight_requests_max": "5", "limits.total_inflight_bytes_max": "10MiB",
                "limits.memory_max_bytes": "1GiB", "resilience.timeouts.proposal": "2s",
                "resilience.timeouts.leader_election": "7s",
            ]))
        #expect(settings.proposalTimeout == .seconds(2))
        #expect(settings.leaderWait == .seconds(7))
        #expect(settings.memoryMaxBytes == 1 << 30)
        let plain = RequestGate.Settings(try await configuration())
        #expect(plain.proposalTimeout == .seconds(5))
        #expect(plain.leaderWait == .seconds(10))
        #expect(plain.memoryMaxBytes == 0)
    }

    @Test("marks of memory that cannot be are reported")
    func marks() async throws {
        await #expect(throws: ConfigurationProblems.self) {
            _ = try await configuration(["limits.memory_shed_percent": "90", "limits.memory_refuse_percent": "90"])
        }
    }

    private func gate(_ overrides: [String: String] = [:]) async throws -> RequestGate {
        RequestGate(
            RequestGate.Settings(try await configuration(overrides)),
            breakers: CircuitBreakers(clock: ContinuousClock()))
    }

    @Test("each bound refuses by its name, with the time to come back, and is counted")
    func bounds() async throws {
        let gate = try await gate([
            "limits.inflight_requests_max": "2", "limits.inflight_bytes_max": "8MiB",
            "limits.total_inflight_requests_max": "3", "limits.total_inflight_bytes_max": "9MiB",
        ])
        var connection = Admission(gate.settings.perConnection)
        #expect(gate.obstacle(bytes: 100, connection: connection) == nil)
        connection.begin(bytes: 8 << 20)
        gate.began(bytes: 8 << 20)
        #expect(gate.obstacle(bytes: 1, connection: connection) == .connectionBytes)
        #expect(gate.obstacle(bytes: 2 << 20, connection: Admission(gate.settings.perConnection)) == .totalBytes)
        connection.begin(bytes: 0)
        gate.began(bytes: 0)
        #expect(gate.obstacle(bytes: 0, connection: connection) == .connectionRequests)
        gate.began(bytes: 0)
        #expect(gate.obstacle(bytes: 0, connection: Admission(gate.settings.perConnection)) == .totalRequests)
        for obstacle in RequestGate.Obstacle.allCases {
            let refusal = gate.refusal(obstacle)
            #expect(refusal.code == .overloaded && refusal.isDefinite && refusal.retryAfterMilliseconds > 0)
        }
        #expect(
            gate.reading.shed == [.connectionBytes: 1, .totalBytes: 1, .connectionRequests: 1, .totalRequests: 1])
        // A connection that closes takes all it had with it.
        gate.ended(requests: connection.requests, bytes: connection.bytes)
        #expect((gate.reading.requests, gate.reading.bytes) == (1, 0))
        #expect(gate.obstacle(bytes: 0, connection: Admission(gate.settings.perConnection)) == nil)
    }

    @Test("short of memory it takes nothing, and takes all again when there is room")
    func memory() async throws {
        let gate = try await gate()
        let connection = Admission(gate.settings.perConnection)
        let changed = [50, 85, 95, 88, 84, 50].map { (percent: UInt64) -> Bool in
            gate.memoryMeasured(used: percent << 20, limit: 100 << 20)
        }
        #expect(changed == [false, true, true, false, true, true])
        _ = gate.memoryMeasured(used: 95, limit: 100)
        #expect(gate.obstacle(bytes: 0, connection: connection) == .memory)
        #expect(gate.refusal(.memory).retryAfterMilliseconds == 1_000)
        _ = gate.memoryMeasured(used: 10, limit: 100)
        #expect(gate.obstacle(bytes: 0, connection: connection) == nil)
    }

    @Test("writes without an outcome open the breaker, and its refusal says when to try again")
    func proposals() async throws {
        let gate = try await gate(["resilience.circuit_breaker.failure_threshold": "2"])
        for _ in 0..<2 { gate.proposals.record(.failure, of: try gate.proposals.admit()) }
        let thrown = #expect(throws: CircuitBreaker.Rejection.self) { _ = try gate.proposals.admit() }
        let rejection = try #require(thrown)
        let refusal = gate.refusal(rejection)
        #expect(refusal.code == .overloaded && refusal.isDefinite)
        #expect(refusal.openBreaker == "proposals")
        #expect(refusal.retryAfterMilliseconds > 29_000 && refusal.retryAfterMilliseconds <= 30_000)
        #expect(refusal.detail.contains("open, retry in "))
        #expect(gate.reading.shed == [.breaker: 1])
        #expect(CircuitBreaker.Rejection(retryAfter: .nanoseconds(1)).retryAfterMilliseconds == 1)
    }

    @Test("connections that were refused are counted, and logged at most once a second")
    func refusedConnections() async throws {
        let gate = try await gate()
        let start = NIODeadline.uptimeNanoseconds(5_000_000_000)
        #expect(gate.takeRefusedConnectionsToLog(now: start) == nil)
        for _ in 0..<3 { gate.refusedConnection() }
        #expect(gate.takeRefusedConnectionsToLog(now: start) == 3)
        gate.refusedConnection()
        #expect(gate.takeRefusedConnectionsToLog(now: start + .milliseconds(999)) == nil)
        #expect(gate.takeRefusedConnectionsToLog(now: start + .seconds(1)) == 1)
        #expect(gate.takeRefusedConnectionsToLog(now: start + .seconds(9)) == nil)
        #expect(gate.reading.refusedConnections == 4)
    }

    @Test("deadlines that passed are counted by operation, and logged at most once a second")
    func timeouts() async throws {
        let gate = try await gate()
        let start = NIODeadline.uptimeNanoseconds(5_000_000_000)
        #expect(gate.takeTimeoutsToLog(now: start) == nil)
        gate.late("topic")
        gate.late("create_topic")
        gate.late("topic")
        #expect(gate.takeTimeoutsToLog(now: start) == "create_topic=1 topic=2")
        gate.late("topic")
        #expect(gate.takeTimeoutsToLog(now: start + .milliseconds(999)) == nil)
        #expect(gate.takeTimeoutsToLog(now: start + .seconds(1)) == "topic=1")
        #expect(gate.takeTimeoutsToLog(now: start + .seconds(9)) == nil)
        #expect(gate.reading.timeouts == ["create_topic": 1, "topic": 3])
    }
}
