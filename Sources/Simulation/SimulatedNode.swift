internal import MetadataModel
internal import RaftCore
internal import RaftLog
internal import Replica

/// One simulated machine: its files, its state machine, its clock, and the process on it while there is one.
final class SimulatedNode {
    enum Condition {
        /// Exits: `paused`, `stopped`.
        case running(SimulatedProcess)
        /// Stopped by a signal: nothing happens in it, and what arrives waits. Exits: `running`, `stopped`.
        case paused(SimulatedProcess, backlog: [ClusterEvent])
        /// Exit: `running`, unless it `refuses`.
        case stopped(Stop)
    }

    enum Stop: Hashable {
        case killed
        /// Nothing answers, not even with a refusal.
        case withoutPower
        /// It ended by itself, as shipped: the reason is for the trace.
        case failed(String)
        /// It does not start with what is on its disk. No exit without help from outside.
        case refuses(String)
    }

    let id: NodeID
    let fileSystem: SimulatedFileSystem
    let machine: any SimulatedStateMachine
    var disk: DiskID
    var condition = Condition.stopped(.killed)
    /// Counts the processes: what was planned for an earlier one does not happen in this one.
    var life: UInt64 = 0
    var clock = SimulatedClock()
    /// What was synced, by what the log reported.
    var synced: SyncedLog
    /// Writes that were under way when the last process ended.
    var unfinished: [LogJob] = []
    /// The database cannot go back to before this entry.
    var durableInDatabase = LogIndex.zero
    /// Where the database stood when the last process ended.
    var appliedAtEnd = LogIndex.zero
    /// The power failed since then.
    var databaseMayGoBack = false
    /// Something on its disk was changed behind its back: it may refuse to start, and nothing else may.
    var isDamaged = false
    /// Syncs do not end before this moment.
    var diskHangsUntil: UInt64 = 0
    /// Reads may have come back wrong since the process started.
    var readsAreFlipped: Bool { fileSystem.flippedReadsPerMille > 0 }

    static let directory = "/log"

    /// A machine whose data directory was formatted for `members`.
    init(
        id: NodeID, members: [Member], disk: DiskID, machine: any SimulatedStateMachine, logOptions: LogOptions,
        seed: UInt64
    ) {
        self.id = id
        self.disk = disk
        self.machine = machine
        fileSystem = SimulatedFileSystem(seed: seed)
        do {
            try fileSystem.createDirectory(SimulatedNode.directory)
            var options = logOptions
            options.diskID = disk
            let (log, _) = try SegmentedLog.open(
                directory: SimulatedNode.directory, fileSystem: fileSystem, options: options)
            try log.write([MemberStart.firstWrite(of: members)])
            log.close()
            let (again, recovered) = try SegmentedLog.open(
                directory: SimulatedNode.directory, fileSystem: fileSystem, options: options)
            again.close()
            synced = SyncedLog(recovered)
        } catch {
            preconditionFailure("an empty disk without faults was not formatted: \(error)")
        }
    }

    /// The process, if it runs and is not paused.
    var running: SimulatedProcess? {
        if case .running(let process) = condition { process } else { nil }
    }

    /// The process, paused or not.
    var process: SimulatedProcess? {
        switch condition {
        case .running(let process), .paused(let process, _): process
        case .stopped: nil
        }
    }

    var isStopped: Bool { process == nil }

    /// How far its state machine is, or was when its last process ended.
    var appliedIndex: LogIndex { isStopped ? appliedAtEnd : machine.applied.index }

    /// Whether a start can be tried: it was stopped, and its disk is not known to be of no use.
    var canStart: Bool {
        switch condition {
        case .stopped(.refuses), .running, .paused: false
        case .stopped(.killed), .stopped(.withoutPower), .stopped(.failed): true
        }
    }

    /// Whether the kernel of the machine answers for ports nobody listens at.
    var hasPower: Bool {
        if case .stopped(.withoutPower) = condition { false } else { true }
    }

    /// The term that the disk holds at `index`, synced; entries that it has let go of are in the database.
    func holds(_ position: LogPosition) -> Bool {
        synced.term(at: position.index) == position.term || durableInDatabase >= position.index
            || synced.base.index >= position.index
    }
}

/// One life of the program on a simulated machine.
final class SimulatedProcess {
    var replica: Replica
    let log: SegmentedLog<SimulatedFileSystem>
    var watches: Watches
    let life: UInt64

    /// Waiting for the log thread, and what it does now.
    var logQueue: [LogJob] = []
    var logWork: [LogJob] = []
    /// Writes that the log has and has not reported: a full disk keeps them waiting.
    var unreported: [LogJob] = []
    /// What the apply thread does now.
    var applying: [Entry] = []
    /// What it is to install, after that.
    var installing: IncomingSnapshot?
    var isCheckpointing = false
    /// Reads that wait for their turn.
    var queries: [RequestToken: ServedQuery] = [:]
    var status: Status
    var turnIsPlanned = false
    /// Snapshots that arrived, by id; the replica has announced them.
    var snapshots: [UInt64: (Transfer, SimulatedSnapshot)] = [:]
    /// Watches of clients, by connection.
    var watchers: [UInt64: Int] = [:]
    /// Snapshots on their way from here, by receiver.
    var transfers: [NodeID: UInt64] = [:]

    init(replica: Replica, log: SegmentedLog<SimulatedFileSystem>, watches: Watches, life: UInt64) {
        self.replica = replica
        self.log = log
        self.watches = watches
        self.life = life
        status = replica.status
    }

    /// Runs `body` on the replica in its place: to hand a value of this size to a function is to copy it, and each copy counts
    /// references up and down.
    func withReplica<Value>(
        _ body: (inout Replica) throws(Violation) -> Value
    ) throws(Violation) -> Value {
        try body(&replica)
    }
}
