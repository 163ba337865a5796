import Logging
import MetadataStore
import RaftCore
import RaftLog

/// The process has to start again: what is on disk was found damaged, and the next start repairs it from the other members.
package struct NodeMustRestart: Error, CustomStringConvertible {
    package var reason: String

    package var description: String { "the node starts again to repair itself from the other members: \(reason)" }
}

/// The repair of a data directory at the start of a node, told to its operator.
struct NodeRepair {
    let path: String
    let logger: Logger
    private let repair: DirectoryRepair<PosixFileSystem>

    init(
        path: String, options: LogOptions, initialMembers: RaftCore.Configuration?, nodeID: NodeID, logger: Logger
    ) {
        self.path = path
        self.logger = logger
        repair = DirectoryRepair(
            path: path, fileSystem: PosixFileSystem(), options: options, nodeID: nodeID, initialMembers: initialMembers)
    }

    /// What was going on when the process ended.
    func unfinished() throws(NodeStartError) -> RepairMarker? {
        do { return try repair.unfinished() } catch { throw .directory(error) }
    }

    /// Whether the log still has all entries, and so can make a database anew by itself.
    func holdsFirstEntry() throws(NodeStartError) -> Bool {
        do { return try repair.holdsFirstEntry() } catch { throw .directory(error) }
    }

    /// The database is damaged, and the log, which is sound, has all that was ever in it: nobody else is needed, and this member
    /// votes all along.
    func discardDatabase(because reason: NodeStartError) throws(NodeStartError) {
        logger.critical(
            "the database is damaged; it begins anew from the log",
            metadata: ["reason": "\(reason)", "kept": "\(path)/damaged"])
        do { try repair.discardDatabase() } catch { throw .directory(error) }
    }

    /// Log or database cannot be used, for this reason.
    func begin(_ reason: NodeStartError, members: [UInt8]) throws(NodeStartError) -> RepairMarker {
        try discard(RepairMarker(phase: .discard, members: members, reason: "\(reason)"), because: reason)
    }

    /// Moves away what is damaged, or the rest of it.
    func discard(_ marker: RepairMarker, because reason: NodeStartError?) throws(NodeStartError) -> RepairMarker {
        do throws(RepairFailure) {
            let planned = try repair.plan(marker)
            logger.critical(
                "log or database is damaged; both begin anew from the other members",
                metadata: ["reason": "\(marker.reason)", "kept": "\(path)/damaged"])
            return try repair.discard(planned)
        } catch {
            if case .tooFewVoters(let count) = error, let reason { throw .cannotRepair(reason, count) }
            throw startError(error, marker)
        }
    }

    func configuration(of marker: RepairMarker) throws(NodeStartError) -> RaftCore.Configuration {
        do throws(RepairFailure) {
            return try repair.configuration(of: marker)
        } catch {
            throw startError(error, marker)
        }
    }

    /// The last members that the log or the database can still name; empty when neither can.
    func salvagedMembers(databasePath: String?) -> [UInt8] {
        var known: (configuration: RaftCore.Configuration, applied: LogIndex)?
        if let databasePath {
            do throws(StoreError) {
                let store = try MetadataStore(path: databasePath, options: StoreOptions())
                if let configuration = store.configuration { known = (configuration, store.applied.index) }
                try store.close()
            } catch {
                logger.warning("the database names no members", metadata: ["error": "\(error)"])
            }
        }
        return repair.salvagedMembers(database: known) {
            logger.warning("the log names no members", metadata: ["error": "\($0)"])
        }
    }

    private func startError(_ failure: RepairFailure, _ marker: RepairMarker) -> NodeStartError {
        switch failure {
        case .directory(let error): .directory(error)
        case .log(let error): .log(error)
        case .tooFewVoters(let count):
            .inconsistent(
                "the directory is marked for a repair (\(marker.reason)), and there are only \(count) voters: nobody could "
                    + "lead meanwhile")
        case .membersAreUnknown:
            .inconsistent(
                "log and database are damaged (\(marker.reason)), and nothing says who the other members are. "
                    + "cluster.initial_members says it only beside a log that was never cut: list them there if this one was "
                    + "not; else put the directory back from a backup, or replace the member")
        case .membersAreUnreadable(let error):
            .inconsistent("the members noted for the repair cannot be read: \(error)")
        }
    }
}
