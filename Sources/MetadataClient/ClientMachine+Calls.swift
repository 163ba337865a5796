import DequeModule
import HeapModule
import MetadataModel
import NIOCore
import Resilience
import Wire

/// Queues and routing.
extension ClientMachine {
    mutating func add(_ id: CallID, _ call: Call, now: NIODeadline) {
        let isControl = call.counter == .others
        guard isControl || calls.count < options.queuedMax + options.inFlightMax else {
            traceparents[id] = nil
            let detail = "\(calls.count) calls wait in this client already"
            return answer(call.kind, CallFailure(.clientOverloaded, .definite, detail))
        }
        precondition(calls[id] == nil, "call \(id) was submitted twice")
        calls[id] = call
        deadlines.insert(DeadlineEntry(deadline: call.deadline, id: id))
        budget.deposit()
        enqueue(id, call)
    }

    /// An id for a request of the client's own.
    mutating func nextInternalID() -> CallID {
        lastInternalID += 1
        return lastInternalID
    }

    /// Puts a call that is `queued` into the queue of its kind.
    private mutating func enqueue(_ id: CallID, _ call: Call) {
        switch call.kind {
        case .write:
            guard let ticket = call.ticket else { return newWrites.append(id) }
            if isCurrent(ticket.session) { resends.append(id) } else { outliveSession(id, call) }
        case .read(_, let consistency, _):
            switch consistency {
            case .linearizable: leaderReads.append(id)
            case .atLeast, .stale: anywhereReads.append(id)
            }
        case .heartbeat, .membership, .openSession, .closeSession: controls.append(id)
        case .status, .control, .breakers: nodeRequests.append(id)
        }
    }

    /// The current attempt of a call, if any, is over without an answer. `isResolved`: it is known not to have been
    /// carried out.
    mutating func endAttempt(_ id: CallID, isResolved: Bool) {
        guard var call = calls[id], case .sent(let connection, _, _) = call.place else { return }
        release(call, connection)
        call.permit = nil
        if !isResolved { call.mayHaveHappened = true }
        call.place = .queued
        calls[id] = call
    }

    /// Tries a call again as soon as a node for it is there.
    mutating func requeue(_ id: CallID, isResolved: Bool) {
        endAttempt(id, isResolved: isResolved)
        guard let call = calls[id], case .queued = call.place else { return }
        enqueue(id, call)
    }

    /// Tries a call again after a pause.
    mutating func delay(_ id: CallID, isResolved: Bool, pause: Duration, now: NIODeadline) {
        endAttempt(id, isResolved: isResolved)
        guard var call = calls[id] else { return }
        call.delays += 1
        call.place = .delayed(until: now + TimeAmount(pause))
        calls[id] = call
        delayed.append(id)
    }

    /// A delayed call's time has come.
    mutating func wake(_ id: CallID) {
        guard var call = calls[id], case .delayed = call.place else { return }
        call.place = .queued
        calls[id] = call
        enqueue(id, call)
    }

    /// Takes a call out, for its answer.
    mutating func remove(_ id: CallID) -> Call? {
        guard let call = calls.removeValue(forKey: id) else { return nil }
        if !traceparents.isEmpty { traceparents[id] = nil }
        if case .sent(let connection, _, _) = call.place { release(call, connection) }
        if let ticket = call.ticket { settle(ticket) }
        for retryID in call.retryIDs { retries.removeValue(forKey: retryID) }
        return call
    }

    mutating func fail(_ id: CallID, _ failure: CallFailure) {
        guard let call = remove(id) else { return }
        answer(call.kind, failure)
    }

    private mutating func answer(_ kind: Call.Kind, _ failure: CallFailure) {
        switch kind {
        case .write(_, let handler): actions.append(.answerWrite(handler, .failure(failure)))
        case .read(_, _, let handler): actions.append(.answerRead(handler, .failure(failure)))
        case .heartbeat(_, let handler): actions.append(.answerHeartbeat(handler, .failure(failure)))
        case .status(_, let handler): actions.append(.answerStatus(handler, .failure(failure)))
        case .control(_, _, let handler): actions.append(.answerControl(handler, .failure(failure)))
        case .membership(_, let handler): actions.append(.answerMembership(handler, .failure(failure)))
        case .breakers(_, _, let handler): actions.append(.answerBreakers(handler, .failure(failure)))
        case .openSession: sessionRefused(failure)
        case .closeSession: finishClose()
        }
    }

    /// The connection's counters forget a call. One that has said nothing of its node so far never will.
    private mutating func release(_ call: Call, _ connection: ConnectionID) {
        if let permit = call.permit { nodes[connection.node.index].breaker.record(.neutral, of: permit, now: .zero) }
        guard nodes[connection.node.index].ready?.connection == connection else { return }
        nodes[connection.node.index].updateReady { link in
            switch call.counter {
            case .writes: link.writesInFlight -= 1
            case .reads: link.readsInFlight -= 1
            case .others: link.othersInFlight -= 1
            }
        }
    }

    // MARK: Dispatch

    /// Sends what can be sent, and looks for nodes that are missing. At the end of each batch of inputs.
    mutating func dispatch(now: NIODeadline) {
        if case .closed = phase { return }
        dispatchNodeRequests(now: now)
        if let link = leaderLink, link.isWritable {
            // Writes first: they may ask for a session.
            dispatchWrites(to: link.connection, now: now)
            dispatchControls(to: link.connection, now: now)
        }
        dispatchLeaderReads(now: now)
        dispatchAnywhereReads(now: now)
        placeWatches(now: now)
        updateSearch(now: now)
    }

    /// The leader's connection, when it is ready.
    var leaderLink: Node.ReadyLink? { leader.node.flatMap { nodes[$0.index].ready } }

    /// Takes the next call that still waits out of a queue.
    private static func pop(_ queue: inout Deque<CallID>, _ calls: [CallID: Call]) -> (CallID, Call)? {
        while let id = queue.popFirst() {
            if let call = calls[id], case .queued = call.place { return (id, call) }
        }
        return nil
    }

    private mutating func dispatchControls(to connection: ConnectionID, now: NIODeadline) {
        while let (id, call) = Self.pop(&controls, calls) { send(id, call, connection, now: now) }
    }

    private mutating func dispatchWrites(to connection: ConnectionID, now: NIODeadline) {
        if !resends.isEmpty { resend(to: connection, now: now) }
        guard !newWrites.isEmpty, resends.isEmpty else { return }
        switch session {
        case .none: openSession()
        case .opening: break
        case .open(let sessionID, var window):
            // The window is moved out and back, so that taking a number does not copy it.
            session = .none
            defer { session = .open(sessionID, window) }
            let room = options.inFlightMax - (nodes[connection.node.index].ready?.writesInFlight ?? 0)
            var sent = 0
            while sent < room, window.hasRoom, case (let id, var call)? = Self.pop(&newWrites, calls) {
                guard let sequence = window.take() else { preconditionFailure("a window with room gives a number") }
                call.ticket = Call.Ticket(session: sessionID, sequence: sequence)
                send(id, call, connection, acknowledgedBelow: window.acknowledgedBelow, now: now)
                sent += 1
            }
        }
    }

    /// Sends writes that were sent before, in the order of their sequence.
    private mutating func resend(to connection: ConnectionID, now: NIODeadline) {
        guard case .open(_, let window) = session else { return }
        let waiting = resends.compactMap { id -> (CallID, Call, UInt64)? in
            guard let call = calls[id], case .queued = call.place, let ticket = call.ticket else { return nil }
            return (id, call, ticket.sequence)
        }.sorted { $0.2 < $1.2 }
        resends.removeAll(keepingCapacity: true)
        let room = max(0, options.inFlightMax - (nodes[connection.node.index].ready?.writesInFlight ?? 0))
        for (id, call, _) in waiting.prefix(room) {
            send(id, call, connection, acknowledgedBelow: window.acknowledgedBelow, now: now)
        }
        resends += waiting.dropFirst(room).map(\.0)
    }

    private mutating func dispatchLeaderReads(now: NIODeadline) {
        while let (id, call) = Self.pop(&leaderReads, calls) {
            guard let target = linearizableTarget(avoiding: call.avoids, now: now) else {
                if failIfShutOut(id, call, now: now) { continue }
                leaderReads.prepend(id)
                return
            }
            send(id, call, target, now: now)
        }
    }

    private mutating func dispatchAnywhereReads(now: NIODeadline) {
        while let (id, call) = Self.pop(&anywhereReads, calls) {
            guard let target = anyTarget(avoiding: call.avoids, now: now) else {
                if failIfShutOut(id, call, now: now) { continue }
                anywhereReads.prepend(id)
                return
            }
            send(id, call, target, now: now)
        }
    }

    private mutating func dispatchNodeRequests(now: NIODeadline) {
        var waiting: [CallID] = []
        while let (id, call) = Self.pop(&nodeRequests, calls) {
            guard let node = call.onlyNode else { continue }
            if let link = nodes[node.index].ready {
                send(id, call, link.connection, now: now)
            } else {
                dial(node, isUrgent: true, now: now)
                waiting.append(id)
            }
        }
        nodeRequests.append(contentsOf: waiting)
    }

    // MARK: Targets

    /// The leader if possible; another node can serve the read too when it knows the leader better than we reach it.
    private mutating func linearizableTarget(avoiding avoided: NodeKey?, now: NIODeadline) -> ConnectionID? {
        guard let leaderNode = leader.node else { return nil }
        let isLeaderWell = nodes[leaderNode.index].breaker.admits(now: now.sinceStart)
        if leaderNode != avoided, isLeaderWell, let link = nodes[leaderNode.index].ready { return hasRoomForRead(link) }
        if nodes[leaderNode.index].ready == nil { missedLeader = true }
        let others = readyNodes {
            $0 != leaderNode && $0 != avoided && nodes[$0.index].breaker.admits(now: now.sinceStart)
        }
        if let other = others.randomElement(using: &random) { return nodes[other.index].ready.flatMap(hasRoomForRead) }
        return isLeaderWell ? nodes[leaderNode.index].ready.flatMap(hasRoomForRead) : nil
    }

    private mutating func anyTarget(avoiding avoided: NodeKey?, now: NIODeadline) -> ConnectionID? {
        let ready = readyNodes {
            nodes[$0.index].ready.flatMap(hasRoomForRead) != nil && nodes[$0.index].breaker.admits(now: now.sinceStart)
        }
        let preferred = ready.filter { $0 != avoided }
        let chosen = (preferred.isEmpty ? ready : preferred).randomElement(using: &random)
        return chosen.flatMap { nodes[$0.index].ready?.connection }
    }

    private func hasRoomForRead(_ link: Node.ReadyLink) -> ConnectionID? {
        link.isWritable && link.readsInFlight < options.inFlightMax ? link.connection : nil
    }

    /// A read that no node will be asked for within its deadline learns it at once: the breakers of all of them are open.
    private mutating func failIfShutOut(_ id: CallID, _ call: Call, now: NIODeadline) -> Bool {
        var soonest: Duration?
        for node in nodes where node.isWanted {
            guard let wait = node.breaker.retryAfter(now: now.sinceStart), wait > .zero else { return false }
            soonest = min(soonest ?? wait, wait)
        }
        guard let soonest, now + TimeAmount(soonest) >= call.deadline else { return false }
        let rejection = CircuitBreaker.Rejection(retryAfter: soonest)
        let detail = "the circuit breakers of all nodes are \(rejection); \(troubleDetail)"
        fail(id, CallFailure(.circuitOpen, .definite, detail, retryAfter: soonest))
        return true
    }

    func readyNodes(where isWanted: (NodeKey) -> Bool = { _ in true }) -> [NodeKey] {
        nodes.indices.lazy.map(NodeKey.init).filter { nodes[$0.index].ready != nil && isWanted($0) }
    }

    // MARK: Sending

    private mutating func send(
        _ id: CallID, _ call: Call, _ connection: ConnectionID, acknowledgedBelow: UInt64 = 0, now: NIODeadline
    ) {
        var call = call
        // A late answer to an earlier attempt must not be taken for one to this attempt, so each has an id of its own.
        var requestID = id
        if call.wasAttempted {
            requestID = nextInternalID()
            retries[requestID] = id
            call.retryIDs.append(requestID)
        }
        call.wasAttempted = true
        call.turnedDown = nil
        if call.counter == .reads { call.permit = permitForRead(connection.node, now: now) }
        call.place = .sent(connection, requestID: requestID, at: now)
        calls[id] = call
        let request = request(for: call, acknowledgedBelow: acknowledgedBelow, now: now)
        let counter = call.counter
        nodes[connection.node.index].updateReady { link in
            if !link.awaitsAnswer { link.quietSince = now }
            link.usedAt = now
            switch counter {
            case .writes: link.writesInFlight += 1
            case .reads: link.readsInFlight += 1
            case .others: link.othersInFlight += 1
            }
        }
        let traceparent = traceparents.isEmpty ? nil : traceparents[id]
        actions.append(.send(connection, ClientRequestFrame(id: requestID, request: request, traceparent: traceparent)))
    }

    /// Nil when the breaker lets nothing through: what is asked of the node all the same says nothing.
    private mutating func permitForRead(_ key: NodeKey, now: NIODeadline) -> CircuitBreaker.Permit? {
        do {
            return try nodes[key.index].breaker.admit(now: now.sinceStart)
        } catch {
            return nil
        }
    }

    private func request(for call: Call, acknowledgedBelow: UInt64, now: NIODeadline) -> ClientRequest {
        let timeout = ClientMachine.milliseconds(from: now, to: call.deadline)
        switch call.kind {
        case .write(let command, _):
            return .write(
                WriteRequest(
                    session: call.ticket?.session, sequence: call.ticket?.sequence ?? 0,
                    acknowledgedBelow: acknowledgedBelow, command: command, timeoutMilliseconds: timeout))
        case .read(let query, let consistency, _):
            return .read(ReadRequest(query: query, consistency: consistency, timeoutMilliseconds: timeout))
        case .heartbeat(let heartbeat, _): return .heartbeat(heartbeat)
        case .status: return .nodeStatus
        case .control(_, let control, _): return .control(control)
        case .membership(let call, _): return call.request
        case .breakers(_, let control, _): return control.map { .controlBreaker($0) } ?? .breakers
        case .openSession: return sessionRequest(.openSession(timeoutMilliseconds: sessionTimeoutMilliseconds), timeout)
        case .closeSession(let id): return sessionRequest(.closeSession(id), timeout)
        }
    }

    /// Time left, rounded up so that a call that still has time never says zero.
    static func milliseconds(from now: NIODeadline, to deadline: NIODeadline) -> UInt32 {
        let left = (deadline - now).nanoseconds
        guard left > 0 else { return 1 }
        return UInt32(clamping: (left - 1) / 1_000_000 + 1)
    }
}
