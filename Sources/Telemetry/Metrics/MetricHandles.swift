import Synchronization

/// A number that only grows. One atomic addition per increment, so the node loop may hold and use it.
package final class CounterHandle: Sendable {
    private let value = Atomic<UInt64>(0)

    package init() {}

    package func increment(by amount: UInt64 = 1) {
        value.wrappingAdd(amount, ordering: .relaxed)
    }

    /// Takes over a total that is counted elsewhere. A counter never falls: a smaller total is ignored.
    package func raise(to total: UInt64) {
        value.max(total, ordering: .relaxed)
    }

    package var current: UInt64 { value.load(ordering: .relaxed) }

    func reset() { value.store(0, ordering: .relaxed) }
}

/// A total that is not whole and is counted elsewhere, such as seconds of CPU time.
package final class FloatingCounterHandle: Sendable {
    private let bits = Atomic<UInt64>(0)

    package init() {}

    /// A counter never falls: a smaller total is ignored. The bits of doubles that are not negative sort as they do.
    package func raise(to total: Double) {
        guard total >= 0 else { return }
        bits.max(total.bitPattern, ordering: .relaxed)
    }

    package var current: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// A number that goes up and down: the bits of a `Double` in one atomic word.
package final class GaugeHandle: Sendable {
    private let bits = Atomic<UInt64>(0)

    package init() {}

    package func set(_ value: Double) {
        bits.store(value.bitPattern, ordering: .relaxed)
    }

    package func set(_ value: some BinaryInteger) { set(Double(value)) }

    package func set(_ value: Bool) { set(value ? 1.0 : 0.0) }

    package func add(_ amount: Double) {
        var seen = bits.load(ordering: .relaxed)
        while true {
            let wanted = (Double(bitPattern: seen) + amount).bitPattern
            let (done, now) = bits.weakCompareExchange(expected: seen, desired: wanted, ordering: .relaxed)
            if done { return }
            seen = now
        }
    }

    package var current: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// A distribution over fixed buckets. The lock is held for a few additions and never across a call.
package final class HistogramHandle: Sendable {
    /// What a scrape sees: all numbers belong to the same moment.
    package struct Snapshot: Equatable, Sendable {
        /// Observations in each bucket alone, not cumulated; the last one is the bucket without an upper bound.
        package var counts: [UInt64]
        package var sum: Double
        package var count: UInt64 { counts.reduce(0, +) }
    }

    /// Upper bounds, rising, without infinity.
    package let bounds: [Double]
    private let state: Mutex<Snapshot>

    package init(bounds: [Double] = HistogramBuckets.seconds) {
        precondition(!bounds.isEmpty, "a histogram needs at least one bucket")
        precondition(
            zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "the bounds of a histogram must rise: \(bounds)")
        self.bounds = bounds
        state = Mutex(Snapshot(counts: Array(repeating: 0, count: bounds.count + 1), sum: 0))
    }

    package func observe(_ value: Double) {
        let bucket = bucketIndex(of: value)
        state.withLock {
            $0.counts[bucket] += 1
            $0.sum += value
        }
    }

    /// Records a duration in seconds.
    package func observe(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        observe(Double(seconds) + Double(attoseconds) * 1e-18)
    }

    package var current: Snapshot { state.withLock { $0 } }

    /// The first bucket whose upper bound is not below the value: bounds are inclusive, as Prometheus has them.
    private func bucketIndex(of value: Double) -> Int {
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if value <= bounds[middle] { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// The bucket bounds in use. They are fixed, so that histograms of all nodes and versions can be added up.
package enum HistogramBuckets {
    /// From a loopback round trip to a stalled disk.
    package static let seconds: [Double] = [
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]
    /// Batch sizes and other counts, and bytes of small things.
    package static let counts: [Double] = [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096, 16_384, 65_536,
    ]
}
