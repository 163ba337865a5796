import Foundation
import Logging
import MetadataClient
import RaftCore
import Resilience
import ServiceLifecycle
import Synchronization
import Telemetry

@testable import MetadataServer

/// Nodes of one cluster in this process, on loopback, with data in a folder of their own.
actor NodesInProcess {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private struct Running {
        var node: MetadataNode
        var group: ServiceGroup
        var task: Task<Void, any Error>
    }

    private struct Trace {
        weak var node: MetadataNode?
        /// Known to the loop's side of a node, and to whatever waits for a thread of it.
        weak var storage: NodeStorage?
    }

    nonisolated let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
        "nodes-\(UUID().uuidString)", isDirectory: true)
    nonisolated let ports: [(client: Int, peer: Int)]
    /// The logs of all nodes.
    nonisolated let logs: LogPipeline
    private let settings: [String: String]
    private var running: [Int: Running] = [:]
    private var traces: [Trace] = []

    /// - Parameters:
    ///   - count: of nodes, numbered from 1.
    ///   - settings: of each, beside addresses and data.
    init(_ count: Int, settings: [String: String] = [:]) throws {
        self.settings = settings
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let free = try freePorts(2 * count)
        ports = (0..<count).map { (free[2 * $0], free[2 * $0 + 1]) }
        logs = try LogPipeline(
            format: .json, level: .info, output: .file(path: folder.appendingPathComponent("log").path))
    }

    nonisolated var endpoints: [MetadataClient.Endpoint] {
        ports.map { MetadataClient.Endpoint(host: "127.0.0.1", port: UInt16($0.client)) }
    }

    /// Every line that was logged, as its fields.
    nonisolated func lines() throws -> [[String: String]] {
        _ = logs.writer.flush(timeout: .seconds(30))
        let text = try String(contentsOf: folder.appendingPathComponent("log"), encoding: .utf8)
        return try text.split(separator: "\n").map { line in
            let fields = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return (fields ?? [:]).mapValues { "\($0)" }
        }
    }

    func configuration(_ id: Int) async throws -> NodeConfiguration {
        var overrides = settings
        overrides["node.id"] = "\(id)"
        overrides["node.data_dir"] = folder.appendingPathComponent("node\(id)").path
        overrides["cluster.id"] = "in-process"
        overrides["node.client_address"] = "127.0.0.1:\(ports[id - 1].client)"
        overrides["node.peer_address"] = "127.0.0.1:\(ports[id - 1].peer)"
        overrides["cluster.initial_members"] = ports.enumerated().map { place, ports in
            "\(place + 1)=127.0.0.1:\(ports.peer),127.0.0.1:\(ports.client)"
        }.joined(separator: " ")
        return try await NodeConfiguration.load(file: nil, environment: [:], overrides: overrides)
    }

    func start(_ id: Int) async throws {
        let configuration = try await configuration(id)
        if !isFormatted(configuration) { try formatNode(configuration, disk: DiskID(high: UInt64(id), low: 7)) }
        let logger = logs.logger("node")
        let reloads = ConfigurationReloads(configuration, logger: logger) {
            () async throws(ConfigurationProblems) in configuration
        }
        let node = try MetadataNode(
            configuration, registry: MetricsRegistry(),
            administration: Administration(logs: logs.control, reloads: reloads), logger: logger)
        var group = ServiceGroupConfiguration(
            services: [
                .init(service: node.spanExport), .init(service: reloads),
                .init(service: node, successTerminationBehavior: .gracefullyShutdownGroup),
            ], logger: logger)
        group.maximumGracefulShutdownDuration = configuration.resilience.timeouts.shutdown
        let services = ServiceGroup(configuration: group)
        traces.append(Trace(node: node, storage: node.storage))
        running[id] = Running(node: node, group: services, task: Task { try await services.run() })
    }

    /// Stops a node as SIGTERM does, and throws what it ends with.
    func stop(_ id: Int) async throws {
        guard let node = running.removeValue(forKey: id) else { throw Failure(description: "node \(id) does not run") }
        await node.group.triggerGracefulShutdown()
        try await node.task.value
    }

    /// How many starts of rebalances wait on a node, as it said last; nil when it does not run.
    func waitingStarts(_ id: Int) -> Int? { running[id]?.node.published.reading?.turns[.rebalance]?.waiting }

    /// Of all that were started, those of which a part is still in memory.
    var living: Int { traces.count { $0.node != nil || $0.storage != nil } }

    func stopAll() async throws {
        for id in running.keys.sorted() { try await stop(id) }
    }

    nonisolated func client(tracer: SpanTracer? = nil) -> MetadataClient {
        MetadataClient(MetadataClient.Options(endpoints: endpoints), tracer: tracer)
    }

    /// Waits until every node that runs is fit, and has applied as much as the others.
    nonisolated func waitUntilEven(_ client: MetadataClient, count: Int) async throws {
        for _ in 0..<1_200 {
            let seen = await client.nodeStatuses(timeout: .seconds(2)).compactMap { answer in
                if case .success(let status) = answer.status { status } else { nil }
            }
            if seen.count == count, seen.allSatisfy(\.healthy), Set(seen.map(\.appliedIndex)).count == 1 { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure(description: "the nodes did not become fit")
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}

/// Ports that nobody uses now.
func freePorts(_ count: Int) throws -> [Int] {
    var descriptors: [Int32] = []
    defer { for descriptor in descriptors { close(descriptor) } }
    return try (0..<count).map { _ in
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        descriptors.append(descriptor)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 ? getsockname(descriptor, address, &length) : -1
            }
        }
        guard result == 0 else { throw NodesInProcess.Failure(description: "no free port: errno \(errno)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
