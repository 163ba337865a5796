/// Numbers as people read them, and as JSON carries them.
enum Numbers {
    /// Rounded to microseconds: what the histogram resolves.
    static func rounded(_ milliseconds: Double) -> Double { (milliseconds * 1_000).rounded() / 1_000 }

    /// Of ratios: more says nothing.
    static func fourDigits(_ value: Double) -> Double { (value * 10_000).rounded() / 10_000 }

    static func milliseconds(_ value: Double) -> String {
        value >= 100 ? "\(Int(value.rounded())) ms" : "\((value * 100).rounded() / 100) ms"
    }
}

/// The result of `bench write` and `bench read`.
struct BenchReport: Report, Equatable {
    /// `write` or `read`.
    var benchmark: String
    /// `linearizable` or `stale` for reads; null for writes.
    @OrNull var consistency: String?
    /// Requests in flight.
    var clients: Int
    var connections: Int
    var durationSeconds: Double
    var valueSize: Int
    var keys: Int
    /// Successful requests.
    var requests: UInt64
    /// Successful requests a second.
    var throughput: Double
    var p50Ms: Double
    var p90Ms: Double
    var p99Ms: Double
    var p999Ms: Double
    var maxMs: Double
    var errors: Int
    /// How many of each code.
    var errorsByCode: [String: Int]
    /// Processor time of all nodes for one request, in microseconds; null unless `--pid-dir` tells where they run.
    @OrNull var serverUs: Double?

    init(
        benchmark: String, consistency: String?, clients: Int, connections: Int, valueSize: Int, keys: Int,
        measurement: BenchMeasurement
    ) {
        self.benchmark = benchmark
        self.consistency = consistency
        self.clients = clients
        self.connections = connections
        self.valueSize = valueSize
        self.keys = keys
        durationSeconds = Numbers.rounded(measurement.elapsed.inSeconds)
        requests = measurement.requests
        throughput = (measurement.throughput * 10).rounded() / 10
        func percentile(_ percentile: Double) -> Double {
            Numbers.rounded(measurement.latencies.milliseconds(atPercentile: percentile))
        }
        p50Ms = percentile(50)
        p90Ms = percentile(90)
        p99Ms = percentile(99)
        p999Ms = percentile(99.9)
        maxMs = Numbers.rounded(measurement.latencies.maxMilliseconds)
        errors = measurement.errorCount
        errorsByCode = measurement.errors
        _serverUs = OrNull(
            wrappedValue: measurement.serverTime.flatMap { time in
                measurement.requests == 0 ? nil : Numbers.rounded(time.inSeconds * 1e6 / Double(measurement.requests))
            })
    }

    private enum CodingKeys: String, CodingKey {
        case benchmark, consistency, clients, connections, durationSeconds, valueSize, keys, requests, throughput
        case errors, errorsByCode
        // Written out: where a word ends at a digit is not left to a key strategy.
        case p50Ms = "p50_ms"
        case p90Ms = "p90_ms"
        case p99Ms = "p99_ms"
        case p999Ms = "p999_ms"
        case maxMs = "max_ms"
        case serverUs = "server_us_per_request"
    }

    var table: String {
        let what = ([benchmark] + (consistency.map { [$0] } ?? [])).joined(separator: ", ")
        var lines = [
            "\(what): \(clients) in flight over \(connections) connections, \(valueSize) bytes, \(keys) keys, \(durationSeconds) s",
            "throughput  \(Int(throughput.rounded()))/s  (\(requests) requests)",
            "latency     p50 \(Numbers.milliseconds(p50Ms))   p90 \(Numbers.milliseconds(p90Ms))   p99 \(Numbers.milliseconds(p99Ms))"
                + "   p99.9 \(Numbers.milliseconds(p999Ms))   max \(Numbers.milliseconds(maxMs))",
            "errors      \(errors)",
        ]
        if let serverUs { lines.insert("processor   \(serverUs) us of all nodes a request", at: 3) }
        for (code, count) in errorsByCode.sorted(by: { $0.key < $1.key }) {
            lines.append("            \(code) \(count)")
        }
        return lines.joined(separator: "\n")
    }
}
