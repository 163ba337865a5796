import Telemetry

/// How quickly a node works and what it is busy with, for people who look into it.
package struct Performance: Equatable, Sendable {
    /// How long something took, as far as the buckets of its histogram tell.
    package struct Latency: Equatable, Sendable {
        package var count: UInt64
        package var mean: Double
        /// In seconds; within the bucket they are taken to be spread evenly, as Prometheus does.
        package var p50: Double
        package var p90: Double
        package var p99: Double
        package var p999: Double

        /// Nil when nothing was observed.
        init?(_ snapshot: HistogramHandle.Snapshot, bounds: [Double]) {
            count = snapshot.count
            guard count > 0 else { return nil }
            mean = snapshot.sum / Double(count)
            p50 = snapshot.quantile(0.5, bounds: bounds)
            p90 = snapshot.quantile(0.9, bounds: bounds)
            p99 = snapshot.quantile(0.99, bounds: bounds)
            p999 = snapshot.quantile(0.999, bounds: bounds)
        }
    }

    /// By operation, and `log_sync` and `proposal` for what a write is made of.
    package var sinceStart: [String: Latency] = [:]
    /// Of the time since `recentSeconds` ago.
    package var recent: [String: Latency] = [:]
    package var recentSeconds = 0.0
    /// What waits for each thread.
    package var queues: [String: Int] = [:]
    package var inflightRequests = 0
    package var openWrites = 0
    package var openReads = 0
    package var watches = 0
    package var clientConnections = 0
    package var clientConnectionsMax = 0
    package var caches: [String: Cache] = [:]
    /// Nil where the system does not tell.
    package var memory: ProcessMetrics.Reading?

    package struct Cache: Equatable, Sendable {
        package var bytes: Int
        package var hits: Int
        package var misses: Int

        package init(bytes: Int, hits: Int, misses: Int) {
            self.bytes = bytes
            self.hits = hits
            self.misses = misses
        }
    }

    package init() {}
}

/// Measures when it is asked. It waits for nobody.
package protocol PerformanceSource: Sendable {
    func performance() -> Performance
}

extension HistogramHandle.Snapshot {
    /// The value below which this part of the observations lies, as `histogram_quantile` of Prometheus has it. What lies beyond the
    /// last bound is taken to lie at it.
    func quantile(_ part: Double, bounds: [Double]) -> Double {
        let rank = part * Double(count)
        var below = 0.0
        for (place, bound) in bounds.enumerated() {
            let inside = Double(counts[place])
            if below + inside >= rank, inside > 0 {
                let lower = place == 0 ? 0 : bounds[place - 1]
                return lower + (bound - lower) * (rank - below) / inside
            }
            below += inside
        }
        return bounds.last ?? 0
    }

    /// What was observed since `earlier`, a snapshot of the same histogram.
    func since(_ earlier: Self?) -> Self {
        guard let earlier, earlier.counts.count == counts.count else { return self }
        var later = self
        later.counts = zip(counts, earlier.counts).map { $0 - min($0, $1) }
        later.sum -= earlier.sum
        return later
    }
}
