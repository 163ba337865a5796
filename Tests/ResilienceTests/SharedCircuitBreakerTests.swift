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
        #expect(breaker.phase == .open)
        clock.advance(.seconds(4))
        let rejection = #expect(throws: CircuitBreaker.Rejection.self) { _ = try breaker.admit() }
        #expect(rejection?.retryAfter == .seconds(6))
        breaker.probeSoon()
        breaker.record(.failure, of: try breaker.admit())
        #expect(breaker.phase == .open)
        breaker.reset()
        #expect(breaker.phase == .closed)
        breaker.open()
        #expect(breaker.phase == .open)
        #expect(breaker.counts.failures == 3)
        #expect(breaker.counts.rejections == 1)
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
        #expect(breaker.phase == .halfOpen)
        #expect(probesMost.load(ordering: .relaxed) <= 2)
        let counts = breaker.counts
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
