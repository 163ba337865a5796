import Foundation
import MetadataClient
import MetadataModel

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Real `metad` processes on ports of their own, with data in a temporary folder that goes when the cluster is stopped: three
/// that know each other from the start, or fewer with others that join later.
actor LocalCluster {
    struct Node {
        var id: Int
        var clientPort: UInt16
        var process: Process?
        /// Everything that the node has printed, over all its lives.
        var log: URL
    }

    struct HarnessFailure: Error, CustomStringConvertible {
        var description: String
    }

    /// For tests that say that a fault moves no leadership: disks and cores of a busy machine hold a node up for longer than the
    /// default, and then it moves by right.
    static let patient = ["raft.election_timeout=2s"]

    static let binaries = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()

    let folder: URL
    private let configuration: URL
    /// Without initial members: for a node that joins.
    private let joining: URL
    private var joiners: Set<Int>
    private let settings: [String]
    /// Of each node, in the order of their ids.
    private var ports: [NodePorts] = []
    private var places: [NodePlace] = []
    private(set) var nodes: [Node] = []
    nonisolated let network: any ClusterNetwork

    /// - Parameters:
    ///   - settings: `key=value`, beside those of addresses and data.
    ///   - folder: where everything lies, instead of a folder of its own; the nodes' folders in it may exist.
    ///   - network: through which the nodes reach each other; it is closed with the cluster.
    ///   - nodes: how many there can be, numbered from 1.
    ///   - initial: how many of them are formatted as the first members; the others join.
    init(
        settings: [String] = [], folder: URL? = nil, network: any ClusterNetwork = DirectNetwork(),
        nodes count: Int = 3, initial: Int = 3
    ) throws {
        self.network = network
        self.folder =
            folder ?? FileManager.default.temporaryDirectory.appendingPathComponent("chaos-\(UUID().uuidString)")
        let folder = self.folder
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        self.settings = settings
        let numbers = try freePorts(count * 4)
        joiners = Set((1...count).filter { $0 > initial })
        var members: [String] = []
        for id in 1...count {
            let own = numbers[(id - 1) * 4..<id * 4].map { $0 }
            let ownPorts = NodePorts(client: own[0], peer: own[1], health: own[2], metrics: own[3])
            let place = try network.place(id, ports: ownPorts)
            if id <= initial {
                members.append("    - \"\(id)=\(place.peerAddress),\(place.host):\(ownPorts.client)\"")
            }
            nodes.append(
                Node(id: id, clientPort: ownPorts.client, log: folder.appendingPathComponent("node\(id).log")))
            ports.append(ownPorts)
            places.append(place)
        }
        configuration = folder.appendingPathComponent("cluster.yaml")
        try """
        cluster:
          id: "chaos"
          initial_members:
        \(members.joined(separator: "\n"))
        logging:
          format: console

        """.write(to: configuration, atomically: true, encoding: .utf8)
        joining = folder.appendingPathComponent("joining.yaml")
        try """
        cluster:
          id: "chaos"
        logging:
          format: console

        """.write(to: joining, atomically: true, encoding: .utf8)
    }

    nonisolated static func started(
        settings: [String] = [], folder: URL? = nil, network: any ClusterNetwork = DirectNetwork()
    ) async throws -> LocalCluster {
        let cluster = try LocalCluster(settings: settings, folder: folder, network: network)
        for id in 1...3 {
            try await cluster.format(id)
            try await cluster.start(id)
        }
        try await cluster.waitUntilHealthy()
        return cluster
    }

    var endpoints: [MetadataClient.Endpoint] {
        nodes.map { endpoint(of: $0.id) }
    }

    /// Where clients reach the node.
    func endpoint(of id: Int) -> MetadataClient.Endpoint {
        MetadataClient.Endpoint(host: places[id - 1].host, port: ports[id - 1].client)
    }

    func client() -> MetadataClient { MetadataClient(MetadataClient.Options(endpoints: endpoints)) }

    // MARK: Processes

    private func arguments(_ id: Int) -> [String] {
        guard ports.indices.contains(id - 1) else { return [] }
        let ownSettings =
            [
                "node.id=\(id)", "node.data_dir=\(directory(of: id).path)",
                "health.http.port=\(ports[id - 1].health)",
                "metrics.port=\(ports[id - 1].metrics)",
            ] + places[id - 1].settings
        let file = joiners.contains(id) ? joining : configuration
        return ["--config", file.path] + (ownSettings + settings).flatMap { ["--set", $0] }
    }

    /// - Parameter ownSettings: `key=value`, before those of the cluster.
    func format(_ id: Int, ownSettings: [String] = []) throws {
        let process = Process()
        process.executableURL = LocalCluster.binaries.appendingPathComponent("metad")
        process.arguments = ["format"] + arguments(id) + ownSettings.flatMap { ["--set", $0] }
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw HarnessFailure(description: "metad format ended with \(process.terminationStatus)")
        }
    }

    /// The data directory of a node.
    nonisolated func directory(of id: Int) -> URL { folder.appendingPathComponent("node\(id)") }

    /// - Parameters:
    ///   - environment: beside that of the tests.
    ///   - ownSettings: `key=value`, before those of the cluster.
    func start(_ id: Int, environment: [String: String] = [:], ownSettings: [String] = []) throws {
        let log = nodes[id - 1].log
        if !FileManager.default.fileExists(atPath: log.path) { try Data().write(to: log) }
        let handle = try FileHandle(forWritingTo: log)
        try handle.seekToEnd()
        let command =
            places[id - 1].launcher + [LocalCluster.binaries.appendingPathComponent("metad").path, "run"]
            + arguments(id)
            + ownSettings.flatMap { ["--set", $0] }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        if !environment.isEmpty {
            process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        }
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        nodes[id - 1].process = process
    }

    /// Ends the process without a word, and makes sure that it is gone.
    func kill(_ id: Int) throws {
        guard let process = nodes[id - 1].process, process.isRunning else {
            throw HarnessFailure(description: "node \(id) is not running: \(tail(of: id))")
        }
        signal(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        guard process.terminationReason == .uncaughtSignal, process.terminationStatus == SIGKILL else {
            throw HarnessFailure(description: "node \(id) ended by itself: \(tail(of: id))")
        }
        nodes[id - 1].process = nil
    }

    /// Waits until the process has ended by itself, and returns its exit code.
    func waitForEnd(of id: Int, within patience: Duration = .seconds(30)) async throws -> Int32 {
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline {
            guard let process = nodes[id - 1].process else { break }
            guard process.isRunning else {
                nodes[id - 1].process = nil
                guard process.terminationReason == .exit else {
                    throw HarnessFailure(description: "node \(id) was ended by a signal: \(tail(of: id))")
                }
                return process.terminationStatus
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw HarnessFailure(description: "node \(id) did not end: \(tail(of: id))")
    }

    /// The pages tell what was seen last, a few times a second.
    func waitUntilReady(within patience: Duration = .seconds(15)) async throws {
        let deadline = ContinuousClock.now + patience
        for id in 1...3 {
            while try await get(id, "/health/ready").status != 200 {
                guard ContinuousClock.now < deadline else {
                    throw HarnessFailure(description: "node \(id) does not get ready: \(tail(of: id))")
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// Waits for a line in the log of a node.
    func waitForLog(of id: Int, _ text: String, within patience: Duration = .seconds(60)) async throws {
        let deadline = ContinuousClock.now + patience
        while try !logText(of: id).contains(text) {
            guard ContinuousClock.now < deadline else {
                throw HarnessFailure(description: "node \(id) did not say \"\(text)\": \(tail(of: id))")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Stops the process in the middle of whatever it does, without closing anything.
    func pause(_ id: Int) { if let process = nodes[id - 1].process { signal(process.processIdentifier, SIGSTOP) } }

    /// SIGHUP.
    func hangUp(_ id: Int) { if let process = nodes[id - 1].process { signal(process.processIdentifier, SIGHUP) } }

    func resume(_ id: Int) { if let process = nodes[id - 1].process { signal(process.processIdentifier, SIGCONT) } }

    /// Runs `metactl` on a disk, without a cluster; what it prints goes to this process's output.
    nonisolated func metactlOffline(_ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = LocalCluster.binaries.appendingPathComponent("metactl")
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// A lost disk: the data is gone, and the operator formats a new directory under the old name.
    func wipe(_ id: Int) throws {
        try FileManager.default.removeItem(at: folder.appendingPathComponent("node\(id)"))
        try format(id)
    }

    /// A new disk for a node that is to join, whatever there was: for a newcomer, or after a loss by an operator who knows what
    /// to do.
    func prepareToJoin(_ id: Int, ownSettings: [String] = []) throws {
        joiners.insert(id)
        if FileManager.default.fileExists(atPath: directory(of: id).path) {
            try FileManager.default.removeItem(at: directory(of: id))
        }
        try format(id, ownSettings: ownSettings)
    }

    /// From its next start on the node listens for clients and peers elsewhere.
    func move(_ id: Int) throws {
        let numbers = try freePorts(2)
        ports[id - 1].client = numbers[0]
        ports[id - 1].peer = numbers[1]
        nodes[id - 1].clientPort = numbers[0]
        try findElsewhere(id)
    }

    /// From its next start on the others reach the node by another way.
    func findElsewhere(_ id: Int) throws { places[id - 1] = try network.place(id, ports: ports[id - 1]) }

    /// Where the other nodes find it.
    func peerAddress(of id: Int) -> String { places[id - 1].peerAddress }

    /// The number of its process while it has one.
    func processID(of id: Int) -> pid_t? {
        guard let process = nodes[id - 1].process, process.isRunning else { return nil }
        return process.processIdentifier
    }

    /// Runs `metactl` against the whole cluster.
    func metactl(_ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
        try LocalCluster.metactl(arguments, endpoints: endpoints)
    }

    static func metactl(
        _ arguments: [String], endpoints: [MetadataClient.Endpoint]
    ) throws -> (status: Int32, output: String, errors: String) {
        let targets = endpoints.map(\.description).joined(separator: ",")
        return try runToEnd(
            binaries.appendingPathComponent("metactl").path,
            arguments + ["--endpoints", targets, "--output", "json"])
    }

    /// SIGTERM alone; `waitForEnd` follows.
    func beginTermination(_ id: Int) { nodes[id - 1].process?.terminate() }

    /// Asks the process to end, as an operator would, and returns its exit code.
    func terminate(_ id: Int) throws -> Int32 {
        guard let process = nodes[id - 1].process else {
            throw HarnessFailure(description: "node \(id) is not running")
        }
        process.terminate()
        process.waitUntilExit()
        nodes[id - 1].process = nil
        return process.terminationStatus
    }

    /// Ends everything and removes the data.
    func stop() async {
        for node in nodes {
            guard let process = node.process, process.isRunning else { continue }
            signal(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        await network.close()
        do {
            try FileManager.default.removeItem(at: folder)
        } catch {
            print("cannot remove \(folder.path): \(error)")
        }
    }

    func logText(of id: Int) throws -> String { try String(contentsOf: nodes[id - 1].log, encoding: .utf8) }

    private func tail(of id: Int) -> String {
        do {
            return String(try logText(of: id).suffix(2_000))
        } catch {
            return "no log: \(error)"
        }
    }

    // MARK: Observing

    enum Port {
        case client
        case peer
        case health
        case metrics
    }

    private func number(of port: Port, _ id: Int) -> UInt16 {
        switch port {
        case .client: ports[id - 1].client
        case .peer: ports[id - 1].peer
        case .health: ports[id - 1].health
        case .metrics: ports[id - 1].metrics
        }
    }

    /// The client and the peer port.
    func openPorts(of id: Int) -> [UInt16] { [ports[id - 1].client, ports[id - 1].peer] }

    func get(
        _ id: Int, _ path: String, port: Port = .health, method: String = "GET"
    ) async throws -> (status: Int, body: String) {
        guard let url = URL(string: "http://\(places[id - 1].host):\(number(of: port, id))\(path)") else {
            throw HarnessFailure(description: "not a path: \(path)")
        }
        var request = URLRequest(url: url)
        request.httpMethod = method
        let (data, response) = try await URLSession.shared.data(for: request)
        guard let response = response as? HTTPURLResponse else {
            throw HarnessFailure(description: "node \(id) does not speak HTTP on \(path)")
        }
        return (response.statusCode, String(decoding: data, as: UTF8.self))
    }

    /// What each node says of itself; a node that does not answer is missing.
    func statuses() async -> [NodeStatusReport] {
        let client = client()
        let answers = await client.nodeStatuses(timeout: .seconds(2))
        await client.close()
        return answers.compactMap { answer in
            guard case .success(let status) = answer.status else { return nil }
            return status
        }.sorted { $0.nodeID < $1.nodeID }
    }

    func leader() async throws -> Int {
        var seen: [NodeStatusReport] = []
        for _ in 0..<200 {
            seen = await statuses()
            let leaders = seen.filter { $0.role == "leader" }
            if let leader = leaders.max(by: { $0.term < $1.term }) { return Int(leader.nodeID) }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw HarnessFailure(description: "no leader for 10 s: \(seen.map { "\($0.nodeID) \($0.role)" })")
    }

    /// So many nodes, all healthy, at the same version with the same digest.
    @discardableResult
    func waitUntilHealthy(
        nodes count: Int = 3, within patience: Duration = .seconds(60)
    ) async throws -> [NodeStatusReport] {
        let deadline = ContinuousClock.now + patience
        var seen: [NodeStatusReport] = []
        while ContinuousClock.now < deadline {
            seen = await statuses()
            let agree = Set(seen.map { "\($0.version) \($0.digest) \($0.appliedIndex)" }).count == 1
            if seen.count == count, agree, seen.allSatisfy(\.healthy) { return seen }
            try await Task.sleep(for: .milliseconds(50))
        }
        let states = seen.map {
            "node \($0.nodeID) \($0.role) at \($0.appliedIndex), digest \($0.digest), \($0.detail)"
        }
        throw HarnessFailure(description: "the nodes did not agree in \(patience): \(states)")
    }
}

/// `kill(2)` under a name that does not hide behind the methods here.
private func signal(_ process: pid_t, _ number: Int32) { _ = Foundation.kill(process, number) }

/// Ports that nobody listens on. Another program might take one before a node does; then the node says so and the test fails.
private func freePorts(_ count: Int) throws -> [UInt16] {
    var bound: [(descriptor: Int32, port: UInt16)] = []
    defer { for socket in bound { close(socket.descriptor) } }
    for _ in 0..<1_000 where bound.count < count {
        // Below those that the system gives to outgoing connections and to who asks for any: one that is free now stays so.
        let port = UInt16.random(in: 15_000..<32_000)
        guard !bound.contains(where: { $0.port == port }), let socket = boundSocket(port) else { continue }
        bound.append(socket)
    }
    guard bound.count == count else { throw LocalCluster.HarnessFailure(description: "no free ports") }
    return bound.map(\.port)
}

/// Whether nobody listens on the port.
func isFree(_ port: UInt16) -> Bool {
    guard let socket = boundSocket(port) else { return false }
    close(socket.descriptor)
    return true
}

/// A socket on loopback; port 0 lets the system choose.
private func boundSocket(_ port: UInt16) -> (descriptor: Int32, port: UInt16)? {
    let descriptor = socket(AF_INET, streamSocketType, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            bind(descriptor, address, length) == 0 ? getsockname(descriptor, address, &length) : -1
        }
    }
    guard result == 0 else {
        close(descriptor)
        return nil
    }
    return (descriptor, UInt16(bigEndian: address.sin_port))
}

#if canImport(Glibc)
    let streamSocketType = Int32(SOCK_STREAM.rawValue)
#else
    let streamSocketType = SOCK_STREAM
#endif
