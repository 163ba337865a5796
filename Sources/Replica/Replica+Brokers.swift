internal import Coordination
package import MetadataModel
internal import RaftCore

/// What brokers say, what their silence means, and what is done about it.
extension Replica {
    /// A broker says that it lives. Only the leader counts, so only the leader answers (pitfall: heartbeats recorded where
    /// they arrive).
    ///
    /// - Parameters:
    ///   - caughtUp: the version that the broker has followed the metadata to; zero from one that does not say.
    ///   - wantsFence: the broker asks to be fenced, or to stay so.
    ///   - wantsShutdown: the broker asks to stop; it may when leadership has moved off (KIP-631).
    ///   - usedBytes: what its replicas take, if it says so; kept in memory, for the progress of drains.
    ///   - time: the present, on the caller's monotonic clock: the last tick may be long ago where the process was stopped.
    package mutating func heartbeat(
        broker: BrokerID, epoch: BrokerEpoch, caughtUp: Version = .zero, wantsFence: Bool, wantsShutdown: Bool = false,
        usedBytes: UInt64? = nil, token: RequestToken, now time: UInt64
    ) {
        advanceClock(to: time)
        inheritSilences()
        guard grantsLeases else {
            askWhetherItLeads()
            effects.append(.replyHeartbeat(token, .notLeader(isLeader ? nil : core.status.leader)))
            return
        }
        // Whoever follows the metadata leads only when it has seen its own registration, whose version is its epoch, and so
        // all that was decided about its replicas before (KIP-631).
        let isBehind = caughtUp != .zero && caughtUp.rawValue < epoch.rawValue
        let decision = liveness.heard(
            broker: broker, epoch: epoch, now: now, wantsFence: wantsFence || wantsShutdown || isBehind,
            usedBytes: usedBytes)
        switch decision {
        case .lease(let milliseconds, let shouldUnfence):
            guard let known = brokers[broker] else {
                effects.append(.replyHeartbeat(token, .unknownBroker))
                return
            }
            if shouldUnfence { proposeOwn(.unfenceBroker(id: broker, epoch: epoch)) }
            var answered = known.state
            if wantsFence, known.state != .fenced {
                proposeOwn(.fenceBroker(id: broker, epoch: epoch))
                liveness.fenceProposed(broker, epoch: epoch)
                answered = .fencing
            } else if wantsShutdown, known.state == .active {
                proposeOwn(.beginShutdown(id: broker, epoch: epoch))
            }
            let isWithdrawn = known.state == .fenced || known.state == .shuttingDown
            let leadsNothing = isWithdrawn && withdrawing.hasLeft(broker)
            effects.append(
                .replyHeartbeat(
                    token,
                    .accepted(
                        state: answered, leaseMilliseconds: milliseconds, version: version,
                        shouldShutDown: leadsNothing && (wantsShutdown || known.state == .shuttingDown))))
        case .condemned(let milliseconds):
            let isFenced = brokers[broker]?.state == .fenced
            effects.append(
                .replyHeartbeat(
                    token,
                    .accepted(
                        state: isFenced ? .fenced : .fencing, leaseMilliseconds: milliseconds, version: version,
                        shouldShutDown: false)))
        case .unknownBroker, .staleEpoch:
            effects.append(.replyHeartbeat(token, .unknownBroker))
        }
    }

    /// After it stood still: as for a read, a majority has to say so (Diss. §6.4).
    mutating func askWhetherItLeads() {
        guard isLeader, belief == .shaken else { return }
        let id = reads.drawID()
        if core.read(id: id) { belief = .asked(id) }
    }

    /// Whether this member may tell brokers what they are. It knows the state of all of them, those included that an earlier
    /// leader was fencing, and nobody else leads that could fence them meanwhile.
    var grantsLeases: Bool {
        isLeader && reportedStatus.role == .leader && reportedStatus.term == core.status.term
            && core.appliedIndex >= electedAt && belief == .firm && protection.quarantine == nil
    }

    /// Proposes the fencing of those that were silent for too long, and notes who is on the way there.
    mutating func judgeSilence() {
        inheritSilences()
        for (broker, epoch) in liveness.expired(now: now) {
            proposeOwn(.fenceBroker(id: broker, epoch: epoch))
        }
        let notes = liveness.takeNotes()
        if !notes.isEmpty { proposeOwn(.noteSilence(notes)) }
        proposeStep()
    }

    /// Before this leader hears or judges anybody: what those before it have noted, once all of it is applied.
    mutating func inheritSilences() {
        guard liveness.isLeading, !liveness.hasInherited, core.appliedIndex >= electedAt else { return }
        liveness.inherited(silences)
    }

    /// Goes on with what takes more than one entry, whoever began it, those that are dead first. One step is on its way at a time.
    mutating func proposeStep() {
        guard isLeader, core.appliedIndex >= electedAt, protection.quarantine == nil,
            let step = withdrawing.next ?? (unfinished.isEmpty ? nil : .takeStep)
        else { return }
        proposeOwn(step)
    }

    /// Every registered broker is granted its timeout and the grace of a new leader, and none gets a lease before what the log
    /// holds about it is applied.
    mutating func judgeBrokers() {
        electedAt = core.lastIndex
        // Which shutdowns are done this leader has not seen.
        withdrawing = WithdrawingBrokers(brokers.all)
        liveness.becameLeader(now: now, brokers: registeredBrokers.map { ($0.id, $0.epoch, $0.state) })
        coordination.becameLeader(now: now, brokers: registeredBrokers)
    }
}
