/// When a check that may block is begun, and when it is said to hang. One that hangs is not begun a second time: it would hang
/// beside the first.
///
/// A value without a clock, as `HealthJudgement`.
struct HealthProbeRun: Sendable {
    enum Step: Hashable {
        case wait
        /// Begin it now; it ends with `ended`.
        case begin
        /// It has not answered for this long; the first time that this is said, or not.
        case hangs(Duration, isNew: Bool)
    }

    private enum State {
        /// Exit: `running` when it is time.
        case idle(due: Duration)
        /// Exits: `idle` by `ended`, `hanging` after the timeout.
        case running(since: Duration)
        /// Exit: `idle` by `ended`.
        case hanging(since: Duration)
    }

    let interval: Duration
    let timeout: Duration
    private var state: State

    init(interval: Duration, timeout: Duration, now: Duration) {
        self.interval = interval
        self.timeout = timeout
        state = .idle(due: now)
    }

    /// To be called a few times in `timeout`.
    mutating func tick(now: Duration) -> Step {
        switch state {
        case .idle(let due):
            guard now >= due else { return .wait }
            state = .running(since: now)
            return .begin
        case .running(let since):
            guard now - since >= timeout else { return .wait }
            state = .hanging(since: since)
            return .hangs(now - since, isNew: true)
        case .hanging(let since):
            return .hangs(now - since, isNew: false)
        }
    }

    /// - Parameter isNews: it says something else than before, and is looked at again soon.
    /// - Returns: how long it took.
    mutating func ended(now: Duration, isNews: Bool) -> Duration {
        let begun: Duration
        switch state {
        case .idle: preconditionFailure("a check ended that was not begun")
        case .running(let since), .hanging(let since): begun = since
        }
        state = .idle(due: now + (isNews ? min(interval, timeout / 2) : interval))
        return now - begun
    }
}
