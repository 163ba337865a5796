internal import Coordination
internal import MetadataModel
internal import RaftCore
package import Resilience

/// Starts of rebalances that wait while another is under way, in the order of their coming. Who has waited for as long as it may
/// goes to the log all the same: there the state machine refuses a second rebalance, whatever the lock said.
struct RebalanceTurns: Sendable {
    enum Holder: Hashable {
        /// Waits to begin one, or was proposed and has no answer yet.
        case start(RequestToken)
        case rebalance(Version)
        /// This leader has not looked at the state yet.
        case unknown
    }

    struct Start {
        var token: RequestToken
        var intent: WriteIntent
    }

    static let name = "rebalance"
    /// Starts that wait, at most; what comes beyond goes to the log at once.
    static let waitingMax = 64
    /// So much of the time of a client that waits is kept for the answer.
    static let reserveMilliseconds: UInt64 = 1_000

    private var lock: KeyedLock<Holder>
    private var intents: [RequestToken: WriteIntent] = [:]
    private var course: RebalanceCourse?

    init(_ options: KeyedLockOptions) { lock = KeyedLock(options) }

    var reading: KeyedLockReading { lock.reading(of: RebalanceTurns.name) }

    func waits(_ token: RequestToken) -> Bool { intents[token] != nil }

    mutating func becameLeader(now: UInt64) { lock.acquire(RebalanceTurns.name, by: .unknown, now: now) }

    /// - Returns: who waited, in order.
    mutating func resigned() -> [RequestToken] {
        let tokens: [RequestToken] = lock.clear(RebalanceTurns.name).compactMap { holder in
            guard case .start(let token) = holder, intents[token] != nil else { return nil }
            return token
        }
        intents.removeAll()
        course = nil
        return tokens
    }

    /// Whoever waits on this connection is gone. What was proposed goes on.
    mutating func withdraw(connection: UInt64, now: UInt64) {
        for token in intents.keys where token.connection == connection {
            intents[token] = nil
            _ = lock.release(RebalanceTurns.name, by: .start(token), now: now)
        }
    }

    /// - Returns: whether the start is to be proposed now. If not, it waits.
    mutating func wants(_ start: Start, now: UInt64) -> Bool {
        let deadline = start.intent.deadline
        guard deadline > now + RebalanceTurns.reserveMilliseconds, intents.count < RebalanceTurns.waitingMax else {
            return true
        }
        let patience = deadline - now - RebalanceTurns.reserveMilliseconds
        if lock.acquire(RebalanceTurns.name, by: .start(start.token), patience: patience, now: now) { return true }
        intents[start.token] = start.intent
        return false
    }

    /// - Parameters:
    ///   - latest: what is known of the rebalance that is under way.
    ///   - isOpen: whether a start that was proposed has no answer yet.
    /// - Returns: what is to be proposed now.
    mutating func tick(_ latest: RebalanceCourse, isOpen: (RequestToken) -> Bool, now: UInt64) -> [Start] {
        let running: Holder? =
            switch latest.identity {
            case .unknown: .unknown
            case .none: nil
            case .rebalance(let id): .rebalance(id)
            }
        switch lock.holder(of: RebalanceTurns.name) {
        case nil: break
        case .start(let token)?:
            if intents[token] == nil, !isOpen(token) { pass(from: .start(token), to: running, now: now) }
        case let holder?:
            if holder != running {
                pass(from: holder, to: running, now: now)
            } else if course != latest || holder == .unknown {
                lock.renew(RebalanceTurns.name, by: holder, now: now)
            }
        }
        course = latest
        var due: [Holder] = []
        for case .timedOut(_, let holder) in lock.expire(now: now) { due.append(holder) }
        if let holder = lock.holder(of: RebalanceTurns.name) {
            due.append(holder)
        } else if let running {
            lock.acquire(RebalanceTurns.name, by: running, now: now)
        }
        return due.compactMap { holder in
            guard case .start(let token) = holder, let intent = intents.removeValue(forKey: token) else { return nil }
            return Start(token: token, intent: intent)
        }
    }

    func checkInvariants() {
        lock.checkInvariants()
        let waiting = lock.waiting(for: RebalanceTurns.name)
        precondition(waiting.count == intents.count, "\(intents.count) starts wait, \(waiting.count) have a place")
        for holder in waiting {
            guard case .start(let token) = holder, intents[token] != nil else {
                preconditionFailure("\(holder) waits, and what for is not known")
            }
        }
    }

    /// A rebalance takes the turn over from the start that began it.
    private mutating func pass(from holder: Holder, to running: Holder?, now: UInt64) {
        if let running {
            lock.handOver(RebalanceTurns.name, from: holder, to: running, now: now)
        } else {
            _ = lock.release(RebalanceTurns.name, by: holder, now: now)
        }
    }
}

extension Replica {
    /// As `write`, of the start of a rebalance: while another is under way it waits for its turn, for as long as
    /// `ReplicaOptions.turns` and the deadline of the intent let it.
    package mutating func startRebalance(_ intent: WriteIntent, token: RequestToken, now time: UInt64) {
        advanceClock(to: time)
        // What is refused anyhow need not wait, and a leader that was elected in this turn has not begun to lead.
        let leads = isLeader && reportedStatus.role == .leader && reportedStatus.term == core.status.term
        guard leads, coordination.isOn, protection.quarantine == nil, !isRefusedForRoom(intent),
            !turns.wants(.init(token: token, intent: intent), now: now)
        else { return write(intent, token: token) }
    }

    /// A client is gone: starts of its that wait are not made.
    package mutating func withdrawStarts(of connection: UInt64) { turns.withdraw(connection: connection, now: now) }

    /// This member stops: starts that wait are not made.
    package mutating func refuseStarts() {
        for token in turns.resigned() { effects.append(.replyWrite(token, .notLeader(nil))) }
    }

    /// Whether the start of a rebalance was not proposed yet.
    package func waitsForTurn(_ token: RequestToken) -> Bool { turns.waits(token) }

    package var rebalanceTurns: KeyedLockReading { turns.reading }

    mutating func tickTurns() {
        guard let course = coordination.coordinator?.course else { return }
        for start in turns.tick(course, isOpen: { proposals.isOpen($0) }, now: now) {
            write(start.intent, token: start.token)
        }
    }
}
