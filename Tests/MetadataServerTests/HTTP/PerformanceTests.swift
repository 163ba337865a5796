import Telemetry
import Testing

@testable import MetadataServer

@Suite("Performance: percentiles of histograms")
struct PerformanceTests {
    private static let bounds = [1.0, 2.0, 4.0]

    private func snapshot(_ values: [Double]) -> HistogramHandle.Snapshot {
        let handle = HistogramHandle(bounds: Self.bounds)
        for value in values { handle.observe(value) }
        return handle.current
    }

    @Test("a percentile lies within its bucket, and beyond the last bound at that bound")
    func quantiles() {
        let even = snapshot([0.5, 1.5, 3, 3])
        #expect(even.quantile(0.25, bounds: Self.bounds) == 1)
        #expect(even.quantile(0.5, bounds: Self.bounds) == 2)
        #expect(even.quantile(0.75, bounds: Self.bounds) == 3)
        #expect(even.quantile(1, bounds: Self.bounds) == 4)
        #expect(snapshot([9, 9]).quantile(0.5, bounds: Self.bounds) == 4)
        #expect(snapshot([3]).quantile(0.5, bounds: Self.bounds) == 3)
    }

    @Test("what was observed before does not count into the latest time")
    func since() throws {
        let before = snapshot([0.5, 0.5])
        let now = snapshot([0.5, 0.5, 3, 3, 3])
        let recent = now.since(before)
        #expect(recent.counts == [0, 0, 3, 0])
        let latency = try #require(Performance.Latency(recent, bounds: Self.bounds))
        #expect(latency.count == 3 && latency.mean == 3 && latency.p50 == 3)
        #expect(Performance.Latency(now.since(now), bounds: Self.bounds) == nil)
        #expect(now.since(nil) == now)
    }
}
