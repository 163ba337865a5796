/// A bucket of tokens that bounds retries to a share of the calls, so that a service that fails under load is not buried
/// under the retries of its clients (Beyer et al., "Site Reliability Engineering", ch. 22).
///
/// Each call puts a part of a token in, each retry takes a whole one out. A slow trickle by time lets a client with little
/// traffic retry as well.
package struct RetryBudget: Hashable, Sendable {
    /// The most tokens that the bucket holds; it starts full.
    package let capacity: Int
    /// Thousandths of a token that a call puts in: 100 allows one retry for ten calls.
    package let milliTokensPerCall: Int
    /// Thousandths of a token that a second puts in.
    package let milliTokensPerSecond: Int
    /// Thousandths of a token; within `0...capacity * 1_000`.
    private var milliTokens: Int

    package init(capacity: Int, milliTokensPerCall: Int, milliTokensPerSecond: Int) {
        precondition(capacity > 0, "a retry budget of \(capacity) tokens allows nothing")
        precondition(milliTokensPerCall >= 0 && milliTokensPerSecond >= 0, "a retry budget does not shrink by itself")
        self.capacity = capacity
        self.milliTokensPerCall = milliTokensPerCall
        self.milliTokensPerSecond = milliTokensPerSecond
        milliTokens = capacity * RetryBudget.milliTokensPerToken
    }

    /// Whole tokens in the bucket.
    package var available: Int { milliTokens / RetryBudget.milliTokensPerToken }

    /// A call (not a retry) begins.
    package mutating func deposit() { add(milliTokensPerCall) }

    /// Time has passed.
    package mutating func refill(elapsed: Duration) {
        let milliseconds = Int(max(0, elapsed.wholeNanoseconds) / 1_000_000)
        let (product, overflow) = milliseconds.multipliedReportingOverflow(by: milliTokensPerSecond)
        add(overflow ? capacity * RetryBudget.milliTokensPerToken : product / 1_000)
    }

    /// Takes a token for a retry; false when there is none, and the retry must not be made.
    package mutating func withdraw() -> Bool {
        guard milliTokens >= RetryBudget.milliTokensPerToken else { return false }
        milliTokens -= RetryBudget.milliTokensPerToken
        return true
    }

    private mutating func add(_ amount: Int) {
        let full = capacity * RetryBudget.milliTokensPerToken
        milliTokens = amount >= full - milliTokens ? full : milliTokens + amount
    }

    private static let milliTokensPerToken = 1_000
}
