import Telemetry

/// The JSON form of `Performance`. Times are in milliseconds.
enum PerformanceReport {
    static func json(_ performance: Performance) -> [UInt8] {
        JSONText.object { json in
            json.member("recent") { json in
                json.member("seconds", (performance.recentSeconds * 10).rounded() / 10)
                json.latencies(performance.recent)
            }
            json.member("since_start") { $0.latencies(performance.sinceStart) }
            json.member("queues") { json in
                for (name, length) in performance.queues.byName { json.member(name, length) }
            }
            json.member("requests") { json in
                json.member("in_flight", performance.inflightRequests)
                json.member("open_writes", performance.openWrites)
                json.member("open_reads", performance.openReads)
            }
            json.member("caches") { json in
                for (name, cache) in performance.caches.byName { json.member(name) { $0.cache(cache) } }
            }
            json.member("pools") { json in
                json.member("client_connections") { json in
                    json.member("in_use", performance.clientConnections)
                    json.member("max", performance.clientConnectionsMax)
                }
                json.member("watches") { json in
                    json.member("in_use", performance.watches)
                    json.member("max", nil as Int?)
                }
            }
            guard let memory = performance.memory else { return json.member("memory", nil as Int?) }
            json.member("memory") { json in
                json.member("resident_bytes", Int(memory.residentBytes))
                json.member("virtual_bytes", Int(memory.virtualBytes))
                json.member("threads", Int(memory.threads))
                json.member("open_files", memory.openFiles)
                json.member("cpu_seconds", memory.cpuSeconds)
            }
        }
    }
}

extension JSONText {
    fileprivate mutating func latencies(_ operations: [String: Performance.Latency]) {
        member("operations") { json in
            for (name, latency) in operations.byName {
                json.member(name) { json in
                    json.member("count", latency.count)
                    json.milliseconds("mean_ms", latency.mean)
                    json.milliseconds("p50_ms", latency.p50)
                    json.milliseconds("p90_ms", latency.p90)
                    json.milliseconds("p99_ms", latency.p99)
                    json.milliseconds("p999_ms", latency.p999)
                }
            }
        }
    }

    private mutating func milliseconds(_ key: String, _ seconds: Double) {
        member(key, (seconds * 1_000_000).rounded() / 1_000)
    }

    fileprivate mutating func cache(_ cache: Performance.Cache) {
        let looks = cache.hits + cache.misses
        member("bytes", cache.bytes)
        member("hits", cache.hits)
        member("misses", cache.misses)
        // Null before the first look.
        member("hit_ratio", looks == 0 ? nil : (Double(cache.hits) / Double(looks) * 10_000).rounded() / 10_000)
    }
}

extension Dictionary where Key == String {
    fileprivate var byName: [Element] { sorted { $0.key < $1.key } }
}
