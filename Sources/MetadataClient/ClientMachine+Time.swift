import HeapModule
import NIOCore
import Resilience

/// What happens because time has passed. The event loop calls `tick` now and then; nothing here has a timer of its own.
extension ClientMachine {
    mutating func tick(now: NIODeadline) {
        if case .closing(let until) = phase, until <= now { finishClose() }
        if case .closed = phase { return }
        refillBudget(now: now)
        expireCalls(now: now)
        wakeDelayed(now: now)
        retryFailedWatches()
        checkLinks(now: now)
        sweepSlowCalls(now: now)
        abandonOpeningIfUnneeded()
        giveUpWithoutLeader(now: now)
        trimQueues()
        dispatch(now: now)
    }

    /// When `tick` wants to be called next; nil while nothing can happen by time alone.
    func nextTick(now: NIODeadline) -> NIODeadline? {
        if case .closed = phase { return nil }
        if case .closing = phase { return now + ClientMachine.tickBusy }
        let isConnecting = nodes.contains { node in
            switch node.link {
            case .connecting, .greeting: true
            case .closed: false
            case .ready(let link): link.awaitsAnswer
            }
        }
        let isBusy = !calls.isEmpty || isConnecting || !unplacedWatches.isEmpty || !failedWatches.isEmpty
        if isBusy { return now + ClientMachine.tickBusy }
        return nodes.contains { $0.ready != nil } ? now + ClientMachine.tickIdle : nil
    }

    // MARK: Calls

    private mutating func expireCalls(now: NIODeadline) {
        while let first = deadlines.min {
            guard let call = calls[first.id] else {
                deadlines.removeMin()
                continue
            }
            guard first.deadline <= now else { break }
            deadlines.removeMin()
            fail(first.id, expiry(of: call))
        }
        // Calls that were answered stay in the heap until they are its least. Keep them from piling up behind a slow one.
        if deadlines.count > 2 * calls.count + ClientMachine.leftoversMax {
            let live = calls.map { DeadlineEntry(deadline: $0.value.deadline, id: $0.key) }
            deadlines = Heap(live)
        }
    }

    /// What to say of a call whose time is up. A write that may have arrived somewhere is neither done nor refused
    /// (pitfall 32).
    private func expiry(of call: Call) -> CallFailure {
        guard call.isUnanswered else {
            if let turnedDown = call.turnedDown { return turnedDown }
            if case .opening(let id) = session, call.counter == .writes, let turnedDown = calls[id]?.turnedDown {
                return turnedDown
            }
            return CallFailure(.unavailable, .definite, "not served in time; \(troubleDetail)")
        }
        let outcome: MetadataError.Outcome = call.isUnresolved ? .indefinite : .definite
        let unknown = call.isUnresolved ? "outcome unknown: " : ""
        return CallFailure(.timedOut, outcome, "\(unknown)sent, but not answered in time; \(troubleDetail)")
    }

    private mutating func wakeDelayed(now: NIODeadline) {
        guard !delayed.isEmpty else { return }
        var waiting: [CallID] = []
        for id in delayed {
            guard let call = calls[id], case .delayed(let until) = call.place else { continue }
            if until <= now { wake(id) } else { waiting.append(id) }
        }
        delayed = waiting
    }

    /// Calls that have waited for a leader for as long as the options allow.
    private mutating func giveUpWithoutLeader(now: NIODeadline) {
        guard let search, now - search.since > TimeAmount(options.leaderWait ?? toldLeaderWait) else { return }
        for id in calls.keys.sorted() {
            guard let call = calls[id], case .queued = call.place else { continue }
            if call.onlyNode != nil { continue }
            let outcome: MetadataError.Outcome = call.isUnresolved ? .indefinite : .definite
            let code: MetadataError.Code = call.isUnresolved ? .timedOut : .unavailable
            fail(id, CallFailure(code, outcome, troubleDetail))
        }
        self.search = nil
    }

    /// A node that answers others but not this call may have lost touch with the quorum: ask the others who leads, and
    /// take reads elsewhere.
    private mutating func sweepSlowCalls(now: NIODeadline) {
        if let last = slowSweepAt, now - last < ClientMachine.slowSweepInterval { return }
        slowSweepAt = now
        let slow = calls.filter { _, call in
            guard case .sent(_, _, let sentAt) = call.place else { return false }
            return now - sentAt >= attemptTimeout
        }.keys.sorted()
        guard !slow.isEmpty else { return }
        for id in slow {
            guard let call = calls[id], case .read = call.kind, case .sent(let connection, _, _) = call.place,
                !readyNodes(where: { $0 != connection.node }).isEmpty
            else { continue }
            calls[id]?.avoids = connection.node
            requeue(id, isResolved: false)
        }
        if let last = askedAroundAt, now - last < attemptTimeout { return }
        askedAroundAt = now
        askAround(now: now)
    }

    /// Drops the ids of calls that ended in a queue, when they are more than those that wait.
    private mutating func trimQueues() {
        let bound = 2 * calls.count + ClientMachine.leftoversMax
        func isLive(_ id: CallID) -> Bool { calls[id] != nil }
        if newWrites.count > bound { newWrites = newWrites.filter(isLive) }
        if leaderReads.count > bound { leaderReads = leaderReads.filter(isLive) }
        if anywhereReads.count > bound { anywhereReads = anywhereReads.filter(isLive) }
        if controls.count > bound { controls = controls.filter(isLive) }
        if resends.count > bound { resends = resends.filter(isLive) }
    }

    private mutating func refillBudget(now: NIODeadline) {
        let last = budgetRefilledAt ?? now
        guard budgetRefilledAt != nil else {
            budgetRefilledAt = now
            return
        }
        let elapsed = now - last
        guard elapsed >= .seconds(1) else { return }
        budget.refill(elapsed: .nanoseconds(elapsed.nanoseconds))
        budgetRefilledAt = now
    }

    // MARK: Connections

    /// Tells connections that hang from those that are only quiet: what is silent while something is waited for is asked
    /// how it is, and closed when it stays silent (pitfall 40).
    private mutating func checkLinks(now: NIODeadline) {
        for index in nodes.indices {
            let key = NodeKey(index: index)
            switch nodes[index].link {
            case .closed: break
            case .connecting(let connection, let until):
                if until <= now { drop(connection, reason: "connecting took too long", now: now) }
            case .greeting(let connection, let until):
                if until <= now { drop(connection, reason: "hello was not answered in time", now: now) }
            case .ready(let link):
                checkReady(key, link, now: now)
            }
        }
    }

    private mutating func checkReady(_ key: NodeKey, _ link: Node.ReadyLink, now: NIODeadline) {
        let quiet = now - link.quietSince
        if link.awaitsAnswer, quiet >= attemptTimeout {
            return drop(link.connection, reason: "silent for \(quiet.nanoseconds / 1_000_000) ms", now: now)
        }
        if link.awaitsAnswer, quiet >= TimeAmount.nanoseconds(attemptTimeout.nanoseconds / 2) {
            probe(key, now: now)
        }
        if link.watches > 0, link.nextWatchProbe <= now {
            nodes[key.index].updateReady { $0.nextWatchProbe = now + ClientMachine.watchProbeInterval }
            probe(key, now: now)
        }
        if link.nextMembersProbe <= now {
            nodes[key.index].updateReady { $0.nextMembersProbe = now + ClientMachine.membersProbeInterval }
            probe(key, now: now)
        }
        let isSpare = leader.node != key || !nodes[key.index].isWanted
        if isSpare, !link.hasWork, now - link.usedAt >= ClientMachine.idleMax {
            nodes[key.index].backoff.reset()
            drop(link.connection, reason: "not needed", outcome: .neutral, now: now)
        }
    }

    /// How often `tick` is called while something is waited for.
    static let tickBusy = TimeAmount.milliseconds(10)
    /// And while connections are only kept.
    static let tickIdle = TimeAmount.milliseconds(500)
    /// Leftovers in queues that are not worth the work of dropping them.
    static let leftoversMax = 1_024
}
