import Resilience
import Testing

@Suite("Keyed lock")
struct KeyedLockTests {
    private typealias Lock = KeyedLock<Int>

    @Test("one has the turn under a name, the others get it in the order of asking, whatever happens under other names")
    func fairness() {
        var lock = Lock()
        #expect(lock.acquire("a", by: 1, now: 0) == true)
        #expect(lock.acquire("b", by: 9, now: 0) == true)
        for holder in [3, 2, 4] { #expect(lock.acquire("a", by: holder, now: 1) == false) }
        // Who has it, or waits, has asked already.
        #expect(lock.acquire("a", by: 1, now: 2) == true)
        #expect(lock.acquire("a", by: 3, now: 2) == false)
        #expect(lock.waiting(for: "a") == [3, 2, 4])
        #expect(lock.release("a", by: 2, now: 3) == nil)
        #expect(lock.release("a", by: 1, now: 3) == 3)
        #expect(lock.release("a", by: 3, now: 3) == 4)
        #expect(lock.release("a", by: 4, now: 3) == nil)
        #expect(lock.holder(of: "a") == nil)
        #expect(lock.holder(of: "b") == 9)
        lock.checkInvariants()
    }

    @Test("nobody waits for longer than 30 s, or than its own patience, if that is shorter")
    func acquisitionTimeout() {
        var lock = Lock()
        lock.acquire("a", by: 1, now: 0)
        lock.acquire("a", by: 2, now: 1_000)
        lock.acquire("a", by: 3, patience: 500, now: 2_000)
        #expect(lock.wakeAt == 2_500)
        #expect(lock.expire(now: 2_499) == [])
        #expect(lock.expire(now: 2_500) == [.timedOut("a", 3)])
        lock.renew("a", by: 1, now: 2_500)
        #expect(lock.wakeAt == 31_000)
        #expect(lock.expire(now: 31_000) == [.timedOut("a", 2)])
        #expect(lock.holder(of: "a") == 1)
        #expect(lock.reading(of: "a").counts.timedOut == 2)
    }

    @Test("a holder that shows no life for 6 min loses its turn to the next, and what it does later has no effect")
    func staleHolder() {
        var lock = Lock(KeyedLockOptions(acquisitionTimeout: 1_000_000))
        lock.acquire("a", by: 1, now: 0)
        lock.renew("a", by: 1, now: 100_000)
        // Of somebody else this says nothing.
        lock.renew("a", by: 2, now: 400_000)
        lock.acquire("a", by: 2, now: 400_000)
        #expect(lock.wakeAt == 460_000)
        #expect(lock.expire(now: 459_999) == [])
        #expect(lock.expire(now: 460_000) == [.stale("a", 1), .granted("a", 2)])
        #expect(lock.release("a", by: 1, now: 460_001) == nil)
        #expect(lock.holder(of: "a") == 2)
        // With nobody behind it the turn is free.
        #expect(lock.expire(now: 820_000) == [.stale("a", 2)])
        #expect(lock.holder(of: "a") == nil)
        #expect(lock.wakeAt == nil)
        let counts = lock.reading(of: "a").counts
        #expect((counts.acquired, counts.stale) == (2, 2))
    }

    @Test("what a holder began goes on as another's, before those that wait")
    func handOver() {
        var lock = Lock()
        lock.acquire("a", by: 1, now: 0)
        lock.acquire("a", by: 2, now: 0)
        lock.handOver("a", from: 2, to: 7, now: 1)
        #expect(lock.holder(of: "a") == 1)
        lock.handOver("a", from: 1, to: 7, now: 1)
        #expect(lock.holder(of: "a") == 7)
        #expect(lock.release("a", by: 1, now: 2) == nil)
        #expect(lock.release("a", by: 7, now: 2) == 2)
    }

    @Test("who had a turn that is cleared, and who waited for it, is told in order, and the name is free")
    func clear() {
        var lock = Lock()
        for holder in [3, 1, 2] { lock.acquire("a", by: holder, now: 0) }
        lock.acquire("b", by: 1, now: 0)
        #expect(lock.clear("a") == [3, 1, 2])
        #expect(lock.clear("a") == [])
        #expect(lock.holder(of: "a") == nil && lock.holder(of: "b") == 1)
        #expect(lock.acquire("a", by: 2, now: 1) == true)
    }

    @Test("at random: one holder a name, turns in the order of asking, nobody beyond its time")
    func random() {
        for seed in UInt64(0)..<300 {
            var random = SplitMix64(seed: seed)
            var lock = Lock(KeyedLockOptions(acquisitionTimeout: 50, staleAfter: 80))
            // By name: who has it, since when it is alive, who waits until when.
            var holder: [String: (Int, UInt64)] = [:]
            var queue: [String: [(holder: Int, until: UInt64)]] = [:]
            var now: UInt64 = 0
            func pass(_ name: String) -> Int? {
                guard let next = queue[name]?.first else {
                    holder[name] = nil
                    return nil
                }
                queue[name]?.removeFirst()
                holder[name] = (next.holder, now)
                return next.holder
            }
            for _ in 0..<300 {
                now += random.next() % 12
                let name = ["a", "b"][Int(random.next() % 2)]
                let who = Int(random.next() % 5)
                switch random.next() % 4 {
                case 0:
                    let isMine = lock.acquire(name, by: who, now: now)
                    if holder[name] == nil { holder[name] = (who, now) }
                    #expect(isMine == (holder[name]?.0 == who), "seed \(seed)")
                    if !isMine, queue[name]?.contains(where: { $0.holder == who }) != true {
                        queue[name, default: []].append((who, now + 50))
                    }
                case 1:
                    lock.renew(name, by: who, now: now)
                    if holder[name]?.0 == who { holder[name]?.1 = now }
                case 2:
                    let next = lock.release(name, by: who, now: now)
                    if holder[name]?.0 == who {
                        #expect(next == pass(name), "seed \(seed)")
                    } else {
                        #expect(next == nil, "seed \(seed)")
                        queue[name]?.removeAll { $0.holder == who }
                    }
                default:
                    var events: Set<KeyedLock<Int>.Event> = []
                    for name in ["a", "b"] {
                        for waiter in queue[name] ?? [] where waiter.until <= now {
                            events.insert(.timedOut(name, waiter.holder))
                        }
                        queue[name]?.removeAll { $0.until <= now }
                        guard let (present, seen) = holder[name], seen + 80 <= now else { continue }
                        events.insert(.stale(name, present))
                        if let next = pass(name) { events.insert(.granted(name, next)) }
                    }
                    #expect(Set(lock.expire(now: now)) == events, "seed \(seed)")
                    #expect(lock.wakeAt.map { $0 > now } ?? true, "seed \(seed): woken for nothing")
                }
                for name in ["a", "b"] {
                    #expect(lock.holder(of: name) == holder[name]?.0, "seed \(seed)")
                    #expect(lock.waiting(for: name) == (queue[name] ?? []).map(\.holder), "seed \(seed)")
                }
                lock.checkInvariants()
            }
        }
    }
}
