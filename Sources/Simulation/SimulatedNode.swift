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
        /// A machine that belongs to no cluster yet, or any more: its disk is not formatted. Exit: `killed`, by formatting it.
        case unused
    }

    let id: NodeID
    let fileSystem: SimulatedFileSystem
    var machine: any SimulatedStateMachine
    private(set) var disk = DiskID.unknown
    /// Grows with each change of address.
    var addressNumber = 1
    var condition = Condition.stopped(.unused)
    /// Counts the processes: what was planned for an earlier one does not happen in this one.
    var life: UInt64 = 0
    var clock = SimulatedClock()
    /// What was synced, by what the log reported.
    var synced = SyncedLog()
    /// Writes that were under way when the last process ended.
    var unfinished: [LogJob] = []
    /// The database cannot go back to before this entry.
    var durableInDatabase = LogIndex.zero
    /// Where the database stood when the last process ended.
    var appliedAtEnd = LogIndex.zero
    /// What of it was committed.
    var committedAtEnd = LogIndex.zero
    /// It ended in the middle of the installation of a snapshot that stands here: the commit may have come to pass all the same.
    var installedAtEnd: LogIndex?
    /// The power failed since then.
    var databaseMayGoBack = false
    /// How often its disk was formatted.
    private(set) var formats: UInt64 = 0
    /// What was done to its disk behind its back, and has not been repaired since.
    var harm = Harm.none
    /// The same, for what happened after it began anew.
    var harmSinceRepair = Harm.none
    /// What it had synced before it lost its log, since it was whole last.
    var owed: [Held] = []
    /// The disks that were lost, and what they had synced.
    private(set) var lost: [(disk: DiskID, held: Held)] = []
    var stateDamage = StateDamage.none
    /// As its settings name them; empty for a node that joined later.
    private(set) var firstMembers: [Member] = []
    private(set) var logOptions = LogOptions()
    /// Syncs do not end before this moment.
    var diskHangsUntil: UInt64 = 0
    /// Reads may have come back wrong since the process started.
    var readsAreFlipped: Bool { fileSystem.flippedReadsPerMille > 0 }

    static let root = "/data"
    static let directory = root + "/" + DataDirectory.logName

    /// A machine with an empty disk.
    init(id: NodeID, machine: any SimulatedStateMachine, seed: UInt64) {
        self.id = id
        self.machine = machine
        fileSystem = SimulatedFileSystem(seed: seed)
    }

    /// Makes an empty disk a data directory, as `metad format` does.
    ///
    /// - Parameter members: the first ones of a new cluster; empty for a node that is going to join one.
    func format(for members: [Member], logOptions: LogOptions) {
        precondition(!isUsed, "node \(id) is formatted already")
        formats += 1
        disk = DiskID(high: formats, low: id.rawValue)
        condition = .stopped(.killed)
        firstMembers = members
        self.logOptions = logOptions
        self.logOptions.diskID = disk
        // What was wrong with the disk before went with it.
        fileSystem.capacityBytes = .max
        fileSystem.flippedReadsPerMille = 0
        fileSystem.syncsUntilError = nil
        do {
            try fileSystem.createDirectory(SimulatedNode.root)
            try fileSystem.createDirectory(SimulatedNode.directory)
            let options = self.logOptions
            let (log, _) = try SegmentedLog.open(
                directory: SimulatedNode.directory, fileSystem: fileSystem, options: options)
            if !members.isEmpty { try log.write([MemberStart.firstWrite(of: members)]) }
            log.close()
            let (again, recovered) = try SegmentedLog.open(
                directory: SimulatedNode.directory, fileSystem: fileSystem, options: options)
            again.close()
            synced = SyncedLog(recovered)
        } catch {
            preconditionFailure("an empty disk without faults was not formatted: \(error)")
        }
    }

    /// The disk is lost with everything on it, or taken out of use; another takes its place, not formatted yet.
    func loseDisk(_ machine: any SimulatedStateMachine) {
        precondition(isStopped, "node \(id) runs on the disk that is lost")
        lost.append((disk, Held(log: synced, databaseThrough: durableInDatabase)))
        fileSystem.wipe()
        replaceState(machine)
        condition = .stopped(.unused)
        synced = SyncedLog()
        unfinished = []
        harm = .none
        harmSinceRepair = .none
        owed = []
        diskHangsUntil = 0
    }

    /// As others are told to reach it.
    var peerAddress: String { "node\(id).\(addressNumber):1" }

    /// As an operator would describe it.
    var member: Member {
        Member(id: id, disk: disk, peerAddress: peerAddress, clientAddress: "node\(id).\(addressNumber):2")
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
        case .stopped(.refuses), .stopped(.unused), .running, .paused: false
        case .stopped(.killed), .stopped(.withoutPower), .stopped(.failed): true
        }
    }

    /// Whether it belongs to a cluster, or is on its way into one.
    var isUsed: Bool {
        if case .stopped(.unused) = condition { false } else { true }
    }

    /// Whether the kernel of the machine answers for ports nobody listens at.
    var hasPower: Bool {
        if case .stopped(.withoutPower) = condition { false } else { true }
    }

    /// Whether a disk of this machine holds an entry, synced, or did when it was lost: its word may have been on its way by then.
    /// Entries that the log has let go of are in the database. What a member held before its log was lost may have been
    /// counted, and counts until it has said that it holds everything again.
    ///
    /// - Parameter isMeant: which of its disks is asked for.
    func holds(_ position: LogPosition, onDisk isMeant: (DiskID) -> Bool) -> Bool {
        isMeant(disk)
            && (Held(log: synced, databaseThrough: durableInDatabase).holds(position)
                || owed.contains { $0.holds(position) })
            || lost.contains { isMeant($0.disk) && $0.held.holds(position) }
    }

    /// What a disk holds, or held.
    struct Held {
        var log: SyncedLog
        var databaseThrough: LogIndex

        func holds(_ position: LogPosition) -> Bool {
            log.term(at: position.index) == position.term || databaseThrough >= position.index
                || log.base.index >= position.index
        }

        /// Up to where.
        var end: LogIndex { max(log.last.index, databaseThrough) }
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
    var installEndsAt: UInt64 = 0
    var isCheckpointing = false
    /// Reads that wait for their turn.
    var queries: [RequestToken: ServedQuery] = [:]
    var status: Status
    var turnIsPlanned = false
    /// Snapshots to and from others, with their files by id.
    var sender: SnapshotSenderMachine
    var receiver = SnapshotReceiverMachine(
        timeoutMilliseconds: SimulatedCluster.snapshotOptions.timeoutMilliseconds)
    var outgoing: [UInt64: SimulatedSnapshot] = [:]
    var incoming: [UInt64: SpoolFile] = [:]
    /// Who waits for a snapshot of this one.
    var servedPeers: Set<NodeID> = []
    /// When the sender is woken next; nil when it is not.
    var senderWakesAt: UInt64?
    /// Watches of clients, by connection.
    var watchers: [UInt64: Int] = [:]
    /// Who called and was let in, each once.
    var callers: [PeerCaller] = []
    /// Whom it calls, and whom no more once this turn's messages have left.
    var peers: [Member] = []
    var formerPeers: [NodeID] = []
    /// What it went by when it was last looked at.
    var configuration: Configuration
    /// What it was still to propose at the end of its last turn.
    var unfinishedReplacement: MembershipChange?

    /// - Parameters:
    ///   - snapshotID: not one of another process.
    ///   - now: milliseconds on the machine's clock.
    init(
        replica: Replica, log: SegmentedLog<SimulatedFileSystem>, watches: Watches, life: UInt64, snapshotID: UInt64,
        now: UInt64
    ) {
        sender = SnapshotSenderMachine(options: SimulatedCluster.snapshotOptions, firstID: snapshotID, now: now)
        configuration = replica.core.configuration
        self.replica = replica
        self.log = log
        self.watches = watches
        self.life = life
        status = replica.status
    }

    /// Runs `body` on the replica in its place: to hand a value of this size to a function is to copy it, and each copy counts
    /// references up and down.
    func withReplica<Value, Failure: Error>(
        _ body: (inout Replica) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try body(&replica)
    }
}
