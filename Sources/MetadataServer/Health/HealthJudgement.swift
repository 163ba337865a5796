/// What is said of one part of the node. Between good and bad it changes only when that was seen twice and for a while, so that
/// an election or one slow sync takes no node out of service; until then the trouble shows as a warning.
///
/// A value without a clock: every observation brings the time along, as the span since an instant of the caller's choice.
struct HealthJudgement: Sendable {
    /// How long something has to be seen before it counts.
    struct Grace: Hashable, Sendable {
        var toFail: Duration
        var toRecover: Duration

        /// Twice is enough.
        static let none = Grace(toFail: .zero, toRecover: .zero)
    }

    /// What is shown, and since when it has been so.
    struct Verdict: Hashable, Sendable {
        var result: CheckResult
        var since: Duration
    }

    private enum State {
        /// Exit: `settled` by the first observation, whatever it is: nobody waits for a node that has just started.
        case unseen
        /// Exit: `doubted` by an observation on the other side.
        case settled(Verdict)
        /// Exits: `settled` as before by an observation like before; `settled` otherwise when the other side was seen for
        /// long enough.
        case doubted(Verdict, other: CheckResult, first: Duration, seen: Int)
    }

    private static let observationsMin = 2

    let grace: Grace
    private var state = State.unseen
    /// What never worked has nothing to recover from: it works as soon as it does once.
    private var hasWorked = false

    init(grace: Grace) { self.grace = grace }

    mutating func observe(_ result: CheckResult, at now: Duration) {
        defer { hasWorked = hasWorked || !result.isFailure }
        switch state {
        case .unseen:
            state = .settled(Verdict(result: result, since: now))
        case .settled(let verdict):
            if result.isFailure == verdict.result.isFailure || !hasWorked {
                state = .settled(verdict.updated(result, at: now))
            } else {
                state = .doubted(verdict, other: result, first: now, seen: 1)
            }
        case .doubted(let verdict, _, let first, let seen):
            if result.isFailure == verdict.result.isFailure {
                state = .settled(verdict.updated(result, at: now))
            } else if seen + 1 >= Self.observationsMin,
                now - first >= (result.isFailure ? grace.toFail : grace.toRecover)
            {
                state = .settled(Verdict(result: result, since: first))
            } else {
                state = .doubted(verdict, other: result, first: first, seen: seen + 1)
            }
        }
    }

    /// Nil before anything was observed.
    var verdict: Verdict? {
        switch state {
        case .unseen: nil
        case .settled(let verdict): verdict
        case .doubted(let verdict, let other, let first, _):
            if other.isFailure {
                Verdict(result: .warn(other.detail), since: first)
            } else {
                Verdict(
                    result: .fail("it works again, and is watched for a moment; before: \(verdict.result.detail)"),
                    since: verdict.since)
            }
        }
    }
}

extension HealthJudgement.Verdict {
    fileprivate func updated(_ result: CheckResult, at now: Duration) -> Self {
        Self(result: result, since: result.status == self.result.status ? since : now)
    }
}
