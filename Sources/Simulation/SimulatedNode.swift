internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
internal import Replica

typealias Machine = StateMachine<ReferenceStorage>

/// A state machine together with the position that it stands for: in memory, in a checkpoint, in a snapshot.
struct MachineImage {
    var machine: Machine
    var applied: LogPosition
    var configuration: Configuration

    var digest: UInt64 { machine.digest }

    var image: StateMachineImage {
        StateMachineImage(
            applied: applied, version: machine.version, logTimeMilliseconds: machine.logTimeMilliseconds,
            brokers: machine.storage.brokers())
    }

    /// Applies a batch as the apply thread does.
    mutating func apply(
        _ entries: [Entry], observer: inout ClientObserver
    ) throws(Violation) -> AppliedReport {
        var outcomes: [AppliedReport.Outcome] = []
        for entry in entries {
            precondition(entry.index == applied.index.next, "applied \(applied), then \(entry.index)")
            switch entry.kind {
            case .command:
                let command = LogCommand(decoding: entry.payload)
                let done = machine.apply(index: entry.index.rawValue, command)
                try observer.applies(command, done, at: entry.index)
                outcomes.append(.init(index: entry.index, outcome: done.outcome))
            case .configuration:
                do {
                    configuration = try Configuration(decoding: entry.payload)
                } catch {
                    preconditionFailure("a committed configuration does not decode: \(error)")
                }
            case .noop:
                break
            }
            applied = entry.position
        }
        return AppliedReport(
            applied: applied, version: machine.version, logTimeMilliseconds: machine.logTimeMilliseconds,
            outcomes: outcomes, brokers: machine.storage.brokers(), removedBrokers: [])
    }
}

/// One simulated process and its disk.
struct SimulatedNode {
    let id: NodeID
    var disk: SimulatedDisk
    /// Nil while the process is down.
    var replica: Replica?
    /// The database as other threads see it.
    var database: MachineImage
    /// What of it survives a power loss.
    var checkpoint: MachineImage
    /// Counts the starts: what was planned for an earlier life does not happen in this one.
    var life: UInt64 = 0
    var queries: [RequestToken: SimulatedClient.Operation] = [:]
    /// Syncs end in order; the next one not before this moment.
    var diskIsFreeAt: UInt64 = 0
}
