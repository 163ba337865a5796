internal import RaftCore

/// The repair of a data directory whose log or database is damaged: both are moved away and begin anew, and the member takes
/// everything again from the leader. Each step may be the last before a crash; the next start goes on by the marker.
///
/// ```
/// repair     the marker, see RepairMarker
/// damaged/   what was moved away: kept until the member has caught up, in case the others have lost it too
/// ```
extension DataDirectory {
    static let damagedName = "damaged"
    static let reserveName = "reserve"

    /// The marker of a repair that is under way; nil when there is none.
    package static func repairMarker(path: String) throws(DataDirectoryError) -> RepairMarker? {
        try repairMarker(path: path, fileSystem: PosixFileSystem())
    }

    /// Notes durably that the directory is damaged. From here on the member does not take part before it was repaired.
    package static func mark(_ marker: RepairMarker, path: String) throws(DataDirectoryError) {
        try mark(marker, path: path, fileSystem: PosixFileSystem())
    }

    /// Moves log and database away and begins an empty log with the term and the vote of the old one. Throws before anything
    /// is touched when term and vote cannot be read: then this directory is lost, and the member has to be replaced.
    package static func discardDamaged(
        path: String, options: LogOptions, marker: RepairMarker
    ) throws(DataDirectoryError) -> RepairMarker {
        try discardDamaged(path: path, options: options, marker: marker, fileSystem: PosixFileSystem())
    }

    /// The member holds everything again: takes the marker away, then what was moved away. A marker that asks for another
    /// repair stays, with all that it needs.
    package static func finishRepair(path: String) throws(DataDirectoryError) {
        try finishRepair(path: path, fileSystem: PosixFileSystem())
    }

    static func repairMarker<FS: FileSystem>(
        path: String, fileSystem: FS
    ) throws(DataDirectoryError) -> RepairMarker? {
        do throws(FileSystemError) {
            let handle = try fileSystem.open(path + "/" + RepairMarker.fileName, .readOnly)
            defer { handle.close() }
            let bytes = try handle.readAll(limit: RepairMarker.fileBytesMax)
            return RepairMarker(reading: bytes.map { String(decoding: $0.buffer, as: UTF8.self) } ?? "")
        } catch {
            if isNotFound(error) { return nil }
            throw DataDirectoryError(error)
        }
    }

    static func mark<FS: FileSystem>(
        _ marker: RepairMarker, path: String, fileSystem: FS
    ) throws(DataDirectoryError) {
        let file = path + "/" + RepairMarker.fileName
        try forgetEarlierRepair(path: path, fileSystem: fileSystem)
        do throws(FileSystemError) {
            let temporary = try fileSystem.open(file + LogFormat.temporarySuffix, .createOrReplace)
            defer { temporary.close() }
            try temporary.write(RawBytes(Array(marker.encoded().utf8)), at: 0)
            try temporary.synchronizeData()
            try fileSystem.rename(file + LogFormat.temporarySuffix, to: file)
            try fileSystem.synchronizeDirectory(path)
        } catch {
            throw DataDirectoryError(error)
        }
    }

    static func discardDamaged<FS: FileSystem>(
        path: String, options: LogOptions, marker: RepairMarker, fileSystem: FS
    ) throws(DataDirectoryError) -> RepairMarker {
        let log = path + "/" + logName
        do throws(LogError) {
            try SegmentedLog.checkHardState(directory: log, fileSystem: fileSystem, options: options)
        } catch {
            throw .log(error)
        }
        var marker = marker
        marker.phase = .discard
        try mark(marker, path: path, fileSystem: fileSystem)
        do throws(FileSystemError) {
            try moveAway(path: path, log: log, fileSystem)
        } catch {
            throw DataDirectoryError(error)
        }
        do throws(LogError) {
            try SegmentedLog.discard(
                directory: log, fileSystem: fileSystem, options: options, restartingAfter: .zero
            ).log.close()
        } catch {
            throw .log(error)
        }
        marker.phase = .catchUp
        try mark(marker, path: path, fileSystem: fileSystem)
        return marker
    }

    static func finishRepair<FS: FileSystem>(path: String, fileSystem: FS) throws(DataDirectoryError) {
        // Found damaged again before it had caught up.
        if try repairMarker(path: path, fileSystem: fileSystem)?.phase == .discard { return }
        do throws(FileSystemError) {
            if try fileSystem.list(path).contains(RepairMarker.fileName) {
                try fileSystem.remove(path + "/" + RepairMarker.fileName)
                try fileSystem.synchronizeDirectory(path)
            }
            try emptyDamaged(path: path, fileSystem)
        } catch {
            throw DataDirectoryError(error)
        }
    }

    static func discardDatabase<FS: FileSystem>(path: String, fileSystem: FS) throws(DataDirectoryError) {
        try forgetEarlierRepair(path: path, fileSystem: fileSystem)
        do throws(FileSystemError) {
            try moveAway(path: path, log: nil, fileSystem)
        } catch {
            throw DataDirectoryError(error)
        }
    }

    static func holdsFirstEntry<FS: FileSystem>(
        path: String, isMoved: Bool, fileSystem: FS
    ) throws(DataDirectoryError) -> Bool {
        let isUnderWay = try repairMarker(path: path, fileSystem: fileSystem) != nil
        do throws(FileSystemError) {
            func segments(_ folder: String) throws(FileSystemError) -> [String] {
                guard try fileSystem.list(path).contains(folder) else { return [] }
                return try fileSystem.list(path + "/" + folder).filter { $0.hasSuffix(LogFormat.segmentSuffix) }
            }
            let moved = isMoved && isUnderWay ? try segments(damagedName) : []
            let names = try moved.isEmpty ? segments(logName) : moved
            return names.min() == LogFormat.segmentName(first: LogIndex(1))
        } catch {
            throw DataDirectoryError(error)
        }
    }

    /// Without a marker, what lies in `damaged` is of a repair that was done before: it must not stand in the way of a later
    /// one, whose files are newer.
    private static func forgetEarlierRepair<FS: FileSystem>(
        path: String, fileSystem: FS
    ) throws(DataDirectoryError) {
        guard try repairMarker(path: path, fileSystem: fileSystem) == nil else { return }
        do throws(FileSystemError) { try emptyDamaged(path: path, fileSystem) } catch {
            throw DataDirectoryError(error)
        }
    }

    private static func emptyDamaged<FS: FileSystem>(path: String, _ fileSystem: FS) throws(FileSystemError) {
        guard try fileSystem.list(path).contains(damagedName) else { return }
        let damaged = path + "/" + damagedName
        for name in try fileSystem.list(damaged) { try fileSystem.remove(damaged + "/" + name) }
        try fileSystem.synchronizeDirectory(damaged)
    }

    /// What lies in `damaged` already is from before the first attempt, and worth more than what a later one left.
    ///
    /// - Parameter log: nil when it stays where it is.
    private static func moveAway<FS: FileSystem>(
        path: String, log: String?, _ fileSystem: FS
    ) throws(FileSystemError) {
        let damaged = path + "/" + damagedName
        try fileSystem.createDirectory(damaged)
        try fileSystem.synchronizeDirectory(path)
        let kept = try fileSystem.list(damaged)
        var moves: [(folder: String, names: [String])] = []
        if let log { moves.append((log, try fileSystem.list(log).filter { $0.hasSuffix(LogFormat.segmentSuffix) })) }
        moves.append((path, try fileSystem.list(path).filter { $0.hasPrefix(databaseName) }))
        for (folder, names) in moves {
            for name in names {
                if kept.contains(name) {
                    try fileSystem.remove(folder + "/" + name)
                } else {
                    try fileSystem.rename(folder + "/" + name, to: damaged + "/" + name)
                }
            }
            try fileSystem.synchronizeDirectory(damaged)
            try fileSystem.synchronizeDirectory(folder)
        }
    }
}

extension SegmentedLog {
    /// Throws unless term and vote can be read.
    static func checkHardState(directory: String, fileSystem: FS, options: LogOptions) throws(LogError) {
        try HardStateFile<FS>.open(directory, fileSystem: fileSystem, diskID: options.diskID).close()
    }
}
