import Resilience
import Telemetry

/// Shows the circuit breakers of a node.
enum BreakerMetrics {
    static func register(in registry: MetricsRegistry, breakers: CircuitBreakers) {
        registry.addCollector { registry in
            let all = breakers.all
            registry.gauges(
                "circuitbreaker_state", help: "0 closed, 1 open, 2 half-open.", label: "name",
                all.map { ($0.name, Double($0.stats.state.rawValue)) })
            for breaker in all { show(breaker, in: registry) }
        }
    }

    private static func show(_ breaker: SharedCircuitBreaker, in registry: MetricsRegistry) {
        let (name, counts) = (breaker.name, breaker.stats.counts)
        for (result, count) in [
            ("success", counts.successes), ("failure", counts.failures), ("neutral", counts.neutrals),
            ("rejected", counts.rejections),
        ] {
            registry.counter(
                "circuitbreaker_requests_total", help: "Calls through the breaker, and those that it rejected.",
                labels: ["name": name, "result": result]
            ).raise(to: count)
        }
        // Each is there from the start: a counter that begins at 1 has not increased, to Prometheus.
        for from in CircuitBreaker.Phase.allCases {
            for to in CircuitBreaker.Phase.allCases where from != to {
                registry.counter(
                    "circuitbreaker_state_changes_total", help: "How often the breaker changed its state.",
                    labels: ["name": name, "from": from.label, "to": to.label]
                ).raise(to: counts.changes(from: from, to: to))
            }
        }
    }
}

extension CircuitBreaker.Phase {
    var label: String {
        switch self {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half_open"
        }
    }
}
