import Telemetry

/// The JSON form of `Performance`. Times are in milliseconds.
struct PerformanceReport: Encodable, Equatable {
    struct Latency: Encodable, Equatable {
        var count: UInt64
        var meanMs: Double
        var p50Ms: Double
        var p90Ms: Double
        var p99Ms: Double
        var p999Ms: Double
    }

    struct Latencies: Encodable, Equatable {
        var seconds: Double?
        var operations: [String: Latency]
    }

    struct Requests: Encodable, Equatable {
        var inFlight: Int
        var openWrites: Int
        var openReads: Int
    }

    struct Cache: Encodable, Equatable {
        var bytes: Int
        var hits: Int
        var misses: Int
        /// Null before the first look.
        @Nullable var hitRatio: Double?
    }

    struct Pool: Encodable, Equatable {
        var inUse: Int
        @Nullable var max: Int?
    }

    struct Memory: Encodable, Equatable {
        var residentBytes: Int
        var virtualBytes: Int
        var threads: Int
        var openFiles: Int
        var cpuSeconds: Double
    }

    var recent: Latencies
    var sinceStart: Latencies
    var queues: [String: Int]
    var requests: Requests
    var caches: [String: Cache]
    var pools: [String: Pool]
    @Nullable var memory: Memory?

    init(_ performance: Performance) {
        recent = Latencies(
            seconds: (performance.recentSeconds * 10).rounded() / 10,
            operations: performance.recent.mapValues(Latency.init))
        sinceStart = Latencies(operations: performance.sinceStart.mapValues(Latency.init))
        queues = performance.queues
        requests = Requests(
            inFlight: performance.inflightRequests, openWrites: performance.openWrites,
            openReads: performance.openReads)
        caches = performance.caches.mapValues { cache in
            let looks = cache.hits + cache.misses
            return Cache(
                bytes: cache.bytes, hits: cache.hits, misses: cache.misses,
                hitRatio: looks == 0 ? nil : (Double(cache.hits) / Double(looks) * 10_000).rounded() / 10_000)
        }
        pools = [
            "client_connections": Pool(
                inUse: performance.clientConnections, max: performance.clientConnectionsMax),
            "watches": Pool(inUse: performance.watches, max: nil),
        ]
        memory = performance.memory.map {
            Memory(
                residentBytes: Int($0.residentBytes), virtualBytes: Int($0.virtualBytes), threads: Int($0.threads),
                openFiles: $0.openFiles, cpuSeconds: $0.cpuSeconds)
        }
    }
}

extension PerformanceReport.Latency {
    fileprivate init(_ latency: Performance.Latency) {
        func milliseconds(_ seconds: Double) -> Double { (seconds * 1_000_000).rounded() / 1_000 }
        self.init(
            count: latency.count, meanMs: milliseconds(latency.mean), p50Ms: milliseconds(latency.p50),
            p90Ms: milliseconds(latency.p90), p99Ms: milliseconds(latency.p99), p999Ms: milliseconds(latency.p999))
    }
}
