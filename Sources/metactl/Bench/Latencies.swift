import Histogram

/// Latencies of a benchmark, to three significant digits (HdrHistogram).
struct Latencies: Sendable {
    private var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: Latencies.nanosecondsMax,
        numberOfSignificantValueDigits: .three)

    /// What takes longer is counted as this long: no request lives that long.
    static let nanosecondsMax: UInt64 = 600_000_000_000

    var count: UInt64 { histogram.totalCount }

    mutating func record(_ latency: Duration) {
        let (seconds, attoseconds) = latency.components
        let nanoseconds = UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
        histogram.record(min(max(1, nanoseconds), Latencies.nanosecondsMax))
    }

    mutating func add(_ other: Latencies) {
        histogram.add(other.histogram)
    }

    mutating func reset() {
        histogram.reset()
    }

    /// Zero when nothing was recorded.
    func milliseconds(atPercentile percentile: Double) -> Double {
        count == 0 ? 0 : Latencies.milliseconds(histogram.valueAtPercentile(percentile))
    }

    var maxMilliseconds: Double { count == 0 ? 0 : Latencies.milliseconds(histogram.maxRecorded) }

    private static func milliseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e6 }
}
