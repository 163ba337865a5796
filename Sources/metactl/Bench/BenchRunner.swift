/// What a closed loop measured.
struct BenchMeasurement: Sendable {
    var latencies = Latencies()
    var errors: [String: Int] = [:]
    var elapsed: Duration = .zero
    /// Processor time of the nodes meanwhile; nil when nobody looked.
    var serverTime: Duration?

    var requests: UInt64 { latencies.count }
    var errorCount: Int { errors.values.reduce(0, +) }
    var throughput: Double { elapsed > .zero ? Double(requests) / elapsed.inSeconds : 0 }
}

/// Runs lanes for a time and adds up what they measured.
struct BenchRunner {
    var lanes: [BenchLane]
    /// Requests in flight over all lanes.
    var clients: Int
    var warmup: Duration
    var duration: Duration
    /// How long to wait at the end for answers that are out.
    var grace: Duration
    /// The nodes, when they run on this machine and their processor time is to be counted.
    var servers: ProcessorMeter?
    var console: Console

    /// How often failed requests are sent again, and the clock is read.
    private static let pause: Duration = .milliseconds(10)
    private static let progressInterval: Duration = .seconds(1)

    /// Starts the lanes, warms up, measures, stops the lanes and waits for the answers that are out. What they bring is not
    /// counted: it arrived after the end.
    func run() async throws -> BenchMeasurement {
        lanes.start(clients: clients)
        let clock = ContinuousClock()
        if warmup > .zero {
            _ = try await measure(clock, duration: warmup, label: "warm-up")
        }
        let before = servers?.used
        var measurement = try await measure(clock, duration: duration, label: "")
        if let before, let after = servers?.used { measurement.serverTime = after - before }
        try await lanes.stop(grace: grace)
        return measurement
    }

    private func measure(_ clock: ContinuousClock, duration: Duration, label: String) async throws -> BenchMeasurement {
        let begun = clock.now
        let end = begun + duration
        var total = BenchMeasurement()
        var reported = begun
        while true {
            let now = clock.now
            let isOver = now >= end
            if isOver || now - reported >= BenchRunner.progressInterval {
                var interval = BenchMeasurement()
                for lane in lanes { lane.collect(into: &interval.latencies, errors: &interval.errors) }
                interval.elapsed = now - reported
                total.latencies.add(interval.latencies)
                total.errors.merge(interval.errors, uniquingKeysWith: +)
                // A last sliver of a second would only print a meaningless rate.
                if !isOver || interval.elapsed >= BenchRunner.progressInterval / 2 {
                    try console.progress(BenchRunner.line(interval, at: now - begun, label: label))
                }
                reported = now
            }
            if isOver {
                total.elapsed = now - begun
                return total
            }
            lanes.resumeParked()
            try await clock.sleep(for: min(BenchRunner.pause, end - now))
        }
    }

    static func line(_ interval: BenchMeasurement, at elapsed: Duration, label: String) -> String {
        let second = "\(Int(elapsed.inSeconds.rounded())) s".paddedLeft(6)
        let rate = "\(Int(interval.throughput.rounded()))/s".paddedLeft(10)
        let p50 = "p50 \(Numbers.milliseconds(interval.latencies.milliseconds(atPercentile: 50)))"
        let p99 = "p99 \(Numbers.milliseconds(interval.latencies.milliseconds(atPercentile: 99)))"
        return ["\(second) \(rate)", p50, p99, "errors \(interval.errorCount)", label].filter { !$0.isEmpty }
            .joined(separator: "   ")
    }
}
