import Foundation
import Logging
import MetadataModel
import MetadataStore
import RaftCore
import RaftLog
import Replica

/// What a start finds on disk, checked and put together.
struct OpenedStorage {
    var directory: OpenDataDirectory
    var log: LogThreadLog
    var store: MetadataStore
    var restored: RestoredState
    var image: StateMachineImage
}

/// The log as the node uses it.
typealias LogThreadLog = SegmentedLog<PosixFileSystem>

/// Why a node does not start. Each says what to do.
package enum NodeStartError: Error, CustomStringConvertible {
    case directory(DataDirectoryError)
    case log(LogError)
    case store(StoreError)
    /// The log and the database do not fit together.
    case refused(MemberStart.Refusal)
    case inconsistent(String)
    /// Damaged, and the others are too few to do without this node meanwhile.
    indirect case cannotRepair(NodeStartError, Int)
    case noInitialMembers(NodeID)

    /// Whether log and database may be given up for a copy from the other members.
    var isRepairable: Bool {
        switch self {
        case .log(let error): error.isRepairable
        // What else fails at an opening may be the build's mistake: it would fail on every member that is started with it, and
        // all of them would give up what is sound.
        case .store(.corrupt): true
        case .store: false
        // The log is sound, and the database is not the one that belongs to it.
        case .refused(.entriesAreMissing), .refused(.membersAreUnknown): true
        case .refused(.unsound), .directory, .inconsistent, .cannotRepair, .noInitialMembers: false
        }
    }

    /// Whether it is the database that cannot be used.
    var isOfDatabase: Bool {
        if case .store = self { true } else { false }
    }

    /// Whether trying again is of no use: the directory is not this node's, or is damaged where only a person can help, and
    /// will not change by itself.
    package var isPermanent: Bool {
        switch self {
        case .directory(.inUse): false
        case .directory, .noInitialMembers, .cannotRepair: true
        case .log(let error): error.isPermanent
        case .store, .refused, .inconsistent: false
        }
    }

    package var description: String {
        switch self {
        case .directory(let error): "\(error)"
        case .log(let error): "\(error)"
        case .store(let error): "\(error)"
        case .refused(let refusal): "\(refusal)"
        case .inconsistent(let what): what
        case .cannotRepair(let error, let voters):
            "\(error). It cannot be repaired from the others: of \(voters) voters a majority needs this one. Nothing was "
                + "changed; put the directory back from a backup"
        case .noInitialMembers(let id):
            "cluster.initial_members does not name node \(id): list every first member as id=peer-address,client-address"
        }
    }
}

extension OpenedStorage {
    init(_ configuration: NodeConfiguration, logger: Logger) throws(NodeStartError) {
        let directory: OpenDataDirectory
        do {
            directory = try DataDirectory.open(
                path: configuration.node.dataDirectory, expectedClusterID: configuration.cluster.id,
                expectedNodeID: configuration.node.id)
        } catch { throw .directory(error) }
        // What a transfer left behind when the process died: nobody goes on with it.
        removeFiles(in: directory.snapshotDirectory, logger: logger)
        let initial = configuration.cluster.initialMembers
        let repair = NodeRepair(
            path: directory.root, options: directory.logOptions(configuration),
            initialMembers: initial.isEmpty ? nil : RaftCore.Configuration(voters: initial.map(\.member)),
            nodeID: configuration.node.id, logger: logger
        )
        var marker = try repair.unfinished()
        if let known = marker, known.phase == .discard { marker = try repair.discard(known, because: nil) }
        do throws(NodeStartError) {
            self = try OpenedStorage(directory, configuration, repair, marker, logger: logger)
        } catch {
            guard error.isRepairable else { throw error }
            if error.isOfDatabase, try repair.holdsFirstEntry() {
                try repair.discardDatabase(because: error)
            } else {
                let databasePath = error.isOfDatabase ? nil : directory.databasePath
                let members = marker?.members ?? repair.salvagedMembers(databasePath: databasePath)
                marker = try repair.begin(error, members: members)
            }
            // What is damaged again right after it was made anew is not for this program to repair.
            self = try OpenedStorage(directory, configuration, repair, marker, logger: logger)
        }
    }

    private init(
        _ directory: OpenDataDirectory, _ configuration: NodeConfiguration, _ repair: NodeRepair,
        _ marker: RepairMarker?, logger: Logger
    ) throws(NodeStartError) {
        let log: LogThreadLog
        let recovered: RecoveredLog
        do {
            (log, recovered) = try SegmentedLog.open(
                directory: directory.logDirectory, fileSystem: PosixFileSystem(),
                options: directory.logOptions(configuration))
        } catch { throw .log(error) }
        if let tail = recovered.truncatedTail {
            logger.notice("the end of the log was never acknowledged and was cut", metadata: ["tail": "\(tail)"])
        }
        let store: MetadataStore
        let image: StateMachineImage
        do {
            store = try MetadataStore(path: directory.databasePath, options: StoreOptions())
            image = try store.image()
        } catch {
            log.close()
            throw .store(error)
        }
        var restored: RestoredState
        do throws(NodeStartError) {
            restored = try restore(recovered, store: store, log: log, logger: logger)
            restored.hasJoined = directory.identity.hasJoined
            if let marker {
                restored.isRecovering = true
                // The log may have lost the entry that named the members; whom to ask has to be known all the same.
                if restored.base.index == .zero { restored.configuration = try repair.configuration(of: marker) }
            }
        } catch {
            log.close()
            do { try store.close() } catch {
                logger.warning("cannot close the database", metadata: ["error": "\(error)"])
            }
            throw error
        }
        self.init(directory: directory, log: log, store: store, restored: restored, image: image)
    }
}

private func removeFiles(in folder: String, logger: Logger) {
    do {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            try FileManager.default.removeItem(atPath: folder + "/" + name)
        }
    } catch {
        logger.warning("cannot clear the snapshot folder", metadata: ["path": "\(folder)", "error": "\(error)"])
    }
}

extension OpenDataDirectory {
    fileprivate func logOptions(_ configuration: NodeConfiguration) -> LogOptions {
        var options = logOptions
        options.segmentBytes = configuration.raft.segmentBytes
        return options
    }
}

/// Fits the log to the database.
private func restore(
    _ recovered: RecoveredLog, store: MetadataStore, log: LogThreadLog, logger: Logger
) throws(NodeStartError) -> RestoredState {
    let start = MemberStart(
        hardState: recovered.hardState, base: recovered.base, entries: recovered.entries, applied: store.applied,
        configuration: store.configuration)
    switch start {
    case .fits(let restored):
        return restored
    case .beginsAnew(let write, let restored):
        logger.notice(
            "the database is ahead of the log; the log begins anew behind it",
            metadata: ["applied": "\(store.applied)"])
        do { try log.write([write]) } catch { throw .log(error) }
        return restored
    case .refused(let refusal):
        throw .refused(refusal)
    }
}

/// Whether the data directory is this node's already. A foreign one is not, and `formatNode` says so.
package func isFormatted(_ configuration: NodeConfiguration) -> Bool {
    do {
        let identity = try DataDirectory.identity(path: configuration.node.dataDirectory)
        return identity.clusterID == configuration.cluster.id && identity.nodeID == configuration.node.id
    } catch {
        return false
    }
}

/// Prepares a data directory: identity, and a log whose first entry names the first members, the same on each of them, so
/// that membership lives in the log from the beginning.
package func formatNode(_ configuration: NodeConfiguration, disk: DiskID) throws(NodeStartError) {
    let members = configuration.cluster.initialMembers
    guard members.isEmpty || members.contains(where: { $0.id == configuration.node.id }) else {
        throw .noInitialMembers(configuration.node.id)
    }
    let path = configuration.node.dataDirectory
    do {
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path, withIntermediateDirectories: true)
    } catch { throw .inconsistent("cannot make the folder that \(path) is to lie in: \(error)") }
    do {
        try DataDirectory.format(
            path: path, clusterID: configuration.cluster.id, nodeID: configuration.node.id, diskID: disk,
            joins: members.isEmpty)
    } catch { throw .directory(error) }
    guard !members.isEmpty else { return }
    let directory: OpenDataDirectory
    do {
        directory = try DataDirectory.open(
            path: path, expectedClusterID: configuration.cluster.id, expectedNodeID: configuration.node.id)
    } catch { throw .directory(error) }
    do {
        let (log, _) = try SegmentedLog.open(
            directory: directory.logDirectory, fileSystem: PosixFileSystem(),
            options: directory.logOptions(configuration))
        try log.write([MemberStart.firstWrite(of: members.map(\.member))])
        log.close()
    } catch { throw .log(error) }
}

extension InitialMember {
    /// The disks of the others are not known yet when the first member is formatted.
    fileprivate var member: Member {
        Member(id: id, disk: .unknown, peerAddress: "\(peerAddress)", clientAddress: "\(clientAddress)")
    }
}
