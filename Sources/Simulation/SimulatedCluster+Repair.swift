internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
internal import RaftLog
internal import Replica

/// Damaged members: damage that is planted in a state machine, and what becomes of those who find something wrong.
extension SimulatedCluster {
    // MARK: Damage

    /// The state of one member will differ from that of all others: something that only a comparison of digests can find.
    func planDivergence(_ victim: SimulatedNode) -> Bool {
        let configuration = committed
        // Where nobody could tell who is right nothing would be done.
        guard victim.isSound, !victim.isStopped, victim.process?.replica.isLeader == false,
            configuration.voters.count > 2, configuration.isVoter(victim.id)
        else { return false }
        victim.stateDamage = .planned
        diverged.insert(victim.id)
        return true
    }

    /// The entries of a batch as a member applies them: other than they are where a divergence is planned.
    func entries(_ entries: [Entry], asAppliedBy node: SimulatedNode) -> [Entry] {
        guard node.stateDamage == .planned else { return entries }
        for (place, entry) in entries.enumerated() {
            guard let planted = Divergence.planted(in: entry) else { continue }
            var changed = entries
            changed[place] = planted
            return changed
        }
        return entries
    }

    /// What a member makes of a batch that something was planted in is not what it tells its watchers.
    func notePlanted(_ done: inout AppliedEntries, on node: SimulatedNode) {
        guard node.stateDamage != .none else { return }
        for event in done.events where event.changes.contains(where: Divergence.isPlanted) {
            node.stateDamage = .planted
            report.reached(.statePlanted)
            trace.line(queue.now, "node \(node.id) applies something else at \(event.version)")
        }
        done.events = done.events.map(Divergence.withoutPlanted)
    }

    // MARK: Repair

    /// `Effect.repair`: notes the damage on disk and ends this life, as shipped.
    func repair(_ node: SimulatedNode, _ process: SimulatedProcess, because reason: String) throws(Violation) {
        try judge.repairs(node.id, because: reason, damaged: diverged)
        let marker = RepairMarker(
            phase: .discard, members: process.replica.core.configuration.encoded(), reason: reason)
        do throws(DataDirectoryError) {
            try node.repair.mark(marker)
        } catch {
            return try fails(node, "\(error)")
        }
        try fails(node, reason)
    }

    /// A start gave up what the disk held.
    func begins(_ node: SimulatedNode, instead held: SimulatedNode.Held) {
        report.reached(.repairBegan)
        trace.line(queue.now, "node \(node.id) gave up its log, which ended at \(held.end)")
        node.owed.append(held)
        judge.losesLog(node.id, held)
    }

    /// `Effect.recovered`.
    func recovered(_ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        try judge.recovers(process.replica.core, disk: node.synced, databaseThrough: node.durableInDatabase)
        report.reached(.memberRepaired)
        trace.line(queue.now, "node \(node.id) is whole again")
        do throws(DataDirectoryError) {
            try node.recovered()
        } catch {
            // As shipped: the next start recovers once more.
            trace.line(queue.now, "node \(node.id) keeps the note of its repair: \(error)")
        }
    }
}

extension SimulatedNode {
    /// Of a state that nothing was planted in; nil of any other.
    var trustedDigest: UInt64? { stateDamage == .planted ? nil : machine.digest }
}

/// A difference that no client looks at, put into a state machine beside a real change.
enum Divergence {
    private static let name = "user.planted"

    /// The entry with a change more; nil where it does not suit.
    static func planted(in entry: Entry) -> Entry? {
        guard entry.kind == .command else { return nil }
        do {
            var envelope = try LogEnvelope(decoding: entry.payload)
            guard case .alterConfigs(var change) = envelope.command(), change.resource == .cluster else {
                return nil
            }
            change.changes.append(ConfigChange(name: name, value: "\(entry.index)"))
            envelope.commandBytes = Command.alterConfigs(change).schemaBytes()
            return Entry(term: entry.term, index: entry.index, kind: entry.kind, payload: envelope.encoded())
        } catch {
            return nil
        }
    }

    static func isPlanted(_ change: ObservedChange) -> Bool {
        if case .configChanged(let config) = change { config.name == name } else { false }
    }

    static func withoutPlanted(_ event: ChangeEvent) -> ChangeEvent {
        var event = event
        // It stands behind the real change, so no place among the departures moves.
        event.changes.removeAll(where: isPlanted)
        return event
    }
}

extension ChangePage {
    /// As a feed without the planted difference has it.
    var withoutPlanted: ChangePage {
        switch self {
        case .events(let events, let through): .events(events.map(Divergence.withoutPlanted), through: through)
        case .tooOld, .notYet: self
        }
    }
}
