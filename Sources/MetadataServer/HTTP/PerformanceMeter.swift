import MetadataStore
import Synchronization
import Telemetry

/// Puts together what is counted anyway. Latencies of the last minute come from snapshots of the histograms that are taken now
/// and then.
final class PerformanceMeter: PerformanceSource, Sendable {
    private struct Sample {
        var at: ContinuousClock.Instant
        var histograms: [String: HistogramHandle.Snapshot]
    }

    static let sampleInterval: Duration = .seconds(10)
    /// With the present moment they span a minute.
    static let samplesMax = 6

    private let registry: MetricsRegistry
    private let published: PublishedState
    private let queueDepths: @Sendable () -> [(name: String, count: Int)]
    private let statistics: StoreStatistics
    private let connectionsMax: Int
    /// The oldest first.
    private let samples = Mutex<[Sample]>([])

    init(
        registry: MetricsRegistry, published: PublishedState, storage: NodeStorage, statistics: StoreStatistics,
        connectionsMax: Int
    ) {
        self.registry = registry
        self.published = published
        queueDepths = { storage.queueDepths }
        self.statistics = statistics
        self.connectionsMax = connectionsMax
    }

    /// To be called a few times in `sampleInterval`.
    func tick(now: ContinuousClock.Instant = .now) {
        guard samples.withLock({ $0.last.map { now - $0.at >= Self.sampleInterval } ?? true }) else { return }
        let sample = Sample(at: now, histograms: Dictionary(uniqueKeysWithValues: histograms.map { ($0, $1.current) }))
        samples.withLock { samples in
            samples.append(sample)
            if samples.count > Self.samplesMax { samples.removeFirst() }
        }
    }

    func performance() -> Performance {
        var answer = Performance()
        let oldest = samples.withLock { $0.first }
        for (name, handle) in histograms {
            let now = handle.current
            answer.sinceStart[name] = Performance.Latency(now, bounds: handle.bounds)
            if let oldest {
                answer.recent[name] = Performance.Latency(now.since(oldest.histograms[name]), bounds: handle.bounds)
            }
        }
        if let oldest { answer.recentSeconds = oldest.at.duration(to: .now) / .seconds(1) }
        for (name, count) in queueDepths() { answer.queues[name] = count }
        for (name, cache) in [("writer_pages", statistics.writer), ("reader_pages", statistics.reader)] {
            answer.caches[name] = Performance.Cache(bytes: cache.bytes, hits: cache.hits, misses: cache.misses)
        }
        if let reading = published.reading {
            answer.inflightRequests = reading.gate.requests
            answer.openWrites = reading.openWrites
            answer.openReads = reading.openReads
            answer.watches = reading.watches
            answer.clientConnections = reading.connections
        }
        answer.clientConnectionsMax = connectionsMax
        answer.memory = ProcessMetrics.read()
        return answer
    }

    private var histograms: [(String, HistogramHandle)] {
        let operations = registry.histograms(named: "metadata_operation_duration_seconds")
            .compactMap { labels, handle in labels.first.map { ($0, handle) } }
        let others = [
            ("log_sync", "raft_log_sync_duration_seconds"), ("proposal", "raft_proposal_duration_seconds"),
            ("loop_delay", "metad_loop_delay_seconds"),
        ].flatMap { name, metric in registry.histograms(named: metric).map { (name, $0.handle) } }
        return operations + others
    }
}
