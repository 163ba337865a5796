import DequeModule
import MetadataModel
import MetadataSchema
import NIOCore
import Resilience
import Wire

/// The session that makes retries of writes safe (Diss. §6.3).
extension ClientMachine {
    var sessionTimeoutMilliseconds: UInt64 {
        let asked = max(0, options.sessionTimeout.wholeNanoseconds / 1_000_000)
        return min(
            max(UInt64(asked), Limits.sessionTimeoutMillisecondsMin), Limits.sessionTimeoutMillisecondsMax)
    }

    /// Session control travels outside of any session: trying again at worst leaves a session that expires.
    func sessionRequest(_ command: Command, _ timeoutMilliseconds: UInt32) -> ClientRequest {
        .write(
            WriteRequest(
                session: nil, sequence: 0, acknowledgedBelow: 0, command: command.schemaBytes(),
                timeoutMilliseconds: timeoutMilliseconds))
    }

    /// The first write waits: a session is opened for it and those after it.
    mutating func openSession() {
        let id = nextInternalID()
        session = .opening(id)
        // It has no deadline of its own: it ends when no write waits for it any more.
        calls[id] = Call(kind: .openSession, deadline: .distantFuture)
        controls.append(id)
    }

    mutating func sessionOpened(_ id: SessionID) {
        guard case .opening = session else { return }
        session = .open(id, SequenceWindow())
        actions.append(.log(.sessionOpened(id)))
    }

    /// The cluster does not open a session: the writes that wait for one fail with its reason, none was sent.
    mutating func sessionRefused(_ failure: CallFailure) {
        session = .none
        let waiting = Array(newWrites)
        newWrites.removeAll()
        for id in waiting {
            guard let call = calls[id], case .queued = call.place else { continue }
            var reason = failure
            reason.outcome = .definite
            reason.detail = "no session: \(failure.detail)"
            fail(id, reason)
        }
    }

    /// Until when it is any use to try a call again. A session is opened for the writes that wait for it.
    func patience(of call: Call, now: NIODeadline) -> NIODeadline {
        guard case .openSession = call.kind else { return call.deadline }
        return newWrites.compactMap { calls[$0]?.deadline }.max() ?? now
    }

    /// Nobody waits for the session that is being opened: stop asking for it.
    mutating func abandonOpeningIfUnneeded() {
        guard case .opening(let id) = session, let call = calls[id] else { return }
        if case .sent = call.place { return }
        guard !newWrites.contains(where: { calls[$0] != nil }) else { return }
        _ = remove(id)
        session = .none
    }

    mutating func settle(_ ticket: Call.Ticket) {
        guard case .open(let id, var window) = session, id == ticket.session else { return }
        session = .none
        window.settle(ticket.sequence)
        session = .open(id, window)
    }

    /// The cluster does not know the session of a write (any more). The refused attempt was not carried out, but what
    /// became of an earlier one cannot be told.
    mutating func sessionExpired(_ id: CallID) {
        guard let call = calls[id], let ticket = call.ticket else { return }
        if case .open(let current, _) = session, current == ticket.session {
            session = .none
            actions.append(.log(.sessionLost(current)))
            // Those in flight get their own answers. Those that wait to be sent again are decided here.
            let waiting = resends
            resends.removeAll()
            for other in waiting {
                if let call = calls[other], case .queued = call.place { outliveSession(other, call) }
            }
        }
        outliveSession(id, call)
    }

    func isCurrent(_ id: SessionID) -> Bool {
        guard case .open(let current, _) = session else { return false }
        return current == id
    }

    /// Decides a write whose session has ended: it becomes a new write, ahead of those that never were sent, if it was
    /// certainly not carried out.
    mutating func outliveSession(_ id: CallID, _ call: Call) {
        guard !call.mayHaveHappened else {
            let detail = "the session ended before the fate of an earlier attempt was known"
            return fail(id, CallFailure(.sessionLost, .indefinite, detail))
        }
        endAttempt(id, isResolved: true)
        calls[id]?.ticket = nil
        newWrites.prepend(id)
    }

    // MARK: Giving it back

    /// Asks the cluster to forget the session, so that a short-lived client leaves nothing behind. False when there is none
    /// or nobody to ask: then it expires by itself.
    mutating func giveSessionBack(now: NIODeadline) -> Bool {
        guard case .open(let sessionID, _) = session, leaderLink != nil else { return false }
        session = .none
        let id = nextInternalID()
        calls[id] = Call(kind: .closeSession(sessionID), deadline: now + ClientMachine.closeWait)
        controls.append(id)
        return true
    }
}
