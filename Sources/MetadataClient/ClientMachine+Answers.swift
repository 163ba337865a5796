import MetadataModel
import NIOCore
import RaftCore
import Resilience
import Wire

/// What nodes say.
extension ClientMachine {
    /// A frame arrived. `dispatch` follows at the end of the batch.
    mutating func received(_ connection: ConnectionID, _ frame: ClientResponseFrame, now: NIODeadline) {
        let node = nodes[connection.node.index]
        guard node.connection == connection else { return }
        if case .greeting = node.link { return greeted(connection, frame.response, now: now) }
        guard let link = node.ready else { return violated(connection, "an answer before hello was sent", now: now) }

        nodes[connection.node.index].updateReady { $0.quietSince = now }
        if let probe = link.probe, probe.id == frame.id {
            nodes[connection.node.index].updateReady { $0.probe = nil }
            guard case .nodeStatus(let status) = frame.response else {
                if case .failure = frame.response { return }
                return violated(connection, "a status request was answered with something else", now: now)
            }
            return probed(connection, status, now: now)
        }
        if let watch = watchRequests[frame.id] {
            if !watchAnswered(watch, frame.response) {
                violated(connection, "a watch was answered out of order or with something else", now: now)
            }
            return
        }
        let id = retries[frame.id] ?? frame.id
        // No call: a late answer, when the call was answered or given up in the meantime.
        guard let call = calls[id] else { return }
        judge(id, frame, on: connection, now: now)
        if case .failure(let failure) = frame.response {
            heed(failure, from: connection, now: now)
            // What an earlier attempt failed of does not matter to the current one.
            guard let call = calls[id], case .sent(connection, frame.id, _) = call.place else { return }
            failed(id, call, failure, now: now)
        } else {
            answered(id, call, connection, frame.response, now: now)
        }
    }

    private mutating func answered(
        _ id: CallID, _ call: Call, _ connection: ConnectionID, _ response: ClientResponse, now: NIODeadline
    ) {
        // A result counts, whichever attempt it answers.
        proven(connection, now: now)
        switch (call.kind, response) {
        case (.write(_, let handler), .write(let outcome)):
            switch outcome {
            case .done(let result):
                _ = remove(id)
                actions.append(.answerWrite(handler, .success(result)))
            case .refused(let refusal) where refusal.reason == .sessionExpired:
                sessionExpired(id)
            case .refused(let refusal) where refusal.reason == .sequenceOutOfWindow && call.mayHaveHappened:
                // The cluster no longer knows the answer: only an earlier attempt of this write can have used it up.
                fail(id, CallFailure(.sessionLost, .indefinite, refusal.detail))
            case .refused(let refusal):
                fail(id, .refused(refusal))
            }
        case (.read(_, _, let handler), .read(let result, _)):
            _ = remove(id)
            actions.append(.answerRead(handler, .success(result)))
        case (.heartbeat(_, let handler), .heartbeat(let answer)):
            _ = remove(id)
            actions.append(.answerHeartbeat(handler, .success(answer)))
        case (.status(_, let handler), .nodeStatus(let status)):
            _ = remove(id)
            actions.append(.answerStatus(handler, .success(status)))
            learn(status.members)
        case (.control(_, _, let handler), .control(let answer)):
            _ = remove(id)
            actions.append(.answerControl(handler, .success(answer)))
        case (.membership(_, let handler), .members(let members)):
            _ = remove(id)
            actions.append(.answerMembership(handler, .success(.members(members))))
        case (.membership, .membershipRefused(let refusal)) where refusal.reason == .leaderNotReady:
            delay(id, isResolved: true, pause: pause(of: call), now: now)
        case (.membership(let asked, let handler), .membershipRefused(let refusal)):
            _ = remove(id)
            let answer = MembershipAnswer(refusal, to: asked, mayHaveHappened: call.mayHaveHappened)
            actions.append(.answerMembership(handler, .success(answer)))
        case (.breakers(_, _, let handler), .breakers(let readings)):
            _ = remove(id)
            actions.append(.answerBreakers(handler, .success(readings)))
        case (.openSession, .write(let outcome)):
            _ = remove(id)
            switch outcome {
            case .done(.session(let session)): sessionOpened(session)
            case .done: violated(connection, "openSession was answered without a session", now: now)
            case .refused(let refusal): sessionRefused(.refused(refusal))
            }
        case (.closeSession, .write):
            _ = remove(id)
            finishClose()
        default:
            violated(connection, "a request was answered with something else", now: now)
        }
    }

    /// The node does real work: when its connection breaks, it is tried again soon.
    private mutating func proven(_ connection: ConnectionID, now: NIODeadline) {
        guard nodes[connection.node.index].ready?.hasProven == false else { return }
        nodes[connection.node.index].judge(.success, now: now)
        nodes[connection.node.index].updateReady { $0.hasProven = true }
        nodes[connection.node.index].backoff.reset()
    }

    /// What the answer to a read says of the node. Told to ask another, to wait, or no: it is well.
    private mutating func judge(
        _ id: CallID, _ frame: ClientResponseFrame, on connection: ConnectionID, now: NIODeadline
    ) {
        guard let call = calls[id], let permit = call.permit, case .sent(connection, frame.id, _) = call.place else {
            return
        }
        var outcome = CircuitBreaker.Outcome.success
        if case .failure(let failure) = frame.response {
            outcome = failure.code == .storageFailed ? .failure : .neutral
        }
        calls[id]?.permit = nil
        nodes[connection.node.index].breaker.record(outcome, of: permit, now: now.sinceStart)
    }

    // MARK: Failures

    /// The current attempt of a call failed.
    private mutating func failed(_ id: CallID, _ call: Call, _ failure: ServiceFailure, now: NIODeadline) {
        guard case .sent(let connection, _, _) = call.place else { return }
        switch failure.code {
        case .notLeader, .shuttingDown, .leadershipLost:
            requeue(id, isResolved: failure.isDefinite)
        case .noLeader:
            // The leader itself cannot say this, and a follower that says it will not know better at once.
            calls[id]?.avoids = connection.node
            delay(
                id, isResolved: failure.isDefinite, pause: min(pause(of: call), options.retry.leaderSearchCap), now: now
            )
        case .deadlineExceeded:
            calls[id]?.avoids = connection.node
            delay(id, isResolved: failure.isDefinite, pause: pause(of: call), now: now)
        case .overloaded, .storageFailed:
            retry(id, connection, failure, now: now)
        case .wrongCluster: giveUp(id, .wrongCluster, failure)
        case .unsupportedProtocol: giveUp(id, .unsupportedProtocol, failure)
        case .invalidRequest: giveUp(id, .invalidRequest, failure)
        case .unknownBroker: giveUp(id, .unknownBroker, failure)
        // A leader with a full disk says so only when it found nobody with room to take over.
        case .diskFull: giveUp(id, .diskFull, failure)
        }
    }

    /// What a failure says about who leads, whatever it means for the call.
    private mutating func heed(_ failure: ServiceFailure, from connection: ConnectionID, now: NIODeadline) {
        switch failure.code {
        case .notLeader, .noLeader, .leadershipLost, .shuttingDown:
            let denied = leader.denied(by: connection.node)
            if let hint = failure.leader, hint.nodeID != nodes[connection.node.index].nodeID {
                heed(hint, from: connection.node, now: now)
            }
            if denied, leader.node == nil { searchAtOnce(now: now) }
        case .overloaded, .deadlineExceeded, .wrongCluster, .invalidRequest, .storageFailed, .unsupportedProtocol,
            .unknownBroker, .diskFull:
            break
        }
    }

    /// The node could not do it now; perhaps later, if the rules allow. What would be later than the call has time for is not
    /// waited for.
    private mutating func retry(
        _ id: CallID, _ connection: ConnectionID, _ failure: ServiceFailure, now: NIODeadline
    ) {
        guard let call = calls[id] else { return }
        let code: MetadataError.Code =
            !failure.openBreaker.isEmpty ? .circuitOpen : failure.code == .overloaded ? .overloaded : .storageFailed
        let asked = Duration.milliseconds(Int64(failure.retryAfterMilliseconds))
        // Another node may do, whose breaker is another.
        let mayMove =
            call.counter == .reads && nodes.indices.contains { $0 != connection.node.index && nodes[$0].isWanted }
        if mayMove, readyNodes(where: { $0 != connection.node }).isEmpty { askAround(now: now) }
        let askedPause = mayMove && code == .circuitOpen ? .zero : asked
        guard now + TimeAmount(askedPause) < patience(of: call, now: now) else { return giveUp(id, code, failure) }
        let verdict = options.retry.calls.verdict(
            on: RetryRules.Failure(
                category: RetryRules.Category(failure.code.category), isDefinite: failure.isDefinite,
                isRepeatable: call.isRepeatable, askedPause: askedPause),
            failures: call.refusals + 1, budget: &budget, using: &random)
        switch verdict {
        case .giveUp:
            giveUp(id, code, failure)
        case .again(let pause):
            calls[id]?.avoids = connection.node
            calls[id]?.refusals += 1
            calls[id]?.turnedDown = CallFailure(code, .definite, failure)
            delay(id, isResolved: failure.isDefinite, pause: pause, now: now)
        }
    }

    /// How long a call waits that is tried again for as long as it has time.
    private mutating func pause(of call: Call) -> Duration {
        options.retry.calls.pause(afterFailures: call.delays + 1, using: &random)
    }

    /// The failure is the answer.
    private mutating func giveUp(_ id: CallID, _ code: MetadataError.Code, _ failure: ServiceFailure) {
        guard let call = calls[id] else { return }
        let isOpen = call.hasEffect && (call.mayHaveHappened || !failure.isDefinite)
        fail(id, CallFailure(code, isOpen ? .indefinite : .definite, failure))
    }
}

extension RetryRules.Category {
    fileprivate init(_ category: FailureContext.Category) {
        self =
            switch category {
            case .retriable: .retriable
            case .transient: .transient
            case .fatal: .fatal
            case .invalidInput: .invalidInput
            }
    }
}
