import Foundation

/// The processor time of nodes that run on this machine, as Linux counts it in `/proc/<pid>/stat`.
struct ProcessorMeter: Sendable {
    private let processes: [pid_t]

    /// - Parameter pidDirectory: Holds `node<id>.pid` for each node.
    /// - Throws: `CommandFailure` (`node_control_failed`) when there are none, or one does not run.
    init(pidDirectory: String) throws {
        // A folder that cannot be read names no node either.
        let files = (try? FileManager.default.contentsOfDirectory(atPath: pidDirectory)) ?? []
        let nodes = files.compactMap { file in
            file.hasPrefix("node") && file.hasSuffix(".pid") ? UInt64(file.dropFirst(4).dropLast(4)) : nil
        }
        guard !nodes.isEmpty else {
            throw CommandFailure.unavailable(
                code: "node_control_failed", "\(pidDirectory) holds no node<id>.pid: give another --pid-dir, or none")
        }
        let finder = NodeProcesses(pidDirectory: pidDirectory)
        processes = try nodes.sorted().map(finder.pid)
    }

    /// User and system time of all of them so far; nil where the system does not tell it, or one has ended.
    var used: Duration? {
        var total: Duration = .zero
        for process in processes {
            guard let ticks = ProcessorMeter.ticks(of: process) else { return nil }
            total += .seconds(Double(ticks) / Double(sysconf(Int32(_SC_CLK_TCK))))
        }
        return total
    }

    private static func ticks(of process: pid_t) -> UInt64? {
        // Files of /proc have no size, so they are read as a stream.
        guard let data = FileManager.default.contents(atPath: "/proc/\(process)/stat") else { return nil }
        return ticks(inStatus: String(decoding: data, as: UTF8.self))
    }

    /// `utime` and `stime` are fields 14 and 15, proc(5); the second field is a name in parentheses and may hold anything.
    static func ticks(inStatus status: String) -> UInt64? {
        guard let end = status.lastIndex(of: ")") else { return nil }
        let fields = status[status.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = UInt64(fields[11]), let system = UInt64(fields[12]) else { return nil }
        return user + system
    }
}
