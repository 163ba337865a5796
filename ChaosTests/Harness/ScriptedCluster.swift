import Foundation

/// The folder `cluster/` copied to a place of its own, with other ports and the binaries of this build, for running its scripts
/// and the commands of the pages as a person would.
struct ScriptedCluster {
    static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    /// What the ports of the files begin with: of clients, peers, health and metrics of nodes 1 to 3, and of Prometheus.
    private static let prefixes = ["740", "750", "808", "909", "919"]

    /// Stands for the root of the repository.
    let root: URL
    /// By what the files have instead.
    private let bases: [String: String]
    private let environment: [String: String]

    /// - Parameter environment: beside that of the tests, for all that is run here.
    init(environment: [String: String] = [:]) throws {
        root = FileManager.default.temporaryDirectory.appendingPathComponent("scripts-\(UUID().uuidString)")
            .resolvingSymlinksInPath()
        bases = try Self.freeBases()
        let releases = root.appendingPathComponent(".build")
        try FileManager.default.createDirectory(at: releases, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            at: releases.appendingPathComponent("release"), withDestinationURL: LocalCluster.binaries)
        self.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }.merging([
            "CLUSTER_BINARIES": ".build/release",
            "PATH": LocalCluster.binaries.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"),
        ]) { $1 }
        try copy("cluster")
    }

    private func copy(_ folder: String) throws {
        let source = Self.repository.appendingPathComponent(folder).resolvingSymlinksInPath()
        for path in try FileManager.default.subpathsOfDirectory(atPath: source.path) {
            let from = source.appendingPathComponent(path)
            guard !["data", "run"].contains(path.prefix { $0 != "/" }), try !isFolder(from) else { continue }
            let to = root.appendingPathComponent(folder).appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: to.deletingLastPathComponent(), withIntermediateDirectories: true)
            let text = try String(contentsOf: from, encoding: .utf8)
            // What is installed elsewhere has the ports of there.
            let own = path.hasPrefix("deploy/") ? text : translated(text)
            try own.write(to: to, atomically: true, encoding: .utf8)
            let attributes = try FileManager.default.attributesOfItem(atPath: from.path)
            if let mode = attributes[.posixPermissions] {
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: to.path)
            }
        }
    }

    private func isFolder(_ url: URL) throws -> Bool {
        try FileManager.default.attributesOfItem(atPath: url.path)[.type] as? FileAttributeType == .typeDirectory
    }

    /// A text of the repository with the ports of this cluster.
    func translated(_ text: String) -> String {
        // Simple boundaries: others take `7401,127` for one word.
        text.replacing(/\b(740|750|808|909|919)(\$1|[0-5]\b)/.wordBoundaryKind(.simple)) {
            (bases[String($0.1)] ?? "") + $0.2
        }
    }

    /// Runs a command line in bash, with `metad` and `metactl` in the path.
    /// - Returns: its status, and what it printed on both outputs.
    @discardableResult
    func run(_ command: String, environment: [String: String] = [:]) throws -> (status: Int32, output: String) {
        // A file, not a pipe: what is started in the background would keep that open.
        let output = root.appendingPathComponent("output-\(UUID().uuidString)")
        defer { unlink(output.path) }
        let status = try start(command, output: output, environment: environment).wait()
        return (status, try String(contentsOf: output, encoding: .utf8))
    }

    /// Starts a command line in bash and does not wait for it.
    func start(_ command: String, output: URL, environment: [String: String] = [:]) throws -> ScriptProcess {
        var variables = self.environment.merging(environment) { $1 }
        variables["METACTL_ENDPOINTS"] = (1...3).map { "127.0.0.1:\(port(7_400 + $0))" }.joined(separator: ",")
        return try ScriptProcess(command, in: root, environment: variables, output: output)
    }

    /// A port of the files, as it is here.
    func port(_ number: Int) -> UInt16 { UInt16(translated("\(number)")) ?? 0 }

    func text(_ path: String) -> String {
        // A file that is not there yet has nothing in it.
        (try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)) ?? ""
    }

    /// The column of `cluster/status`: `-` when the node does not run.
    func process(of node: Int) throws -> String { try column(1, of: node) }
    func state(of node: Int) throws -> String { try column(2, of: node) }

    private func column(_ number: Int, of node: Int) throws -> String {
        let words = try run("cluster/node \(node) status").output.split(separator: "\n").last?.split(separator: " ")
        return words.flatMap { $0.count > number ? String($0[number]) : nil } ?? ""
    }

    func wait(
        for what: String, within patience: Duration = .seconds(30), until holds: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + patience
        while try await !holds() {
            guard ContinuousClock.now < deadline else {
                throw LocalCluster.HarnessFailure(
                    description: "waited \(patience) for \(what)\n\(text("cluster/run/supervisor.log"))")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// A copy for the test to work in, removed at its end with all that runs there.
    static func with(
        environment: [String: String] = [:], _ body: (ScriptedCluster) async throws -> Void
    ) async throws {
        let scripts = try ScriptedCluster(environment: environment)
        do {
            try await body(scripts)
        } catch {
            try scripts.remove()
            throw error
        }
        try scripts.remove()
    }

    /// The numbers of the processes that work in this folder.
    func processes() throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }.filter { number in
            // One that ended meanwhile has no folder any more.
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(number)/cwd")) == root.path
        }
    }

    /// Ends what is left and removes the folder.
    func remove() throws {
        for number in try processes() { kill(number, SIGKILL) }
        try FileManager.default.removeItem(at: root)
    }

    /// For each prefix another one, so that nobody listens on the ports of three nodes.
    private static func freeBases() throws -> [String: String] {
        var bases: [String: String] = [:]
        for prefix in prefixes {
            // Below the ports that the system gives to connections.
            for _ in 0..<100 where bases[prefix] == nil {
                let base = String(Int.random(in: 1_100..<3_200))
                let ports = (0...5).compactMap { UInt16(base + "\($0)") }
                if !bases.values.contains(base), ports.allSatisfy(isFree) { bases[prefix] = base }
            }
            guard bases[prefix] != nil else { throw LocalCluster.HarnessFailure(description: "no free ports") }
        }
        return bases
    }
}
