/// Stops calls to what keeps failing, so that callers learn it at once and what is ill is left in peace, and lets a few calls
/// through after a while to see whether it is well again (Nygard, "Release It!", 2nd ed., ch. 5).
///
/// A value without a clock: every input brings the time along, as the span since an instant of the caller's choice. Whoever
/// makes a call asks `admit` first and hands the permit back with the outcome, each permit once.
///
/// closed -> open (failures in a row) -> half-open (the pause is over) -> closed (successes in a row) or open (one failure).
package struct CircuitBreaker: Sendable {
    package struct Options: Hashable, Sendable {
        /// So many failures in a row open a closed breaker. At least 1.
        package var failureThreshold: Int
        /// So many successes in a row close a half-open one. At least 1.
        package var successThreshold: Int
        /// How long it stays open before it lets probes through. More than zero.
        package var timeout: Duration
        /// So many probes at a time while it is half-open. At least `1`.
        package var halfOpenRequestsMax: Int

        package init(
            failureThreshold: Int = 5, successThreshold: Int = 2, timeout: Duration = .seconds(30),
            halfOpenRequestsMax: Int = 3
        ) {
            precondition(failureThreshold > 0, "a breaker that opens after \(failureThreshold) failures is always open")
            precondition(successThreshold > 0, "a breaker that closes after \(successThreshold) successes never opens")
            precondition(timeout > .zero, "a breaker that is open for \(timeout) is never open")
            precondition(halfOpenRequestsMax > 0, "a breaker that lets no probe through never closes")
            self.failureThreshold = failureThreshold
            self.successThreshold = successThreshold
            self.timeout = timeout
            self.halfOpenRequestsMax = halfOpenRequestsMax
        }
    }

    /// The raw values are those of the metric `circuitbreaker_state`.
    package enum Phase: Int, Hashable, Sendable, CaseIterable {
        case closed = 0
        case open = 1
        case halfOpen = 2
    }

    /// What became of a call.
    package enum Outcome: Hashable, Sendable {
        case success
        /// The other side did not do its part: no answer, a broken connection, a failed read.
        case failure
        /// It says nothing about the other side: cancelled, refused as invalid, told to ask another, told to wait.
        case neutral
    }

    /// The right to make one call.
    package struct Permit: Hashable, Sendable {
        /// In which stay in which phase it was given: what is late says nothing about the present one.
        fileprivate let stay: UInt64
    }

    /// The breaker lets no call through.
    package struct Rejection: Error, Hashable, CustomStringConvertible {
        /// When it is worth trying again; zero when the probes under way decide.
        package let retryAfter: Duration

        package init(retryAfter: Duration) { self.retryAfter = retryAfter }

        package var description: String {
            guard retryAfter > .zero else { return "half-open, and enough probes are under way" }
            let seconds = Double(retryAfter.wholeNanoseconds) / 1e9
            let tenths = (seconds * 10).rounded(.up) / 10
            return "open, retry in \(tenths == tenths.rounded() ? "\(Int(tenths))" : "\(tenths)") s"
        }
    }

    /// Counted since the breaker was made.
    package struct Counts: Hashable, Sendable {
        package internal(set) var successes: UInt64 = 0
        package internal(set) var failures: UInt64 = 0
        package internal(set) var neutrals: UInt64 = 0
        package internal(set) var rejections: UInt64 = 0
        /// By the phases before and after, three by three.
        private var changes = [UInt64](repeating: 0, count: Phase.allCases.count * Phase.allCases.count)

        package init() {}

        /// How often the breaker went over from one phase into another.
        package func changes(from: Phase, to: Phase) -> UInt64 { changes[Counts.place(from, to)] }

        fileprivate mutating func changed(from: Phase, to: Phase) { changes[Counts.place(from, to)] += 1 }

        private static func place(_ from: Phase, _ to: Phase) -> Int {
            from.rawValue * Phase.allCases.count + to.rawValue
        }
    }

    /// A look at a breaker.
    package struct Stats: Hashable, Sendable {
        package let state: Phase
        /// Since the last success; zero unless it is closed.
        package let failuresInARow: Int
        /// Of an open breaker.
        package let retryAfter: Duration?
        package let counts: Counts
    }

    private enum State: Sendable {
        /// Exits: `open` by failures in a row, or by hand.
        case closed(failures: Int)
        /// Exits: `halfOpen` by the first call after the instant, `closed` by hand.
        case open(until: Duration)
        /// Exits: `closed` by successes in a row or by hand, `open` by a failure or by hand.
        case halfOpen(probes: Int, successes: Int)
    }

    package let options: Options
    package private(set) var counts = Counts()
    private var state = State.closed(failures: 0)
    /// Rises whenever the phase changes.
    private var stay: UInt64 = 0

    package init(_ options: Options = Options()) { self.options = options }

    // MARK: Inputs

    /// Asks to make a call, where that needs no time: nil unless the breaker is closed.
    package func admitIfClosed() -> Permit? {
        guard case .closed = state else { return nil }
        return Permit(stay: stay)
    }

    /// Asks to make a call at this time.
    package mutating func admit(now: Duration) throws(Rejection) -> Permit {
        switch state {
        case .closed:
            return Permit(stay: stay)
        case .open(let until):
            guard now >= until else {
                counts.rejections += 1
                throw Rejection(retryAfter: until - now)
            }
            enter(.halfOpen(probes: 1, successes: 0))
            return Permit(stay: stay)
        case .halfOpen(let probes, let successes):
            guard probes < options.halfOpenRequestsMax else {
                counts.rejections += 1
                throw Rejection(retryAfter: .zero)
            }
            state = .halfOpen(probes: probes + 1, successes: successes)
            return Permit(stay: stay)
        }
    }

    /// The call of this permit has ended so.
    package mutating func record(_ outcome: Outcome, of permit: Permit, now: Duration) {
        switch outcome {
        case .success: counts.successes += 1
        case .failure: counts.failures += 1
        case .neutral: counts.neutrals += 1
        }
        guard permit.stay == stay else { return }
        switch (state, outcome) {
        case (.closed, .success):
            state = .closed(failures: 0)
        case (.closed(let failures), .failure):
            if failures + 1 >= options.failureThreshold {
                enter(.open(until: now + options.timeout))
            } else {
                state = .closed(failures: failures + 1)
            }
        case (.halfOpen(let probes, let successes), .success):
            if successes + 1 >= options.successThreshold {
                enter(.closed(failures: 0))
            } else {
                state = .halfOpen(probes: probes - 1, successes: successes + 1)
            }
        case (.halfOpen, .failure):
            enter(.open(until: now + options.timeout))
        case (.halfOpen(let probes, let successes), .neutral):
            state = .halfOpen(probes: probes - 1, successes: successes)
        case (.closed, .neutral), (.open, .success), (.open, .failure), (.open, .neutral):
            break
        }
    }

    /// There is news of the other side (it called, it moved, somebody named it): the next call is a probe, without waiting
    /// for the end of the pause.
    package mutating func probeSoon(now: Duration) {
        guard case .open(let until) = state, until > now else { return }
        state = .open(until: now)
    }

    /// Closes it by hand.
    package mutating func reset() {
        if phase == .closed { state = .closed(failures: 0) } else { enter(.closed(failures: 0)) }
    }

    /// Opens it by hand, for one pause from now.
    package mutating func open(now: Duration) {
        if phase == .open {
            state = .open(until: now + options.timeout)
        } else {
            enter(.open(until: now + options.timeout))
        }
    }

    // MARK: Queries

    /// Whether `admit` would let a call through at this time.
    package func admits(now: Duration) -> Bool {
        switch state {
        case .closed: true
        case .open(let until): now >= until
        case .halfOpen(let probes, _): probes < options.halfOpenRequestsMax
        }
    }

    /// All there is to show of it.
    package func stats(now: Duration) -> Stats {
        let failures = if case .closed(let failures) = state { failures } else { 0 }
        return Stats(state: phase, failuresInARow: failures, retryAfter: retryAfter(now: now), counts: counts)
    }

    package var phase: Phase {
        switch state {
        case .closed: .closed
        case .open: .open
        case .halfOpen: .halfOpen
        }
    }

    /// How long an open breaker still lets nothing through; nil in the other phases.
    package func retryAfter(now: Duration) -> Duration? {
        guard case .open(let until) = state else { return nil }
        return until > now ? until - now : .zero
    }

    private mutating func enter(_ next: State) {
        let before = phase
        state = next
        stay &+= 1
        counts.changed(from: before, to: phase)
    }
}
