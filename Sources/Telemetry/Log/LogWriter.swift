import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where log lines go.
package enum LogOutput: Hashable, Sendable {
    case standardOutput
    case standardError
    /// Appended to; made with mode 0600 when it does not exist.
    case file(path: String)

    /// `stdout`, `stderr` or `file:PATH`.
    package init?(_ text: String) {
        switch text {
        case "stdout": self = .standardOutput
        case "stderr": self = .standardError
        default:
            guard text.hasPrefix("file:"), text.utf8.count > 5 else { return nil }
            self = .file(path: String(text.dropFirst(5)))
        }
    }
}

/// The log file cannot be opened.
package struct LogOutputError: Error, CustomStringConvertible {
    package var path: String
    package var errorNumber: Int32

    package var description: String { "cannot open the log file \(path): \(String(cString: strerror(errorNumber)))" }
}

/// Takes finished lines from any thread and writes them on a queue of its own.
///
/// Whoever logs pays for a copy into memory and never for the disk or the reader of a pipe. What does not fit into
/// `pendingBytesMax` is dropped and counted, and the log says so itself as soon as there is room again.
package final class LogWriter: Sendable {
    /// Enough for a burst of some ten thousand lines.
    package static let pendingBytesMax = 4 << 20

    private struct Pending {
        var bytes: [UInt8] = []
        /// Whether a drain is queued; then it will see what is added now.
        var isDrainQueued = false
        var droppedSinceReport: UInt64 = 0
        /// A batch was taken out and is on its way.
        var isWriting = false
        /// A trap has written what waits, and the process ends: nobody writes it again. Not taken out, which would free memory.
        var isWrittenByTrap = false
    }

    private let descriptor: Int32
    /// Of the log file, which belongs to this writer; nil for what was there before.
    private let path: String?
    private let pendingBytesMax: Int
    /// Makes the line that reports dropped ones, in the format of the others.
    private let dropReport: @Sendable (UInt64) -> String
    private let pending = Mutex(Pending())
    private let queue = DispatchQueue(label: "log-writer", qos: .utility)
    private let dropped = Atomic<UInt64>(0)

    package init(
        output: LogOutput, pendingBytesMax: Int = LogWriter.pendingBytesMax,
        dropReport: @escaping @Sendable (UInt64) -> String
    ) throws(LogOutputError) {
        precondition(pendingBytesMax > 0, "a log writer without room for a line")
        switch output {
        case .standardOutput:
            (descriptor, path) = (STDOUT_FILENO, nil)
        case .standardError:
            (descriptor, path) = (STDERR_FILENO, nil)
        case .file(let path):
            descriptor = try LogWriter.open(path)
            self.path = path
        }
        self.pendingBytesMax = pendingBytesMax
        self.dropReport = dropReport
    }

    deinit {
        if path != nil { close(descriptor) }
    }

    private static func open(_ path: String) throws(LogOutputError) -> Int32 {
        let opened = systemOpen(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard opened >= 0 else { throw LogOutputError(path: path, errorNumber: errno) }
        return opened
    }

    /// Opens the log file again, after something else has moved it away. What was logged before, and what is logged until all of
    /// that is written, goes to the old one. On failure the old one goes on.
    package func reopen() throws(LogOutputError) {
        guard let path else { return }
        let fresh = try LogWriter.open(path)
        queue.async { [self] in
            drain()
            // In one step, so that the descriptor is never another file's.
            dup2(fresh, descriptor)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            close(fresh)
        }
    }

    /// Lines that were never written, since the start.
    package var droppedTotal: UInt64 { dropped.load(ordering: .relaxed) }

    /// Queues one line; the line feed is added here.
    package func write(_ line: String) {
        let outcome = pending.withLock { pending -> (fits: Bool, mustQueueDrain: Bool) in
            guard pending.bytes.count + line.utf8.count < pendingBytesMax else {
                pending.droppedSinceReport += 1
                return (false, false)
            }
            pending.bytes.append(contentsOf: line.utf8)
            pending.bytes.append(UInt8(ascii: "\n"))
            let mustQueueDrain = !pending.isDrainQueued
            pending.isDrainQueued = true
            return (true, mustQueueDrain)
        }
        if !outcome.fits { dropped.wrappingAdd(1, ordering: .relaxed) }
        if outcome.mustQueueDrain { queue.async { self.drain() } }
    }

    /// Waits until everything queued so far is written, or until the time is over: a reader that has stopped reading
    /// must not keep the process from ending.
    @discardableResult
    package func flush(timeout: DispatchTimeInterval = .seconds(1)) -> Bool {
        let done = DispatchSemaphore(value: 0)
        queue.async {
            self.drain()
            done.signal()
        }
        return done.wait(timeout: .now() + timeout) == .success
    }

    private func drain() {
        let (batch, droppedNow) = pending.withLock { pending -> ([UInt8], UInt64) in
            if pending.isWrittenByTrap { return ([], 0) }
            defer {
                pending.bytes = []
                pending.droppedSinceReport = 0
                pending.isDrainQueued = false
                pending.isWriting = true
            }
            return (pending.bytes, pending.droppedSinceReport)
        }
        writeAll(batch)
        if droppedNow > 0 { writeAll(Array((dropReport(droppedNow) + "\n").utf8)) }
        pending.withLock { $0.isWriting = false }
    }

    /// Writes what waits from this thread, if that can be had at once; a batch that is being written is given a moment.
    func writeWithoutWaiting() {
        for _ in 0..<LogWriter.trapRoundsMax {
            let isDone = pending.withLockIfAvailable { pending in
                if pending.isWriting { return false }
                if !pending.isWrittenByTrap { writeAll(pending.bytes) }
                pending.isWrittenByTrap = true
                return true
            }
            if isDone == true { return }
            usleep(1_000)
        }
    }

    /// Milliseconds, about.
    private static let trapRoundsMax = 200

    /// A log that cannot be written has nobody left to tell but the counter.
    private func writeAll(_ bytes: [UInt8]) {
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                start += count
            } else if errno == EAGAIN {
                // Standard output may be a pipe that somebody else made non-blocking.
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wait, 1, 1_000)
            } else if errno != EINTR {
                let lost = bytes[start...].count { $0 == UInt8(ascii: "\n") }
                dropped.wrappingAdd(UInt64(lost), ordering: .relaxed)
                return
            }
        }
    }
}

/// `open(2)` and `write(2)`, named so that the methods of the same name do not hide them.
private func systemOpen(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { open(path, flags, mode) }

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
