#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

import Foundation

/// Reads how much memory the process has, and how much it may have: what its control group allows (version 1 or 2, its own and
/// those above it), at most what the machine has. Where there is no `/proc` (Darwin) it knows nothing, and nothing is refused.
struct MemoryReader: Sendable {
    /// Of a file in `/proc` or `/sys`; nil when there is none.
    var contents: @Sendable (String) -> String?
    var pageBytes: UInt64

    static let system = MemoryReader(
        contents: { path in
            // What is not there says nothing, which is what nil means here.
            try? String(contentsOfFile: path, encoding: .utf8)
        }, pageBytes: UInt64(max(1, sysconf(Int32(_SC_PAGESIZE)))))

    /// Resident memory in bytes (proc(5), statm).
    func used() -> UInt64? {
        guard let fields = contents("/proc/self/statm")?.split(separator: " "), fields.count > 1 else { return nil }
        return UInt64(fields[1]).map { $0 * pageBytes }
    }

    /// In bytes; nil when nothing says so.
    func limit() -> UInt64? {
        ([machine] + groups.flatMap { limits(of: $0) }).compactMap(\.self).filter { $0 > 0 }.min()
    }

    private var machine: UInt64? {
        let line = contents("/proc/meminfo")?.split(separator: "\n").first { $0.hasPrefix("MemTotal:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 * 1_024 }
    }

    private struct Group {
        /// Where groups of this kind lie.
        var root: Substring
        var path: Substring
        var file: String
    }

    /// The groups of the process (cgroups(7)): `0::/path` is version 2, a line that names `memory` is version 1.
    private var groups: [Group] {
        (contents("/proc/self/cgroup") ?? "").split(separator: "\n").compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { return nil }
            if parts[0] == "0", parts[1].isEmpty {
                return Group(root: "/sys/fs/cgroup", path: parts[2], file: "memory.max")
            }
            guard parts[1].split(separator: ",").contains("memory") else { return nil }
            return Group(root: "/sys/fs/cgroup/memory", path: parts[2], file: "memory.limit_in_bytes")
        }
    }

    /// Its own and those above it. In a container the path may be that of the host, and only the root is to be seen.
    private func limits(of group: Group) -> [UInt64?] {
        var names = group.path.split(separator: "/")
        var found: [UInt64?] = []
        while true {
            let path = ([group.root] + names + [Substring(group.file)]).joined(separator: "/")
            // Version 2 says `max`, version 1 a number larger than any memory.
            found.append(contents(path).flatMap { UInt64($0.trimmingCharacters(in: .whitespacesAndNewlines)) })
            guard !names.isEmpty else { return found }
            names.removeLast()
        }
    }
}
