import Foundation

/// What Linux says of a running process; nil elsewhere, and when the process is gone.
struct ProcessReading: Sendable {
    /// `R`, `S`, `D`, `T` and so on.
    var state: Character
    var residentBytes: Int
    var virtualBytes: Int
    var descriptors: Int
    /// How long its threads were able to run and had no processor, in nanoseconds.
    var waitedForProcessor: UInt64

    init?(_ process: pid_t) {
        let folder = "/proc/\(process)"
        // Behind the name, which may hold anything, in its last parenthesis.
        guard let status = Self.text("\(folder)/stat"), let end = status.lastIndex(of: ")"),
            let letter = status[status.index(after: end)...].first(where: { !$0.isWhitespace }),
            let memory = Self.text("\(folder)/statm")?.split(separator: " ").compactMap({ Int($0) }), memory.count > 1
        else { return nil }
        state = letter
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        virtualBytes = memory[0] * page
        residentBytes = memory[1] * page
        descriptors = Self.names("\(folder)/fd").count
        waitedForProcessor = Self.names("\(folder)/task").reduce(0) { sum, thread in
            let fields = Self.text("\(folder)/task/\(thread)/schedstat")?.split(separator: " ") ?? []
            return sum + (fields.count > 1 ? UInt64(fields[1]) ?? 0 : 0)
        }
    }

    /// The soft limit in the line that begins with this name; nil when there is none.
    static func limit(_ name: String, of process: pid_t) -> Int? {
        guard let limits = text("/proc/\(process)/limits"),
            let line = limits.split(separator: "\n").first(where: { $0.hasPrefix(name) })
        else { return nil }
        return line.dropFirst(name.count).split(separator: " ").first.flatMap { Int($0) }
    }

    private static func text(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 8 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    private static func names(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) {
                    String(cString: $0)
                }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }
}
