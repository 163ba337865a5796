import Logging
import MetadataModel
import Synchronization
import Wire

/// Keeps a broker registered and alive in the metadata: registers it, sends heartbeats, registers it again when the cluster
/// has lost it, and tells the broker at once when it must not lead any more.
///
/// The broker is registered under an incarnation id that is drawn once for each process (KIP-631). Close the session when
/// the broker stops: then the cluster does not have to wait for the lease to run out.
public final class BrokerSession: Sendable {
    /// What happens to the registration, in order. Iterate once. An event that nobody takes is kept until 256 newer ones
    /// have come; ask `mayLead` for the state itself. Ends after `close()` or `failed`.
    public let events: AsyncStream<BrokerSessionEvent>

    /// What the broker has to do with its replicas. Needs a cache; without one it ends at once.
    public let assignments: Assignments

    private struct State {
        var machine: BrokerSessionMachine
        var caughtUp = Version.zero
        var usedBytes: UInt64?
        var wantsFence: Bool
        var wantsShutdown = false
        var runner: Task<Void, Never>?
    }

    private let client: MetadataClient
    private let id: BrokerID
    private let endpoints: [MetadataModel.Endpoint]
    private let rack: String
    private let capacity: UInt32
    private let tags: [BrokerTag]
    private let incarnation: IncarnationID
    /// Of a process before this one.
    private let inheritedEpoch: BrokerEpoch?
    private let state: Mutex<State>
    private let reporter: AsyncStream<BrokerSessionEvent>.Continuation
    private let cache: MetadataCache?
    private let isrReporter: ISRReporter
    private let clock = ContinuousClock()

    /// Begins at once to register the broker.
    ///
    /// - Parameters:
    ///   - endpoints: Where clients reach the broker.
    ///   - rack: Empty when the broker has no rack.
    ///   - capacity: How much it takes beside the others; see `Broker.capacity`.
    ///   - tags: Notes for its operators.
    ///   - previousEpoch: The epoch that the broker had when it last ended, if it ended in order and lost nothing: keep
    ///     it on disk when `shutDown` returns, and remove it at the start. Nil: what it had not synced may be lost, so
    ///     that it is no eligible leader of anything any more (KIP-966).
    ///   - heartbeatInterval: How often to send heartbeats; a lease shorter than three intervals makes it more often.
    ///   - staysFenced: Register and heartbeat, but do not ask to lead yet; see `stayFenced(_:)`.
    ///   - cache: Where `assignments` come from; may be shared by sessions. The broker then leads nothing before the cache
    ///     is as new as the cluster's leave to lead, and `caughtUp(to:)` need not be called.
    public convenience init(
        client: MetadataClient, id: BrokerID, endpoints: [MetadataModel.Endpoint], rack: String = "",
        capacity: UInt32 = Broker.capacityDefault, tags: [BrokerTag] = [], previousEpoch: BrokerEpoch? = nil,
        heartbeatInterval: Duration = .seconds(10), staysFenced: Bool = false, cache: MetadataCache? = nil
    ) {
        self.init(
            client: client, id: id, endpoints: endpoints, rack: rack, capacity: capacity, tags: tags,
            previousEpoch: previousEpoch, heartbeatInterval: heartbeatInterval, staysFenced: staysFenced, cache: cache,
            incarnation: .ofProcess)
    }

    /// As above, for a process that plays many brokers: each life of each has an incarnation of its own.
    package init(
        client: MetadataClient, id: BrokerID, endpoints: [MetadataModel.Endpoint], rack: String,
        capacity: UInt32 = Broker.capacityDefault, tags: [BrokerTag] = [], previousEpoch: BrokerEpoch? = nil,
        heartbeatInterval: Duration, staysFenced: Bool = false, cache: MetadataCache?, incarnation: IncarnationID
    ) {
        self.client = client
        self.id = id
        self.endpoints = endpoints
        self.rack = rack
        self.capacity = capacity
        self.tags = tags
        inheritedEpoch = previousEpoch
        self.incarnation = incarnation
        self.cache = cache
        let isrReporter = ISRReporter(client: client, broker: id)
        self.isrReporter = isrReporter
        assignments = Assignments(
            buffer: cache.map { AssignmentBuffer(broker: id, core: $0.core, witness: isrReporter.assigned) })
        (events, reporter) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(BrokerSession.eventsMax))
        var generator = SystemRandomNumberGenerator()
        let machine = BrokerSessionMachine(
            interval: heartbeatInterval, follows: cache != nil, seed: generator.next())
        state = Mutex(State(machine: machine, wantsFence: staysFenced))
        if let buffer = assignments.buffer { cache?.core.subscribe(buffer) }
        let runner = Task { [weak self] in
            // The session is held for one step at a time, so that one which nobody holds any more ends.
            while !Task.isCancelled, let wake = await self?.takeStep() {
                guard let wake else { continue }
                do {
                    try await ContinuousClock().sleep(until: wake)
                } catch {
                    return
                }
            }
        }
        state.withLock { $0.runner = runner }
    }

    deinit {
        state.withLock { $0.runner }?.cancel()
        finish()
    }

    /// Nobody hears of anything any more.
    private func finish() {
        reporter.finish()
        isrReporter.end()
        if let buffer = assignments.buffer {
            cache?.core.unsubscribe(buffer)
            buffer.end()
        }
    }

    // MARK: The broker's side

    /// The epoch of the registration that is in force; nil before the first and while it is being renewed.
    public var epoch: BrokerEpoch? { state.withLock { $0.machine.epoch } }

    /// Whether the broker may lead partitions now: the cluster said so, and the lease runs by this host's clock. Cheap: ask
    /// before each act that rests on leadership.
    public var mayLead: Bool {
        let now = clock.now
        return state.withLock { $0.machine.mayLead(at: now) }
    }

    /// The broker has followed the metadata up to this version; the next heartbeat says so. A session with a cache knows by
    /// itself. A broker that has said it once is let lead only when it has followed as far as its own registration; one that
    /// never does need not watch at all.
    public func caughtUp(to version: Version) {
        state.withLock { $0.caughtUp = max($0.caughtUp, version) }
    }

    /// What the broker's replicas take on its disks. The next heartbeat says so, and operators see it while the broker drains.
    public func uses(bytes: UInt64) {
        state.withLock { $0.usedBytes = bytes }
    }

    /// Reports the in-sync replicas of a partition that the broker leads, under the epochs of the last assignment or result.
    ///
    /// Reports of many partitions travel together, one batch at a time, and are sent again when the cluster is in trouble,
    /// for as long as the session lasts. Of one partition only the latest counts. What was reported under a leader epoch or
    /// a registration that is over is dropped.
    public func reportISR(_ report: Command.ISRReport) async -> ISRReportResult {
        await isrReporter.report(report)
    }

    /// Asks the cluster, with the next heartbeat, to keep the broker fenced, or not to any more.
    public func stayFenced(_ isWanted: Bool) {
        state.withLock { $0.wantsFence = isWanted }
    }

    /// Stops in order (KIP-631 controlled shutdown): asks the cluster to move leadership off the broker, waits until that
    /// is done, then does what `close()` does. Serve on until it returns.
    ///
    /// - Parameter timeout: How long to wait; then the broker is closed all the same.
    /// - Returns: Whether leadership was moved first. If not, the partitions that the broker led move with its end.
    @discardableResult
    public func shutDown(timeout: Duration = .seconds(30)) async -> Bool {
        let deadline = clock.now.advanced(by: timeout)
        state.withLock { $0.wantsShutdown = true }
        var isDone = false
        while !isDone, clock.now < deadline, let epoch {
            isDone = await heartbeat(
                epoch, timeout: min(BrokerSession.shutdownPatience, clock.now.duration(to: deadline)))
            if isDone { break }
            do {
                try await clock.sleep(for: BrokerSession.shutdownPause)
            } catch {
                // The task is cancelled: whoever runs it does not want to wait.
                break
            }
        }
        await close()
        return isDone
    }

    /// Stops: reports `fenced(.closed)` if the broker was leading, ends `events`, and tells the cluster to fence the broker
    /// (for up to a second; if that fails, the lease runs out). Harmless when called again.
    public func close() async {
        guard let epoch = await abandon() else { return }
        let farewell = BrokerHeartbeat(
            broker: id, epoch: epoch, caughtUpVersion: state.withLock { $0.caughtUp }, wantsFence: true)
        do {
            _ = try await client.heartbeat(farewell, timeout: BrokerSession.farewellTimeout)
        } catch {
            client.logger.debug("the cluster was not told of the end", metadata: ["reason": "\(error)"])
        }
    }

    /// Stops without a word to the cluster, as a process that dies does. Answers the epoch that was in force.
    @discardableResult
    package func abandon() async -> BrokerEpoch? {
        let (runner, epoch) = state.withLock { state in
            let epoch = state.machine.epoch
            for event in state.machine.close() { reporter.yield(event) }
            return (state.runner.take(), epoch)
        }
        finish()
        runner?.cancel()
        await runner?.value
        return epoch
    }

    // MARK: Running

    /// Does what is due. Answers when to go on: at an instant, at once (inner nil), or never (outer nil).
    private func takeStep() async -> ContinuousClock.Instant?? {
        let now = clock.now
        tell { $0.elapsed(now: now) }
        switch state.withLock({ $0.machine.step(now: now) }) {
        case .end:
            finish()
            return nil
        case .sleep(let until): return .some(until)
        case .register: await register()
        case .heartbeat(let epoch, let timeout): _ = await heartbeat(epoch, timeout: timeout)
        }
        return .some(nil)
    }

    private func register() async {
        do {
            // This process lost nothing since its own last registration, so that counts most.
            let previous = state.withLock { $0.machine.previousEpoch } ?? inheritedEpoch
            let registration = try await client.registerBroker(
                id, incarnation: incarnation, endpoints: endpoints, rack: rack, capacity: capacity, tags: tags,
                previousEpoch: previous)
            tell { $0.registered(registration.epoch) }
        } catch {
            let now = clock.now
            tell { $0.registrationFailed(error, now: now) }
        }
    }

    /// - Returns: Whether the broker may stop.
    @discardableResult
    private func heartbeat(_ epoch: BrokerEpoch, timeout: Duration) async -> Bool {
        let known = cache?.version
        let heartbeat = state.withLock { state in
            if let known { state.caughtUp = max(state.caughtUp, known) }
            // What the cache shows may be from before the registration: not fit to lead by.
            let isBehind = known.map { $0.rawValue < epoch.rawValue } ?? false
            return BrokerHeartbeat(
                broker: id, epoch: epoch, caughtUpVersion: state.caughtUp, wantsFence: state.wantsFence || isBehind,
                wantsShutdown: state.wantsShutdown, usedBytes: state.usedBytes)
        }
        let sentAt = clock.now
        do {
            let answer = try await client.heartbeat(heartbeat, timeout: timeout)
            isrReporter.answered(featureLevel: answer.featureLevel)
            let now = clock.now
            let staysFenced = state.withLock { $0.wantsFence }
            tell {
                $0.heartbeatAnswered(answer, epoch: epoch, stayedFenced: staysFenced, sentAt: sentAt, now: now)
            }
            return answer.shouldShutDown
        } catch {
            let now = clock.now
            tell { $0.heartbeatFailed(error, epoch: epoch, now: now) }
            return false
        }
    }

    /// Changes the machine, and tells everybody whom it concerns.
    private func tell(_ change: (inout BrokerSessionMachine) -> [BrokerSessionEvent]) {
        let (before, after, awaited) = state.withLock { state in
            let before = state.machine.epoch
            let waitedFor = state.machine.waitsFor
            // Under the lock, so that events come in the order in which they happened; it wakes the consumer and no more.
            for event in change(&state.machine) { reporter.yield(event) }
            let awaited = state.machine.waitsFor
            return (before, state.machine.epoch, awaited == waitedFor ? nil : awaited)
        }
        if before != after {
            if before != nil {
                assignments.buffer?.unregistered()
                isrReporter.unregistered()
            }
            if let after {
                isrReporter.registered(after)
                assignments.buffer?.registered(after)
            }
        }
        guard let awaited, let cache else { return }
        cache.core.whenReached(awaited) { [weak self] failure in
            guard failure == nil, let self else { return }
            let now = clock.now
            tell { $0.followed(to: awaited, now: now) }
        }
    }

    private static let eventsMax = 256
    private static let shutdownPatience = Duration.seconds(2)
    private static let shutdownPause = Duration.milliseconds(50)
    private static let farewellTimeout = Duration.seconds(1)
}

extension IncarnationID {
    /// Drawn when it is first asked for; never all zero.
    static let ofProcess: IncarnationID = {
        var generator = SystemRandomNumberGenerator()
        return IncarnationID(high: .random(in: 1 ... .max, using: &generator), low: generator.next())
    }()
}
