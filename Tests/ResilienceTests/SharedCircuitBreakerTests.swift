import Foundation
import Resilience
import Synchronization
import Testing

@Suite("Shared circuit breaker")
struct SharedCircuitBreakerTests {
    @Test("it opens, says so, and closes by hand, by its own clock")
    func byItsClock() throws {
        let clock = HandClock()
        let breaker = SharedCircuitBreaker(
            name: "peer-2", options: .init(failureThreshold: 2, timeout: .seconds(10)), clock: clock)
        for _ in 0..<2 { breaker.record(.failure, of: try breaker.admit()) }
        #expect(breaker.state == .open)
        clock.advance(.seconds(4))
        let rejection = #expect(throws: CircuitBreaker.Rejection.self) { _ = try breaker.admit() }
        #expect(rejection?.retryAfter == .seconds(6))
        breaker.probeSoon()
        breaker.record(.failure, of: try breaker.admit())
        #expect(breaker.state == .open)
        breaker.reset()
        #expect(breaker.state == .closed)
        breaker.open()
        #expect(breaker.state == .open)
        #expect(breaker.stats.counts.failures == 3)
        #expect(breaker.stats.counts.rejections == 1)
    }

    @Test("many threads at once: no outcome is lost, and no more probes are under way than may be")
    func contention() {
        let breaker = SharedCircuitBreaker(
            name: "store",
            options: .init(
                failureThreshold: 3, successThreshold: 1_000_000, timeout: .nanoseconds(1), halfOpenRequestsMax: 2),
            clock: ContinuousClock())
        let probes = Atomic(0)
        let probesMost = Atomic(0)
        let calls = Atomic(0)
        for _ in 0..<3 {
            if let permit = try? breaker.admit() { breaker.record(.failure, of: permit) }
        }
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<5_000 {
                guard let permit = try? breaker.admit() else { continue }
                let now = probes.wrappingAdd(1, ordering: .relaxed).newValue
                probesMost.max(now, ordering: .relaxed)
                calls.wrappingAdd(1, ordering: .relaxed)
                probes.wrappingSubtract(1, ordering: .relaxed)
                breaker.record(.success, of: permit)
            }
        }
        #expect(breaker.state == .halfOpen)
        #expect(probesMost.load(ordering: .relaxed) <= 2)
        let counts = breaker.stats.counts
        #expect(counts.successes == UInt64(calls.load(ordering: .relaxed)))
        #expect(counts.successes + counts.rejections == 40_000)
    }

    @Test("a process has one breaker of a name")
    func registry() {
        let breakers = CircuitBreakers(clock: ContinuousClock())
        let first = breakers.breaker("store", options: .init())
        #expect(breakers.breaker("store", options: .init(failureThreshold: 1)) === first)
        _ = breakers.breaker("peer-1", options: .init())
        #expect(breakers.all.map(\.name) == ["peer-1", "store"])
        breakers.remove("peer-1")
        #expect(breakers.all.map(\.name) == ["store"])
        #expect(breakers.existing("store") === first)
        #expect(breakers.existing("peer-1") == nil)
    }

    @Test("a look shows the state, the failures in a row and when to try again")
    func stats() throws {
        let clock = HandClock()
        let breaker = SharedCircuitBreaker(
            name: "store", options: .init(failureThreshold: 2, timeout: .seconds(30)), clock: clock)
        breaker.record(.failure, of: try breaker.admit())
        #expect(breaker.stats.state == .closed)
        #expect(breaker.stats.failuresInARow == 1)
        #expect(breaker.stats.retryAfter == nil)
        breaker.record(.failure, of: try breaker.admit())
        clock.advance(.seconds(5))
        #expect(breaker.stats.state == .open)
        #expect(breaker.stats.failuresInARow == 0)
        #expect(breaker.stats.retryAfter == .seconds(25))
    }

    /// Prints what a decision costs. The figure of an optimized build is the one that counts; no bound is checked, since this
    /// machine may be busy with something else.
    @Test("a decision of a closed breaker, uncontended: prints nanoseconds")
    func cost() throws {
        let breaker = SharedCircuitBreaker(name: "store", options: .init(), clock: ContinuousClock())
        let rounds = 200_000
        var best = Duration.seconds(1)
        for _ in 0..<5 {
            let spent = try ContinuousClock().measure {
                for _ in 0..<rounds { breaker.record(.success, of: try breaker.admit()) }
            }
            best = min(best, spent)
        }
        #expect(breaker.stats.counts.successes == UInt64(5 * rounds))
        let nanoseconds = Double(best.wholeNanoseconds) / Double(rounds) / 2
        print("circuit breaker: \((nanoseconds * 10).rounded() / 10) ns for each of admit and record")
    }
}

/// Whole functions through a breaker.
@Suite("Calls through a circuit breaker")
struct BreakerCallTests {
    private struct Broken: Error {}

    private func makeBreaker(_ threshold: Int = 1) -> SharedCircuitBreaker {
        SharedCircuitBreaker(
            name: "export", options: .init(failureThreshold: threshold, timeout: .seconds(3_600)),
            clock: ContinuousClock())
    }

    @Test("what succeeds is a success, what throws is a failure, and the open breaker calls nothing")
    func outcomes() async throws {
        let breaker = makeBreaker()
        #expect(try await breaker.call(deadline: .seconds(60)) { 7 } == 7)
        await #expect(throws: Broken.self) { try await breaker.call(deadline: .seconds(60)) { throw Broken() } }
        let calls = Atomic(0)
        await #expect(throws: CircuitBreaker.Rejection.self) {
            try await breaker.call(deadline: .seconds(60)) { calls.add(1, ordering: .relaxed) }
        }
        let made = calls.load(ordering: .relaxed)
        #expect(made == 0)
        let counts = breaker.stats.counts
        #expect((counts.successes, counts.failures, counts.rejections) == (1, 1, 1))
    }

    @Test("what the judge says is no failure opens nothing")
    func judged() async {
        let breaker = makeBreaker()
        await #expect(throws: Broken.self) {
            try await breaker.call(deadline: .seconds(60), judge: { $0 is Broken ? .neutral : .failure }) {
                throw Broken()
            }
        }
        #expect(breaker.state == .closed)
        #expect(breaker.stats.counts.neutrals == 1)
    }

    @Test("a call that takes too long is cancelled, and is a failure")
    func late() async {
        let breaker = makeBreaker()
        let wasCancelled = Atomic(false)
        let error = await #expect(throws: SharedCircuitBreaker.DeadlineExceeded.self) {
            try await breaker.call(deadline: .milliseconds(5)) {
                do {
                    try await Task.sleep(for: .seconds(600))
                } catch {
                    wasCancelled.store(true, ordering: .relaxed)
                    throw error
                }
            }
        }
        #expect(error?.description == "export: no answer within 0.005 seconds")
        let sawCancellation = wasCancelled.load(ordering: .relaxed)
        #expect(sawCancellation)
        #expect(breaker.state == .open)
    }

    @Test("to be cancelled from outside says nothing about the other side")
    func cancelled() async {
        let breaker = makeBreaker()
        let task = Task { try await breaker.call(deadline: .seconds(600)) { try await Task.sleep(for: .seconds(600)) } }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(breaker.state == .closed)
        #expect(breaker.stats.counts.neutrals == 1)
    }
}

/// Stands still until it is told.
private final class HandClock: Clock {
    struct Instant: InstantProtocol {
        var offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (lhs: Instant, rhs: Instant) -> Bool { lhs.offset < rhs.offset }
    }

    private let offset = Mutex(Duration.zero)
    var now: Instant { Instant(offset: offset.withLock { $0 }) }
    var minimumResolution: Duration { .nanoseconds(1) }
    func advance(_ duration: Duration) { offset.withLock { $0 += duration } }
    func sleep(until deadline: Instant, tolerance: Duration?) async throws {}
}
