import HeapModule
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

    fileprivate struct Lease {
        var epoch: BrokerEpoch
        var state: Broker.State
        /// When the broker counts as dead, before `Leading.pausedMilliseconds` is added.
        var end: UInt64
        /// For how long it had not been heard at `silentSince`, from when on its silence grows.
        var silence: UInt64 = 0
        var silentSince: UInt64
        /// When its silence is noted next.
        var noteAt: UInt64
        /// What the log says of its silence, as far as it is applied.
        var noted: UInt64 = 0
        /// The most that this leader has proposed to note, and that is not applied yet.
        var proposed: UInt64 = 0
        /// What its replicas take, as it says; nil when it does not.
        var usedBytes: UInt64?
        /// A `fenceBroker` for this epoch is on its way into the log, or in it and not applied: it only looks at the epoch, so
        /// whatever is heard by now comes too late. Ends with the epoch, or when that entry is applied.
        var isCondemned: Bool
        /// When an unfencing may be asked for again, before `Leading.pausedMilliseconds` is added.
        var unfenceAgain: UInt64
        /// The entry of the heap that stands for this lease; at most one does.
        var stamp: UInt64

        /// What a later leader may count on from.
        var evidence: UInt64 { max(noted, proposed) }
        /// When it has to be looked at.
        var due: UInt64 { min(end, noteAt) }
        /// Its silence counts.
        var isWatched: Bool {
            switch state {
            case .active, .shuttingDown: true
            case .fenced, .fencing: false
            }
        }
    }

    fileprivate struct Deadline: Comparable {
        var due: UInt64
        var broker: BrokerID
        var stamp: UInt64

        static func < (lhs: Deadline, rhs: Deadline) -> Bool {
            lhs.due != rhs.due ? lhs.due < rhs.due : lhs.broker < rhs.broker
        }
    }

    fileprivate struct Leading {
        var leases: [BrokerID: Lease] = [:]
        /// One valid entry for each broker that is watched. Its `due` is never after the lease's: a heartbeat moves the
        /// lease only, and the entry follows when it surfaces, so that a heartbeat costs no heap operation.
        var deadlines = Heap<Deadline>()
        var lastStamp: UInt64 = 0
        var lastNow: UInt64
        /// The sum of all pauses of this node: added to every end.
        var pausedMilliseconds: UInt64 = 0
        /// `activeTime` of the election.
        var electedAt: UInt64
        /// What earlier leaders have noted is known. Before that nothing is noted.
        var hasInherited = false
        /// What is to be noted next: of each broker the latest; zero for one that was heard.
        var notes: [BrokerID: UInt64] = [:]
        let pace: Pace
        /// The latest heartbeat of any broker, on the scale of `activeTime`.
        var lastHeard: UInt64?
    }

    /// How time is cut, from the two that are configured.
    fileprivate struct Pace {
        var timeoutMilliseconds: UInt64
        /// What a new leader grants a broker of which no silence is noted, on top of its timeout.
        var graceMilliseconds: UInt64
        /// In which a broker that lives finds a new leader: silence counts from then on. The interval of heartbeats.
        var searchMilliseconds: UInt64 { min(graceMilliseconds, timeoutMilliseconds / 3) }
        /// Silence is noted when it is longer by this.
        var noteMilliseconds: UInt64 { max(1, timeoutMilliseconds / 6) }
        /// What is noted at most: whoever is heard after all has some lease left.
        var notedMillisecondsMax: UInt64 { timeoutMilliseconds - noteMilliseconds }
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

    /// A proposal that came to nothing is made again after this.
    private var retryMilliseconds: UInt64 { pace.timeoutMilliseconds / 2 }
    /// A gap between two calls that is longer is a pause of this node: what arrived meanwhile was not heard.
    private var pauseMilliseconds: UInt64 { pace.timeoutMilliseconds / 2 }
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
    package mutating func inherited(_ silences: BrokerSilences) {
        switch state {
        case .following:
            return
        case .leading(var leading):
            state = .following
            leading.inherit(silences)
            state = .leading(leading)
        }
    }

    /// The log says something else of silences.
    package mutating func silencesChanged(_ silences: BrokerSilences) {
        switch state {
        case .following:
            return
        case .leading(var leading):
            state = .following
            leading.noted(silences)
            state = .leading(leading)
        }
    }

    /// What `takeNotes` answered was applied, and what follows from it was reported.
    package mutating func notesApplied(_ notes: [BrokerSilence]) {
        switch state {
        case .following:
            return
        case .leading(var leading):
            state = .following
            defer { state = .leading(leading) }
            for note in notes {
                guard let lease = leading.leases[note.broker], lease.epoch == note.epoch,
                    lease.proposed == note.milliseconds
                else { continue }
                leading.leases[note.broker]?.proposed = 0
            }
        }
    }

    /// This node does not lead any more: it hears no heartbeats and judges nobody.
    package mutating func resigned() {
        state = .following
    }

    /// A heartbeat arrived at the leader.
    package mutating func heard(
        broker: BrokerID, epoch: BrokerEpoch, now: UInt64, wantsFence: Bool, usedBytes: UInt64? = nil
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
            guard !lease.isCondemned, lease.state != .fencing else {
                return .condemned(milliseconds: pace.timeoutMilliseconds)
            }
            let time = leading.activeTime
            let wasDue = lease.due
            lease.end = max(lease.end, time + pace.timeoutMilliseconds)
            lease.silence = 0
            lease.silentSince = time
            lease.noteAt = time + pace.searchMilliseconds + pace.noteMilliseconds
            lease.usedBytes = usedBytes
            leading.lastHeard = time
            // Until the log says so the next leader does not know that it was heard.
            leading.notes[broker] = lease.evidence > 0 ? 0 : nil
            var shouldUnfence = false
            switch lease.state {
            case .fenced:
                shouldUnfence = !wantsFence && lease.unfenceAgain <= time
                if shouldUnfence { lease.unfenceAgain = time + retryMilliseconds }
            case .active, .fencing, .shuttingDown:
                break
            }
            // As much silence as is ever noted was, so nothing was due before the end; now something is.
            if lease.due < wasDue { leading.set(broker, lease) } else { leading.leases[broker] = lease }
            let remaining = pace.timeoutMilliseconds - min(lease.evidence, pace.timeoutMilliseconds - 1)
            return .lease(milliseconds: remaining, shouldUnfence: shouldUnfence)
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
            // Whoever just became active has been heard, but the entry took its time.
            leading.renew(broker.id, epoch: broker.epoch, state: broker.state)
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
            let time = leading.activeTime
            leading.leases[id]?.end = time
            leading.renew(id, epoch: epoch, state: lease.state)
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
            leading.notes[id] = nil
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

    /// What is to be noted in the log about silence, by broker, one command's worth: a `noteSilence` has to be proposed. Call
    /// after `expired`.
    package mutating func takeNotes() -> [BrokerSilence] {
        switch state {
        case .following:
            return []
        case .leading(var leading):
            guard leading.hasInherited, !leading.notes.isEmpty else { return [] }
            state = .following
            defer { state = .leading(leading) }
            return leading.takeNotes()
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

extension BrokerLiveness.Leading {
    /// Looks at every lease: a few thousand at most, a few times a second.
    fileprivate var reading: LivenessReading {
        let time = activeTime
        var silence: UInt64 = 0
        for lease in leases.values where lease.isWatched {
            silence = max(silence, lease.silence + time - min(lease.silentSince, time))
        }
        return LivenessReading(
            watched: leases.count, checkedAt: lastNow,
            millisecondsSinceHeartbeat: lastHeard.map { time - min($0, time) }, longestSilenceMilliseconds: silence)
    }

    /// The time during which this node was there to hear: all ends are on this scale.
    fileprivate var activeTime: UInt64 { lastNow - pausedMilliseconds }

    fileprivate mutating func pass(to now: UInt64, pauseMilliseconds: UInt64) {
        guard now > lastNow else { return }
        let gap = now - lastNow
        // All of the gap: the brokers' heartbeats were not heard for any part of it.
        if gap > pauseMilliseconds { pausedMilliseconds += gap }
        lastNow = now
    }

    /// At the election: a whole timeout and the grace of a new leader.
    fileprivate mutating func begin(_ id: BrokerID, epoch: BrokerEpoch, state: Broker.State) {
        let searched = electedAt + pace.searchMilliseconds
        set(
            id,
            BrokerLiveness.Lease(
                epoch: epoch, state: state, end: electedAt + pace.graceMilliseconds + pace.timeoutMilliseconds,
                silentSince: searched, noteAt: searched + pace.noteMilliseconds, isCondemned: false, unfenceAgain: 0,
                stamp: 0))
    }

    /// Those of which silence is noted have what is left of their timeout, and the time to find this leader. That is never
    /// less than what is left of a lease that another leader gave them, which ends with the timeout behind what is noted.
    fileprivate mutating func inherit(_ silences: BrokerSilences) {
        precondition(!hasInherited, "silences are inherited once")
        hasInherited = true
        noted(silences)
        notes.removeAll()
        for row in silences.sorted {
            guard var lease = leases[row.broker], lease.epoch == row.epoch else { continue }
            guard lease.isWatched else {
                // Fenced, and the leader before did not come to forget it.
                notes[row.broker] = 0
                continue
            }
            lease.silence = min(row.milliseconds, pace.timeoutMilliseconds)
            lease.end = lease.silentSince + pace.timeoutMilliseconds - lease.silence
            set(row.broker, lease)
        }
    }

    fileprivate mutating func noted(_ silences: BrokerSilences) {
        for id in leases.keys {
            guard let lease = leases[id] else { continue }
            leases[id]?.noted = silences.milliseconds(of: id, lease.epoch)
        }
    }

    /// Heard of in another state or registration: a whole timeout at least.
    fileprivate mutating func renew(_ id: BrokerID, epoch: BrokerEpoch, state: Broker.State) {
        let time = activeTime
        var lease = BrokerLiveness.Lease(
            epoch: epoch, state: state, end: time + pace.timeoutMilliseconds, silentSince: time,
            noteAt: time + pace.searchMilliseconds + pace.noteMilliseconds, isCondemned: false, unfenceAgain: 0,
            stamp: 0)
        if let known = leases[id], known.epoch == epoch {
            lease.end = max(lease.end, known.end)
            lease.noted = known.noted
            lease.proposed = known.proposed
            lease.usedBytes = known.usedBytes
        }
        set(id, lease)
        // Nobody counts on from what was noted of it before.
        notes[id] = lease.evidence > 0 ? 0 : nil
    }

    fileprivate mutating func set(_ id: BrokerID, _ lease: BrokerLiveness.Lease) {
        lastStamp += 1
        leases[id] = lease
        leases[id]?.stamp = lastStamp
        if lease.isWatched {
            deadlines.insert(BrokerLiveness.Deadline(due: lease.due, broker: id, stamp: lastStamp))
        }
    }

    fileprivate mutating func condemn(_ id: BrokerID, _ epoch: BrokerEpoch) {
        guard leases[id]?.epoch == epoch else { return }
        leases[id]?.isCondemned = true
    }

    fileprivate mutating func takeExpired(retryMilliseconds: UInt64) -> [(BrokerID, BrokerEpoch)] {
        var found: [(BrokerID, BrokerEpoch)] = []
        let time = activeTime
        while let first = deadlines.min, first.due < time {
            var deadline = deadlines.removeMin()
            // Another registration or state, or none: its own entry is in the heap if it needs one.
            guard var lease = leases[deadline.broker], lease.stamp == deadline.stamp else { continue }
            if lease.end < time {
                found.append((deadline.broker, lease.epoch))
                lease.end = time + retryMilliseconds
                lease.noteAt = max(lease.noteAt, lease.end)
                lease.isCondemned = true
            } else if lease.noteAt < time {
                let silence = lease.silence + (time - min(time, lease.silentSince))
                notes[deadline.broker] = min(silence, pace.notedMillisecondsMax)
                lease.noteAt = silence < pace.notedMillisecondsMax ? time + pace.noteMilliseconds : .max
            }
            leases[deadline.broker] = lease
            deadline.due = lease.due
            deadlines.insert(deadline)
        }
        return found
    }

    fileprivate mutating func takeNotes() -> [BrokerSilence] {
        var taken: [BrokerSilence] = []
        for id in notes.keys.sorted().prefix(Limits.silentBrokersMax) {
            guard let milliseconds = notes.removeValue(forKey: id), let lease = leases[id] else { continue }
            taken.append(BrokerSilence(broker: id, epoch: lease.epoch, milliseconds: milliseconds))
            leases[id]?.proposed = max(lease.proposed, milliseconds)
        }
        return taken
    }

    fileprivate func checkInvariants() {
        var valid: [BrokerID: UInt64] = [:]
        for deadline in deadlines.unordered where leases[deadline.broker]?.stamp == deadline.stamp {
            precondition(valid[deadline.broker] == nil, "broker \(deadline.broker) has two deadlines")
            valid[deadline.broker] = deadline.due
        }
        for (id, lease) in leases {
            let due = valid[id]
            precondition(
                (due != nil) == lease.isWatched, "broker \(id) is \(lease.state) with deadline \(due ?? 0)")
            precondition(due ?? 0 <= lease.due, "broker \(id) would be looked at too late")
        }
    }
}
