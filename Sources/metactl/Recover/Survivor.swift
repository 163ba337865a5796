import Foundation
import MetadataStore
import RaftCore
import RaftLog
import Replica

/// What is left of a cluster on one node's disk, read as a start of the node would read it. Holds the directory's lock.
struct Survivor {
    let directory: OpenDataDirectory
    let store: MetadataStore
    let hardState: HardState
    /// The last entry of the log, or what the database has applied if that is further.
    let last: LogPosition
    /// Entries behind what the database has applied. They may never have been committed; and they may have been acknowledged.
    let tail: [Entry]
    /// The last configuration in log or database.
    let configuration: Configuration
    /// What is broken, in words; empty on a sound disk.
    let damage: [String]

    /// - Parameter acceptsDamage: go on with what can be read of a damaged log or database.
    static func open(_ path: String, acceptsDamage: Bool) throws(CommandFailure) -> Survivor {
        let directory = try openDirectory(path)
        do throws(CommandFailure) {
            return try read(directory, acceptsDamage: acceptsDamage)
        } catch {
            directory.close()
            throw error
        }
    }

    var identity: NodeIdentity { directory.identity }

    /// Ends the use of the old data; the lock stays until the last reference goes.
    func close() throws(CommandFailure) {
        do { try store.close() } catch { throw .local("database_failed", "\(error)") }
        directory.close()
    }

    private static func openDirectory(_ path: String) throws(CommandFailure) -> OpenDataDirectory {
        do throws(DataDirectoryError) {
            let identity = try DataDirectory.identity(path: path)
            return try DataDirectory.open(
                path: path, expectedClusterID: identity.clusterID, expectedNodeID: identity.nodeID)
        } catch {
            if case .inUse = error { throw .refused("node_is_running", "\(error)") }
            throw .local("not_a_data_directory", "\(error)")
        }
    }

    private static func read(
        _ directory: OpenDataDirectory, acceptsDamage: Bool
    ) throws(CommandFailure) -> Survivor {
        var damage: [String] = []
        try refuseUnderRepair(directory)
        let log = try readLog(directory, acceptsDamage: acceptsDamage, damage: &damage)
        // Opening a database that is not there would make it.
        guard FileManager.default.fileExists(atPath: directory.databasePath) || log.base == .zero else {
            throw .refused(
                "data_incomplete",
                "\(directory.databasePath) is not there, and the log begins after entry \(log.base.index): the state "
                    + "before it is gone. Use the directory of another node")
        }
        let store: MetadataStore
        do {
            store = try MetadataStore(path: directory.databasePath)
            if let finding = try store.scrub().finding { damage.append("the database: \(finding)") }
        } catch { throw .refused("database_damaged", "\(error). Use the directory of another node") }
        guard damage.isEmpty || acceptsDamage else {
            throw .refused("data_damaged", "\(damage.joined(separator: "; ")). Use another node, or --accept-damage")
        }
        let applied = store.applied
        let tail: [Entry]
        switch LogFit(base: log.base, entries: log.entries, applied: applied) {
        case .fits: tail = log.entries.filter { $0.index > applied.index }
        case .mustBeginAnew: tail = []
        case .entriesAreMissing:
            throw .refused(
                "data_incomplete",
                "the log begins after entry \(log.base.index) and the database ends at \(applied.index): entries between "
                    + "them are missing. Use the directory of another node")
        }
        return Survivor(
            directory: directory, store: store, hardState: log.hardState, last: tail.last?.position ?? applied,
            tail: tail, configuration: try lastConfiguration(tail, store), damage: damage)
    }

    /// A node that repairs itself from the others has given up its own data.
    private static func refuseUnderRepair(_ directory: OpenDataDirectory) throws(CommandFailure) {
        let marker: RepairMarker?
        do { marker = try DataDirectory.repairMarker(path: directory.root) } catch {
            throw .local("not_a_data_directory", "\(error)")
        }
        guard let marker else { return }
        throw .refused(
            "data_incomplete",
            "the node was repairing itself from the others (\(marker.reason)), and has not all of the data. Use the directory "
                + "of another node")
    }

    private static func readLog(
        _ directory: OpenDataDirectory, acceptsDamage: Bool, damage: inout [String]
    ) throws(CommandFailure) -> RecoveredLog {
        do throws(LogError) {
            let (log, recovered) = try SegmentedLog.open(
                directory: directory.logDirectory, fileSystem: PosixFileSystem(), options: directory.logOptions)
            log.close()
            return recovered
        } catch {
            guard case .corrupt = error else { throw .local("log_unreadable", "\(error)") }
            guard acceptsDamage else {
                throw .refused("data_damaged", "\(error). Use another node, or --accept-damage")
            }
            damage.append("\(error)")
        }
        do throws(LogError) {
            return try readableStart(directory)
        } catch { throw .local("log_unreadable", "\(error)") }
    }

    /// The entries of a damaged log that stand before its first damage.
    private static func readableStart(_ directory: OpenDataDirectory) throws(LogError) -> RecoveredLog {
        var log = RecoveredLog(hardState: .initial, base: .zero, entries: [])
        var isOver = false
        var segments = 0
        try LogDump.dump(directory: directory.logDirectory) { record in
            switch record {
            case .segment(_, _, let base, _, _):
                if segments == 0 { log.base = base }
                segments += 1
            case .entry(_, _, let entry):
                let last = log.entries.last?.index ?? log.base.index
                // A segment may be cut short by the next, which says the rest again.
                if !isOver, entry.index == last.next { log.entries.append(entry) }
            case .hardState(_, let state, _, _): log.hardState = state
            case .stopped(_, _, _, let reason): isOver = isOver || !LogDump.isEnd(reason)
            case .batch, .leftover: break
            }
        }
        let seen = log.entries.last?.term ?? log.base.term
        if log.hardState.term < seen { log.hardState = HardState(term: seen, vote: nil) }
        return log
    }

    private static func lastConfiguration(
        _ tail: [Entry], _ store: MetadataStore
    ) throws(CommandFailure) -> Configuration {
        guard let entry = tail.last(where: { $0.kind == .configuration }) else { return store.configuration ?? .empty }
        do {
            return try Configuration(decoding: entry.payload)
        } catch { throw .refused("data_damaged", "the configuration at \(entry.position) does not decode: \(error)") }
    }
}

extension CommandFailure {
    static func refused(_ code: String, _ detail: String) -> CommandFailure {
        CommandFailure(status: .refused, code: code, category: "refused", detail: detail)
    }

    static func local(_ code: String, _ detail: String) -> CommandFailure {
        CommandFailure(status: .unavailable, code: code, category: "fatal", detail: detail)
    }
}
