import FoundationEssentials
import Logging
import MetadataModel
import MetadataStore
import NIOCore
import OrderedCollections
import RaftCore
import Replica
import Wire

/// What the node says of itself and answers to others.
extension Node {

    var memberAddresses: [MemberAddress] {
        replica.core.configuration.members.map {
            MemberAddress(
                nodeID: $0.id.rawValue, clientAddress: $0.clientAddress, peerAddress: $0.peerAddress,
                isVoter: replica.core.configuration.isVoter($0.id))
        }
    }

    func leaderHint(_ leader: NodeID?) -> LeaderHint? {
        guard let leader, let member = replica.core.configuration.member(leader) else { return nil }
        return LeaderHint(
            nodeID: leader.rawValue, address: member.clientAddress, term: replica.status.term.rawValue)
    }

    /// Why the node must not be asked, whatever else works.
    private var halt: String? {
        if isStopping { return "the node is stopping" }
        if let quarantine = replica.quarantine { return "the state is damaged and waits for its repair: \(quarantine)" }
        if replica.core.isRecovering { return "repairing: taking everything again from the leader" }
        return absence
    }

    private var trouble: String? {
        if let trouble = halt ?? logTrouble ?? storeTrouble { return trouble }
        if replica.status.leader == nil { return "no leader is known" }
        let behind = replica.core.commitIndex.rawValue - replica.appliedIndex.rawValue
        if behind > Node.lagEntriesMax { return "catching up: \(behind) entries are not applied yet" }
        return nil
    }

    var nodeStatus: NodeStatus {
        let status = replica.status
        return NodeStatus(
            clusterID: settings.clusterID, nodeID: settings.id.rawValue, role: status.role.rawValue,
            term: status.term.rawValue, leader: leaderHint(status.leader),
            commitIndex: replica.core.commitIndex.rawValue, appliedIndex: replica.appliedIndex.rawValue,
            version: replica.version, digest: digest, healthy: trouble == nil, detail: trouble ?? "",
            members: memberAddresses, disk: settings.disk, clientAddress: "\(settings.clientAddress)",
            peerAddress: "\(settings.peerAddress)", featureLevel: storage.store.summary.featureLevel,
            coordinator: replica.coordinatorStatus, healthURL: settings.healthURL,
            metricsURL: settings.metricsURL)
    }

    /// Puts what probes and metrics show where other threads can read it; they never ask the loop.
    func publish() {
        if replica.core.commitIndex != lastCommit {
            lastCommit = replica.core.commitIndex
            lastCommitAt = .now()
        }
        complainOfNoLeader()
        measureMemory()
        supervise()
        expireWrites(now: .now())
        let status = nodeStatus
        noteStepTimeouts(status.coordinator?.stepTimeouts ?? 0)
        noteTurns(status.coordinator)
        if let timeouts = gate.takeTimeoutsToLog(now: .now()) {
            loggers.clients.warning("requests missed their deadlines", metadata: ["operations": "\(timeouts)"])
        }
        if let refused = gate.takeRefusedConnectionsToLog(now: .now()) {
            loggers.clients.warning(
                "too many client connections",
                metadata: ["refused": "\(refused)", "limit": "\(settings.clientConnectionsMax)"])
        }
        traces.expire(now: .now())
        snapshotsOut.tick()
        snapshotsIn.tick()
        publications += 1
        if publications.isMultiple(of: Node.publicationsPerProgress) {
            for action in watches.progress(isWritable: { self.connections[$0]?.isWritable ?? false }) {
                perform(action)
            }
        }
        published.update(
            NodeReading(
                status: status, takenAt: Node.milliseconds, halt: halt, logTrouble: logTrouble,
                storeTrouble: storeTrouble, lastIndex: replica.core.lastIndex.rawValue,
                syncedIndex: replica.core.syncedIndex.rawValue, peers: replica.core.progress,
                linksUp: links.values.filter(\.isUp).map(\.peer.id),
                sinceCommit: NIODeadline.now() - lastCommitAt,
                sinceLeaderContact: replica.millisecondsSinceLeaderContact, isStopping: isStopping,
                leadershipChanges: leadershipChanges, openWrites: replica.openWrites, openReads: replica.openReads,
                connections: connections.count, watches: watches.count, brokers: replica.registeredBrokers,
                voters: replica.core.configuration.voters, protection: protectionReading,
                rebalances: rebalances, gate: gate.reading, liveness: replica.livenessReading,
                snapshotsOut: snapshotsOut.transfers, snapshotsIn: snapshotsIn.transfers,
                turns: [.rebalance: replica.rebalanceTurns, .snapshot: snapshotsOut.turns]))
        endTurnSoon()
    }

    /// The count begins anew with each term of office.
    private func noteStepTimeouts(_ count: Int) {
        for _ in stride(from: stepTimeouts, to: count, by: 1) { gate.late("rebalance_step") }
        stepTimeouts = count
    }

    private var protectionReading: ProtectionReading {
        ProtectionReading(
            isQuarantined: replica.quarantine != nil, isRepairing: replica.core.isRecovering,
            isDiskLow: replica.isDiskLow, undecidedDigest: replica.undecidedDigest, counts: protectionCounts)
    }

    func response(to reply: WriteReply) -> ClientResponse {
        switch reply {
        case .outcome(let outcome):
            return .write(outcome)
        case .notLeader(let leader):
            return .failure(notLeader(leader))
        case .overloaded:
            return .failure(overloaded("the leader's log holds too much that is not committed"))
        case .diskFull:
            return .failure(
                ServiceFailure(
                    code: .diskFull,
                    detail:
                        "node \(settings.id) has less than \(settings.replica.diskLowBytes) bytes free; deletes still work",
                    isDefinite: true, retryAfterMilliseconds: 1_000))
        case .expired:
            return .failure(
                ServiceFailure(
                    code: .deadlineExceeded, detail: "the write waited longer than its client does", isDefinite: true))
        case .leadershipLost(let leader):
            return .failure(
                ServiceFailure(
                    code: .leadershipLost, detail: "node \(settings.id) stopped leading while the write was under way",
                    isDefinite: false, leader: leaderHint(leader)))
        }
    }

    func response(to reply: HeartbeatReply) -> ClientResponse {
        switch reply {
        case .accepted(let state, let lease, let version, let shouldShutDown):
            return .heartbeat(
                HeartbeatAnswer(
                    state: state, leaseMilliseconds: UInt32(clamping: lease), version: version,
                    shouldShutDown: shouldShutDown, featureLevel: storage.store.summary.featureLevel))
        case .unknownBroker:
            return .failure(
                ServiceFailure(
                    code: .unknownBroker, detail: "not registered under this epoch; register again", isDefinite: true))
        case .notLeader(let leader):
            return .failure(notLeader(leader))
        }
    }

    func notLeader(_ leader: NodeID?) -> ServiceFailure {
        guard let hint = leaderHint(leader) else {
            return ServiceFailure(code: .noLeader, detail: "no leader is known", isDefinite: true)
        }
        return ServiceFailure(
            code: .notLeader, detail: "node \(settings.id) does not lead; node \(hint.nodeID) does", isDefinite: true,
            leader: hint)
    }

    func overloaded(_ detail: String) -> ServiceFailure {
        ServiceFailure(
            code: .overloaded, detail: detail, isDefinite: true,
            retryAfterMilliseconds: RequestGate.overloadPauseMilliseconds)
    }

    /// What is known here of a failure, for those who read it far from here.
    func context(of failure: ServiceFailure, in operation: Operation) -> FailureContext {
        FailureContext(
            category: failure.code.category, operation: operation.name, cause: failure.context?.cause ?? "",
            facts: (failure.context?.facts ?? []) + [
                .init("node_id", "\(settings.id)"), .init("term", "\(replica.status.term)"),
            ],
            timestampMilliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1_000)))
    }

    func invalid(_ detail: String) -> ClientResponse {
        .failure(ServiceFailure(code: .invalidRequest, detail: detail, isDefinite: true))
    }

    /// Nothing is told from a damaged state. Whoever watched goes to another node.
    var damaged: ClientResponse {
        .failure(
            ServiceFailure(
                code: .storageFailed, detail: "the state of node \(settings.id) is damaged", isDefinite: true,
                leader: leaderHint(replica.status.leader)))
    }

    func failure(for reason: ReadRefusal) -> ServiceFailure {
        switch reason {
        case .noLeader:
            return ServiceFailure(code: .noLeader, detail: "no leader is known", isDefinite: true)
        case .unconfirmed:
            return ServiceFailure(
                code: .noLeader, detail: "the read could not be confirmed by a leader", isDefinite: true,
                leader: leaderHint(replica.status.leader))
        case .overloaded:
            return overloaded("too many reads wait")
        case .repairing:
            return ServiceFailure(
                code: .storageFailed, detail: "the state of node \(settings.id) is being repaired", isDefinite: true,
                leader: leaderHint(replica.status.leader))
        case .tooStale(let milliseconds):
            let detail =
                milliseconds == .max
                ? "this node has not heard from a leader since it started"
                : "this node has not heard from a leader for \(milliseconds) ms"
            return ServiceFailure(code: .noLeader, detail: detail, isDefinite: true)
        }
    }
}
