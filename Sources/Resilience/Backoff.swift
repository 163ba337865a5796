/// How long to wait before the next try: a random time between nothing and a bound that doubles with each failure up to
/// a cap. "Full jitter" spreads a crowd that failed together better than a fixed part plus a random part does (Brooker,
/// "Exponential backoff and jitter", 2015).
package struct Backoff: Hashable, Sendable {
    /// The bound before the first retry. More than zero.
    package let base: Duration
    /// The bound never exceeds this. At least `base`.
    package let cap: Duration
    /// How many tries in a row have failed since the last `reset`.
    package private(set) var failures: Int = 0

    package init(base: Duration, cap: Duration) {
        precondition(base > .zero, "a backoff needs a base above zero, not \(base)")
        precondition(cap >= base, "the cap \(cap) lies below the base \(base)")
        self.base = base
        self.cap = cap
    }

    /// The longest wait that `next` could answer now.
    package var bound: Duration { Backoff.bound(base: base, cap: cap, failures: failures) }

    /// `base`, doubled for each failure, up to `cap`.
    package static func bound(base: Duration, cap: Duration, failures: Int) -> Duration {
        var bound = base
        for _ in 0..<max(0, failures) {
            bound *= 2
            if bound >= cap { return cap }
        }
        return bound
    }

    /// A try has failed: how long to wait before the next one.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let wait = Backoff.random(upTo: bound, using: &generator)
        if bound < cap { failures += 1 }
        return wait
    }

    /// A try has succeeded: the next failure starts from the base again.
    package mutating func reset() { failures = 0 }

    /// A time drawn evenly from `zero...bound`, in whole nanoseconds.
    package static func random(upTo bound: Duration, using generator: inout some RandomNumberGenerator) -> Duration {
        .nanoseconds(Int64.random(in: 0...max(0, bound.wholeNanoseconds), using: &generator))
    }
}

extension Duration {
    /// Whole nanoseconds, rounded towards zero and held within what 64 bits can say (292 years).
    package var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflowOfSum) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || overflowOfSum ? (seconds < 0 ? .min : .max) : sum
    }
}
