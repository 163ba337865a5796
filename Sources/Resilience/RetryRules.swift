/// Whether and when a call that failed is made again.
///
/// Only what a later try may change is tried again: `retriable` and `transient`. A call whose outcome is open (it may have been
/// carried out) is made again only where the other side recognizes it, by a session or because doing it twice is doing it once.
package struct RetryRules: Hashable, Sendable {
    /// What can be done about a failure.
    package enum Category: String, Hashable, Sendable, CaseIterable {
        /// The same call may succeed at once.
        case retriable
        /// It may succeed when a condition has passed.
        case transient
        /// No retry helps.
        case fatal
        /// The request has to be changed.
        case invalidInput = "invalid_input"
    }

    /// What is known of a failed try.
    package struct Failure: Hashable, Sendable {
        package var category: Category
        /// It was not carried out and will not be.
        package var isDefinite: Bool
        /// The other side recognizes a second try.
        package var isRepeatable: Bool
        /// How long the other side asked to be left alone.
        package var askedPause: Duration

        package init(category: Category, isDefinite: Bool, isRepeatable: Bool, askedPause: Duration = .zero) {
            self.category = category
            self.isDefinite = isDefinite
            self.isRepeatable = isRepeatable
            self.askedPause = askedPause
        }
    }

    package enum Verdict: Hashable, Sendable {
        case again(after: Duration)
        /// The failure is the answer.
        case giveUp
    }

    /// The bound of the random pause before the first retry; it doubles with each try that failed. More than zero.
    package var base: Duration
    /// The bound never exceeds this. At least `base`.
    package var cap: Duration
    /// Tries of one call, the first included. At least 1.
    package var attemptsMax: Int

    package init(base: Duration, cap: Duration, attemptsMax: Int) {
        precondition(base > .zero && cap >= base, "pauses from \(base) to \(cap) make no sense")
        precondition(attemptsMax > 0, "a call with \(attemptsMax) attempts is never made")
        self.base = base
        self.cap = cap
        self.attemptsMax = attemptsMax
    }

    /// Calls to a node that is overloaded or ill, from the client library.
    package static let calls = RetryRules(base: .milliseconds(20), cap: .milliseconds(1_280), attemptsMax: 16)
    /// Connections to a node: for ever.
    package static let connections = RetryRules(base: .milliseconds(50), cap: .seconds(1), attemptsMax: .max)

    /// - Parameters:
    ///   - failures: tries of the call that failed, this one included.
    ///   - budget: what the retries of all calls are taken from.
    package func verdict(
        on failure: Failure, failures: Int, budget: inout RetryBudget, using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        switch failure.category {
        case .retriable, .transient: break
        case .fatal, .invalidInput: return .giveUp
        }
        guard failure.isDefinite || failure.isRepeatable, failures < attemptsMax, budget.withdraw() else {
            return .giveUp
        }
        return .again(after: failure.askedPause + pause(afterFailures: failures, using: &generator))
    }

    /// "Full jitter"; see `Backoff`.
    package func pause(afterFailures failures: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        Backoff.random(upTo: Backoff.bound(base: base, cap: cap, failures: failures - 1), using: &generator)
    }
}
