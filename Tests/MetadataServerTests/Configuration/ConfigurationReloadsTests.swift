import Foundation
import Logging
import Synchronization
import Testing

@testable import MetadataServer

@Suite("Settings that are read again")
struct ConfigurationReloadsTests {
    private final class Settings: Sendable {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".yaml").path

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func write(_ more: String) throws {
            let least = "node:\n  id: 2\n  data_dir: \"data\"\ncluster:\n  id: \"test\"\n"
            try (least + more).write(toFile: path, atomically: true, encoding: .utf8)
        }

        func load() async throws(ConfigurationProblems) -> NodeConfiguration {
            try await NodeConfiguration.load(file: path, environment: [:], currentDirectory: "/")
        }
    }

    /// Starts with the first settings, then reads each of the others; gives what was said, and what was taken over.
    private func reload(
        _ first: String, then others: [String]
    ) async throws -> (said: [ConfigurationReload], taken: [(configuration: NodeConfiguration, changed: Set<String>)]) {
        let settings = Settings()
        try settings.write(first)
        let reloads = ConfigurationReloads(
            try await settings.load(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { () async throws(ConfigurationProblems) in try await settings.load() }
        let taken = Holder()
        reloads.onChange { configuration, changed in taken.items.withLock { $0.append((configuration, changed)) } }
        var said: [ConfigurationReload] = []
        let running = Task { try await reloads.run() }
        for other in others {
            try settings.write(other)
            said.append(
                await withCheckedContinuation { done in reloads.request(by: "test") { done.resume(returning: $0) } })
        }
        running.cancel()
        try await running.value
        return (said, taken.items.withLock(\.self))
    }

    private final class Holder: Sendable {
        let items = Mutex<[(configuration: NodeConfiguration, changed: Set<String>)]>([])
    }

    @Test("what is safe is taken over; what is not waits for a restart, and is named each time")
    func changes() async throws {
        let (said, taken) = try await reload(
            "raft:\n  tick: 20ms\n",
            then: [
                "raft:\n  tick: 25ms\nlogging:\n  level: debug\nlimits:\n  client_connections_max: 7\n",
                "raft:\n  tick: 25ms\nlogging:\n  level: debug\nlimits:\n  client_connections_max: 7\n",
            ])
        #expect(
            said == [
                ConfigurationReload(
                    isDone: true,
                    detail: "changed logging.level: info -> debug, limits.client_connections_max: 10000 -> 7; "
                        + "needs a restart: raft.tick: 20ms -> 25ms"),
                ConfigurationReload(isDone: true, detail: "nothing changed; needs a restart: raft.tick: 20ms -> 25ms"),
            ])
        #expect(taken.count == 2)
        #expect(taken[0].changed == ["logging.level", "limits.client_connections_max"])
        #expect(taken[0].configuration.limits.clientConnectionsMax == 7)
        #expect(taken[0].configuration.logging.level == .debug)
        #expect(taken[0].configuration.raft.tick == .milliseconds(20), "bound to timers that run")
        #expect(taken[1].changed.isEmpty)
    }

    @Test("a file with a mistake changes nothing, says why, and the next one counts again")
    func mistake() async throws {
        let (said, taken) = try await reload(
            "",
            then: [
                "logging:\n  level: loud\nlimits:\n  inflight_requests_max: 9\n", "logging: [",
                "logging:\n  level: error\n",
            ])
        #expect(said.map(\.isDone) == [false, false, true])
        #expect(said[0].detail.contains("logging.level = loud: must be one of"))
        #expect(said[1].detail.contains("cannot be read as a YAML file"))
        #expect(taken.count == 1)
        #expect(taken.first?.configuration.limits.inflightRequestsMax == 65_536)
    }

    /// Another legal value of each key that can be reloaded.
    private static let others: [String: String] = [
        "storage.digest_interval": "61s", "storage.scrub_interval": "2h", "storage.disk_low_bytes": "1MiB",
        "storage.disk_high_bytes": "1GiB", "coordinator.rebalance.auto": "true",
        "coordinator.rebalance.strategy": "sticky", "coordinator.rebalance.threshold_percent": "11",
        "coordinator.rebalance.interval": "6m", "coordinator.rebalance.moves_per_broker_max": "6",
        "coordinator.rebalance.moves_max": "51", "coordinator.leaders.auto": "false",
        "coordinator.leaders.threshold_percent": "11", "coordinator.leaders.interval": "6m",
        "resilience.timeouts.rebalance": "31s", "logging.level": "debug", "logging.format": "console",
        "tracing.endpoint": "http://127.0.0.1:4318", "tracing.sampling": "0.5", "limits.client_connections_max": "11",
    ]

    @Test("every key that can be reloaded is one that exists and is taken over, and nothing else is")
    func keys() async throws {
        #expect(Set(Self.others.keys) == NodeConfiguration.reloadableKeys)
        #expect(NodeConfiguration.reloadableKeys.isSubset(of: NodeConfiguration.knownKeys))
        let settings = Settings()
        try settings.write("")
        let before = try await settings.load()
        for (key, other) in Self.others {
            let next = try await NodeConfiguration.load(
                file: settings.path, environment: [:], overrides: [key: other], currentDirectory: "/")
            #expect(before.changes(to: next).map(\.key) == [key])
            #expect(before.taking(over: next) == next, "\(key) is not taken over")
        }
        let restart = try await NodeConfiguration.load(
            file: settings.path, environment: [:],
            overrides: ["raft.tick": "21ms", "metrics.port": "1234", "node.client_address": "127.0.0.1:1"],
            currentDirectory: "/")
        #expect(before.taking(over: restart) == before)
    }
}
