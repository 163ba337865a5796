/// Turns at what must not be done twice at a time, each thing under its name.
///
/// Who asks first is first. Nobody waits for longer than `acquisitionTimeout`. A holder that has shown no life for `staleAfter`
/// loses its turn, or one that died or forgot to let go would hold up all others for ever. It may be at work all the same, so
/// the lock says who is next and makes nothing safe: what a former holder still does has to be harmless, or refused where it is
/// done (Kleppmann, "How to do distributed locking", 2016).
///
/// A value: whoever owns it says what time it is, calls `expire` at `wakeAt`, and acts on what comes of it. Times are
/// milliseconds of a clock that only goes forward.
package struct KeyedLock<Holder: Hashable & Sendable>: Sendable {
    /// What time has brought.
    package enum Event: Hashable, Sendable {
        /// It waited too long, and waits no more.
        case timedOut(String, Holder)
        /// It has shown no life, and has lost its turn.
        case stale(String, Holder)
        /// It has the turn now.
        case granted(String, Holder)
    }

    private struct Waiter: Sendable {
        var holder: Holder
        var until: UInt64
    }

    /// There is one for each name that somebody holds.
    private struct Turn: Sendable {
        var name: String
        var holder: Holder
        /// When the holder last showed life.
        var seenAt: UInt64
        /// The first of them is next.
        var waiting: [Waiter] = []
    }

    // Its loops take closures, since a key path of generic code is looked up each time at run time.
    private let options: KeyedLockOptions
    /// In the order in which their names were taken; few.
    private var turns: [Turn] = []
    private var counts: [String: KeyedLockCounts] = [:]

    package init(_ options: KeyedLockOptions = KeyedLockOptions()) { self.options = options }
}

// Inputs.
extension KeyedLock {
    /// Asks for a turn. Who has it, or waits for it, has asked already.
    ///
    /// - Parameter patience: how long to wait for it, if that is less than the options allow.
    /// - Returns: whether `holder` has it now; if not it waits, until `release` or `expire` name it.
    @discardableResult
    package mutating func acquire(_ name: String, by holder: Holder, patience: UInt64 = .max, now: UInt64) -> Bool {
        guard let place = place(of: name) else {
            turns.append(Turn(name: name, holder: holder, seenAt: now))
            counts[name, default: KeyedLockCounts()].acquired += 1
            return true
        }
        guard turns[place].holder != holder else { return true }
        if !turns[place].waiting.contains(where: { $0.holder == holder }) {
            turns[place].waiting.append(
                Waiter(holder: holder, until: now + min(patience, options.acquisitionTimeout)))
        }
        return false
    }

    /// The holder is alive. Of anybody else it says nothing.
    package mutating func renew(_ name: String, by holder: Holder, now: UInt64) {
        guard let place = place(of: name), turns[place].holder == holder else { return }
        turns[place].seenAt = now
    }

    /// What the holder began goes on as another's, who waits for nothing.
    package mutating func handOver(_ name: String, from holder: Holder, to successor: Holder, now: UInt64) {
        guard let place = place(of: name), turns[place].holder == holder else { return }
        turns[place].holder = successor
        turns[place].seenAt = now
    }

    /// Ends a turn, or waiting for one. Has no effect of a holder that has lost it meanwhile.
    ///
    /// - Returns: who has the turn instead; nil when it did not change hands, or nobody waits.
    package mutating func release(_ name: String, by holder: Holder, now: UInt64) -> Holder? {
        guard let place = place(of: name) else { return nil }
        guard turns[place].holder == holder else {
            turns[place].waiting.removeAll { $0.holder == holder }
            return nil
        }
        return passOn(place, now: now)
    }

    /// Nobody has the turn, and nobody waits for it.
    ///
    /// - Returns: who had it, and who waited, in order.
    package mutating func clear(_ name: String) -> [Holder] {
        guard let place = place(of: name) else { return [] }
        let turn = turns.remove(at: place)
        return [turn.holder] + turn.waiting.map { $0.holder }
    }

    /// Time has passed.
    package mutating func expire(now: UInt64) -> [Event] {
        var events: [Event] = []
        for name in turns.map({ $0.name }) {
            guard let place = place(of: name) else { continue }
            let late = turns[place].waiting.filter { now >= $0.until }.map { $0.holder }
            turns[place].waiting.removeAll { late.contains($0.holder) }
            events += late.map { .timedOut(name, $0) }
            counts[name, default: KeyedLockCounts()].timedOut += UInt64(late.count)
            guard now >= turns[place].seenAt + options.staleAfter else { continue }
            events.append(.stale(name, turns[place].holder))
            counts[name, default: KeyedLockCounts()].stale += 1
            if let next = passOn(place, now: now) { events.append(.granted(name, next)) }
        }
        return events
    }

    private mutating func passOn(_ place: Int, now: UInt64) -> Holder? {
        guard !turns[place].waiting.isEmpty else {
            turns.remove(at: place)
            return nil
        }
        let next = turns[place].waiting.removeFirst().holder
        turns[place].holder = next
        turns[place].seenAt = now
        counts[turns[place].name, default: KeyedLockCounts()].acquired += 1
        return next
    }
}

// Queries.
extension KeyedLock {
    package func holder(of name: String) -> Holder? { place(of: name).map { turns[$0].holder } }

    /// The first is next.
    package func waiting(for name: String) -> [Holder] {
        place(of: name).map { turns[$0].waiting.map { $0.holder } } ?? []
    }

    package func reading(of name: String) -> KeyedLockReading {
        KeyedLockReading(waiting: waiting(for: name).count, counts: counts[name] ?? KeyedLockCounts())
    }

    /// When `expire` has something to say; nil while nobody holds anything.
    package var wakeAt: UInt64? {
        turns.map { turn in
            turn.waiting.reduce(turn.seenAt + options.staleAfter) { min($0, $1.until) }
        }.min()
    }

    private func place(of name: String) -> Int? { turns.firstIndex { $0.name == name } }

    package func checkInvariants() {
        precondition(Set(turns.map { $0.name }).count == turns.count, "two turns under one name")
        for turn in turns {
            let holders = [turn.holder] + turn.waiting.map { $0.holder }
            precondition(Set(holders).count == holders.count, "\(turn.name): somebody is there twice: \(holders)")
        }
    }
}

/// Milliseconds.
package struct KeyedLockOptions: Hashable, Sendable {
    /// How long somebody waits for a turn.
    package var acquisitionTimeout: UInt64
    /// How long a holder may show no life.
    package var staleAfter: UInt64

    package init(acquisitionTimeout: UInt64 = 30_000, staleAfter: UInt64 = 360_000) {
        precondition(acquisitionTimeout > 0 && staleAfter > 0, "turns that end before they begin")
        self.acquisitionTimeout = acquisitionTimeout
        self.staleAfter = staleAfter
    }
}

/// How it stands with one name, and what came of it so far.
package struct KeyedLockReading: Hashable, Sendable {
    package var waiting: Int
    package var counts: KeyedLockCounts
}

package struct KeyedLockCounts: Hashable, Sendable {
    package var acquired: UInt64 = 0
    package var timedOut: UInt64 = 0
    package var stale: UInt64 = 0

    package init() {}
}
