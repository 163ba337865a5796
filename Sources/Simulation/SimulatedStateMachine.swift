package import MetadataModel
package import RaftCore
package import Replica

/// The state machine of one simulated node together with the disk that holds it. One value for the life of the node: processes
/// come and go with `start` and `stop`, and `losePower` takes from the disk what was not synced.
///
/// All calls come from one thread and are answered at once; how long something takes is up to the cluster. A call between
/// `stop` and `start` is a bug of the cluster, but for `losePower`.
package protocol SimulatedStateMachine: AnyObject {
    /// A process opens what the disk holds.
    func start() throws(StateMachineFailure)
    /// The process has ended, however it did. What it committed stays visible to the next one.
    func stop()
    /// The machine lost its power, after `stop`: what was not synced survives as far as `generator` decides, in an order that
    /// a disk could have written it. What `checkpoint` and `install` promised is there.
    func losePower(_ generator: inout SeededGenerator)
    /// The process is about to end: of what it is asked for from now on until `stop`, `generator` decides how much happens. A
    /// call that throws then has changed nothing, or what the next start undoes.
    func interrupt(_ generator: inout SeededGenerator)
    /// Leaves this many bytes on the disk; nil: enough.
    func limitRoom(_ bytes: Int?)
    /// The sync that comes after `count` others fails, and what it should have made durable may be gone with the power; nil:
    /// none does.
    func failSync(after count: Int?)

    /// The last entry that was applied.
    var applied: LogPosition { get }
    /// The last entry that the end of the process does not take back.
    var committed: LogPosition { get }
    /// The last configuration that was applied; nil before the first.
    var configuration: Configuration? { get }
    var digest: UInt64 { get }
    /// The digest of all rows, computed anew.
    func recomputedDigest() throws(StateMachineFailure) -> UInt64
    /// What a replica starts with.
    func image() throws(StateMachineFailure) -> StateMachineImage

    /// Applies a batch as the apply thread does. A `lack` is tried again, any other failure ends the node.
    func apply(_ entries: [Entry]) throws(StateMachineFailure) -> AppliedEntries
    /// Answers as a reader thread does.
    func answer(_ query: Query) throws(StateMachineFailure) -> QueryResult
    /// Makes everything that was applied durable and says how far that is.
    func checkpoint() throws(StateMachineFailure) -> LogPosition
    /// A copy of the state as it is now.
    func snapshot() throws(StateMachineFailure) -> SimulatedSnapshot
    /// Replaces the state by a snapshot's, durably, or changes nothing. The snapshot came from a machine of the same kind.
    func install(_ snapshot: SimulatedSnapshot) throws(StateMachineFailure)
}

/// What a batch did.
package struct AppliedEntries: Sendable {
    package var report: AppliedReport
    /// What watchers are told, in order.
    package var events: [ChangeEvent]

    package init(report: AppliedReport, events: [ChangeEvent]) {
        self.report = report
        self.events = events
    }
}

/// A snapshot on its way between two nodes.
package struct SimulatedSnapshot: Sendable {
    package var position: LogPosition
    package var configuration: Configuration
    package var content: Content

    package enum Content: Sendable {
        /// Of the reference in memory.
        case reference(ReferenceImage)
        /// The bytes of a snapshot file.
        case file([UInt8])
    }

    package init(position: LogPosition, configuration: Configuration, content: Content) {
        self.position = position
        self.configuration = configuration
        self.content = content
    }
}

/// Why a state machine could not do something.
package struct StateMachineFailure: Error, Hashable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// Nothing was changed, and the same may be tried again later: the disk is full, for example.
        case lack
        /// The disk failed. What it holds is what was written, or less of it.
        case disk
        /// The state is not what was written.
        case damage
    }

    package var kind: Kind
    package var reason: String

    package init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }

    package var description: String { kind == .lack ? "\(reason) (for now)" : reason }
}
