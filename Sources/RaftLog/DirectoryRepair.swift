package import RaftCore

/// Why a data directory is not repaired.
package enum RepairFailure: Error, Hashable {
    case directory(DataDirectoryError)
    /// The log cannot be begun anew: term and vote cannot be read, or the disk fails.
    case log(LogError)
    /// Alone, or one of two, the node would give up the only copy for nothing.
    case tooFewVoters(Int)
    /// Nothing says who the other members are, or only the settings do, and the log was cut: since then they may have become
    /// others, down to this one alone with the only copy.
    case membersAreUnknown
    case membersAreUnreadable(ConfigurationDecodingError)
}

/// The repair of a data directory at the start of a node (Protocol-Aware Recovery, FAST 2018): what is damaged is moved away,
/// and the node takes everything again from the leader before it votes. `metad` and the simulator both ask here.
package struct DirectoryRepair<FS: FileSystem> {
    private let path: String
    private let fileSystem: FS
    private let options: LogOptions
    private let nodeID: NodeID
    private let initialMembers: Configuration?

    /// - Parameters:
    ///   - path: of the data directory.
    ///   - initialMembers: named when neither log nor database can be read.
    package init(path: String, fileSystem: FS, options: LogOptions, nodeID: NodeID, initialMembers: Configuration?) {
        self.path = path
        self.fileSystem = fileSystem
        self.options = options
        self.nodeID = nodeID
        self.initialMembers = initialMembers
    }

    /// What was going on when the process ended.
    package func unfinished() throws(DataDirectoryError) -> RepairMarker? {
        try DataDirectory.repairMarker(path: path, fileSystem: fileSystem)
    }

    /// What to begin with: completes the marker, and throws where the others are too few to do without this node meanwhile.
    package func plan(_ marker: RepairMarker) throws(RepairFailure) -> RepairMarker {
        var marker = marker
        if marker.members.isEmpty, let initialMembers {
            do throws(DataDirectoryError) {
                if try holdsFirstEntry(isMoved: true) { marker.members = initialMembers.encoded() }
            } catch {
                throw .directory(error)
            }
        }
        let members = try configuration(of: marker)
        // A voter that others can elect a leader without.
        guard !members.voters.contains(nodeID) || members.voters.count > 2 else {
            throw .tooFewVoters(members.voters.count)
        }
        return marker
    }

    /// Whether the log begins with its first entry: never cut, and never begun anew behind a snapshot. Then it can make the
    /// database anew by itself.
    ///
    /// - Parameter isMoved: asks for the log that a repair under way has moved, if it has moved any of it yet.
    package func holdsFirstEntry(isMoved: Bool = false) throws(DataDirectoryError) -> Bool {
        try DataDirectory.holdsFirstEntry(path: path, isMoved: isMoved, fileSystem: fileSystem)
    }

    /// Moves the database away, and only it. No marker is needed: a crash in between leaves what is damaged to be found again,
    /// or a WAL without its database, which SQLite removes.
    package func discardDatabase() throws(DataDirectoryError) {
        try DataDirectory.discardDatabase(path: path, fileSystem: fileSystem)
    }

    /// Moves away what is damaged, or the rest of it.
    package func discard(_ marker: RepairMarker) throws(RepairFailure) -> RepairMarker {
        do throws(DataDirectoryError) {
            return try DataDirectory.discardDamaged(
                path: path, options: options, marker: marker, fileSystem: fileSystem)
        } catch .log(let error) {
            throw .log(error)
        } catch {
            throw .directory(error)
        }
    }

    /// Notes durably that the directory is damaged.
    package func mark(_ marker: RepairMarker) throws(DataDirectoryError) {
        try DataDirectory.mark(marker, path: path, fileSystem: fileSystem)
    }

    /// The member holds everything again.
    package func finish() throws(DataDirectoryError) {
        try DataDirectory.finishRepair(path: path, fileSystem: fileSystem)
    }

    package func configuration(of marker: RepairMarker) throws(RepairFailure) -> Configuration {
        guard !marker.members.isEmpty else { throw .membersAreUnknown }
        do throws(ConfigurationDecodingError) {
            return try Configuration(decoding: marker.members)
        } catch {
            throw .membersAreUnreadable(error)
        }
    }

    /// The last members that the log or the database can still name; empty when neither can.
    ///
    /// - Parameters:
    ///   - database: what the database says, and as of which entry; nil when it cannot be read.
    ///   - complain: is told why the log says nothing.
    package func salvagedMembers(
        database: (configuration: Configuration, applied: LogIndex)?, complain: (LogError) -> Void
    ) -> [UInt8] {
        var latest = database?.configuration.encoded() ?? []
        var at = database?.applied ?? .zero
        do throws(LogError) {
            try LogDump.dump(directory: path + "/" + DataDirectory.logName, fileSystem: fileSystem) { record in
                guard case .entry(_, _, let entry) = record, entry.kind == .configuration, entry.index > at else {
                    return
                }
                (latest, at) = (entry.payload, entry.index)
            }
        } catch {
            complain(error)
        }
        return latest
    }
}
