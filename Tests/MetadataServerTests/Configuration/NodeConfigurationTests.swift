import Foundation
import Logging
import RaftCore
import Telemetry
import Testing

@testable import MetadataServer

@Suite("Node configuration")
struct NodeConfigurationTests {
    private static let least = """
        node:
          id: 2
          data_dir: "data"
        cluster:
          id: "test"
        """

    /// Writes the text to a file and loads it.
    private func load(
        _ yaml: String, environment: [String: String] = [:], overrides: [String: String] = [:]
    ) async throws -> NodeConfiguration {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".yaml").path
        try yaml.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try await NodeConfiguration.load(
            file: path, environment: environment, overrides: overrides, currentDirectory: "/start")
    }

    private func problems(
        _ yaml: String, environment: [String: String] = [:], overrides: [String: String] = [:]
    ) async throws -> [String] {
        do {
            _ = try await load(yaml, environment: environment, overrides: overrides)
            return []
        } catch let error as ConfigurationProblems {
            return error.problems.map(\.description)
        }
    }

    @Test("what must be chosen is enough; the rest has the documented defaults")
    func defaults() async throws {
        let configuration = try await load(Self.least)
        #expect(configuration.node.id.rawValue == 2)
        #expect(configuration.node.dataDirectory == "/start/data")
        #expect(configuration.node.clientAddress == NetworkAddress(host: "127.0.0.1", port: 7_400))
        #expect(configuration.cluster.initialMembers == [])
        #expect(configuration.raft.electionTimeoutTicks == 15)
        #expect(configuration.raft.heartbeatTicks == 3)
        #expect(configuration.resilience.circuitBreaker.failureThreshold == 5)
        #expect(configuration.resilience.circuitBreaker.requestsHalfOpenMax == 3)
        #expect(configuration.resilience.timeouts.proposal == .seconds(5))
        #expect(configuration.resilience.timeouts.heartbeatTimeout == .seconds(30))
        #expect(configuration.resilience.timeouts.snapshot == .seconds(60))
        #expect(configuration.health.checkInterval == .seconds(5))
        #expect(configuration.health.http.address.port == 8_080)
        #expect(configuration.metrics.address.port == 9_090)
        #expect(configuration.metrics.path == "/metrics")
        #expect(configuration.logging.level == .info)
        #expect(configuration.logging.format == .json)
        #expect(configuration.logging.output == .standardOutput)
        #expect(configuration.notices == [])
    }

    @Test("without a word about it, nothing can be reached from another machine")
    func loopback() async throws {
        let configuration = try await load(Self.least)
        #expect(configuration.node.clientAddress.isLoopback)
        #expect(configuration.node.peerAddress.isLoopback)
        #expect(configuration.health.http.address.isLoopback)
        #expect(configuration.metrics.address.isLoopback)
    }

    @Test("a node that listens everywhere tells others what it was told to, and otherwise where it listens")
    func advertised() async throws {
        let behindProxy = try await load(
            Self.least, environment: ["METAD_NODE_ADVERTISED_PEER_ADDRESS": "meta2.example:17500"],
            overrides: ["node.peer_address": "0.0.0.0:7500", "node.client_address": "10.0.0.2:7400"])
        #expect(behindProxy.node.peerAddress == NetworkAddress(host: "0.0.0.0", port: 7_500))
        #expect(behindProxy.node.advertisedPeerAddress == NetworkAddress(host: "meta2.example", port: 17_500))
        #expect(behindProxy.node.advertisedClientAddress == NetworkAddress(host: "10.0.0.2", port: 7_400))
        let settings = NodeSettings(behindProxy, disk: DiskID(high: 1, low: 2), seed: 1)
        #expect(settings.peerAddress == behindProxy.node.advertisedPeerAddress)
        #expect(settings.clientAddress == behindProxy.node.advertisedClientAddress)
    }

    @Test("flags beat the environment, which beats the file, which beats the defaults")
    func precedence() async throws {
        let yaml = Self.least + "\nlogging:\n  level: warning\n  format: console\nmetrics:\n  port: 1001\n"
        let configuration = try await load(
            yaml, environment: ["METAD_LOGGING_LEVEL": "error", "METAD_METRICS_PORT": "1002"],
            overrides: ["metrics.port": "1003"])
        #expect(configuration.logging.format == .console)
        #expect(configuration.logging.level == .error)
        #expect(configuration.metrics.address.port == 1_003)
        #expect(configuration.health.http.address.port == 8_080)
    }

    @Test("environment and flags alone are enough, lists included")
    func withoutFile() async throws {
        let configuration = try await NodeConfiguration.load(
            file: nil,
            environment: [
                "METAD_NODE_ID": "1", "METAD_NODE_DATA_DIR": "/data", "METAD_CLUSTER_ID": "c",
                "METAD_CLUSTER_INITIAL_MEMBERS": "1=a:1,a:2; 2=b:1,b:2 3=[::1]:1,[::1]:2",
            ])
        #expect(
            configuration.cluster.initialMembers.map(\.description) == [
                "1=a:1,a:2", "2=b:1,b:2", "3=[::1]:1,[::1]:2",
            ])
        #expect(configuration.node.dataDirectory == "/data")
    }

    @Test("every problem is listed at once, with key, value, source and reason")
    func allAtOnce() async throws {
        let yaml = """
            node:
              id: zero
              data_dir: ""
            raft:
              tick: 20
              heartbeat_interval: [1ms]
            cluster:
              initial_members: ["1=a:1", "2=a:1,a:2"]
            limits:
              client_connections_max: 0
            loging:
              level: info
            """
        let found = try await problems(
            yaml, environment: ["METAD_LOGGING_FORMAT": "xml"], overrides: ["metrics.pat": "/m"])
        #expect(
            found == [
                "loging.level: is not a key (file); did you mean logging.level?",
                "metrics.pat: is not a key (flag); did you mean metrics.path?",
                "node.id = zero: must be a whole number above 0, different on every node",
                "node.data_dir = : must not be empty",
                "cluster.id: is missing and has no default",
                "cluster.initial_members = 1=a:1: must be id=peer-host:port,client-host:port, "
                    + "such as 1=10.0.0.1:7501,10.0.0.1:7401",
                "raft.tick = 20: must be a whole number with a unit (us, ms, s, m, h), such as 250ms or 5s",
                "raft.heartbeat_interval: must be a single value, not a list",
                "logging.format = xml (from METAD_LOGGING_FORMAT): must be json or console",
                "limits.client_connections_max = 0: must be a whole number from 1 to 1000000",
                "cluster.initial_members: does not name this node (node.id 1); leave the list empty on a node that "
                    + "joins later",
            ])
    }

    @Test(
        "settings that contradict each other are refused",
        arguments: [
            (["raft.heartbeat_interval": "10ms"], "raft.heartbeat_interval = 10ms: must be at least raft.tick (20ms)"),
            (
                ["raft.election_timeout": "150ms"],
                "raft.election_timeout = 150ms: must be at least three times raft.heartbeat_interval (60ms)"
            ),
            (
                ["raft.inflight_bytes_max": "64KiB"],
                "raft.inflight_bytes_max = 64KiB: must be at least raft.append_bytes_max (1MiB)"
            ),
            (
                ["resilience.timeouts.heartbeat_timeout": "11s"],
                "resilience.timeouts.heartbeat_timeout = 11s: must be at least twice "
                    + "resilience.timeouts.heartbeat_interval (10s)"
            ),
            (
                ["metrics.port": "7400"],
                "metrics.port = 127.0.0.1:7400: is taken by node.client_address (127.0.0.1:7400)"
            ),
            (
                ["node.peer_address": "0.0.0.0:7400"],
                "node.peer_address = 0.0.0.0:7400: is taken by node.client_address (127.0.0.1:7400)"
            ),
            (
                ["cluster.initial_members": "2=a:1,a:2;2=b:1,b:2"],
                "cluster.initial_members = 2=b:1,b:2: names node 2 twice"
            ),
            (
                ["cluster.initial_members": "2=a:1,a:2;3=a:3,a:2"],
                "cluster.initial_members = 3=a:3,a:2: uses a:2 twice"
            ),
        ])
    func contradictions(overrides: [String: String], expected: String) async throws {
        #expect(try await problems(Self.least, overrides: overrides) == [expected])
    }

    @Test("a port in use by a listener that is switched off is free")
    func disabledListener() async throws {
        let found = try await problems(
            Self.least, overrides: ["metrics.port": "8080", "health.http.enabled": "false"])
        #expect(found == [])
    }

    @Test(
        "values that are almost right are refused",
        arguments: [
            ("raft.tick", "0ms"), ("raft.tick", "-20ms"), ("raft.tick", "2s"), ("raft.tick", "20 ms"),
            ("raft.segment_bytes", "16MB"), ("raft.segment_bytes", "9223372036854775807GiB"),
            ("node.client_address", "7401"), ("node.client_address", "host:65536"), ("node.client_address", "::1:7401"),
            ("node.client_address", "host:+1"), ("node.client_address", " host:1"), ("node.id", "0"), ("node.id", "-1"),
            ("metrics.path", "metrics"), ("metrics.path", "/a b"), ("metrics.enabled", "1"), ("logging.level", "loud"),
            ("logging.output", "file:"), ("health.http.port", "65536"), ("health.http.bind_address", "127.0.0.1:80"),
            ("node.advertised_peer_address", "0.0.0.0:7500"), ("node.advertised_peer_address", "[::]:7500"),
            ("node.advertised_client_address", "meta1"), ("node.advertised_client_address", "meta1:0"),
            ("cluster.id", "a b"), ("cluster.id", String(repeating: "x", count: 65)),
        ])
    func refusedValues(key: String, text: String) async throws {
        let found = try await problems(Self.least, overrides: [key: text])
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("\(key) = \(text): must ") == true, "\(found)")
    }

    @Test(
        "a file that is not there or not YAML is the one problem",
        arguments: ["a: [", "- 1\n- 2\n", "just text"])
    func brokenFile(yaml: String) async throws {
        let found = try await problems(yaml)
        #expect(found.count == 1)
        #expect(found.first?.contains("cannot be read as a YAML file of settings") == true)
    }

    @Test(
        "a file that is damaged anywhere is read or refused with reasons, and never ends the process", arguments: 0..<4)
    func damagedFile(seed: UInt64) async throws {
        let shipped = URL(filePath: #filePath).appending(path: "../../../../cluster/node1.yaml").standardized
        let whole = [UInt8](try Data(contentsOf: shipped))
        let syntax = Array("\n\t :-#&*!|>'\"%@`{}[],?\u{0}".utf8)
        var generator = SeededGenerator(seed: seed)
        var refused = 0
        for _ in 0..<40 {
            var bytes = whole
            for _ in 0...generator.below(3) {
                let place = generator.below(bytes.count)
                switch generator.below(4) {
                case 0: bytes[place] ^= 1 << UInt8(generator.below(8))
                case 1: bytes[place] = syntax[generator.below(syntax.count)]
                case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + generator.below(40)))
                default: bytes.insert(contentsOf: whole.suffix(generator.below(80)), at: place)
                }
            }
            // What is not UTF-8 becomes replacement characters: an editor would have done the same.
            if try await !problems(String(decoding: bytes, as: UTF8.self)).isEmpty { refused += 1 }
        }
        #expect(refused > 10, "seed \(seed): the damage does not reach the reader")
    }

    @Test("a missing file is named")
    func missingFile() async throws {
        let error = await #expect(throws: ConfigurationProblems.self) {
            _ = try await NodeConfiguration.load(file: "/nowhere.yaml", environment: [:])
        }
        #expect(error?.problems.map(\.key) == ["/nowhere.yaml"])
        #expect(error?.description.hasPrefix("1 problem in the configuration:\n  /nowhere.yaml: ") == true)
        #expect(ConfigurationProblems.exitCode == 78)
    }

    @Test("a variable with our prefix that is no key is a notice, not a failure")
    func strayVariable() async throws {
        let configuration = try await load(Self.least, environment: ["METAD_SERVICE_HOST": "10.0.0.1", "PATH": "/bin"])
        #expect(
            configuration.notices == ["the environment variable METAD_SERVICE_HOST belongs to no key and is ignored"])
    }

    @Test("no two keys share an environment variable")
    func variablesAreDistinct() {
        let variables = NodeConfiguration.knownKeys.map(NodeConfiguration.environmentVariable(for:))
        #expect(Set(variables).count == variables.count)
    }
}
