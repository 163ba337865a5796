import Logging
import MetadataStore
import RaftCore
import RaftLog

/// The process has to start again: what is on disk was found damaged, and the next start repairs it from the other members.
package struct NodeMustRestart: Error, CustomStringConvertible {
    package var reason: String

    package var description: String { "the node starts again to repair itself from the other members: \(reason)" }
}

/// The repair of a data directory at the start of a node (Protocol-Aware Recovery, FAST 2018): what is damaged is moved away,
/// and the node takes everything again from the leader before it votes.
struct NodeRepair {
    let path: String
    let options: LogOptions
    /// Named when neither log nor database can be read.
    let initialMembers: RaftCore.Configuration?
    let nodeID: NodeID
    let logger: Logger

    /// What was going on when the process ended.
    func unfinished() throws(NodeStartError) -> RepairMarker? {
        do { return try DataDirectory.repairMarker(path: path) } catch { throw .directory(error) }
    }

    /// Log or database cannot be used, for this reason.
    func begin(_ reason: NodeStartError, members: [UInt8]) throws(NodeStartError) -> RepairMarker {
        let known = members.isEmpty ? initialMembers?.encoded() ?? [] : members
        return try discard(RepairMarker(phase: .discard, members: known, reason: "\(reason)"), because: reason)
    }

    /// Moves away what is damaged, or the rest of it.
    func discard(_ marker: RepairMarker, because reason: NodeStartError?) throws(NodeStartError) -> RepairMarker {
        var marker = marker
        if marker.members.isEmpty { marker.members = initialMembers?.encoded() ?? [] }
        let members = try configuration(of: marker)
        // A voter that others can elect a leader without. Alone, or one of two, it would give up the only copy for nothing.
        guard !members.voters.contains(nodeID) || members.voters.count > 2 else {
            throw reason.map { .cannotRepair($0, members.voters.count) }
                ?? .inconsistent(
                    "the directory is marked for a repair (\(marker.reason)), and there are only \(members.voters.count) "
                        + "voters: nobody could lead meanwhile")
        }
        logger.critical(
            "log or database is damaged; both begin anew from the other members",
            metadata: ["reason": "\(marker.reason)", "kept": "\(path)/damaged"])
        do throws(DataDirectoryError) {
            return try DataDirectory.discardDamaged(path: path, options: options, marker: marker)
        } catch .log(let error) {
            throw .log(error)
        } catch {
            throw .directory(error)
        }
    }

    func configuration(of marker: RepairMarker) throws(NodeStartError) -> RaftCore.Configuration {
        guard !marker.members.isEmpty else {
            throw .inconsistent(
                "log and database are damaged (\(marker.reason)), and nothing says who the other members are: list them in "
                    + "cluster.initial_members")
        }
        do {
            return try RaftCore.Configuration(decoding: marker.members)
        } catch {
            throw .inconsistent("the members noted for the repair cannot be read: \(error)")
        }
    }

    /// The last members that the log or the database can still name; empty when neither can.
    func salvagedMembers(logDirectory: String, databasePath: String?) -> [UInt8] {
        var latest: [UInt8] = []
        var at = LogIndex.zero
        if let databasePath {
            do throws(StoreError) {
                let store = try MetadataStore(path: databasePath, options: StoreOptions())
                if let known = store.configuration { (latest, at) = (known.encoded(), store.applied.index) }
                try store.close()
            } catch {
                logger.warning("the database names no members", metadata: ["error": "\(error)"])
            }
        }
        do throws(LogError) {
            try LogDump.dump(directory: logDirectory, fileSystem: PosixFileSystem()) { record in
                guard case .entry(_, _, let entry) = record, entry.kind == .configuration, entry.index > at else {
                    return
                }
                (latest, at) = (entry.payload, entry.index)
            }
        } catch {
            logger.warning("the log names no members", metadata: ["error": "\(error)"])
        }
        return latest
    }
}
