import CoreMetrics

/// The registry as a backend of swift-metrics, for what libraries count.
///
/// Destroying a handler keeps its series: another part of the process may hold the same name and labels, and a counter
/// that vanishes and returns at zero looks like a restart.
extension MetricsRegistry: MetricsFactory {
    /// Makes this the registry of the process: from now on whatever a library counts through swift-metrics is shown here.
    /// Once, at the start of the process.
    package func bootstrap() { MetricsSystem.bootstrap(self) }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        CounterAdapter(
            handle: counter(
                orDetached: MetricName.converted(label, suffix: "_total"), help: Self.help(label),
                labels: Self.labels(dimensions)))
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        GaugeAdapter(
            handle: gauge(
                orDetached: MetricName.converted(label), help: Self.help(label), labels: Self.labels(dimensions)))
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        let name = MetricName.converted(label)
        let labels = Self.labels(dimensions)
        guard aggregate else {
            return GaugeAdapter(handle: gauge(orDetached: name, help: Self.help(label), labels: labels))
        }
        return HistogramAdapter(
            handle: histogram(
                orDetached: name, help: Self.help(label), labels: labels, bounds: HistogramBuckets.counts))
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        HistogramAdapter(
            handle: histogram(
                orDetached: MetricName.converted(label, suffix: "_seconds"), help: Self.help(label),
                labels: Self.labels(dimensions), bounds: HistogramBuckets.seconds))
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private static func help(_ label: String) -> String { "Counted by a library as \(label)." }

    /// Dimensions may repeat a name, labels may not: the last one wins.
    private static func labels(_ dimensions: [(String, String)]) -> [String: String] {
        Dictionary(dimensions.map { (MetricName.converted($0), $1) }, uniquingKeysWith: { _, last in last })
    }
}

private final class CounterAdapter: CounterHandler {
    private let handle: CounterHandle

    init(handle: CounterHandle) { self.handle = handle }

    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        handle.increment(by: UInt64(amount))
    }

    func reset() { handle.reset() }
}

private final class GaugeAdapter: RecorderHandler, MeterHandler {
    private let handle: GaugeHandle

    init(handle: GaugeHandle) { self.handle = handle }

    func record(_ value: Int64) { handle.set(value) }
    func record(_ value: Double) { handle.set(value) }
    func set(_ value: Int64) { handle.set(value) }
    func set(_ value: Double) { handle.set(value) }
    func increment(by amount: Double) { handle.add(amount) }
    func decrement(by amount: Double) { handle.add(-amount) }
}

private final class HistogramAdapter: RecorderHandler, TimerHandler {
    private let handle: HistogramHandle

    init(handle: HistogramHandle) { self.handle = handle }

    func record(_ value: Int64) { handle.observe(Double(value)) }
    func record(_ value: Double) { handle.observe(value) }
    func recordNanoseconds(_ duration: Int64) { handle.observe(Double(duration) * 1e-9) }
}
