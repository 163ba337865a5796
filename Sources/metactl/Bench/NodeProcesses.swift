import Dispatch
import Foundation
import MetadataClient

/// Kills and starts the nodes of a cluster on this machine: by the process ids that their scripts record, or by commands
/// that the operator gives.
struct NodeProcesses: Sendable {
    /// Holds `node<id>.pid` for each node.
    var pidDirectory: String
    /// Shell commands in which `{node}` stands for the node's id; nil: by process id, and by the script of the cluster.
    var killCommand: String?
    var startCommand: String?

    /// The script that starts and stops single nodes of the local cluster.
    static let nodeScript = "cluster/node"

    /// Throws unless `kill` would find a process to kill.
    func check(_ node: UInt64) throws {
        if killCommand == nil { _ = try pid(of: node) }
    }

    /// Ends the node's process without a chance to say goodbye.
    func kill(_ node: UInt64) async throws {
        if let killCommand { return try await shell(killCommand, node) }
        let pid = try pid(of: node)
        guard Foundation.kill(pid, SIGKILL) == 0 else {
            throw failure("cannot kill process \(pid) of node \(node): \(String(cString: strerror(errno)))")
        }
    }

    /// Asks the node's process to stop and waits until it has.
    func stop(_ node: UInt64) async throws {
        let pid = try pid(of: node)
        guard Foundation.kill(pid, SIGTERM) == 0 else {
            throw failure("cannot stop process \(pid) of node \(node): \(String(cString: strerror(errno)))")
        }
        let deadline = ContinuousClock.now + NodeProcesses.stopMax
        while Foundation.kill(pid, 0) == 0, !isZombie(pid) {
            guard ContinuousClock.now < deadline else {
                throw failure("process \(pid) of node \(node) did not stop within \(NodeProcesses.stopMax)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Longer than a node takes by default (`resilience.timeouts.shutdown`).
    private static let stopMax: Duration = .seconds(30)

    /// Ended, and its parent has not looked yet.
    private func isZombie(_ pid: pid_t) -> Bool {
        guard let status = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return false }
        // The state is the first field behind the name, which stands in parentheses and may hold any character.
        let text = String(decoding: status, as: UTF8.self)
        return text.lastIndex(of: ")").map { text[$0...].dropFirst(2).hasPrefix("Z") } ?? false
    }

    /// Has the node started again, or leaves that to whoever supervises it.
    func start(_ node: UInt64) async throws {
        if let startCommand { return try await shell(startCommand, node) }
        guard FileManager.default.isExecutableFile(atPath: NodeProcesses.nodeScript) else { return }
        try await shell("\(NodeProcesses.nodeScript) {node} start", node)
    }

    /// The process that leads a node by its own record. Ids are used again by the system, so the process has to look like
    /// a node before it is killed.
    func pid(of node: UInt64) throws -> pid_t {
        let path = "\(pidDirectory)/node\(node).pid"
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw failure("cannot read \(path): give --pid-dir or --kill-command")
        }
        guard let pid = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)), pid > 1 else {
            throw failure("\(path) holds no process id")
        }
        if FileManager.default.fileExists(atPath: "/proc/self/cmdline") {
            // Files of /proc have no size, so they are read as a stream.
            guard let command = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else {
                throw failure("\(path) names process \(pid), which does not run")
            }
            let program = String(decoding: command.prefix { $0 != 0 }, as: UTF8.self)
            guard program.split(separator: "/").last == "metad" else {
                throw failure("\(path) names process \(pid), which runs \"\(program)\" and not metad")
            }
        }
        return pid
    }

    private func shell(_ command: String, _ node: UInt64) async throws {
        let text = command.replacing("{node}", with: "\(node)")
        let status = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: NodeProcesses.runShell(text)) }
        }
        guard status == 0 else { throw failure("\"\(command)\" for node \(node) ended with status \(status)") }
    }

    /// Runs a command and waits for it alone. `Process` of Foundation would also wait for what the command leaves behind (on
    /// Linux it looks for the end of a descriptor that a daemon inherits), and a started node stays behind.
    ///
    /// - Returns: The exit status, or 128 and the signal as shells count it; 127 when there is no shell.
    private static func runShell(_ command: String) -> Int32 {
        // A node that the command leaves behind must not hold our own output open.
        let script = "exec </dev/null >/dev/null 2>&1\n" + command
        let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        let arguments = NodeProcesses.cStrings(["sh", "-c", script])
        let variables = NodeProcesses.cStrings(environment)
        defer { for string in arguments + variables { free(string) } }
        var pid: pid_t = 0
        guard posix_spawn(&pid, "/bin/sh", nil, nil, arguments, variables) == 0 else { return 127 }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) == -1 {
            guard errno == EINTR else { return 127 }
        }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }

    /// Copies that end with a null pointer, as C takes lists. To be freed.
    private static func cStrings(_ strings: [String]) -> [UnsafeMutablePointer<CChar>?] {
        strings.map { strdup($0) } + [nil]
    }

    private func failure(_ detail: String) -> CommandFailure {
        .unavailable(code: "node_control_failed", detail)
    }
}
