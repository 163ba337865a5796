#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A moment in UTC, written as RFC 3339 with microseconds.
package struct Timestamp: Hashable, Sendable, CustomStringConvertible {
    package var seconds: Int
    package var microseconds: Int

    package init(seconds: Int, microseconds: Int) {
        self.seconds = seconds
        self.microseconds = microseconds
    }

    package static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: time.tv_sec, microseconds: time.tv_nsec / 1_000)
    }

    package var description: String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        let date = "\(Int(parts.tm_year) + 1900)-\(Self.padded(parts.tm_mon + 1, 2))-\(Self.padded(parts.tm_mday, 2))"
        let clock = "\(Self.padded(parts.tm_hour, 2)):\(Self.padded(parts.tm_min, 2)):\(Self.padded(parts.tm_sec, 2))"
        return "\(date)T\(clock).\(Self.padded(microseconds, 6))Z"
    }

    /// The moment that is so much later, or earlier.
    package func advanced(by duration: Duration) -> Timestamp {
        let microseconds = microseconds + Int((duration / .microseconds(1)).rounded())
        let seconds = Int((Double(microseconds) / 1_000_000).rounded(.down))
        return Timestamp(seconds: self.seconds + seconds, microseconds: microseconds - seconds * 1_000_000)
    }

    private static func padded(_ number: some BinaryInteger, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
