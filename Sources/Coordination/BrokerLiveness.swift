import HeapModule
package import MetadataModel

/// What a heartbeat is answered with.
package enum HeartbeatDecision: Hashable, Sendable {
    /// The broker's lease lasts this long from the *sending* of its heartbeat. `shouldUnfence`: it is fenced, ready and
    /// alive, so an `unfenceBroker` for its epoch is to be proposed.
    case lease(milliseconds: UInt64, shouldUnfence: Bool)
    /// It is to be fenced, and nothing stops that any more: it gets no lease until it is. `milliseconds` as above, for how
    /// often it beats.
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
package struct BrokerLiveness: Sendable {
    private enum State {
        /// Nothing is known of brokers. Exit: `becameLeader`.
        case following
        /// Exit: `resigned`.
        case leading(Leading)
    }

    fileprivate struct Lease {
        var epoch: BrokerEpoch
        var state: Broker.State
        /// When the broker counts as dead, before `Leading.pausedMilliseconds` is added.
        var end: UInt64
        /// A `fenceBroker` for this epoch is on its way into the log, or in it and not applied: it only looks at the epoch, so
        /// whatever is heard by now comes too late. Ends with the epoch, or when that entry is applied.
        var isCondemned: Bool
        /// When an unfencing may be asked for again, before `Leading.pausedMilliseconds` is added.
        var unfenceAgain: UInt64
        /// The entry of the heap that stands for this lease; at most one does.
        var stamp: UInt64
    }

    fileprivate struct Deadline: Comparable {
        var end: UInt64
        var broker: BrokerID
        var stamp: UInt64

        static func < (lhs: Deadline, rhs: Deadline) -> Bool {
            lhs.end != rhs.end ? lhs.end < rhs.end : lhs.broker < rhs.broker
        }
    }

    fileprivate struct Leading {
        var leases: [BrokerID: Lease] = [:]
        /// One valid entry for each broker that is not fenced. Its `end` is never after the lease's: a heartbeat moves the
        /// lease only, and the entry follows when it surfaces, so that a heartbeat costs no heap operation.
        var deadlines = Heap<Deadline>()
        var lastStamp: UInt64 = 0
        var lastNow: UInt64
        /// The sum of all pauses of this node: added to every end.
        var pausedMilliseconds: UInt64 = 0
    }

    private let heartbeatTimeoutMilliseconds: UInt64
    private let graceMilliseconds: UInt64
    private var state = State.following

    /// - Parameters:
    ///   - heartbeatTimeoutMilliseconds: a broker that is silent for longer is fenced.
    ///   - graceMilliseconds: what a new leader grants every broker on top, since they have to find it first.
    package init(heartbeatTimeoutMilliseconds: UInt64, graceMilliseconds: UInt64) {
        precondition(heartbeatTimeoutMilliseconds >= 2, "a heartbeat timeout of \(heartbeatTimeoutMilliseconds) ms")
        self.heartbeatTimeoutMilliseconds = heartbeatTimeoutMilliseconds
        self.graceMilliseconds = graceMilliseconds
    }

    /// A proposal that came to nothing is made again after this.
    private var retryMilliseconds: UInt64 { heartbeatTimeoutMilliseconds / 2 }
    /// A gap between two calls that is longer is a pause of this node: what arrived meanwhile was not heard.
    private var pauseMilliseconds: UInt64 { heartbeatTimeoutMilliseconds / 2 }
}

// Inputs.
extension BrokerLiveness {
    /// This node leads from now on. `brokers` are all that are registered.
    package mutating func becameLeader(
        now: UInt64, brokers: [(BrokerID, BrokerEpoch, Broker.State)]
    ) {
        var leading = Leading(lastNow: now)
        let end = now + heartbeatTimeoutMilliseconds + graceMilliseconds
        for (id, epoch, state) in brokers { leading.set(id, epoch: epoch, state: state, end: end) }
        state = .leading(leading)
    }

    /// This node does not lead any more: it hears no heartbeats and judges nobody.
    package mutating func resigned() {
        state = .following
    }

    /// A heartbeat arrived at the leader.
    package mutating func heard(
        broker: BrokerID, epoch: BrokerEpoch, now: UInt64, wantsFence: Bool
    ) -> HeartbeatDecision {
        switch state {
        case .following:
            return .unknownBroker
        case .leading(var leading):
            state = .following
            defer { state = .leading(leading) }
            leading.pass(to: now, pauseMilliseconds: pauseMilliseconds)
            guard var lease = leading.leases[broker] else { return .unknownBroker }
            guard lease.epoch == epoch else { return .staleEpoch }
            guard !lease.isCondemned else { return .condemned(milliseconds: heartbeatTimeoutMilliseconds) }
            let time = leading.activeTime
            lease.end = max(lease.end, time + heartbeatTimeoutMilliseconds)
            var shouldUnfence = false
            switch lease.state {
            case .fenced:
                shouldUnfence = !wantsFence && lease.unfenceAgain <= time
                if shouldUnfence { lease.unfenceAgain = time + retryMilliseconds }
            case .active, .fencing, .shuttingDown:
                break
            }
            leading.leases[broker] = lease
            return .lease(milliseconds: heartbeatTimeoutMilliseconds, shouldUnfence: shouldUnfence)
        }
    }

    /// A broker was registered or changed by an entry of the log.
    package mutating func brokerChanged(_ broker: Broker) {
        switch state {
        case .following:
            return
        case .leading(var leading):
            state = .following
            defer { state = .leading(leading) }
            let known = leading.leases[broker.id]
            if let known, known.epoch == broker.epoch, known.state == broker.state { return }
            let fresh = leading.activeTime + heartbeatTimeoutMilliseconds
            let end = known.map { $0.epoch == broker.epoch ? $0.end : fresh } ?? fresh
            // Whoever just became active has been heard, but the entry took its time.
            leading.set(broker.id, epoch: broker.epoch, state: broker.state, end: max(end, fresh))
            // Somebody else's entry came first; the fence still follows.
            if let known, known.epoch == broker.epoch, known.isCondemned { leading.condemn(broker.id, known.epoch) }
        }
    }

    /// A `fenceBroker` is about to be proposed for another reason than silence.
    package mutating func fenceProposed(_ id: BrokerID, epoch: BrokerEpoch) {
        switch state {
        case .following:
            return
        case .leading(var leading):
            state = .following
            leading.condemn(id, epoch)
            state = .leading(leading)
        }
    }

    /// The `fenceBroker` was applied, and what follows from it was reported. A broker that is not fenced all the same (another
    /// entry right behind lets it lead again) begins with a whole lease.
    package mutating func fenceApplied(_ id: BrokerID, epoch: BrokerEpoch) {
        switch state {
        case .following:
            return
        case .leading(var leading):
            state = .following
            defer { state = .leading(leading) }
            guard let lease = leading.leases[id], lease.epoch == epoch, lease.isCondemned else { return }
            leading.set(
                id, epoch: epoch, state: lease.state, end: leading.activeTime + heartbeatTimeoutMilliseconds)
        }
    }

    /// A broker was unregistered by an entry of the log.
    package mutating func brokerRemoved(_ id: BrokerID) {
        switch state {
        case .following:
            return
        case .leading(var leading):
            state = .following
            leading.leases[id] = nil
            state = .leading(leading)
        }
    }

    /// The brokers whose lease has run out, by the time at which it did: a `fenceBroker` has to be proposed for each, since
    /// they get no lease until it is applied. Those that are not fenced a while later are returned again.
    package mutating func expired(now: UInt64) -> [(BrokerID, BrokerEpoch)] {
        switch state {
        case .following:
            return []
        case .leading(var leading):
            state = .following
            defer { state = .leading(leading) }
            leading.pass(to: now, pauseMilliseconds: pauseMilliseconds)
            return leading.takeExpired(retryMilliseconds: retryMilliseconds)
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

    /// Brokers that are watched; for metrics.
    package var count: Int {
        switch state {
        case .following: 0
        case .leading(let leading): leading.leases.count
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

extension BrokerLiveness.Leading {
    /// The time during which this node was there to hear: all ends are on this scale.
    fileprivate var activeTime: UInt64 { lastNow - pausedMilliseconds }

    fileprivate mutating func pass(to now: UInt64, pauseMilliseconds: UInt64) {
        guard now > lastNow else { return }
        let gap = now - lastNow
        // All of the gap: the brokers' heartbeats were not heard for any part of it.
        if gap > pauseMilliseconds { pausedMilliseconds += gap }
        lastNow = now
    }

    fileprivate mutating func set(_ id: BrokerID, epoch: BrokerEpoch, state: Broker.State, end: UInt64) {
        lastStamp += 1
        leases[id] = BrokerLiveness.Lease(
            epoch: epoch, state: state, end: end, isCondemned: false, unfenceAgain: 0, stamp: lastStamp)
        switch state {
        case .fenced: return
        case .active, .fencing, .shuttingDown:
            deadlines.insert(BrokerLiveness.Deadline(end: end, broker: id, stamp: lastStamp))
        }
    }

    fileprivate mutating func condemn(_ id: BrokerID, _ epoch: BrokerEpoch) {
        guard leases[id]?.epoch == epoch else { return }
        leases[id]?.isCondemned = true
    }

    fileprivate mutating func takeExpired(retryMilliseconds: UInt64) -> [(BrokerID, BrokerEpoch)] {
        var found: [(BrokerID, BrokerEpoch)] = []
        while let first = deadlines.min, first.end < activeTime {
            var deadline = deadlines.removeMin()
            // Another registration or state, or none: its own entry is in the heap if it needs one.
            guard var lease = leases[deadline.broker], lease.stamp == deadline.stamp else { continue }
            if lease.end < activeTime {
                found.append((deadline.broker, lease.epoch))
                lease.end = activeTime + retryMilliseconds
                lease.isCondemned = true
                leases[deadline.broker] = lease
            }
            deadline.end = lease.end
            deadlines.insert(deadline)
        }
        return found
    }

    fileprivate func checkInvariants() {
        var valid: [BrokerID: UInt64] = [:]
        for deadline in deadlines.unordered where leases[deadline.broker]?.stamp == deadline.stamp {
            precondition(valid[deadline.broker] == nil, "broker \(deadline.broker) has two deadlines")
            valid[deadline.broker] = deadline.end
        }
        for (id, lease) in leases {
            let end = valid[id]
            precondition(
                (end != nil) == (lease.state != .fenced), "broker \(id) is \(lease.state) with deadline \(end ?? 0)")
            precondition(end ?? 0 <= lease.end, "broker \(id) would be looked at after its lease")
        }
    }
}
