import Synchronization

/// A circuit breaker with a name and a clock, for use from any thread. The lock is held for a few comparisons.
package final class SharedCircuitBreaker: Sendable {
    /// As it stands in metrics and logs.
    package let name: String
    private let breaker: Mutex<CircuitBreaker>
    private let clock: @Sendable () -> Duration

    /// - Parameter clock: one that goes on while the machine sleeps, outside of tests.
    package init(name: String, options: CircuitBreaker.Options, clock: some Clock<Duration>) {
        self.name = name
        let start = clock.now
        self.clock = { start.duration(to: clock.now) }
        breaker = Mutex(CircuitBreaker(options))
    }

    package func admit() throws(CircuitBreaker.Rejection) -> CircuitBreaker.Permit {
        let now = clock()
        return try breaker.withLock { breaker throws(CircuitBreaker.Rejection) in try breaker.admit(now: now) }
    }

    package func record(_ outcome: CircuitBreaker.Outcome, of permit: CircuitBreaker.Permit) {
        let now = clock()
        breaker.withLock { $0.record(outcome, of: permit, now: now) }
    }

    /// There is news of the other side: the next call may try.
    package func probeSoon() {
        let now = clock()
        breaker.withLock { $0.probeSoon(now: now) }
    }

    package func reset() { breaker.withLock { $0.reset() } }

    package func open() {
        let now = clock()
        breaker.withLock { $0.open(now: now) }
    }

    package var phase: CircuitBreaker.Phase { breaker.withLock(\.phase) }
    package var counts: CircuitBreaker.Counts { breaker.withLock(\.counts) }
}

/// The breakers of a process by name, for those who show them.
package final class CircuitBreakers: Sendable {
    private let breakers = Mutex<[String: SharedCircuitBreaker]>([:])
    private let clock: any Clock<Duration>

    package init(clock: any Clock<Duration>) { self.clock = clock }

    /// The breaker of this name; made with these options when there is none.
    package func breaker(_ name: String, options: CircuitBreaker.Options) -> SharedCircuitBreaker {
        breakers.withLock { breakers in
            if let known = breakers[name] { return known }
            let made = SharedCircuitBreaker(name: name, options: options, clock: clock)
            breakers[name] = made
            return made
        }
    }

    /// Nobody calls through it any more.
    package func remove(_ name: String) { breakers.withLock { $0[name] = nil } }

    /// Sorted by name.
    package var all: [SharedCircuitBreaker] { breakers.withLock { $0.values.sorted { $0.name < $1.name } } }
}
