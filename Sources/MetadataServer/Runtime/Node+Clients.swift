import Logging
import MetadataModel
import MetadataSchema
import NIOCore
import OrderedCollections
import RaftCore
import Replica
import Resilience
import Wire

/// What clients ask for.
extension Node {

    func nextConnectionID() -> UInt64 {
        lastConnectionID += 1
        return lastConnectionID
    }

    func opened(_ connection: ClientConnection) {
        guard connections.count < settings.clientConnectionsMax else {
            gate.refusedConnection()
            connection.close()
            return
        }
        connections[connection.id] = connection
    }

    func closed(_ connection: ClientConnection) {
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        gate.ended(requests: connection.admission.requests, bytes: connection.admission.bytes)
        watches.removeAll(of: connection.id)
        connection.abandonPermits()
        replica.withdrawStarts(of: connection.id)
    }

    func hasUnsent(_ connection: ClientConnection) {
        unsent.append(connection.id)
        endTurnSoon()
    }

    func objection(to hello: ClientHello) -> ServiceFailure? {
        guard hello.clusterID.isEmpty || hello.clusterID == settings.clusterID else {
            return ServiceFailure(
                code: .wrongCluster, detail: "this is cluster \(settings.clusterID), not \(hello.clusterID)",
                isDefinite: true)
        }
        return nil
    }

    var serverHello: ServerHello {
        ServerHello(
            clusterID: settings.clusterID, nodeID: settings.id.rawValue, leader: leaderHint(replica.status.leader),
            members: memberAddresses,
            leaderWaitMilliseconds: UInt32(clamping: settings.gate.leaderWait.wholeMilliseconds))
    }

    /// The work for a read that may be served now; nil when nobody waits for it any more.
    func readJob(for token: RequestToken) -> ReadJob? {
        guard let query = pendingQueries.removeValue(forKey: token), let connection = connections[token.connection]
        else { return nil }
        guard !connection.isLate(token.request) else {
            respond(
                to: token,
                .failure(
                    ServiceFailure(
                        code: .deadlineExceeded, detail: "the read waited longer than its client does",
                        isDefinite: true)))
            return nil
        }
        return ReadJob(purpose: .reply(connection: token.connection, request: token.request), query: query)
    }

    func received(_ frame: ClientRequestFrame, on connection: ClientConnection) {
        let token = RequestToken(connection: connection.id, request: frame.id)
        endTurnSoon()
        // As long as leadership changes hands, requests wait to be told where to go.
        if isStopping, !replica.isHandingOver {
            return respond(
                to: token,
                .failure(
                    ServiceFailure(
                        code: .shuttingDown, detail: "node \(settings.id) is stopping", isDefinite: true,
                        leader: leaderHint(replica.status.leader))))
        }
        switch frame.request {
        case .hello:
            respond(to: token, invalid("a second hello"))
        case .write(let write):
            guard write.command.count <= Limits.commandBytesMax else {
                return respond(
                    to: token,
                    invalid("a command of \(write.command.count) bytes; the limit is \(Limits.commandBytesMax)"))
            }
            received(write, token, on: connection)
        case .read(let read):
            if let obstacle = gate.obstacle(bytes: connection.bytes(of: frame.id), connection: connection.admission) {
                return respond(to: token, .failure(gate.refusal(obstacle)))
            }
            connection.admit(frame.id)
            pendingQueries[token] = read.query
            replica.read(read.consistency, token: token, now: Node.milliseconds)
        case .watch(let after, let filter):
            guard replica.quarantine == nil else { return respond(to: token, damaged) }
            guard filter.brokers.count + filter.topicPrefixes.count <= Limits.watchTermsMax else {
                return respond(to: token, invalid("a filter of more than \(Limits.watchTermsMax) brokers and prefixes"))
            }
            guard gate.pressure.level < .refusing else {
                return respond(to: token, .failure(gate.refusal(gate.noted(.memory))))
            }
            guard watches.count(of: connection.id) < Watches.perConnectionMax else {
                return respond(to: token, .failure(overloaded("too many watches on this connection")))
            }
            watches.add(WatchKey(connection: connection.id, request: frame.id), after: after, filter: filter)
        case .cancelWatch(let request):
            watches.remove(WatchKey(connection: connection.id, request: request))
        case .heartbeat(let heartbeat):
            replica.heartbeat(
                broker: heartbeat.broker, epoch: heartbeat.epoch, caughtUp: heartbeat.caughtUpVersion,
                wantsFence: heartbeat.wantsFence, wantsShutdown: heartbeat.wantsShutdown,
                usedBytes: heartbeat.usedBytes, token: token, now: Node.milliseconds)
        case .nodeStatus:
            respond(to: token, .nodeStatus(nodeStatus))
        case .members:
            respond(
                to: token, replica.isLeader ? .members(memberList) : .failure(notLeader(replica.status.leader)))
        case .changeMembers(let request):
            loggers.audit.notice(
                "asked to change the members",
                metadata: connection.correlation(of: frame.id).merging([
                    "by": "\(connection.clientName)", "change": "\(request.change)",
                ]) { $1 })
            replica.changeMembers(request.change, isForced: request.isForced, token: token)
        case .transferLeadership(let target):
            replica.transferLeadership(to: target, token: token)
        case .breakers:
            respond(to: token, .breakers(breakers.readings))
        case .controlBreaker(let control):
            carryOut(control, token, on: connection)
        case .control(let control):
            received(control, token, on: connection)
        }
    }

    private func received(_ write: WriteRequest, _ token: RequestToken, on connection: ClientConnection) {
        if let what = Audit.subject(of: write.command) { connection.audit(token.request, as: what) }
        if let obstacle = gate.obstacle(bytes: connection.bytes(of: token.request), connection: connection.admission) {
            return respond(to: token, .failure(gate.refusal(obstacle)))
        }
        // Who does not lead says so whatever became of writes while it did. As of the last turn: to ask the replica copies it.
        var permit: CircuitBreaker.Permit?
        if lastStatus?.role == .leader {
            do throws(CircuitBreaker.Rejection) {
                permit = try gate.proposals.admit()
            } catch {
                return respond(to: token, .failure(gate.refusal(error)))
            }
        }
        connection.admit(token.request, through: permit)
        gate.nextExpiry = min(gate.nextExpiry, .now() + TimeAmount(settings.gate.proposalTimeout))
        let mayWait = Command.startsRebalance(encoded: write.command)
        let turn = mayWait ? settings.replica.turns.acquisitionTimeout : 0
        let patience = settings.gate.proposalTimeout.wholeMilliseconds + turn
        let asked = write.timeoutMilliseconds == 0 ? patience : min(patience, UInt64(write.timeoutMilliseconds))
        let now = Node.milliseconds
        let intent = WriteIntent(
            session: write.session, sequence: write.sequence, acknowledgedBelow: write.acknowledgedBelow,
            command: write.command, deadline: now + asked)
        if mayWait {
            replica.startRebalance(intent, token: token, now: now)
            if replica.waitsForTurn(token) { connection.waitsForTurn(token.request, .milliseconds(Int64(turn))) }
        } else {
            replica.write(intent, token: token)
        }
    }

    /// Writes that got no outcome in time are answered without one. They may be in the log and come true yet.
    func expireWrites(now: NIODeadline) {
        guard now >= gate.nextExpiry else { return }
        let patience = TimeAmount(settings.gate.proposalTimeout)
        gate.nextExpiry = .distantFuture
        for connection in connections.values {
            let (late, oldest) = connection.writesOpen(since: now - patience)
            if let oldest { gate.nextExpiry = min(gate.nextExpiry, oldest + patience) }
            for request in late {
                respond(
                    to: RequestToken(connection: connection.id, request: request),
                    .failure(
                        ServiceFailure(
                            code: .deadlineExceeded,
                            detail: "the write had no outcome after \(settings.gate.proposalTimeout)",
                            isDefinite: false, leader: leaderHint(replica.status.leader))))
            }
        }
    }
}
