import HeapModule
internal import MetadataModel

/// What a leader knows of the brokers: their leases, and by when it has to look at each.
extension BrokerLiveness {
    struct Lease {
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

    struct Deadline: Comparable {
        var due: UInt64
        var broker: BrokerID
        var stamp: UInt64

        static func < (lhs: Deadline, rhs: Deadline) -> Bool {
            lhs.due != rhs.due ? lhs.due < rhs.due : lhs.broker < rhs.broker
        }
    }

    struct Leading {
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
    struct Pace {
        var timeoutMilliseconds: UInt64
        /// What a new leader grants a broker of which no silence is noted, on top of its timeout.
        var graceMilliseconds: UInt64
        /// In which a broker that lives finds a new leader: silence counts from then on. The interval of heartbeats.
        var searchMilliseconds: UInt64 { min(graceMilliseconds, timeoutMilliseconds / 3) }
        /// Silence is noted when it is longer by this.
        var noteMilliseconds: UInt64 { max(1, timeoutMilliseconds / 6) }
        /// What is noted at most: whoever is heard after all has some lease left.
        var notedMillisecondsMax: UInt64 { timeoutMilliseconds - noteMilliseconds }
        /// A proposal that came to nothing is made again after this.
        var retryMilliseconds: UInt64 { timeoutMilliseconds / 2 }
        /// A gap between two calls that is longer is a pause of this node: what arrived meanwhile was not heard. Far shorter than a
        /// timeout, since pauses may follow one another.
        var pauseMilliseconds: UInt64 { min(1_000, timeoutMilliseconds / 2) }
    }
}

extension BrokerLiveness.Leading {
    /// Looks at every lease: a few thousand at most, a few times a second.
    var reading: LivenessReading {
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
    var activeTime: UInt64 { lastNow - pausedMilliseconds }

    mutating func pass(to now: UInt64) {
        guard now > lastNow else { return }
        let gap = now - lastNow
        // All of the gap: the brokers' heartbeats were not heard for any part of it.
        if gap > pace.pauseMilliseconds { pausedMilliseconds += gap }
        lastNow = now
    }

    /// At the election: a whole timeout and the grace of a new leader.
    mutating func begin(_ id: BrokerID, epoch: BrokerEpoch, state: Broker.State) {
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
    mutating func inherit(_ silences: BrokerSilences) {
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

    mutating func noted(_ silences: BrokerSilences) {
        for id in leases.keys {
            guard let lease = leases[id] else { continue }
            leases[id]?.noted = silences.milliseconds(of: id, lease.epoch)
        }
    }

    /// A heartbeat, at the time that was passed to.
    mutating func heard(
        _ broker: BrokerID, _ epoch: BrokerEpoch, wantsFence: Bool, usedBytes: UInt64?
    ) -> HeartbeatDecision {
        guard var lease = leases[broker] else { return .unknownBroker }
        guard lease.epoch == epoch else { return .staleEpoch }
        guard !lease.isCondemned, lease.state != .fencing else {
            return .condemned(milliseconds: pace.timeoutMilliseconds)
        }
        let time = activeTime
        let wasDue = lease.due
        lease.end = max(lease.end, time + pace.timeoutMilliseconds)
        lease.silence = 0
        lease.silentSince = time
        lease.noteAt = time + pace.searchMilliseconds + pace.noteMilliseconds
        lease.usedBytes = usedBytes
        lastHeard = time
        // Until the log says so the next leader does not know that it was heard.
        notes[broker] = lease.evidence > 0 ? 0 : nil
        var shouldUnfence = false
        switch lease.state {
        case .fenced:
            shouldUnfence = !wantsFence && lease.unfenceAgain <= time
            if shouldUnfence { lease.unfenceAgain = time + pace.retryMilliseconds }
        case .active, .fencing, .shuttingDown:
            break
        }
        // As much silence as is ever noted was, so nothing was due before the end; now something is.
        if lease.due < wasDue { set(broker, lease) } else { leases[broker] = lease }
        let remaining = pace.timeoutMilliseconds - min(lease.evidence, pace.timeoutMilliseconds - 1)
        return .lease(milliseconds: remaining, shouldUnfence: shouldUnfence)
    }

    mutating func brokerChanged(_ broker: Broker) {
        let known = leases[broker.id]
        if let known, known.epoch == broker.epoch, known.state == broker.state { return }
        // Whoever just became active has been heard, but the entry took its time.
        renew(broker.id, epoch: broker.epoch, state: broker.state)
        // Somebody else's entry came first; the fence still follows.
        if let known, known.epoch == broker.epoch, known.isCondemned { condemn(broker.id, known.epoch) }
    }

    mutating func fenceApplied(_ id: BrokerID, _ epoch: BrokerEpoch) {
        guard let lease = leases[id], lease.epoch == epoch, lease.isCondemned else { return }
        let time = activeTime
        leases[id]?.end = time
        renew(id, epoch: epoch, state: lease.state)
    }

    mutating func remove(_ id: BrokerID) {
        leases[id] = nil
        notes[id] = nil
    }

    mutating func notesApplied(_ notes: [BrokerSilence]) {
        for note in notes {
            guard let lease = leases[note.broker], lease.epoch == note.epoch, lease.proposed == note.milliseconds
            else { continue }
            leases[note.broker]?.proposed = 0
        }
    }

    /// Heard of in another state or registration: a whole timeout at least.
    mutating func renew(_ id: BrokerID, epoch: BrokerEpoch, state: Broker.State) {
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

    mutating func set(_ id: BrokerID, _ lease: BrokerLiveness.Lease) {
        lastStamp += 1
        leases[id] = lease
        leases[id]?.stamp = lastStamp
        if lease.isWatched {
            deadlines.insert(BrokerLiveness.Deadline(due: lease.due, broker: id, stamp: lastStamp))
        }
    }

    mutating func condemn(_ id: BrokerID, _ epoch: BrokerEpoch) {
        guard leases[id]?.epoch == epoch else { return }
        leases[id]?.isCondemned = true
    }

    mutating func takeExpired() -> [(BrokerID, BrokerEpoch)] {
        var found: [(BrokerID, BrokerEpoch)] = []
        let time = activeTime
        while let first = deadlines.min, first.due < time {
            var deadline = deadlines.removeMin()
            // Another registration or state, or none: its own entry is in the heap if it needs one.
            guard var lease = leases[deadline.broker], lease.stamp == deadline.stamp else { continue }
            if lease.end < time {
                found.append((deadline.broker, lease.epoch))
                lease.end = time + pace.retryMilliseconds
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

    mutating func takeNotes() -> [BrokerSilence] {
        guard hasInherited, !notes.isEmpty else { return [] }
        var taken: [BrokerSilence] = []
        for id in notes.keys.sorted().prefix(Limits.silentBrokersMax) {
            guard let milliseconds = notes.removeValue(forKey: id), let lease = leases[id] else { continue }
            taken.append(BrokerSilence(broker: id, epoch: lease.epoch, milliseconds: milliseconds))
            leases[id]?.proposed = max(lease.proposed, milliseconds)
        }
        return taken
    }

    func checkInvariants() {
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
