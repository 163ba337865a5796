import Coordination
import MetadataModel
import NIOCore
import RaftCore
import Synchronization
import Telemetry
import Testing
import Wire

@testable import MetadataServer

@Suite("Health: the monitor of a node")
struct HealthMonitorTests {
    /// A probe whose answer the test gives.
    private final class Held: Sendable {
        private let waiting = Mutex<[@Sendable (CheckResult) -> Void]>([])
        private let begun = Mutex(0)

        var count: Int { begun.withLock { $0 } }

        func probe(_ component: HealthComponent) -> NodeProbe {
            NodeProbe(component: component) { [self] done in
                begun.withLock { $0 += 1 }
                waiting.withLock { $0.append(done) }
            }
        }

        func answer(_ result: CheckResult) {
            let all = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            for done in all { done(result) }
        }
    }

    private static func reading(_ change: (inout NodeReading) -> Void = { _ in }) -> NodeReading {
        var reading = NodeReading(
            status: NodeStatus(
                clusterID: "test", nodeID: 1, role: "leader", term: 3,
                leader: LeaderHint(nodeID: 1, address: "a:1", term: 3), commitIndex: 9, appliedIndex: 9,
                version: Version(9), digest: 0, healthy: true, detail: "", members: [],
                disk: DiskID(high: 1, low: 1), clientAddress: "a:1", peerAddress: "a:2", featureLevel: 1,
                coordinator: CoordinatorStatus()),
            takenAt: 10_000, lastIndex: 9, syncedIndex: 9, peers: [], linksUp: [], sinceCommit: .seconds(60),
            sinceLeaderContact: 0, isStopping: false, leadershipChanges: 1, openWrites: 0, openReads: 0,
            connections: 0, watches: 0, brokers: [], voters: [NodeID(1)],
            protection: ProtectionReading(
                isQuarantined: false, isRepairing: false, isDiskLow: false, undecidedDigest: nil,
                counts: ProtectionCounts()),
            rebalances: RebalanceReading(), gate: RequestGate.Reading(),
            liveness: LivenessReading(
                watched: 0, checkedAt: 9_990, millisecondsSinceHeartbeat: nil, longestSilenceMilliseconds: 0),
            snapshotsOut: SnapshotTransfers(), snapshotsIn: SnapshotTransfers(), turns: [:])
        change(&reading)
        return reading
    }

    /// With no grace but that everything is seen twice, so that ticks decide and not the time.
    private func monitor(
        _ published: PublishedState, probes: [NodeProbe] = [], timeout: String = "1h",
        timeouts: CounterHandle = CounterHandle()
    ) async throws -> HealthMonitor {
        let configuration = try await NodeConfiguration.load(
            file: nil, environment: [:],
            overrides: [
                "node.id": "1", "node.data_dir": "/nowhere", "cluster.id": "test", "health.fail_after": "1ms",
                "health.recover_after": "1ms", "resilience.timeouts.health_check": timeout,
                "health.check_interval": "1ms",
            ])
        return HealthMonitor(
            published: published, options: HealthMonitor.Options(configuration), probes: probes, timeouts: timeouts)
    }

    private func published(_ reading: NodeReading? = reading()) -> PublishedState {
        let published = PublishedState(nodeID: NodeID(1), clusterID: "test", dataDirectory: "/nowhere")
        if let reading { published.update(reading) }
        return published
    }

    private func ticks(_ monitor: HealthMonitor, _ count: Int = 3) async throws {
        for _ in 0..<count {
            monitor.tick()
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @Test("a node that is starting lives and is not ready")
    func starting() async throws {
        for published in [published(nil), published()] {
            let monitor = try await self.monitor(published)
            if published.reading == nil { monitor.tick() }
            let health = monitor.snapshot()
            #expect(health.isLive && !health.isReady && !health.hasQuorum)
            #expect(health.notReadyReasons == ["the node is starting"])
        }
    }

    @Test("a leader that is well passes every check")
    func well() async throws {
        let held = Held()
        let monitor = try await monitor(published(), probes: [held.probe(.storage)])
        monitor.tick()
        held.answer(.pass)
        let health = monitor.snapshot()
        #expect(health.isReady && health.hasQuorum)
        #expect(health.checks.map(\.component) == HealthComponent.allCases)
        #expect(health.checks.allSatisfy { $0.result.status == .pass })
        #expect(health.checks.allSatisfy { $0.checkedAt != nil })
    }

    @Test(
        "each trouble fails or warns of its part, and only some of them take the node out of service",
        arguments: [
            (HealthComponent.leader, CheckResult.Status.fail, "no leader"), (.quorum, .fail, "no majority"),
            (.propose, .fail, "3 writes wait"), (.log, .fail, "no room"), (.apply, .fail, "locked"),
            (.disk, .warn, "nearly full"), (.digest, .warn, "entry 7"), (.brokers, .warn, "not checked for 8.0 s"),
            (.coordinator, .warn, "stuck"),
        ])
    func troubles(component: HealthComponent, status: CheckResult.Status, detail: String) async throws {
        let published = published()
        let monitor = try await monitor(published)
        try await ticks(monitor)
        published.update(
            Self.reading { reading in
                switch component {
                case .leader: reading.status.leader = nil
                case .quorum:
                    reading.voters = [NodeID(1), NodeID(2), NodeID(3)]
                    reading.peers = [2, 3].map {
                        PeerProgress(
                            id: NodeID($0), match: LogIndex(1), next: LogIndex(2), state: .probe, isActive: false)
                    }
                case .propose: reading.openWrites = 3
                case .log: reading.logTrouble = "no room"
                case .apply: reading.storeTrouble = "the database is locked"
                case .disk: reading.protection.isDiskLow = true
                case .digest: reading.protection.undecidedDigest = 7
                case .brokers: reading.liveness?.checkedAt = 2_000
                case .coordinator: reading.status.coordinator?.activity = .stuck
                case .loop, .storage: Issue.record("not told by a reading")
                }
            })
        monitor.tick()
        #expect(monitor.snapshot().isReady, "seen once")
        try await ticks(monitor)
        let health = monitor.snapshot()
        let check = try #require(health.checks.first { $0.component == component })
        #expect(check.result.status == status && check.result.detail.contains(detail), "\(check)")
        #expect(health.isReady == (status != .fail))
        #expect(health.isLive)
        published.update(Self.reading())
        try await ticks(monitor)
        #expect(monitor.snapshot().isReady)
    }

    @Test("a check that hangs is said to hang, is not begun again, holds nobody up, and recovers")
    func hanging() async throws {
        let held = Held()
        let timeouts = CounterHandle()
        let monitor = try await monitor(
            published(), probes: [held.probe(.apply)], timeout: "5ms", timeouts: timeouts)
        monitor.tick()
        held.answer(.pass)
        #expect(monitor.snapshot().isReady)
        try await ticks(monitor, 20)
        let health = monitor.snapshot()
        #expect(!health.isReady && health.isLive)
        #expect(health.notReadyReasons.count == 1 && health.notReadyReasons[0].hasPrefix("the check hangs, for 0."))
        let check = try #require(health.checks.first { $0.component == .apply })
        #expect(try #require(check.latency) >= .milliseconds(5))
        #expect(held.count == 2, "begun once before and once to hang")
        #expect(timeouts.current == 1)
        held.answer(.pass)
        for _ in 0..<20 {
            try await ticks(monitor, 1)
            held.answer(.pass)
        }
        #expect(monitor.snapshot().isReady)
        #expect(held.count > 2)
    }

    @Test("a probe that fails twice takes the node out of service with its words")
    func failing() async throws {
        let held = Held()
        let monitor = try await monitor(published(), probes: [held.probe(.storage)])
        for _ in 0..<5 {
            try await ticks(monitor, 1)
            held.answer(.fail("the database cannot be read"))
        }
        try await ticks(monitor)
        #expect(monitor.snapshot().notReadyReasons == ["the database cannot be read"])
    }

    @Test("what a node is told to do takes it out of service at once")
    func halted() async throws {
        let published = published()
        let monitor = try await monitor(published)
        try await ticks(monitor)
        published.update(Self.reading { $0.halt = "the node is stopping" })
        #expect(monitor.snapshot().notReadyReasons == ["the node is stopping"])
        #expect(monitor.snapshot().isLive)
        published.failed("fsync failed")
        #expect(!monitor.snapshot().isLive)
    }

    @Test("a loop that is silent fails soon, and the process is to be restarted only much later")
    func silence() {
        let silent = ReadingChecks(reading: Self.reading(), age: .seconds(3), proposalTimeout: .seconds(5))
        #expect(silent.result(of: .loop) == .fail("the node loop has not turned for 3.0 s"))
        let turning = ReadingChecks(reading: Self.reading(), age: .milliseconds(300), proposalTimeout: .seconds(5))
        #expect(turning.result(of: .loop) == .pass)
        #expect(ReadingChecks.silenceMax < .seconds(30))
    }

    @Test("a moment is moved across seconds both ways")
    func timestamps() {
        let moment = Timestamp(seconds: 100, microseconds: 500_000)
        #expect(moment.advanced(by: .milliseconds(600)) == Timestamp(seconds: 101, microseconds: 100_000))
        #expect(moment.advanced(by: .milliseconds(-600)) == Timestamp(seconds: 99, microseconds: 900_000))
        #expect(moment.advanced(by: .seconds(-100)) == Timestamp(seconds: 0, microseconds: 500_000))
    }
}
