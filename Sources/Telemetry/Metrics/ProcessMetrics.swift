#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The metrics that every Prometheus client library has about its own process, read from `/proc` at each scrape.
///
/// Where there is no `/proc` (Darwin) nothing is registered: an absent series is honest, a zero is not.
package struct ProcessMetrics: Sendable {
    /// What one look at `/proc/self` shows.
    package struct Reading: Equatable, Sendable {
        package var residentBytes: Double
        package var virtualBytes: Double
        package var threads: Double
        package var cpuSeconds: Double
        package var startSeconds: Double
        package var openFiles: Int
    }

    /// Registers the metrics and has them read before every scrape.
    package static func register(in registry: MetricsRegistry) {
        guard read() != nil else { return }
        let resident = registry.gauge("process_resident_memory_bytes", help: "Resident memory size in bytes.")
        let virtual = registry.gauge("process_virtual_memory_bytes", help: "Virtual memory size in bytes.")
        let threads = registry.gauge("process_threads", help: "Number of threads.")
        let filesMax = registry.gauge("process_max_fds", help: "Maximum number of open file descriptors.")
        let start = registry.gauge(
            "process_start_time_seconds", help: "Start time of the process since the Unix epoch in seconds.")
        let files = registry.gauge("process_open_fds", help: "Number of open file descriptors.")
        let cpu = registry.floatingCounter(
            "process_cpu_seconds_total", help: "Total user and system CPU time spent in seconds.")
        registry.addCollector { _ in
            guard let reading = read() else { return }
            resident.set(reading.residentBytes)
            virtual.set(reading.virtualBytes)
            threads.set(reading.threads)
            filesMax.set(sysconf(Int32(_SC_OPEN_MAX)))
            start.set(reading.startSeconds)
            files.set(reading.openFiles)
            cpu.raise(to: reading.cpuSeconds)
        }
    }

    /// Nil where there is no `/proc`.
    package static func read() -> Reading? {
        #if os(Linux)
            guard let stat = contents(of: "/proc/self/stat"), let system = contents(of: "/proc/stat"),
                let openFiles = entries(of: "/proc/self/fd")
            else { return nil }
            return parse(
                stat: stat, system: system, openFiles: openFiles, ticksPerSecond: Double(sysconf(Int32(_SC_CLK_TCK))),
                pageBytes: Double(sysconf(Int32(_SC_PAGESIZE))))
        #else
            return nil
        #endif
    }

    /// The command name in `stat` is in parentheses and may hold anything, so the fields are counted from the last
    /// closing one (proc(5)): state is field 3.
    static func parse(
        stat: String, system: String, openFiles: Int, ticksPerSecond: Double, pageBytes: Double
    ) -> Reading? {
        guard let close = stat.lastIndex(of: ")"), ticksPerSecond > 0 else { return nil }
        let fields = stat[stat.index(after: close)...].split(whereSeparator: \.isWhitespace)
        func field(_ number: Int) -> Double? {
            fields.indices.contains(number - 3) ? Double(fields[number - 3]) : nil
        }
        let bootLine = system.split(separator: "\n").first { $0.hasPrefix("btime ") }
        guard let user = field(14), let kernel = field(15), let started = field(22), let pages = field(24),
            let threads = field(20), let virtual = field(23),
            let boot = bootLine.flatMap({ Double($0.dropFirst(6)) })
        else { return nil }
        return Reading(
            residentBytes: pages * pageBytes, virtualBytes: virtual, threads: threads,
            cpuSeconds: (user + kernel) / ticksPerSecond,
            startSeconds: boot + started / ticksPerSecond, openFiles: openFiles)
    }

    #if os(Linux)
        /// Files in `/proc` have no size; they are read until the end, up to a bound.
        private static func contents(of path: String) -> String? {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 16_384)
            while bytes.count < 1 << 20 {
                let count = systemRead(descriptor, &chunk, chunk.count)
                guard count >= 0 else { return nil }
                if count == 0 { break }
                bytes += chunk[..<count]
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        private static func entries(of path: String) -> Int? {
            guard let directory = opendir(path) else { return nil }
            defer { closedir(directory) }
            var count = 0
            while let entry = readdir(directory) {
                if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
            }
            // The directory that is being read is open as well, and not of interest.
            return count - 1
        }
    #endif
}

/// `read(2)`, named so that the method of the same name does not hide it.
private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, bytes, count)
}
