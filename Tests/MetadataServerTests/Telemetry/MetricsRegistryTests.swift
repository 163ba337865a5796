import CoreMetrics
import Foundation
import Telemetry
import Testing

@Suite("Metrics registry")
struct MetricsRegistryTests {
    /// The exposition without the registry's own family.
    private func text(_ registry: MetricsRegistry) -> String {
        registry.exposition().split(separator: "\n").filter { !$0.contains("metrics_series_refused_total") }
            .joined(separator: "\n")
    }

    @Test("counters, gauges and histograms are written as Prometheus reads them")
    func exposition() {
        let registry = MetricsRegistry()
        registry.counter("metad_writes_total", help: "Writes.", labels: ["result": "ok"]).increment(by: 3)
        registry.counter("metad_writes_total", help: "Writes.", labels: ["result": "refused"]).increment()
        registry.gauge("metad_term", help: "The term.").set(7)
        let histogram = registry.histogram("metad_fsync_seconds", help: "Syncs.", bounds: [0.001, 0.01])
        histogram.observe(.microseconds(500))
        histogram.observe(.milliseconds(1))
        histogram.observe(0.5)
        #expect(
            text(registry) == """
                # HELP metad_fsync_seconds Syncs.
                # TYPE metad_fsync_seconds histogram
                metad_fsync_seconds_bucket{le="0.001"} 2
                metad_fsync_seconds_bucket{le="0.01"} 2
                metad_fsync_seconds_bucket{le="+Inf"} 3
                metad_fsync_seconds_sum 0.5015
                metad_fsync_seconds_count 3
                # HELP metad_term The term.
                # TYPE metad_term gauge
                metad_term 7
                # HELP metad_writes_total Writes.
                # TYPE metad_writes_total counter
                metad_writes_total{result="ok"} 3
                metad_writes_total{result="refused"} 1
                """)
    }

    @Test("label values and help texts are escaped")
    func escaping() {
        let registry = MetricsRegistry()
        registry.gauge("metad_odd", help: "A \\ and a\nline feed.", labels: ["path": "a\"b\\c\nd"]).set(1)
        #expect(
            text(registry) == #"""
                # HELP metad_odd A \\ and a\nline feed.
                # TYPE metad_odd gauge
                metad_odd{path="a\"b\\c\nd"} 1
                """#)
    }

    @Test(
        "a gauge shows what has no decimal form as Prometheus spells it",
        arguments: [
            (Double.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (0.25, "0.25"), (-3, "-3"),
        ])
    func numbers(value: Double, expected: String) {
        let registry = MetricsRegistry()
        registry.gauge("metad_value", help: "Any.").set(value)
        #expect(text(registry).hasSuffix("metad_value \(expected)"))
    }

    @Test("the same name and labels are the same series, in whatever order the labels come")
    func sharing() {
        let registry = MetricsRegistry()
        let first = registry.counter("metad_reads_total", help: "Reads.", labels: ["a": "1", "b": "2"])
        let second = registry.counter("metad_reads_total", help: "Reads.", labels: ["b": "2", "a": "1"])
        #expect(first === second)
    }

    @Test("series beyond the limit share one labelled other, lose nothing and are counted as refused")
    func cardinality() {
        let registry = MetricsRegistry()
        let extra = 10
        for number in 0..<(MetricsRegistry.seriesPerFamilyMax - 1 + extra) {
            registry.counter("metad_requests_total", help: "Requests.", labels: ["client": "\(number)"]).increment()
        }
        let lines = registry.exposition().split(separator: "\n")
        #expect(lines.count { $0.hasPrefix("metad_requests_total{") } == MetricsRegistry.seriesPerFamilyMax)
        #expect(lines.contains("metad_requests_total{client=\"other\"} \(extra)"))
        #expect(lines.contains("metrics_series_refused_total \(extra)"))
    }

    @Test("a collector runs before each scrape and sees no lock held")
    func collectors() {
        let registry = MetricsRegistry()
        let gauge = registry.gauge("metad_lazy", help: "Read at scrape.")
        registry.addCollector { registry in
            gauge.add(1)
            _ = registry.gauge("metad_other", help: "Made during a scrape.")
        }
        #expect(registry.exposition().contains("metad_lazy 1\n"))
        #expect(registry.exposition().contains("metad_lazy 2\n"))
    }

    @Test("a counter taken over from elsewhere never falls")
    func raising() {
        let registry = MetricsRegistry()
        let counter = registry.counter("metad_seen_total", help: "Seen.")
        counter.raise(to: 10)
        counter.raise(to: 4)
        #expect(counter.current == 10)
        let seconds = registry.floatingCounter("metad_busy_seconds_total", help: "Busy.")
        seconds.raise(to: 1.5)
        seconds.raise(to: 1.25)
        #expect(seconds.current == 1.5)
    }

    @Test("increments from many threads are all counted")
    func concurrency() async {
        let registry = MetricsRegistry()
        let counter = registry.counter("metad_hits_total", help: "Hits.")
        let gauge = registry.gauge("metad_level", help: "Level.")
        let histogram = registry.histogram("metad_wait_seconds", help: "Waits.")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1_000 {
                        counter.increment()
                        gauge.add(1)
                        histogram.observe(0.001)
                    }
                }
            }
        }
        #expect(counter.current == 8_000)
        #expect(gauge.current == 8_000)
        #expect(histogram.current.count == 8_000)
    }

    @Test(
        "labels of libraries become names that Prometheus accepts",
        arguments: [
            ("http.requestCount", "http_request_count_total"), ("hb.requests_total", "hb_requests_total"),
            ("2xx answers", "_2xx_answers_total"),
        ])
    func libraryNames(label: String, expected: String) {
        let registry = MetricsRegistry()
        Counter(label: label, dimensions: [("Status Code", "200")], factory: registry).increment(by: 2)
        #expect(text(registry).hasSuffix("\(expected){status_code=\"200\"} 2"))
    }

    @Test("a library's timer is a histogram in seconds, its recorder one in counts, its gauge a gauge")
    func libraryKinds() {
        let registry = MetricsRegistry()
        Timer(label: "rpc", factory: registry).recordNanoseconds(2_000_000)
        Recorder(label: "batch", factory: registry).record(5)
        Gauge(label: "depth", factory: registry).record(9)
        let page = text(registry)
        #expect(page.contains("rpc_seconds_bucket{le=\"0.0025\"} 1\n"))
        #expect(page.contains("rpc_seconds_sum 0.002\n"))
        #expect(page.contains("batch_bucket{le=\"8\"} 1\n"))
        #expect(page.contains("# TYPE depth gauge\ndepth 9"))
    }

    @Test("a library that uses a name for another kind or other labels is refused, not mixed in")
    func clashes() {
        let registry = MetricsRegistry()
        registry.gauge("metad_depth", help: "Depth.").set(4)
        Recorder(label: "metad_depth", factory: registry).record(5)
        Gauge(label: "metad_depth", dimensions: [("queue", "a")], factory: registry).record(6)
        #expect(text(registry).hasSuffix("# TYPE metad_depth gauge\nmetad_depth 4"))
        #expect(registry.exposition().contains("metrics_series_refused_total 2\n"))
    }

    @Test("a gauge with an ending that another kind reserves is declared untyped", arguments: ["_count", "_total"])
    func reservedEndings(ending: String) {
        let registry = MetricsRegistry()
        let name = "raft_peers\(ending)"
        registry.gauge(name, help: "Peers.").set(3)
        #expect(text(registry) == "# HELP \(name) Peers.\n# TYPE \(name) untyped\n\(name) 3")
    }

    @Test("gauges of what comes and goes show the values of now, and no more than a family may have")
    func comingAndGoing() {
        let registry = MetricsRegistry()
        func show(_ values: [(String, Double)]) {
            registry.gauges("raft_lag", help: "Lag.", label: "peer", values)
        }
        show([("1", 5), ("2", 0)])
        show([("2", 7)])
        #expect(text(registry) == "# HELP raft_lag Lag.\n# TYPE raft_lag gauge\nraft_lag{peer=\"2\"} 7")
        show([])
        #expect(text(registry) == "# HELP raft_lag Lag.\n# TYPE raft_lag gauge")
        #expect(registry.exposition().contains("metrics_series_refused_total 0\n"))
        show((0...MetricsRegistry.seriesPerFamilyMax).map { ("\($0)", 1) })
        let lines = registry.exposition().split(separator: "\n")
        #expect(lines.count { $0.hasPrefix("raft_lag{") } == MetricsRegistry.seriesPerFamilyMax)
        #expect(lines.contains("metrics_series_refused_total 1"))
    }

    @Test("the metrics of the process are there and plausible")
    func process() throws {
        let registry = MetricsRegistry()
        ProcessMetrics.register(in: registry)
        let lines = registry.exposition().split(separator: "\n")
        func value(_ name: String) throws -> Double {
            let line = try #require(lines.first { $0.hasPrefix(name + " ") }, "\(name) is missing")
            return try #require(Double(line.dropFirst(name.count + 1)))
        }
        #if os(Linux)
            #expect(try value("process_resident_memory_bytes") > 1_048_576)
            #expect(try value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"))
            #expect(try value("process_threads") >= 1)
            #expect(try value("process_max_fds") >= value("process_open_fds"))
            #expect(try value("process_cpu_seconds_total") >= 0)
            #expect(try value("process_open_fds") >= 3)
            // Later than 2020, and not in the future by more than the rounding of clock ticks.
            let start = try value("process_start_time_seconds")
            #expect(start > 1_577_836_800)
            #expect(start <= Date().timeIntervalSince1970 + 2)
        #endif
    }

    @Test(
        "promtool accepts the page without a warning",
        .enabled(if: PromtoolCheck.path != nil, "set PROMTOOL to the path of promtool; cluster/test does"))
    func promtool() throws {
        let registry = MetricsRegistry()
        ProcessMetrics.register(in: registry)
        registry.counter("metad_writes_total", help: "Writes.", labels: ["result": "o\"k\\\n"]).increment()
        registry.gauge("metad_term", help: "The term.").set(3)
        registry.gauge("raft_peers_count", help: "Peers.").set(3)
        registry.gauge("cluster_partitions_total", help: "Partitions.").set(3)
        registry.gauges("raft_lag", help: "Lag.", label: "peer", [])
        registry.histogram("metad_fsync_seconds", help: "Syncs.").observe(0.01)
        Timer(label: "library.rpcTime", factory: registry).recordSeconds(1)
        Counter(label: "library.calls", factory: registry).increment()
        #expect(try PromtoolCheck.complaints(about: registry.exposition()) == "")
    }

    @Test(
        "promtool would complain about a page that is wrong",
        .enabled(if: PromtoolCheck.path != nil, "set PROMTOOL to the path of promtool; cluster/test does"))
    func promtoolComplains() throws {
        #expect(try PromtoolCheck.complaints(about: "# TYPE metad_writes counter\nmetad_writes 1\n") != "")
    }
}

/// Runs Prometheus's own checker.
enum PromtoolCheck {
    static var path: String? { ProcessInfo.processInfo.environment["PROMTOOL"] }

    /// What it says: nothing when it is content.
    static func complaints(about page: String) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(path))
        process.arguments = ["check", "metrics"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(page.utf8))
        try input.fileHandleForWriting.close()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        let text = String(decoding: said, as: UTF8.self)
        return process.terminationStatus == 0 || !text.isEmpty ? text : "ended with \(process.terminationStatus)"
    }
}
