package import MetadataModel
internal import RaftCore

/// What clients ask for.
extension Replica {
    package mutating func write(_ intent: WriteIntent, token: RequestToken) {
        guard isLeader, protection.quarantine == nil else {
            if !isLeader { return refuseNotLeading(token) }
            effects.append(.replyWrite(token, .notLeader(nil)))
            return
        }
        guard !isRefusedForRoom(intent) else {
            effects.append(.replyWrite(token, .diskFull))
            return
        }
        if let refusal = refusal(ofLevelIn: intent) {
            effects.append(.replyWrite(token, .outcome(.refused(refusal))))
            return
        }
        // What is committed and not applied here is bounded too: a slow or silent disk must not fill the memory.
        guard core.lastIndex.rawValue - core.appliedIndex.rawValue < UInt64(options.unappliedEntriesMax) else {
            effects.append(.replyWrite(token, .overloaded))
            return
        }
        guard core.transferTarget == nil || proposals.hasRoomToWait(for: intent) else {
            effects.append(.replyWrite(token, .notLeader(nil)))
            return
        }
        proposals.gather(intent, token: token)
    }

    /// A write that was not proposed, and will not be by this member.
    mutating func refuseNotLeading(_ token: RequestToken) {
        guard !handover.waits(token, wasProposed: false) else { return }
        effects.append(.replyWrite(token, .notLeader(core.status.leader)))
    }

    /// - Parameter now: like that of `tick`. A process that was stopped may take a read in before its next tick, and must not
    ///   take the age of what it knows from the tick before.
    package mutating func read(_ consistency: ReadConsistency, token: RequestToken, now time: UInt64) {
        advanceClock(to: time)
        guard isStateUsable else { return refuse([token], .repairing) }
        switch consistency {
        case .linearizable:
            guard reads.count < options.raft.pendingReadsMax else { return refuse([token], .overloaded) }
            reads.gather(token)
        case .atLeast(let version):
            // A version is a log index, so having applied that index is having that version.
            let index = LogIndex(version.rawValue)
            if index <= core.appliedIndex {
                effects.append(.serveReads([token]))
            } else {
                guard reads.count < options.raft.pendingReadsMax else { return refuse([token], .overloaded) }
                reads.wait(token, for: index, now: now)
            }
        case .stale(let maxLag):
            let lag = millisecondsSinceLeaderContact ?? .max
            if lag <= maxLag {
                effects.append(.serveReads([token]))
            } else {
                refuse([token], .tooStale(milliseconds: lag))
            }
        }
    }

    mutating func startReads() {
        if handover.isWaiting { return }
        guard let id = reads.startBatch(now: now) else { return }
        if !core.read(id: id) { refuse(reads.dropped(id), core.status.leader == nil ? .noLeader : .overloaded) }
    }

    mutating func refuse(_ tokens: [RequestToken], _ reason: ReadRefusal) {
        if !tokens.isEmpty { effects.append(.refuseReads(tokens, reason)) }
    }

    mutating func refuseAllReads() { refuse(reads.removeAll(), .repairing) }
}
