import Foundation

/// All that is told of a run when it is over.
struct RunReport: Sendable {
    let scenario: String
    let seed: UInt64
    let network: String
    let nodes: Int
    /// Nanoseconds.
    var length: UInt64 = 0
    var faults: [FaultRecord] = []
    var samples: [ClusterMonitor.Sample] = []
    /// What must not be; empty: all is well.
    var findings: [String] = []
    /// From the end of each round's load until all nodes agreed.
    var recoveries: [Duration] = []
    private(set) var timeline = CallTimeline()

    init(scenario: String, seed: UInt64, network: String, nodes: Int) {
        self.scenario = scenario
        self.seed = seed
        self.network = network
        self.nodes = nodes
    }

    mutating func add(_ calls: [RecordedCall]) { timeline.add(calls) }

    /// What a node has of something in the last fifth of the run, in the middle, and what it had in the second fifth: in the first it
    /// fills its caches. Nil when it was not looked at in both.
    func growth(
        of id: Int, _ value: (ClusterMonitor.NodeSample) -> Int?
    ) -> (early: Int, late: Int)? {
        func middle(_ fifth: UInt64) -> Int? {
            let part = samples.filter { $0.at / max(1, length / 5) == fifth }
            let values = part.compactMap { $0.nodes.first { $0.id == id }.flatMap(value) }.sorted()
            return values.isEmpty ? nil : values[values.count / 2]
        }
        guard let early = middle(1), let late = middle(4) else { return nil }
        return (early, late)
    }

    /// After how long all nodes agreed: of many rounds the median and the longest.
    var agreement: String {
        let sorted = recoveries.sorted()
        guard sorted.count > 4, let longest = sorted.last else {
            return recoveries.map { "\($0.milliseconds) ms" }.joined(separator: ", ")
        }
        let median = sorted[sorted.count / 2]
        return "\(median.milliseconds) ms, at most \(longest.milliseconds) ms, in \(sorted.count) rounds"
    }

    /// One line for each fault and each finding.
    var summary: String {
        var lines = [
            "\(scenario) over \(network), seed \(seed): \(timeline.writes) writes, \(timeline.reads) reads, "
                + "\(timeline.failed) failed, \(timeline.unknown) unknown; agreed after \(agreement)"
        ]
        for fault in faults {
            let writes = fault.writesUnavailable.map { "\($0.milliseconds) ms" } ?? "?"
            let reads = fault.readsUnavailable.map { "\($0.milliseconds) ms" } ?? "?"
            lines.append("  \(fault.name): no write for \(writes), no read for \(reads). \(fault.evidence)")
        }
        return (lines + findings.map { "  FOUND \($0)" }).joined(separator: "\n")
    }
}

/// Calls by the tenth of a second in which their answer came.
struct CallTimeline: Sendable {
    struct Bucket: Sendable {
        var writes = 0
        var reads = 0
        var failed = 0
        var unknown = 0
        /// Of writes that were acknowledged, in milliseconds.
        var median = 0.0
        var slowest99 = 0.0

        /// Of a longer time: counts add up, and of latencies the worst is kept.
        mutating func merge(_ other: Bucket) {
            writes += other.writes
            reads += other.reads
            failed += other.failed
            unknown += other.unknown
            median = max(median, other.median)
            slowest99 = max(slowest99, other.slowest99)
        }
    }

    static let width: UInt64 = 100_000_000

    private(set) var buckets: [UInt64: Bucket] = [:]
    private(set) var writes = 0
    private(set) var reads = 0
    private(set) var failed = 0
    private(set) var unknown = 0

    /// All calls of a time in which no other calls were made.
    mutating func add(_ calls: [RecordedCall]) {
        for (number, group) in Dictionary(grouping: calls, by: { $0.returned / Self.width }) {
            var bucket = Bucket()
            var latencies: [Double] = []
            for call in group {
                switch call.ending {
                case .done, .mismatch:
                    bucket.writes += 1
                    latencies.append(Double(call.returned - call.invoked) / 1_000_000)
                case .value, .version: bucket.reads += 1
                case .failed: bucket.failed += 1
                case .unknown: bucket.unknown += 1
                }
            }
            latencies.sort()
            if !latencies.isEmpty {
                bucket.median = latencies[latencies.count / 2]
                bucket.slowest99 = latencies[min(latencies.count - 1, latencies.count * 99 / 100)]
            }
            writes += bucket.writes
            reads += bucket.reads
            failed += bucket.failed
            unknown += bucket.unknown
            buckets[number, default: Bucket()].merge(bucket)
        }
    }
}
