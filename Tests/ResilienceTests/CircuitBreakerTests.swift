import Resilience
import Testing

/// Five failures in a row open it, two successes close it, 30 s pause, three probes at a time: the defaults.
@Suite("Circuit breaker")
struct CircuitBreakerTests {
    @Test("failures in a row open it, and a success in between starts the count anew")
    func opens() throws {
        var breaker = CircuitBreaker()
        for _ in 0..<4 { try breaker.call(.failure, at: .zero) }
        try breaker.call(.success, at: .zero)
        for _ in 0..<4 { try breaker.call(.failure, at: .zero) }
        #expect(breaker.phase == .closed)
        try breaker.call(.failure, at: .seconds(1))
        #expect(breaker.phase == .open)
        #expect(breaker.counts.changes(from: .closed, to: .open) == 1)
    }

    @Test("an open breaker says when it is worth trying again")
    func rejects() throws {
        var breaker = try CircuitBreaker.opened(at: .seconds(10))
        #expect(breaker.retryAfter(now: .seconds(15)) == .seconds(25))
        let rejection = #expect(throws: CircuitBreaker.Rejection.self) { _ = try breaker.admit(now: .seconds(15)) }
        #expect(rejection == CircuitBreaker.Rejection(retryAfter: .seconds(25)))
        #expect(rejection?.description == "open, retry in 25 s")
        #expect(CircuitBreaker.Rejection(retryAfter: .milliseconds(1_210)).description == "open, retry in 1.3 s")
        #expect(breaker.counts.rejections == 1)
    }

    @Test("after the pause as many probes as allowed are under way, and no more")
    func probes() throws {
        var breaker = try CircuitBreaker.opened(at: .zero)
        _ = try breaker.admit(now: .seconds(30))
        #expect(breaker.phase == .halfOpen)
        _ = try breaker.admit(now: .seconds(30))
        let last = try breaker.admit(now: .seconds(30))
        let rejection = #expect(throws: CircuitBreaker.Rejection.self) { _ = try breaker.admit(now: .seconds(30)) }
        #expect(rejection == CircuitBreaker.Rejection(retryAfter: .zero))
        #expect(rejection?.description == "half-open, and enough probes are under way")
        // A probe that says nothing gives its place back.
        breaker.record(.neutral, of: last, now: .seconds(30))
        _ = try breaker.admit(now: .seconds(30))
        #expect(breaker.phase == .halfOpen)
    }

    @Test("successful probes close it, one that fails opens it for another pause")
    func closes() throws {
        var breaker = try CircuitBreaker.opened(at: .zero)
        try breaker.call(.success, at: .seconds(30))
        #expect(breaker.phase == .halfOpen)
        try breaker.call(.failure, at: .seconds(31))
        #expect(breaker.phase == .open)
        #expect(breaker.retryAfter(now: .seconds(31)) == .seconds(30))
        try breaker.call(.success, at: .seconds(61))
        try breaker.call(.success, at: .seconds(61))
        #expect(breaker.phase == .closed)
        #expect(breaker.counts.changes(from: .closed, to: .open) == 1)
        #expect(breaker.counts.changes(from: .halfOpen, to: .open) == 1)
        #expect(breaker.counts.changes(from: .open, to: .halfOpen) == 2)
        #expect(breaker.counts.changes(from: .halfOpen, to: .closed) == 1)
    }

    @Test("whether a call would be let through can be asked without asking for it")
    func admits() throws {
        var breaker = CircuitBreaker(.init(failureThreshold: 1, halfOpenRequestsMax: 1))
        #expect(breaker.admits(now: .zero))
        #expect(breaker.admitIfClosed() != nil)
        try breaker.call(.failure, at: .zero)
        #expect(!breaker.admits(now: .seconds(29)))
        #expect(breaker.admits(now: .seconds(30)))
        #expect(breaker.admitIfClosed() == nil)
        #expect(breaker.phase == .open, "to ask changes nothing")
        _ = try breaker.admit(now: .seconds(30))
        #expect(!breaker.admits(now: .seconds(30)))
    }

    @Test("presets: 30 s for a database, one second for a client, an election timeout at most for a peer (pitfall 42)")
    func presets() {
        #expect(CircuitBreaker.Options.store.timeout == .seconds(30))
        #expect(CircuitBreaker.Options.client.timeout == .seconds(1))
        let peer = CircuitBreaker.Options().forPeer(electionTimeout: .milliseconds(300))
        #expect((peer.timeout, peer.successThreshold) == (.milliseconds(300), 1))
        let brief = CircuitBreaker.Options(timeout: .milliseconds(100)).forPeer(electionTimeout: .milliseconds(300))
        #expect(brief.timeout == .milliseconds(100))
    }

    @Test("what says nothing about the other side opens nothing and closes nothing")
    func neutral() throws {
        var breaker = CircuitBreaker()
        for _ in 0..<4 { try breaker.call(.failure, at: .zero) }
        for _ in 0..<100 { try breaker.call(.neutral, at: .zero) }
        #expect(breaker.phase == .closed)
        try breaker.call(.failure, at: .zero)
        #expect(breaker.phase == .open)
        for _ in 0..<100 { try breaker.call(.neutral, at: .seconds(40)) }
        #expect(breaker.phase == .halfOpen)
    }

    @Test("a call that ends late says nothing about the phase that the breaker is in by then")
    func late() throws {
        var breaker = CircuitBreaker()
        let old = try (0..<6).map { _ in try breaker.admit(now: .zero) }
        for permit in old.prefix(5) { breaker.record(.failure, of: permit, now: .seconds(1)) }
        #expect(breaker.phase == .open)
        let probe = try breaker.admit(now: .seconds(31))
        breaker.record(.failure, of: old[5], now: .seconds(32))
        #expect(breaker.phase == .halfOpen, "an answer to a call before the breaker opened is no probe")
        breaker.record(.success, of: probe, now: .seconds(33))
        try breaker.call(.success, at: .seconds(33))
        #expect(breaker.phase == .closed)
        #expect(breaker.counts.failures == 6)
    }

    @Test("news of the other side lets a probe through at once, and does not close it")
    func news() throws {
        var breaker = try CircuitBreaker.opened(at: .zero)
        breaker.probeSoon(now: .seconds(3))
        #expect(breaker.phase == .open)
        _ = try breaker.admit(now: .seconds(3))
        #expect(breaker.phase == .halfOpen)
        // It never puts the time off, and is nothing to the other phases.
        var late = try CircuitBreaker.opened(at: .zero)
        late.probeSoon(now: .seconds(50))
        #expect(late.retryAfter(now: .seconds(30)) == .zero)
        var closed = CircuitBreaker()
        closed.probeSoon(now: .zero)
        #expect(closed.phase == .closed)
        #expect(closed.retryAfter(now: .zero) == nil)
    }

    @Test("by hand it opens for one pause, and closes")
    func byHand() throws {
        var breaker = CircuitBreaker()
        breaker.open(now: .seconds(5))
        #expect(breaker.retryAfter(now: .seconds(5)) == .seconds(30))
        breaker.open(now: .seconds(10))
        #expect(breaker.retryAfter(now: .seconds(10)) == .seconds(30))
        #expect(breaker.counts.changes(from: .closed, to: .open) == 1)
        breaker.reset()
        #expect(breaker.phase == .closed)
        #expect(breaker.counts.changes(from: .open, to: .closed) == 1)
        for _ in 0..<4 { try breaker.call(.failure, at: .zero) }
        breaker.reset()
        try breaker.call(.failure, at: .zero)
        #expect(breaker.phase == .closed, "a reset forgets the failures")
        #expect(breaker.counts.changes(from: .closed, to: .closed) == 0)
    }

    /// A model that is told in another way: the history of outcomes, looked at backwards.
    @Test("random calls: it opens by failures in a row alone, never lets too many probes through, and never stays open")
    func random() {
        for seed in UInt64(0)..<200 {
            var random = SplitMix64(seed: seed)
            var breaker = CircuitBreaker(
                .init(failureThreshold: 3, successThreshold: 2, timeout: .seconds(10), halfOpenRequestsMax: 2))
            var now = Duration.zero
            var underWay: [(permit: CircuitBreaker.Permit, phase: CircuitBreaker.Phase, since: UInt64)] = []
            var stays: UInt64 = 0
            var phase = breaker.phase
            func note() {
                if breaker.phase != phase {
                    phase = breaker.phase
                    stays += 1
                }
            }
            for _ in 0..<400 {
                now += .milliseconds(Int.random(in: 0...3_000, using: &random))
                if Bool.random(using: &random) || underWay.isEmpty {
                    let before = breaker.retryAfter(now: now)
                    do throws(CircuitBreaker.Rejection) {
                        let permit = try breaker.admit(now: now)
                        #expect(before == nil || before == .zero, "let through while open, seed \(seed)")
                        note()
                        underWay.append((permit, breaker.phase, stays))
                        let probes = underWay.count { $0.phase == .halfOpen && $0.since == stays }
                        if breaker.phase == .halfOpen { #expect(probes <= 2, "seed \(seed)") }
                    } catch {
                        #expect(breaker.phase != .closed, "rejected while closed, seed \(seed)")
                        #expect(error.retryAfter == before ?? .zero, "seed \(seed)")
                    }
                } else {
                    let call = underWay.remove(at: Int.random(in: 0..<underWay.count, using: &random))
                    let outcome: CircuitBreaker.Outcome =
                        switch Int.random(in: 0..<10, using: &random) {
                        case 0..<5: .failure
                        case 5..<9: .success
                        default: .neutral
                        }
                    let before = breaker.phase
                    breaker.record(outcome, of: call.permit, now: now)
                    if call.since != stays || outcome == .neutral {
                        #expect(breaker.phase == before, "a late or neutral outcome changed the phase, seed \(seed)")
                    }
                    note()
                }
            }
            _ = try? breaker.admit(now: now + .seconds(10))
            #expect(breaker.phase != .open, "still open after its pause, seed \(seed)")
        }
    }
}

extension CircuitBreaker {
    fileprivate mutating func call(_ outcome: Outcome, at now: Duration) throws(Rejection) {
        record(outcome, of: try admit(now: now), now: now)
    }

    fileprivate static func opened(at now: Duration) throws(Rejection) -> CircuitBreaker {
        var breaker = CircuitBreaker()
        for _ in 0..<breaker.options.failureThreshold { try breaker.call(.failure, at: now) }
        return breaker
    }
}
