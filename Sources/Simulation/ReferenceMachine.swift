package import MetadataModel
package import RaftCore
package import Replica

/// The reference state machine with the position that it stands for.
package struct ReferenceImage: Sendable {
    var machine: StateMachine<ReferenceStorage>
    var feed: ChangeFeed
    var applied: LogPosition
    var configuration: Configuration?

    static let feedEventsMax = 512

    init() {
        machine = StateMachine(storage: ReferenceStorage())
        feed = ChangeFeed(eventsMax: ReferenceImage.feedEventsMax)
        applied = .zero
    }

    mutating func apply(_ entries: [Entry], _ commands: CommandCache) throws(StateMachineFailure) -> AppliedEntries {
        var outcomes: [AppliedReport.Outcome] = []
        var events: [ChangeEvent] = []
        var digests: [DigestMark] = []
        for entry in entries {
            precondition(entry.index == applied.index.next, "applied \(applied), then \(entry.index)")
            switch entry.kind {
            case .command:
                let command = commands.command(entry)
                let done = machine.applyInMemory(index: entry.index.rawValue, command)
                if case .compareDigests? = command.command {
                    digests.append(DigestMark(index: entry.index.rawValue, digest: machine.digest))
                }
                outcomes.append(.init(index: entry.index, outcome: done.outcome))
                if let event = done.event {
                    events.append(event)
                    feed.append(event)
                }
            case .configuration:
                do {
                    configuration = try Configuration(decoding: entry.payload)
                } catch {
                    throw StateMachineFailure(.damage, "configuration \(entry.position): \(error)")
                }
            case .noop:
                break
            }
            applied = entry.position
        }
        return AppliedEntries(
            report: AppliedReport(
                applied: applied, version: machine.version, logTimeMilliseconds: machine.logTimeMilliseconds,
                outcomes: outcomes, events: events, digests: digests),
            events: events)
    }
}

/// The reference in memory as a node's state machine, on a disk that behaves like a database with a WAL: a batch is one
/// transaction, and without power it goes back to the border of one that is not before the last checkpoint.
package final class ReferenceMachine: SimulatedStateMachine {
    private var current = ReferenceImage()
    /// What survives everything.
    private var durable = ReferenceImage()
    /// The batches since then.
    private var unsynced: [[Entry]] = []
    private let commands: CommandCache
    private var isRunning = false
    private var isFull = false
    private var checkpointsUntilError: Int?
    /// The end of the process came before what it still asked for.
    private var isInterrupted = false
    /// As in the store: after a sync that failed there is no other.
    private var diskFailed = false

    package convenience init() { self.init(commands: CommandCache()) }

    init(commands: CommandCache) { self.commands = commands }

    package func start() { isRunning = true }

    package func stop() {
        isRunning = false
        isInterrupted = false
        diskFailed = false
    }

    package func interrupt(_ generator: inout SeededGenerator) { isInterrupted = generator.below(2) == 0 }

    /// It counts no bytes: a batch takes about this much.
    package func limitRoom(_ bytes: Int?) { isFull = bytes.map { $0 < 4_096 } ?? false }

    package func failSync(after count: Int?) { checkpointsUntilError = count }

    package func losePower(_ generator: inout SeededGenerator) {
        precondition(!isRunning, "a process still runs on a machine without power")
        let kept = generator.below(unsynced.count + 1)
        unsynced.removeLast(unsynced.count - kept)
        current = durable
        for batch in unsynced {
            do throws(StateMachineFailure) {
                _ = try current.apply(batch, commands)
            } catch {
                preconditionFailure("a batch that was applied before is not applied again: \(error)")
            }
        }
    }

    package var applied: LogPosition { current.applied }
    package var committed: LogPosition { current.applied }
    package var configuration: Configuration? { current.configuration }
    package var digest: UInt64 { current.machine.digest }

    package func recomputedDigest() -> UInt64 {
        current.machine.storage.digest() &+ SessionTable(restoring: current.machine.sessions.states()).digest
    }

    package func image() -> StateMachineImage {
        StateMachineImage(
            applied: current.applied, version: current.machine.version,
            logTimeMilliseconds: current.machine.logTimeMilliseconds, brokers: current.machine.storage.brokers(),
            silences: BrokerSilences(
                text: current.machine.storage.config(.cluster, name: BrokerSilences.configName)?.value),
            unfinished: UnfinishedWork(
                text: current.machine.storage.config(.cluster, name: UnfinishedWork.configName)?.value))
    }

    package func apply(_ entries: [Entry]) throws(StateMachineFailure) -> AppliedEntries {
        try refuseIfInterrupted()
        guard !isFull else { throw StateMachineFailure(.lack, "no space left") }
        let applied = try current.apply(entries, commands)
        unsynced.append(entries)
        return applied
    }

    package func answer(_ query: Query) -> QueryResult {
        current.machine.answer(query, appliedIndex: current.applied.index.rawValue, feed: current.feed)
    }

    package func checkpoint() throws(StateMachineFailure) -> LogPosition {
        try refuseIfInterrupted()
        if let left = checkpointsUntilError {
            checkpointsUntilError = left == 0 ? nil : left - 1
            diskFailed = left == 0
        }
        guard !diskFailed else { throw StateMachineFailure(.disk, "a sync failed") }
        return makeDurable()
    }

    private func makeDurable() -> LogPosition {
        durable = current
        unsynced = []
        return durable.applied
    }

    private func refuseIfInterrupted() throws(StateMachineFailure) {
        if isInterrupted { throw StateMachineFailure(.disk, "the process ended") }
    }

    package func snapshot() throws(StateMachineFailure) -> SimulatedSnapshot {
        guard let configuration = current.configuration else {
            throw StateMachineFailure(.lack, "no configuration was applied yet")
        }
        return SimulatedSnapshot(
            position: current.applied, configuration: configuration, content: .reference(current))
    }

    package func install(_ snapshot: SimulatedSnapshot) throws(StateMachineFailure) {
        try refuseIfInterrupted()
        guard case .reference(var image) = snapshot.content else {
            throw StateMachineFailure(.lack, "the snapshot is not one of the reference")
        }
        // The feed is not part of a snapshot, so it begins anew.
        image.feed = ChangeFeed(oldest: image.machine.version, eventsMax: ReferenceImage.feedEventsMax)
        current = image
        _ = makeDurable()
    }
}
