import MetadataModel
import MetadataSchema
import RaftCore
import Replica

/// The log of a member as its disk has it: what a power loss leaves.
struct LogDisk {
    private(set) var hardState = HardState.initial
    private(set) var base = LogPosition.zero
    private(set) var entries: [Entry]
    /// In effect at `base`.
    private(set) var configuration = Configuration.empty

    /// As `metad format` leaves it.
    init(formattedWith first: Entry?) {
        entries = first.map { [$0] } ?? []
        if let first { hardState = HardState(term: first.term, vote: nil) }
    }

    var last: LogPosition { entries.last?.position ?? base }

    mutating func write(_ persist: Persist, resetTo configuration: Configuration) {
        if let reset = persist.reset { self.reset(to: reset, configuration: configuration) }
        if let from = persist.truncateFrom {
            precondition(from > base.index && from <= last.index, "truncated from \(from) in \(base)..\(last)")
            entries.removeAll { $0.index >= from }
        }
        for entry in persist.entries {
            precondition(entry.index == last.index.next, "entry \(entry.position) is written after \(last)")
            entries.append(entry)
        }
        if let hardState = persist.hardState { self.hardState = hardState }
    }

    mutating func reset(to position: LogPosition, configuration: Configuration) {
        base = position
        entries = []
        self.configuration = configuration
        hardState.raise(to: position.term)
    }

    mutating func compact(to position: LogPosition) {
        precondition(
            entries.contains { $0.position == position }, "cut to \(position), the log holds \(base)..\(last)")
        for entry in entries where entry.index <= position.index && entry.kind == .configuration {
            configuration = decoded(entry)
        }
        base = position
        entries.removeAll { $0.index <= position.index }
    }
}

/// The state machine of a member, with the position that it stands for.
struct Database {
    var machine = StateMachine(storage: ReferenceStorage())
    var applied = LogPosition.zero
    var configuration = Configuration.empty

    mutating func apply(_ entries: [Entry]) -> AppliedReport {
        var outcomes: [AppliedReport.Outcome] = []
        for entry in entries {
            precondition(entry.index == applied.index.next, "applied \(applied), then \(entry.position)")
            switch entry.kind {
            case .command:
                let done = machine.apply(index: entry.index.rawValue, LogCommand(decoding: entry.payload))
                outcomes.append(.init(index: entry.index, outcome: done.outcome))
            case .configuration: configuration = decoded(entry)
            case .noop: break
            }
            applied = entry.position
        }
        return AppliedReport(
            applied: applied, version: machine.version, logTimeMilliseconds: machine.logTimeMilliseconds,
            outcomes: outcomes, brokers: machine.storage.brokers(), removedBrokers: [])
    }

    var image: StateMachineImage {
        StateMachineImage(
            applied: applied, version: machine.version, logTimeMilliseconds: machine.logTimeMilliseconds,
            brokers: machine.storage.brokers())
    }
}

/// One member: its replica while it runs, and what is around it.
struct StoryMember {
    let id: NodeID
    /// Nil while it is down.
    var replica: Replica?
    var disk: LogDisk
    var database = Database()
    /// What of the database a power loss leaves.
    var checkpoint = Database()
    /// Handed to the disk and not synced, oldest first.
    var writes: [Persist] = []
    /// Handed to the state machine and not reported: a batch or a snapshot.
    var work: Work?
    /// A checkpoint was asked for and has not ended.
    var isCheckpointing = false
    /// Snapshot files that this member received, by their number.
    var snapshots: [UInt64: Database] = [:]
    /// Copies that it makes for others: of its state as it was when they were asked for, and the term it led then.
    var copies: [NodeID: (database: Database, term: Term)] = [:]
    var isDiskFast = true
    var isApplyFast = true
    var starts: UInt64 = 0

    enum Work {
        case apply([Entry])
        case install(IncomingSnapshot)
    }
}

/// What a story writes into a log decodes: a driver that cannot read it is wrong.
private func decoded(_ entry: Entry) -> Configuration {
    do {
        return try Configuration(decoding: entry.payload)
    } catch {
        preconditionFailure("the configuration at \(entry.position) does not decode: \(error)")
    }
}
