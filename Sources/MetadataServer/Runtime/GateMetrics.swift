import Resilience
import Telemetry

/// Shows what the node takes, refuses and misses, from the latest reading.
enum GateMetrics {
    static func register(in registry: MetricsRegistry, published: PublishedState) {
        let requests = registry.gauge(
            "metad_inflight_requests", help: "Writes and reads of clients that are under way.")
        let bytes = registry.gauge("metad_inflight_bytes", help: "What they take, as they came.")
        let level = registry.gauge(
            "metad_memory_pressure", help: "0 calm, 1 buffers and caches are given up, 2 work is refused.")
        let limit = registry.gauge(
            "metad_memory_limit_bytes", help: "What the process may use: its setting, control group or machine.")
        let shed = RequestGate.Obstacle.allCases.map { obstacle in
            (
                obstacle,
                registry.counter(
                    "metad_shed_total", help: "Requests that were refused before anything was done.",
                    labels: ["reason": obstacle.rawValue])
            )
        }
        let refusedConnections = registry.counter(
            "metad_client_connections_refused_total",
            help: "Connections that were closed at once, since there were as many as there may be.")
        registry.addCollector { registry in
            guard let reading = published.reading?.gate else { return }
            requests.set(reading.requests)
            bytes.set(reading.bytes)
            level.set(reading.level.rawValue)
            limit.set(reading.memoryMaxBytes)
            for (obstacle, counter) in shed { counter.raise(to: reading.shed[obstacle] ?? 0) }
            refusedConnections.raise(to: reading.refusedConnections)
            for (operation, count) in reading.timeouts {
                timeouts(of: operation, in: registry).raise(to: count)
            }
        }
    }

    static func timeouts(of operation: String, in registry: MetricsRegistry) -> CounterHandle {
        registry.counter(
            "timeouts_total", help: "Deadlines that passed, by what missed them.", labels: ["operation": operation])
    }
}
