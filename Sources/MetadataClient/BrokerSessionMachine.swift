import MetadataModel
import Resilience
import Wire

/// What a broker's session does next, and what it may believe of itself. Pure: the instants come from outside.
///
/// The lease is counted from the *sending* of the last heartbeat that was answered: the cluster counts from its arrival, so
/// the broker always gives up first, and no two brokers lead a partition because an answer travelled slowly.
struct BrokerSessionMachine: Sendable {
    typealias Instant = ContinuousClock.Instant

    enum State: Sendable, Hashable {
        /// Exits: `fenced` when registered, `ended` when the cluster refuses. `previous`: the epoch that was lost.
        case unregistered(previous: BrokerEpoch?)
        /// Registered, must not lead. Exits: `leading` when the cluster says so (`catchingUp` first if what the broker knows
        /// of the metadata is older than that), `unregistered` when it does not know the epoch, `ended`.
        case fenced(BrokerEpoch)
        /// The cluster lets the broker lead, as of version `from`; what it knows of its partitions may be from before it was
        /// fenced. Exits: itself with each heartbeat, `leading` when it has followed that far, `fenced` when the lease has run
        /// out or the cluster says so, `shuttingDown`, `unregistered`, `ended`.
        case catchingUp(BrokerEpoch, until: Instant, from: Version)
        /// May lead until the instant. Exits: itself with each heartbeat, `fenced` when the lease has run out or the
        /// cluster says so, `shuttingDown`, `unregistered`, `ended`.
        case leading(BrokerEpoch, until: Instant)
        /// Its leadership has moved off, must not lead. Exits: `fenced` when the cluster says so, `unregistered`, `ended`.
        case shuttingDown(BrokerEpoch)
        case ended
    }

    /// What to do now.
    enum Step: Sendable, Hashable {
        case register
        /// `timeout` ends with the lease at the latest, so that its end is noticed while an answer is waited for.
        case heartbeat(BrokerEpoch, timeout: Duration)
        case sleep(until: Instant)
        case end
    }

    let interval: Duration
    /// Up to where the broker has followed the metadata; nil when it does not say, and then it is not waited for.
    private var followed: Version?
    private(set) var state: State = .unregistered(previous: nil)
    /// When the next request is due; nil: at once.
    private var due: Instant?
    /// Heartbeats are sent at least this often; shorter than `interval` when the lease is short.
    private var pace: Duration
    private var backoff: Backoff
    /// Between the heartbeats of a broker that waits to be unfenced.
    private var unfencing: Backoff
    private var random: SplitMix64

    /// - Parameter follows: whether `followed(to:)` will be called: the broker leads nothing before it knows what.
    init(interval: Duration, follows: Bool = false, seed: UInt64) {
        precondition(interval > .zero, "a heartbeat interval of \(interval) is no interval")
        self.interval = interval
        followed = follows ? .zero : nil
        pace = interval
        backoff = Backoff(
            base: min(BrokerSessionMachine.retryBase, interval), cap: min(BrokerSessionMachine.retryCap, interval))
        unfencing = backoff
        random = SplitMix64(seed: seed)
    }

    // MARK: Queries

    var epoch: BrokerEpoch? {
        switch state {
        case .fenced(let epoch), .catchingUp(let epoch, _, _), .leading(let epoch, _), .shuttingDown(let epoch): epoch
        case .unregistered, .ended: nil
        }
    }

    /// The epoch that this process lost; nil when it never had one or has one.
    var previousEpoch: BrokerEpoch? {
        guard case .unregistered(let previous) = state else { return nil }
        return previous
    }

    /// Whether the lease runs, by the clock and not by what was noticed of it.
    func mayLead(at now: Instant) -> Bool {
        guard case .leading(_, let until) = state else { return false }
        return now < until
    }

    func step(now: Instant) -> Step {
        switch state {
        case .ended: return .end
        case .unregistered:
            if let due, now < due { return .sleep(until: due) }
            return .register
        case .fenced(let epoch), .shuttingDown(let epoch):
            if let due, now < due { return .sleep(until: due) }
            return .heartbeat(epoch, timeout: patience)
        case .catchingUp(let epoch, let until, _), .leading(let epoch, let until):
            if let due, now < due { return .sleep(until: min(due, until)) }
            return .heartbeat(epoch, timeout: min(patience, max(now.duration(to: until), .milliseconds(1))))
        }
    }

    /// How long an answer to a heartbeat is waited for.
    private var patience: Duration { max(pace, BrokerSessionMachine.patienceMin) }

    // MARK: Inputs. Each answers what has to be reported.

    /// Time has passed.
    mutating func elapsed(now: Instant) -> [BrokerSessionEvent] {
        switch state {
        case .catchingUp(let epoch, let until, _):
            if until <= now { state = .fenced(epoch) }
            return []
        case .leading(let epoch, let until):
            guard until <= now else { return [] }
            state = .fenced(epoch)
            return [.fenced(.leaseExpired)]
        case .unregistered, .fenced, .shuttingDown, .ended:
            return []
        }
    }

    /// The broker has followed the metadata up to this version.
    mutating func followed(to version: Version, now: Instant) -> [BrokerSessionEvent] {
        guard let before = followed, version > before else { return [] }
        followed = version
        var events = elapsed(now: now)
        guard case .catchingUp(let epoch, let until, let from) = state, version >= from else { return events }
        state = .leading(epoch, until: until)
        events.append(.unfenced)
        return events
    }

    /// The version that the broker has to know before it may lead; nil when it waits for none.
    var waitsFor: Version? {
        switch state {
        case .catchingUp(_, _, let from): from
        case .fenced(let epoch): followed.flatMap { $0.rawValue < epoch.rawValue ? Version(epoch.rawValue) : nil }
        case .unregistered, .leading, .shuttingDown, .ended: nil
        }
    }

    mutating func registered(_ epoch: BrokerEpoch) -> [BrokerSessionEvent] {
        guard case .unregistered(let previous) = state else { return [] }
        state = .fenced(epoch)
        due = nil
        backoff.reset()
        unfencing.reset()
        return [previous == nil ? .registered(epoch) : .reregistered(epoch)]
    }

    mutating func registrationFailed(_ error: MetadataError, now: Instant) -> [BrokerSessionEvent] {
        guard case .unregistered = state else { return [] }
        // Another incarnation holds the id until its lease runs out: an earlier run of this broker, most often.
        let isHeld = error.refusal?.reason == .brokerIDInUse
        switch error.category {
        case .retriable, .transient:
            break
        case .invalidInput where isHeld:
            break
        case .fatal, .invalidInput:
            state = .ended
            return [.failed(error)]
        }
        due = now.advanced(by: backoff.next(using: &random))
        return []
    }

    /// - Parameter stayedFenced: whether the heartbeat asked for that.
    mutating func heartbeatAnswered(
        _ answer: HeartbeatAnswer, epoch: BrokerEpoch, stayedFenced: Bool = false, sentAt: Instant, now: Instant
    ) -> [BrokerSessionEvent] {
        var events = elapsed(now: now)
        guard self.epoch == epoch else { return events }
        let lease = Duration.milliseconds(Int64(answer.leaseMilliseconds))
        backoff.reset()
        // Two heartbeats may be lost before the lease is.
        pace = min(interval, max(lease / 3, BrokerSessionMachine.paceMin))
        due = sentAt.advanced(by: pace - Backoff.random(upTo: pace / 10, using: &random))
        switch answer.state {
        case .active:
            let until = sentAt.advanced(by: lease)
            // An answer that took longer than the lease it grants grants nothing.
            guard now < until else { return events }
            switch state {
            case .fenced:
                unfencing.reset()
                if let followed, followed < answer.version {
                    state = .catchingUp(epoch, until: until, from: answer.version)
                    return events
                }
                events.append(.unfenced)
            case .catchingUp(_, _, let from):
                state = .catchingUp(epoch, until: until, from: from)
                return events
            // Sent before the shutdown began: it comes late and grants nothing.
            case .shuttingDown: return events
            case .leading, .unregistered, .ended: break
            }
            state = .leading(epoch, until: until)
        case .shuttingDown:
            if case .shuttingDown = state { return events }
            events.append(.shuttingDown)
            state = .shuttingDown(epoch)
        case .fenced, .fencing:
            if case .leading = state { events.append(.fenced(.fencedByCluster)) }
            state = .fenced(epoch)
            if !stayedFenced {
                // This heartbeat has asked to be unfenced; the next one hears of it.
                due = min(due ?? now, now.advanced(by: unfencing.next(using: &random)))
            }
        }
        return events
    }

    mutating func heartbeatFailed(_ error: MetadataError, epoch: BrokerEpoch, now: Instant) -> [BrokerSessionEvent] {
        var events = elapsed(now: now)
        guard self.epoch == epoch else { return events }
        switch error.code {
        case .unknownBroker:
            if case .leading = state { events.append(.fenced(.unknownToCluster)) }
            state = .unregistered(previous: epoch)
            due = nil
        case .clientClosed, .cancelled:
            events += close()
        case .wrongCluster, .unsupportedProtocol, .invalidRequest:
            if case .leading = state { events.append(.fenced(.closed)) }
            state = .ended
            events.append(.failed(error))
        case .refused, .unavailable, .timedOut, .overloaded, .clientOverloaded, .circuitOpen, .sessionLost,
            .storageFailed, .diskFull, .protocolViolation:
            due = now.advanced(by: backoff.next(using: &random))
        }
        return events
    }

    mutating func close() -> [BrokerSessionEvent] {
        defer { state = .ended }
        guard case .leading = state else { return [] }
        return [.fenced(.closed)]
    }

    static let patienceMin = Duration.seconds(1)
    static let retryBase = Duration.milliseconds(250)
    static let retryCap = Duration.seconds(2)
    /// However short the lease, heartbeats are not sent more often.
    static let paceMin = Duration.milliseconds(10)
}
