import Resilience
import Testing

@Suite("Backoff and retry budget")
struct PacingTests {
    @Test("a backoff doubles its bound with each failure up to its cap, and starts anew after a success")
    func backoffBound() {
        var random = SplitMix64(seed: 1)
        var backoff = Backoff(base: .milliseconds(10), cap: .milliseconds(65))
        var bounds: [Duration] = []
        for _ in 0..<5 {
            bounds.append(backoff.bound)
            let wait = backoff.next(using: &random)
            #expect(wait >= .zero && wait <= bounds[bounds.count - 1])
        }
        #expect(bounds == [10, 20, 40, 65, 65].map { Duration.milliseconds($0) })
        backoff.reset()
        #expect(backoff.bound == .milliseconds(10))
    }

    @Test("full jitter spreads waits over the whole range, and the same seed gives the same waits")
    func backoffJitter() {
        func waits(seed: UInt64) -> [Duration] {
            var random = SplitMix64(seed: seed)
            return (0..<1_000).map { _ in Backoff.random(upTo: .milliseconds(100), using: &random) }
        }
        let first = waits(seed: 7)
        #expect(first == waits(seed: 7))
        #expect(first != waits(seed: 8))
        for tenth in 0..<10 {
            let range = Duration.milliseconds(tenth * 10)..<Duration.milliseconds(tenth * 10 + 10)
            #expect(first.count(where: range.contains) > 50, "few waits in \(range)")
        }
    }

    @Test("a backoff that failed for ever does not overflow")
    func backoffEndless() {
        var random = SplitMix64(seed: 1)
        var backoff = Backoff(base: .nanoseconds(1), cap: .seconds(3_600 * 24 * 365 * 200))
        for _ in 0..<200 { _ = backoff.next(using: &random) }
        #expect(backoff.bound == backoff.cap)
    }

    @Test("a retry budget lets retries through up to its capacity, then a share of the calls")
    func retryBudget() {
        var budget = RetryBudget(capacity: 3, milliTokensPerCall: 500, milliTokensPerSecond: 0)
        let first = (0..<5).map { _ in budget.withdraw() }
        #expect(first == [true, true, true, false, false])
        budget.deposit()
        let refused = budget.withdraw()
        #expect(!refused)
        budget.deposit()
        let granted = budget.withdraw()
        #expect(granted)
        for _ in 0..<100 { budget.deposit() }
        #expect(budget.available == 3)
    }

    @Test("a retry budget refills by time, and no time is too long for it")
    func retryBudgetByTime() {
        var budget = RetryBudget(capacity: 2, milliTokensPerCall: 0, milliTokensPerSecond: 1_000)
        while budget.withdraw() {}
        budget.refill(elapsed: .milliseconds(999))
        #expect(budget.available == 0)
        budget.refill(elapsed: .milliseconds(1))
        #expect(budget.available == 1)
        budget.refill(elapsed: .seconds(Int64.max / 2))
        #expect(budget.available == 2)
    }
}
