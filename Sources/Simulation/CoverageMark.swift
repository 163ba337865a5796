internal import MetadataModel
internal import RaftCore
internal import Replica

/// Something that happens seldom and has to happen in a set of runs, or the runs show nothing about it. Seen from outside:
/// messages, writes, answers and changes of role; no shipped code knows of it.
package enum CoverageMark: Int, CaseIterable, Hashable, Sendable {
    // Roles.
    case preVoteLost, preVoteWon, electionWon, electionLost, leaderStoodDown, candidateFollows
    // Messages.
    case preVoteRefused, voteRefused, voteGranted, appendRejected, emptyAppend, timeoutNow, transferVote
    case readForwarded, readIndexUnknown, messageMetACut, dialRefused
    // The log.
    case truncation, logReset, writeOfTermOnly, configurationWritten, compaction, checkpoint, tailCut, logBeganAnew
    // Room.
    case diskLow, diskHasRoom, writeRefusedForRoom
    // Starts.
    case logWaitedForRoom, logMisread, nodeFailed
    // Repair.
    case repairBegan, repairInterrupted, memberRepaired, statePlanted, quarantined, quarantineEnded, minorityFound
    case recoveryRequested, readWhileRepairing
    // Snapshots.
    case snapshotSent, snapshotInstalled, snapshotResumed, snapshotWaited, snapshotTurnMissed, snapshotGivenUp
    case snapshotChunkDamaged, snapshotChunkRepeated
    // Members.
    case jointEntered, leaderStoppedWhileJoint, learnerPromoted, leaderRemovedItself, removedMemberTold
    case changeDone, changeRefused, changeRefusedForQuorum, memberTransfer, addressChanged
    case newcomerLetIn, strangerRefused, otherDiskRefused, wipedMemberReplaced
    // The state machine.
    case applySuspended, applyInterrupted, checkpointInterrupted, databaseFailed, databaseWentBack, installInterrupted
    // Clients.
    case attemptTimedOut, notLeader, overloaded, leadershipLost, refusal, sessionExpired
    case readWithoutLeader, readUnconfirmed, readTooStale
    // Watches and brokers.
    case watchResumed, watchReadsFeed, watchTooOld, brokerFenced, brokerUnknown
    // Partitions.
    case staleEpochRefused, lateRequestRefused, partitionOffline, eligibleLeader, reassignment
    // The coordinator.
    case rebalanceBegan, rebalanceByItself, rebalanceWaited, rebalanceEnded, replicasMoved, brokerShutDown

    package var name: String { "\(self)" }
}

extension SimulatedCluster {
    func mark(_ status: Status, after before: Status) {
        switch (before.role, status.role) {
        case (.preCandidate, .candidate): report.reached(.preVoteWon)
        case (.preCandidate, .follower): report.reached(.preVoteLost)
        case (.candidate, .leader): report.reached(.electionWon)
        case (.candidate, .preCandidate): report.reached(.electionLost)
        case (.candidate, .follower): report.reached(.candidateFollows)
        case (.leader, .follower): report.reached(.leaderStoodDown)
        default: break
        }
    }

    func mark(_ message: Message) {
        switch message.kind {
        case .preVoteResponse(let granted): if !granted { report.reached(.preVoteRefused) }
        case .voteRequest(_, let transfer): if transfer { report.reached(.transferVote) }
        case .voteResponse(let granted): report.reached(granted ? .voteGranted : .voteRefused)
        case .append(_, let entries, _): if entries.isEmpty { report.reached(.emptyAppend) }
        case .appendRejected: report.reached(.appendRejected)
        case .readIndexRequest: report.reached(.readForwarded)
        case .readIndexResponse(_, let index): if index == nil { report.reached(.readIndexUnknown) }
        case .timeoutNow: report.reached(.timeoutNow)
        case .recoveryRequest: report.reached(.recoveryRequested)
        case .preVoteRequest, .appendAccepted, .heartbeat, .heartbeatResponse, .installSnapshot, .recoveryResponse:
            break
        }
    }

    func mark(_ persist: Persist) {
        if persist.truncateFrom != nil { report.reached(.truncation) }
        if persist.reset != nil { report.reached(.logReset) }
        if persist.entries.isEmpty, persist.hardState != nil { report.reached(.writeOfTermOnly) }
        if persist.entries.contains(where: { $0.kind == .configuration }) { report.reached(.configurationWritten) }
    }

    func mark(_ events: [ChangeEvent]) {
        for event in events {
            for change in event.changes {
                switch change {
                case .brokerChanged(let broker): if broker.state == .fenced { report.reached(.brokerFenced) }
                case .partitionChanged(let partition, _):
                    if partition.leader == nil { report.reached(.partitionOffline) }
                    if !partition.eligibleLeaders.isEmpty { report.reached(.eligibleLeader) }
                    if partition.isReassigning { report.reached(.reassignment) }
                case .configChanged(let entry): if let rebalance = Rebalance(entry) { mark(rebalance) }
                case .brokerRemoved, .topicChanged, .topicRemoved, .configRemoved: break
                }
            }
        }
    }

    func markMoves(in entries: [Entry]) {
        for entry in entries where entry.kind == .command {
            if case .moveReplicas? = commands.command(entry).command { report.reached(.replicasMoved) }
        }
    }

    private func mark(_ rebalance: Rebalance) {
        trace.line(queue.now, "rebalance: \(rebalance.text)")
        guard rebalance.isRunning else { return report.reached(.rebalanceEnded) }
        report.reached(rebalance.origin == .automatic ? .rebalanceByItself : .rebalanceBegan)
    }

    /// An answer to what brokers and operators ask for.
    func mark(_ outcome: CommandOutcome) {
        var refusals: [Refusal] = []
        switch outcome {
        case .refused(let refusal): refusals.append(refusal)
        case .done(.partitions(let results)):
            for result in results {
                if case .refused(let refusal) = result { refusals.append(refusal) }
            }
        case .done: break
        }
        for refusal in refusals {
            switch refusal.reason {
            case .staleBrokerEpoch, .staleLeaderEpoch, .stalePartitionEpoch: report.reached(.staleEpochRefused)
            default: break
            }
        }
    }

    func mark(_ reply: WriteReply) {
        switch reply {
        case .outcome(.refused(let refusal)):
            if refusal.reason == .sequenceOutOfWindow { report.reached(.lateRequestRefused) }
        case .outcome: break
        case .notLeader: report.reached(.notLeader)
        case .overloaded: report.reached(.overloaded)
        case .diskFull: report.reached(.writeRefusedForRoom)
        case .expired: break
        case .leadershipLost: report.reached(.leadershipLost)
        }
    }

    func mark(_ refusal: ReadRefusal) {
        switch refusal {
        case .noLeader: report.reached(.readWithoutLeader)
        case .unconfirmed: report.reached(.readUnconfirmed)
        case .tooStale: report.reached(.readTooStale)
        case .repairing: report.reached(.readWhileRepairing)
        case .overloaded: break
        }
    }

    func mark(_ event: ProtectionEvent) {
        switch event {
        case .quarantined: report.reached(.quarantined)
        case .stateReplaced: report.reached(.quarantineEnded)
        case .digestDiffers: report.reached(.minorityFound)
        case .diskLow: report.reached(.diskLow)
        case .diskHasRoom: report.reached(.diskHasRoom)
        case .digestsUndecided: break
        }
    }
}
