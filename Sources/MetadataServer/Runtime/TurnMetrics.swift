import Resilience
import Telemetry

/// Shows who waits for its turn, and what came of that, from the latest reading.
enum TurnMetrics {
    static func register(in registry: MetricsRegistry, published: PublishedState) {
        for name in TurnName.allCases {
            let labels = ["name": name.rawValue]
            let waiting = registry.gauge(
                "keyed_lock_waiting", help: "Who waits for a turn at what one does at a time.", labels: labels)
            let (acquired, timedOut) = (
                acquisitions(name, "acquired", in: registry), acquisitions(name, "timeout", in: registry)
            )
            let stale = registry.counter(
                "keyed_lock_stale_total", help: "Turns that were lost since their holder did not get on.",
                labels: labels)
            registry.addCollector { _ in
                guard let reading = published.reading?.turns[name] else { return }
                waiting.set(reading.waiting)
                acquired.raise(to: reading.counts.acquired)
                timedOut.raise(to: reading.counts.timedOut)
                stale.raise(to: reading.counts.stale)
            }
        }
    }

    private static func acquisitions(
        _ name: TurnName, _ result: String, in registry: MetricsRegistry
    ) -> CounterHandle {
        registry.counter(
            "keyed_lock_acquisitions_total", help: "Turns that were taken, or waited for in vain.",
            labels: ["name": name.rawValue, "result": result])
    }
}
