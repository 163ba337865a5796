package import RaftCore

extension SegmentedLog {
    /// Gives up a log that `open` refused as corrupt and starts an empty one after `position`, that of a snapshot which is
    /// whole and durable on this member already. Term and vote stay; without them there is nothing to repair, and this throws.
    ///
    /// What the member acknowledged before may be gone with the log. It must not count for a quorum or stand for election
    /// before a leader has brought it up to what was committed when it came back (Protocol-Aware Recovery, FAST 2018).
    package static func discard(
        directory: String, fileSystem: FS, options: LogOptions = LogOptions(), restartingAfter position: LogPosition
    ) throws(LogError) -> (log: SegmentedLog, recovered: RecoveredLog) {
        var options = options
        var hardStateFile: HardStateFile<FS> = try .open(directory, fileSystem: fileSystem, diskID: options.diskID)
        options.diskID = hardStateFile.current.diskID
        var recovery = LogRecovery(directory: directory, fileSystem: fileSystem, diskID: options.diskID)
        let generation = try recovery.newestGeneration(atLeast: hardStateFile.current.generation) + 1
        let header = SegmentHeader(
            start: .reset, generation: generation, diskID: options.diskID, base: position, chain: 0,
            filledBytes: initialFillBytes(options))
        try rethrown { () throws(FileSystemError) in
            let slot = hardStateFile.current
            if position.term > slot.hardState.term {
                try hardStateFile.store(
                    HardState(term: position.term, vote: nil), generation: slot.generation,
                    syncedIndex: slot.syncedIndex)
            }
            try createSegment(header, directory, fileSystem)
        }
        // Those whose headers cannot be read are not known as leftovers.
        let names = try rethrown { () throws(FileSystemError) in try fileSystem.list(directory) }
        let old = names.filter { $0.hasSuffix(LogFormat.segmentSuffix) && $0 != header.name }
        try removeFiles(old, directory, fileSystem)
        try recovery.readDirectory()
        try recovery.readSegments(synced: hardStateFile.current)
        try removeFiles(recovery.leftovers, directory, fileSystem)
        return try assemble(recovery, hardStateFile, options)
    }
}
