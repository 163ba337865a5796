import Synchronization

/// Finds the longest time without a successful answer after a moment: what a failure of the leader costs.
final class GapMeter: Sendable {
    private struct State {
        var last: ContinuousClock.Instant?
        /// From when on gaps count; nil: not yet.
        var from: ContinuousClock.Instant?
        var longest: Duration = .zero
        /// Successful answers since `from`.
        var count = 0
    }

    private let state = Mutex(State())

    /// A success. Threads may report slightly out of order: an earlier instant than the last one ends no gap.
    func succeeded(at instant: ContinuousClock.Instant) {
        state.withLock { state in
            guard let last = state.last else {
                state.last = instant
                return
            }
            guard instant > last else { return }
            if let from = state.from, instant >= from {
                state.count += 1
                state.longest = max(state.longest, instant - last)
            }
            state.last = instant
        }
    }

    /// From now on gaps count: those that end after `instant`, also when they began before.
    func begin(at instant: ContinuousClock.Instant) {
        state.withLock { state in
            state.from = instant
            state.longest = .zero
            state.count = 0
        }
    }

    /// The longest gap since `begin`, the one that is still open at `now` included.
    func longest(at now: ContinuousClock.Instant) -> Duration {
        state.withLock { state in
            guard state.from != nil, let last = state.last else { return .zero }
            return max(state.longest, now - last)
        }
    }

    /// The last success, if there was any.
    var lastSuccess: ContinuousClock.Instant? { state.withLock { $0.last } }

    /// Successes since `begin`.
    var successes: Int { state.withLock { $0.count } }
}
