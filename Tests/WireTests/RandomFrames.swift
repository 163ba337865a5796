import MetadataModel
import RaftCore
import Wire

extension RandomValues {
    mutating func leaderHint() -> LeaderHint { LeaderHint(nodeID: number(), address: text(), term: number()) }

    mutating func memberAddress() -> MemberAddress {
        MemberAddress(nodeID: number(), clientAddress: text(), peerAddress: text(), isVoter: flag())
    }

    /// One random request of each kind, and of each read consistency.
    mutating func clientRequests() -> [ClientRequest] {
        let consistencies: [ReadConsistency] = [
            .linearizable, .atLeast(version()), .stale(maxLagMilliseconds: number()),
        ]
        var requests: [ClientRequest] = [
            .hello(ClientHello(clusterID: text(), clientName: text())),
            .write(
                WriteRequest(
                    session: maybe { SessionID($0.number()) }, sequence: number(), acknowledgedBelow: number(),
                    command: bytes(), timeoutMilliseconds: number())),
            .watch(after: version(), filter: watchFilter()), .cancelWatch(requestID: number()),
            .heartbeat(
                BrokerHeartbeat(
                    broker: brokerID(), epoch: brokerEpoch(), caughtUpVersion: version(), wantsFence: flag(),
                    wantsShutdown: flag(), usedBytes: maybe { $0.number() })),
            .nodeStatus, .members, .transferLeadership(to: nil), .transferLeadership(to: nodeID()), .breakers,
            .controlBreaker(BreakerControl(name: text(), action: pick(BreakerControl.Action.allCases))),
            .control(.reload), .control(.setLogLevel(text(), component: maybe { $0.text() + "c" })),
        ]
        let changes: [MembershipChange] = [
            .add(member(), isPromoted: flag()), .promote(nodeID()), .remove(nodeID()),
            .replace(nodeID(), with: member()),
        ]
        for change in changes { requests.append(.changeMembers(MembershipRequest(change, isForced: flag()))) }
        for consistency in consistencies {
            requests.append(
                .read(
                    ReadRequest(query: pick(queries()), consistency: consistency, timeoutMilliseconds: number())))
        }
        return requests
    }

    /// One random answer of each kind.
    mutating func clientResponses() -> [ClientResponse] {
        [
            .hello(
                ServerHello(
                    clusterID: text(), nodeID: number(), leader: maybe { $0.leaderHint() },
                    members: list { $0.memberAddress() })),
            .write(pick(outcomes())), .read(pick(queryResults()), appliedIndex: number()),
            .watchEvents(list { $0.changeEvent() }, through: version()), .watchProgress(through: version()),
            .watchTooOld(oldest: version()),
            .heartbeat(
                HeartbeatAnswer(
                    state: pick(Broker.State.allCases), leaseMilliseconds: number(), version: version(),
                    shouldShutDown: flag(), featureLevel: number())),
            .nodeStatus(
                NodeStatus(
                    clusterID: text(), nodeID: number(), role: text(), term: number(),
                    leader: maybe { $0.leaderHint() },
                    commitIndex: number(), appliedIndex: number(), version: version(), digest: number(),
                    healthy: flag(), detail: text(), members: list { $0.memberAddress() }, disk: disk(),
                    clientAddress: text(), peerAddress: text(), featureLevel: number(),
                    coordinator: maybe { $0.coordinatorStatus() }, healthURL: text(), metricsURL: text())),
            .members(
                MemberList(
                    configurationIndex: position().index, lastIndex: position().index, isChanging: flag(),
                    members: list { $0.memberState() })),
            .membershipRefused(MembershipRefusal(pick(MembershipRefusal.Reason.allCases), text())),
            .control(NodeControlAnswer(isDone: flag(), detail: text())),
            .failure(
                ServiceFailure(
                    code: pick(ServiceFailure.Code.allCases), detail: text(), isDefinite: flag(),
                    leader: maybe { $0.leaderHint() }, retryAfterMilliseconds: number(), openBreaker: text(),
                    context: maybe { $0.failureContext() }, requestID: text())),
            .breakers(list { $0.breakerReading() }),
        ]
    }

    mutating func failureContext() -> FailureContext {
        FailureContext(
            category: pick(FailureContext.Category.allCases), operation: text(), cause: text(),
            facts: list { FailureContext.Fact($0.text(), $0.text()) }, timestampMilliseconds: number())
    }

    mutating func breakerReading() -> BreakerReading {
        BreakerReading(
            name: text(), state: pick(BreakerReading.State.allCases), failuresInARow: number(),
            retryAfterMilliseconds: number(), successes: number(), failures: number(), neutrals: number(),
            rejections: number(), openings: number())
    }

    mutating func nodeID() -> NodeID { NodeID(number()) }
    mutating func position() -> LogPosition { LogPosition(index: LogIndex(number()), term: Term(number())) }
    mutating func coordinatorStatus() -> CoordinatorStatus {
        var status = CoordinatorStatus()
        status.activity = pick(CoordinatorStatus.Activity.allCases)
        status.detail = text()
        status.imbalance = maybe { Double($0.number() as UInt16) / 7 }
        status.imbalanceAfter = Double(number() as UInt16) / 7
        status.movesPlanned = Int(number() as Int32)
        status.movesWaiting = Int(number() as Int32)
        status.movesUnderWay = Int(number() as Int32)
        status.movesEnded = Int(number() as Int32)
        status.stepTimeouts = Int(number() as Int32)
        status.stuck = list { StuckReplica(partition: $0.partitionKey(), broker: $0.brokerID(), reason: $0.text()) }
        status.stuckCount = Int(number() as Int32)
        status.drains = list {
            BrokerDrain(
                id: $0.brokerID(), replicas: Int($0.number() as Int32), leaders: Int($0.number() as Int32),
                bytes: $0.maybe { $0.number() })
        }
        return status
    }

    mutating func disk() -> DiskID { DiskID(high: number(), low: number()) }

    mutating func member() -> Member {
        Member(id: nodeID(), disk: disk(), peerAddress: text(), clientAddress: text())
    }

    mutating func memberState() -> MemberState {
        let member = member()
        return MemberState(
            member: member, role: pick(MemberState.Role.allCases),
            promotion: maybe { Promotion(learner: member.id, replaces: $0.maybe { $0.nodeID() }) }, isLeader: flag(),
            isHeard: flag(), match: position().index)
    }

    mutating func configuration() -> Configuration {
        let ids = Set(list(upTo: 7) { $0.nodeID() }).sorted()
        var voters: [NodeID] = []
        var outgoing: [NodeID] = []
        var learners: [NodeID] = []
        for id in ids {
            if flag() { voters.append(id) } else { learners.append(id) }
            if flag() { outgoing.append(id) }
        }
        let members = ids.map { id in Member(id: id, disk: disk(), peerAddress: text(), clientAddress: text()) }
        var promotions: [Promotion] = []
        for id in learners where flag() {
            let others = ids.filter { $0 != id }
            promotions.append(Promotion(learner: id, replaces: others.isEmpty || flag() ? nil : pick(others)))
        }
        return Configuration(
            members: members, voters: voters, outgoing: outgoing, learners: learners, promotions: promotions)
    }

    mutating func entries(after previous: LogPosition, upTo count: Int = 5) -> [Entry] {
        var index = previous.index
        return list(upTo: count) { values in
            index = index.next
            return Entry(
                term: Term(values.number()), index: index, kind: values.pick([.noop, .command, .configuration]),
                payload: values.bytes())
        }
    }

    /// One random message of each kind.
    mutating func raftMessages() -> [Message] {
        let previous = LogPosition(index: LogIndex(number(UInt64.self) >> 1), term: Term(number()))
        let kinds: [Message.Kind] = [
            .preVoteRequest(last: position()), .preVoteResponse(granted: flag()),
            .voteRequest(last: position(), transfer: flag()), .voteResponse(granted: flag()),
            .append(previous: previous, entries: entries(after: previous), commit: LogIndex(number())),
            .append(previous: previous, entries: [], commit: LogIndex(number())),
            .appendAccepted(match: LogIndex(number())),
            .appendRejected(rejected: LogIndex(number()), hint: position()),
            .heartbeat(commit: LogIndex(number()), round: number()), .heartbeatResponse(round: number()),
            .readIndexRequest(id: number()), .readIndexResponse(id: number(), index: maybe { LogIndex($0.number()) }),
            .recoveryRequest(id: number(), held: LogIndex(number())),
            .recoveryResponse(id: number(), target: LogIndex(number())),
            .timeoutNow, .installSnapshot(position: position(), configuration: configuration()),
        ]
        return kinds.map { Message(from: nodeID(), to: nodeID(), term: Term(number()), kind: $0) }
    }

    mutating func tracedEntry() -> TracedEntry {
        TracedEntry(
            position: position(),
            traceparent: String((0..<TracedEntry.traceparentBytes).map { _ in pick(Array("0123456789abcdef-")) }))
    }

    mutating func snapshotChunk() -> SnapshotChunk {
        let content = bytes()
        let offset = number(UInt64.self) >> 1
        return SnapshotChunk(
            snapshotID: number(), term: Term(number()), position: position(), configuration: configuration(),
            offset: offset, totalBytes: offset + UInt64(content.count) + UInt64(generator.below(3)), checksum: number(),
            bytes: content)
    }

    /// One random frame of each kind.
    mutating func peerFrames() -> [PeerFrame] {
        let states: [SnapshotProgress.State] = [.received(offset: number()), .installed, .failed(text())]
        return [
            .hello(
                PeerHello(
                    clusterID: text(), node: nodeID(), disk: disk(), target: nodeID(),
                    configurationIndex: position().index, peerAddress: text())),
            .refusal(PeerRefusal(reason: pick(PeerRefusal.Reason.allCases), detail: text())),
            .messages(raftMessages()), .messages([]), .messages([], traced: list { $0.tracedEntry() }),
            .snapshotChunk(snapshotChunk()),
            .notice(.condition(PeerCondition(isDiskLow: flag(), isUnfit: flag()))),
            .notice(.digestReport(DigestMark(index: number(), digest: number()))),
            .notice(.digestVerdict(DigestMark(index: number(), digest: number()))),
        ] + states.map { .snapshotProgress(SnapshotProgress(snapshotID: number(), state: $0)) }
    }
}
