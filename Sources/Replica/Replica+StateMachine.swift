internal import Coordination
internal import MetadataModel
package import RaftCore

/// The log on the disk, the state machine behind it, and snapshots that replace it.
extension Replica {
    package mutating func persisted(_ sequence: UInt64) {
        core.persisted(sequence)
        diskSilentSince = core.persistsInFlight > 0 ? now : nil
    }

    mutating func startApplying() {
        if case .settling(let index) = applying, committedEnd > index {
            core.applied(to: index)
            applying = .idle
        }
        var settling: LogIndex?
        switch applying {
        case .idle: break
        // The state machine may be replaced again while the log still has to catch up with it.
        case .settling(let index):
            guard waitingSnapshot != nil else { return }
            settling = index
        case .applying, .installing: return
        }
        if let snapshot = waitingSnapshot {
            waitingSnapshot = nil
            if snapshot.position.index > core.commitIndex {
                applying = .installing(snapshot, settling: settling)
                effects.append(.installSnapshot(snapshot))
                return
            }
            effects.append(.discardSnapshot(snapshot))
        }
        guard case .idle = applying else { return }
        let first = core.appliedIndex.next
        guard first < committedEnd else { return }
        let end = min(committedEnd, first.advanced(by: options.applyEntriesMax))
        var batch: [Entry] = []
        var bytes = 0
        for entry in core.entries(in: first..<end) {
            if !batch.isEmpty, bytes + entry.cost > options.applyBytesMax { break }
            bytes += entry.cost
            batch.append(entry)
        }
        guard let last = batch.last else { preconditionFailure("committed entries from \(first) are not in the log") }
        compaction.handedToApply(bytes: bytes)
        applying = .applying(through: last.index)
        effects.append(.apply(batch))
    }

    package mutating func applied(_ report: AppliedReport) {
        guard case .applying(let through) = applying else {
            preconditionFailure("applied \(report.applied) while \(applying)")
        }
        precondition(report.applied.index == through, "asked to apply through \(through), got \(report.applied)")
        applying = .idle
        core.applied(to: through)
        version = max(version, report.version)
        logClock.saw(report.logTimeMilliseconds)
        for outcome in report.outcomes {
            if let token = proposals.answered(outcome.index) {
                effects.append(.replyWrite(token, .outcome(outcome.outcome)))
            }
        }
        for broker in report.brokers {
            brokers[broker.id] = broker
            liveness.brokerChanged(broker)
            withdrawing.changed(broker)
        }
        for id in report.removedBrokers {
            brokers[id] = nil
            liveness.brokerRemoved(id)
            withdrawing.removed(id)
        }
        if let latest = report.silences {
            silences = latest
            liveness.silencesChanged(latest)
        }
        if let latest = report.unfinished { unfinished = latest }
        ownApplied(report)
        coordination.applied(report)
        proposeStep()
        for mark in report.digests { digested(mark) }
    }

    mutating func ownApplied(_ report: AppliedReport) {
        for (index, command) in own.applied(through: report.applied.index) {
            if case .fenceBroker(let id, let epoch) = command { liveness.fenceApplied(id, epoch: epoch) }
            if case .noteSilence(let notes) = command { liveness.notesApplied(notes) }
            guard case .beginShutdown(let id, let epoch) = command else { continue }
            // What changed something is done at the version of its own entry.
            let changed = CommandOutcome.done(.changed(Version(index.rawValue)))
            let outcome = report.outcomes.first { $0.index == index }?.outcome
            if let outcome, outcome != changed { withdrawing.stepWasNone(id, epoch: epoch) }
        }
    }

    /// A checkpoint ended; everything up to `durable` is in the database and stays there.
    package mutating func checkpointed(_ position: LogPosition) {
        compaction.checkpointFinished()
        if position.index > durable.index { durable = position }
    }

    mutating func compact() {
        // A damaged database is no snapshot: what the log holds may be all that another member can be brought up to date with.
        let wanted = protection.quarantine == nil ? compaction.target(of: core) : nil
        if compaction.shouldCheckpoint(before: wanted, durable: durable) { effects.append(.checkpoint) }
        // After a snapshot the database may be further than the log it has to be explained by.
        guard let wanted, case let target = min(wanted, durable.index), target > core.base.index,
            let term = core.term(at: target)
        else { return }
        let gone = core.cost(of: core.base.index.next..<target.next)
        core.compact(to: target)
        compaction.cutDone(bytes: gone)
        effects.append(.compactLog(LogPosition(index: target, term: term)))
    }

    /// A whole, verified snapshot lies on this member's disk.
    package mutating func snapshotReceived(_ snapshot: IncomingSnapshot) {
        if let waiting = waitingSnapshot { effects.append(.discardSnapshot(waiting)) }
        waitingSnapshot = snapshot
    }

    /// The state machine is the snapshot now, durably.
    package mutating func snapshotInstalled(_ image: StateMachineImage) {
        guard case .installing(let snapshot, _) = applying else {
            preconditionFailure("a snapshot at \(image.applied) was installed while \(applying)")
        }
        precondition(snapshot.position == image.applied, "installed \(image.applied), asked for \(snapshot.position)")
        version = image.version
        durable = image.applied
        logClock.saw(image.logTimeMilliseconds)
        brokers = BrokerTable(image.brokers)
        silences = image.silences
        unfinished = image.unfinished
        withdrawing = WithdrawingBrokers(image.brokers)
        stateReplaced()
        if liveness.isLeading {
            // What waits was wanted of brokers as they were before.
            own.abandon()
            judgeBrokers()
        }
        core.step(
            Message(
                from: snapshot.from, to: id, term: snapshot.term,
                kind: .installSnapshot(position: snapshot.position, configuration: snapshot.configuration)))
        if core.appliedIndex == image.applied.index {
            applying = .idle
            committedEnd = max(committedEnd, image.applied.index.next)
            if core.base == image.applied { compaction.restored(logBytes: 0) }
        } else {
            applying = .settling(image.applied.index)
        }
    }

    package mutating func snapshotInstallFailed() {
        guard case .installing(_, let settling) = applying else {
            preconditionFailure("no snapshot was being installed: \(applying)")
        }
        applying = settling.map { .settling($0) } ?? .idle
    }
}
