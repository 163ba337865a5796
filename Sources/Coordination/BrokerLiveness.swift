package import MetadataModel

/// What a heartbeat is answered with.
package enum HeartbeatDecision: Hashable, Sendable {
    /// The broker's lease lasts this long from the *sending* of its heartbeat. `shouldUnfence`: it is fenced, ready and
    /// alive, so an `unfenceBroker` for its epoch is to be proposed.
    case lease(milliseconds: UInt64, shouldUnfence: Bool)
    /// It is to be fenced, or being fenced, and nothing stops that any more: it gets no lease until it is. `milliseconds` as
    /// above, for how often it beats.
    case condemned(milliseconds: UInt64)
    /// Not registered, or this node does not lead.
    case unknownBroker
    /// Another registration took its place: the broker must register again.
    case staleEpoch
}

/// Which brokers are alive, as the leader sees it. Heartbeats do not enter the log; what follows from their absence does,
/// as a `fenceBroker` that is checked again when it is applied.
///
/// Time comes in from outside: milliseconds of a monotonic clock. Silence counts only while this node could have heard
/// something: not before it led (grace period), and not while it was stopped (`now` jumps).
///
/// **Elections.** What a leader has heard of nobody else knows, so each would have to wait for a whole timeout, and a dead
/// broker would live for as long as leaders come and go. So a silence that is longer than any of a healthy broker is noted in
/// the log (`takeNotes`), and the next leader counts on from there (`inherited`). That fences nobody who still has a lease:
/// while something is noted of a broker, or about to be, its heartbeats are answered with a lease that is shorter by as much
/// (`Lease.evidence`); when the log says that it was heard, with a whole one again.
package struct BrokerLiveness: Sendable {
    private enum State {
        /// Nothing is known of brokers. Exit: `becameLeader`.
        case following
        /// Exit: `resigned`.
        case leading(Leading)
    }

    private let pace: Pace
    private var state = State.following

    /// - Parameters:
    ///   - heartbeatTimeoutMilliseconds: a broker that is silent for longer is fenced.
    ///   - graceMilliseconds: what a new leader grants every broker on top, since they have to find it first.
    package init(heartbeatTimeoutMilliseconds: UInt64, graceMilliseconds: UInt64) {
        precondition(heartbeatTimeoutMilliseconds >= 2, "a heartbeat timeout of \(heartbeatTimeoutMilliseconds) ms")
        pace = Pace(timeoutMilliseconds: heartbeatTimeoutMilliseconds, graceMilliseconds: graceMilliseconds)
    }

}

// Inputs.
extension BrokerLiveness {
    /// This node leads from now on. `brokers` are all that are registered.
    package mutating func becameLeader(
        now: UInt64, brokers: [(BrokerID, BrokerEpoch, Broker.State)]
    ) {
        var leading = Leading(lastNow: now, electedAt: now, pace: pace)
        for (id, epoch, state) in brokers { leading.begin(id, epoch: epoch, state: state) }
        state = .leading(leading)
    }

    /// What the log said of silences at the election, once all that it held then is applied. No heartbeat was heard before.
    package mutating func inherited(_ silences: BrokerSilences) { change { $0.inherit(silences) } }

    /// The log says something else of silences.
    package mutating func silencesChanged(_ silences: BrokerSilences) { change { $0.noted(silences) } }

    /// What `takeNotes` answered was applied, and what follows from it was reported.
    package mutating func notesApplied(_ notes: [BrokerSilence]) { change { $0.notesApplied(notes) } }

    /// This node does not lead any more: it hears no heartbeats and judges nobody.
    package mutating func resigned() {
        state = .following
    }

    /// A heartbeat arrived at the leader.
    package mutating func heard(
        broker: BrokerID, epoch: BrokerEpoch, now: UInt64, wantsFence: Bool, usedBytes: UInt64? = nil
    ) -> HeartbeatDecision {
        change { leading in
            leading.pass(to: now)
            return leading.heard(broker, epoch, wantsFence: wantsFence, usedBytes: usedBytes)
        } ?? .unknownBroker
    }

    /// A broker was registered or changed by an entry of the log.
    package mutating func brokerChanged(_ broker: Broker) { change { $0.brokerChanged(broker) } }

    /// A `fenceBroker` is about to be proposed for another reason than silence.
    package mutating func fenceProposed(_ id: BrokerID, epoch: BrokerEpoch) { change { $0.condemn(id, epoch) } }

    /// The `fenceBroker` was applied, and what follows from it was reported. A broker that is not fenced all the same (another
    /// entry right behind lets it lead again) begins with a whole lease.
    package mutating func fenceApplied(_ id: BrokerID, epoch: BrokerEpoch) { change { $0.fenceApplied(id, epoch) } }

    /// A broker was unregistered by an entry of the log.
    package mutating func brokerRemoved(_ id: BrokerID) { change { $0.remove(id) } }

    /// The brokers whose lease has run out, by the time at which it did: a `fenceBroker` has to be proposed for each, since
    /// they get no lease until it is applied. Those that are not fenced a while later are returned again.
    package mutating func expired(now: UInt64) -> [(BrokerID, BrokerEpoch)] {
        change { leading in
            leading.pass(to: now)
            return leading.takeExpired()
        } ?? []
    }

    /// What is to be noted in the log about silence, by broker, one command's worth: a `noteSilence` has to be proposed. Call
    /// after `expired`.
    package mutating func takeNotes() -> [BrokerSilence] { change { $0.takeNotes() } ?? [] }

    @discardableResult
    private mutating func change<Result>(_ body: (inout Leading) -> Result) -> Result? {
        switch state {
        case .following:
            return nil
        case .leading(var leading):
            // So that it is not copied.
            state = .following
            defer { state = .leading(leading) }
            return body(&leading)
        }
    }
}

// Queries.
extension BrokerLiveness {
    package var isLeading: Bool {
        switch state {
        case .following: false
        case .leading: true
        }
    }

    /// `inherited` was called since `becameLeader`.
    package var hasInherited: Bool {
        switch state {
        case .following: false
        case .leading(let leading): leading.hasInherited
        }
    }

    /// What this leader has heard; nil on a member that does not lead.
    package var reading: LivenessReading? {
        switch state {
        case .following: nil
        case .leading(let leading): leading.reading
        }
    }

    /// What the broker's replicas take on its disks, as its last heartbeat said.
    package func usedBytes(of broker: BrokerID) -> UInt64? {
        switch state {
        case .following: nil
        case .leading(let leading): leading.leases[broker]?.usedBytes
        }
    }

    /// Call after each input in tests.
    package func checkInvariants() {
        switch state {
        case .following: return
        case .leading(let leading): leading.checkInvariants()
        }
    }
}

/// What a leader has heard of the brokers, for health pages and metrics. Times are those during which it could hear.
package struct LivenessReading: Hashable, Sendable {
    /// Brokers that are watched, fenced ones included.
    package var watched: Int
    /// When leases were last looked at, on the clock of the caller.
    package var checkedAt: UInt64
    /// Since any broker was heard; nil before the first.
    package var millisecondsSinceHeartbeat: UInt64?
    /// The longest silence of a broker that is not fenced; 0 without one.
    package var longestSilenceMilliseconds: UInt64

    package init(
        watched: Int, checkedAt: UInt64, millisecondsSinceHeartbeat: UInt64?, longestSilenceMilliseconds: UInt64
    ) {
        self.watched = watched
        self.checkedAt = checkedAt
        self.millisecondsSinceHeartbeat = millisecondsSinceHeartbeat
        self.longestSilenceMilliseconds = longestSilenceMilliseconds
    }
}
