import Synchronization

/// Every metric of the process, by name and labels, and their text form for Prometheus.
///
/// Handles are made once, at start, and kept by whoever counts; making one takes a lock, using one does not take this
/// one. A scrape sees each number whole, but not all numbers at one instant, which is what Prometheus expects.
package final class MetricsRegistry: Sendable {
    /// Series of one name at most. A label that carries something unbounded (a client's address, a topic) would
    /// otherwise grow the process and the scrape without end.
    package static let seriesPerFamilyMax = 256
    package static let familiesMax = 1_024
    /// The label value of the series that stands in for all that did not fit.
    package static let overflowLabelValue = "other"

    enum Kind: String, Sendable {
        case counter
        case gauge
        case histogram
    }

    enum Series: Sendable {
        case counter(CounterHandle)
        case floatingCounter(FloatingCounterHandle)
        case gauge(GaugeHandle)
        case histogram(HistogramHandle)
    }

    struct Family: Sendable {
        let kind: Kind
        let help: String
        /// Sorted by name, the same for every series of the family.
        let labelNames: [String]
        /// By label values in the order of `labelNames`.
        var series: [[String]: Series]
    }

    private struct State {
        var families: [String: Family] = [:]
        var collectors: [@Sendable (MetricsRegistry) -> Void] = []
    }

    private let state = Mutex(State())
    private let refused: CounterHandle

    package init() {
        let refused = CounterHandle()
        self.refused = refused
        state.withLock {
            $0.families["metrics_series_refused_total"] = Family(
                kind: .counter, help: "Requests for a metric or label set beyond the limits of the registry.",
                labelNames: [], series: [[]: .counter(refused)])
        }
    }

    /// The counter of that name and labels. Names end in `_total`.
    package func counter(_ name: String, help: String, labels: [String: String] = [:]) -> CounterHandle {
        precondition(MetricName.isValid(name), "not a metric name: \(name)")
        precondition(name.hasSuffix("_total"), "the name of a counter ends in _total: \(name)")
        return counter(orDetached: name, help: help, labels: labels)
    }

    package func floatingCounter(
        _ name: String, help: String, labels: [String: String] = [:]
    ) -> FloatingCounterHandle {
        precondition(MetricName.isValid(name), "not a metric name: \(name)")
        precondition(name.hasSuffix("_total"), "the name of a counter ends in _total: \(name)")
        let found = series(name, .counter, help, labels) { .floatingCounter(FloatingCounterHandle()) }
        if case .floatingCounter(let handle)? = found { return handle }
        return FloatingCounterHandle()
    }

    /// The gauge of that name and labels. One whose name ends like another kind's (`cluster_partitions_total`) is declared
    /// untyped.
    package func gauge(_ name: String, help: String, labels: [String: String] = [:]) -> GaugeHandle {
        precondition(MetricName.isValid(name), "not a metric name: \(name)")
        return gauge(orDetached: name, help: help, labels: labels)
    }

    /// The histogram of that name and labels. A name of a time ends in `_seconds`.
    package func histogram(
        _ name: String, help: String, labels: [String: String] = [:], bounds: [Double] = HistogramBuckets.seconds
    ) -> HistogramHandle {
        precondition(MetricName.isValid(name), "not a metric name: \(name)")
        return histogram(orDetached: name, help: help, labels: labels, bounds: bounds)
    }

    /// Shows one gauge for each value of a label and none for any other: of what comes and goes, such as peers. A gauge that
    /// stayed behind would tell its last value for ever.
    package func gauges(_ name: String, help: String, label: String, _ values: [(String, Double)]) {
        precondition(MetricName.isValid(name) && MetricName.isValidLabel(label), "not a metric name: \(name) \(label)")
        var family = Family(kind: .gauge, help: help, labelNames: [label], series: [:])
        for (value, number) in values.prefix(Self.seriesPerFamilyMax) {
            let handle = GaugeHandle()
            handle.set(number)
            family.series[[value]] = .gauge(handle)
        }
        let isKept = state.withLock { state in
            let known = state.families[name]
            guard known != nil || state.families.count < Self.familiesMax, known?.kind ?? .gauge == .gauge else {
                return false
            }
            state.families[name] = family
            return true
        }
        if !isKept || values.count > Self.seriesPerFamilyMax { refused.increment() }
    }

    /// The histograms of a name, each with the values of its labels in the order of their names.
    package func histograms(named name: String) -> [(labels: [String], handle: HistogramHandle)] {
        guard let family = state.withLock({ $0.families[name] }) else { return [] }
        return family.series.compactMap { labels, series in
            if case .histogram(let handle) = series { (labels, handle) } else { nil }
        }
    }

    /// Runs before every scrape, outside any lock: for values that are cheaper to read than to keep up to date. It is given this
    /// registry; one that held it would keep both in memory for ever.
    package func addCollector(_ collect: @escaping @Sendable (MetricsRegistry) -> Void) {
        state.withLock { $0.collectors.append(collect) }
    }

    /// The text exposition format, version 0.0.4: families by name, series by label values.
    package func exposition() -> String {
        for collect in state.withLock({ $0.collectors }) { collect(self) }
        let families = state.withLock { $0.families }
        var text = PrometheusText()
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text.append(name: name, family: family)
        }
        return text.output
    }

    /// As `counter`, for names and labels that come from libraries: what does not fit counts into a handle that nobody
    /// scrapes, and is counted as refused.
    func counter(orDetached name: String, help: String, labels: [String: String]) -> CounterHandle {
        let found = series(name, .counter, help, labels) { .counter(CounterHandle()) }
        if case .counter(let handle)? = found { return handle }
        return CounterHandle()
    }

    func gauge(orDetached name: String, help: String, labels: [String: String]) -> GaugeHandle {
        let found = series(name, .gauge, help, labels) { .gauge(GaugeHandle()) }
        if case .gauge(let handle)? = found { return handle }
        return GaugeHandle()
    }

    func histogram(
        orDetached name: String, help: String, labels: [String: String], bounds: [Double]
    ) -> HistogramHandle {
        let found = series(name, .histogram, help, labels) { .histogram(HistogramHandle(bounds: bounds)) }
        if case .histogram(let handle)? = found { return handle }
        return HistogramHandle(bounds: bounds)
    }

    private func series(
        _ name: String, _ kind: Kind, _ help: String, _ labels: [String: String], make: () -> Series
    ) -> Series? {
        let sorted = labels.sorted { $0.key < $1.key }
        let names = sorted.map(\.key)
        let values = sorted.map(\.value)
        guard names.allSatisfy(MetricName.isValidLabel) else {
            refused.increment()
            return nil
        }
        let (found, complete) = state.withLock { state -> (Series?, Bool) in
            var family: Family
            if let known = state.families[name] {
                family = known
            } else {
                guard state.families.count < Self.familiesMax else { return (nil, false) }
                family = Family(kind: kind, help: help, labelNames: names, series: [:])
            }
            guard family.kind == kind, family.labelNames == names else { return (nil, false) }
            if let known = family.series[values] { return (known, true) }
            // One place is kept for the series that collects the rest.
            let fits = family.series.count < Self.seriesPerFamilyMax - 1
            let key = fits ? values : Array(repeating: Self.overflowLabelValue, count: names.count)
            let series = family.series[key] ?? make()
            family.series[key] = series
            state.families[name] = family
            return (series, fits)
        }
        if !complete { refused.increment() }
        return found
    }
}
