import Synchronization

/// A circuit breaker with a name and a clock, for use from any thread. The lock is held for a few comparisons, and the clock is
/// read only by a breaker that is not closed or by a failure.
package final class SharedCircuitBreaker: Sendable {
    /// As it stands in metrics and logs.
    package let name: String
    private let breaker: Mutex<CircuitBreaker>
    private let clock: @Sendable () -> Duration
    private let sleep: @Sendable (Duration) async throws -> Void

    /// - Parameter clock: one that goes on while the machine sleeps, outside of tests.
    package init(name: String, options: CircuitBreaker.Options, clock: some Clock<Duration>) {
        self.name = name
        let start = clock.now
        self.clock = { start.duration(to: clock.now) }
        sleep = { try await clock.sleep(for: $0) }
        breaker = Mutex(CircuitBreaker(options))
    }

    package func admit() throws(CircuitBreaker.Rejection) -> CircuitBreaker.Permit {
        if let permit = breaker.withLock({ $0.admitIfClosed() }) { return permit }
        let now = clock()
        return try breaker.withLock { breaker throws(CircuitBreaker.Rejection) in try breaker.admit(now: now) }
    }

    package func record(_ outcome: CircuitBreaker.Outcome, of permit: CircuitBreaker.Permit) {
        // Only a failure starts a pause.
        let now = outcome == .failure ? clock() : .zero
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

    package var state: CircuitBreaker.Phase { breaker.withLock(\.phase) }

    package var stats: CircuitBreaker.Stats {
        let now = clock()
        return breaker.withLock { $0.stats(now: now) }
    }
}

// Calls of whole functions.
extension SharedCircuitBreaker {
    /// A call took longer than it may.
    package struct DeadlineExceeded: Error, Hashable, CustomStringConvertible {
        package let name: String
        package let deadline: Duration

        package var description: String { "\(name): no answer within \(deadline)" }
    }

    /// Runs `body` through the breaker, for `deadline` at most; then it is cancelled, and its end awaited.
    ///
    /// A deadline that passes is a failure. Being cancelled from outside is none. What an error of `body` says about the other
    /// side is for `judge` to tell.
    ///
    /// - Throws: `CircuitBreaker.Rejection` when the breaker lets nothing through, `DeadlineExceeded`, or what `body` throws.
    package func call<Value: Sendable>(
        deadline: Duration, judge: @Sendable (any Error) -> CircuitBreaker.Outcome = { _ in .failure },
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let permit = try admit()
        let sleep = sleep
        let late = DeadlineExceeded(name: name, deadline: deadline)
        do {
            let value = try await withThrowingTaskGroup(of: Value.self) { group in
                group.addTask(operation: body)
                group.addTask {
                    try await sleep(deadline)
                    throw late
                }
                defer { group.cancelAll() }
                guard let first = try await group.next() else { throw late }
                return first
            }
            record(.success, of: permit)
            return value
        } catch let error as DeadlineExceeded {
            record(.failure, of: permit)
            throw error
        } catch {
            record(Task.isCancelled || error is CancellationError ? .neutral : judge(error), of: permit)
            throw error
        }
    }
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

    /// Nil when there is none of this name.
    package func existing(_ name: String) -> SharedCircuitBreaker? { breakers.withLock { $0[name] } }

    /// Nobody calls through it any more.
    package func remove(_ name: String) { breakers.withLock { $0[name] = nil } }

    /// Sorted by name.
    package var all: [SharedCircuitBreaker] { breakers.withLock { $0.values.sorted { $0.name < $1.name } } }
}
