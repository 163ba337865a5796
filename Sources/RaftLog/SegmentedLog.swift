package import RaftCore

/// The durable log of one member: segment files with entries, and a file with term and vote (Raft §5.1, §5.3).
///
/// All calls block, and all are made from one thread. When `write` returns, everything that was given to it survives a power
/// loss; when it throws, nothing is known, nothing is tried again, and every later call throws (fsyncgate). The format and what
/// a crash at each point leaves is described in `docs/formats/log.md`.
package final class SegmentedLog<FS: FileSystem> {
    package let directory: String
    let fileSystem: FS
    /// With the disk id of the files, where the caller named none.
    let options: LogOptions

    /// Never empty; each begins where the one before ends. The last one is written to.
    var segments: [SegmentHeader]
    var file: FS.File
    /// Where the next batch goes; everything before it is synced.
    var offset: Int
    /// How long the last segment's file is; from `offset` on it is zero.
    var filledBytes: Int
    /// The checksum of the last record.
    var chain: UInt32
    /// The last entry, or the base of an empty log.
    package internal(set) var last: LogPosition
    var hardStateFile: HardStateFile<FS>
    /// Reused from batch to batch.
    let buffer = RawBytes(count: 64 << 10)
    package internal(set) var metrics = LogMetrics()
    /// The first error of a call that changes the disk.
    private var failure: LogError?
    /// What is left of a write that a full disk stopped; nil when there is none.
    var unfinished: UnfinishedWrite?
    private var isClosed = false

    private init(
        directory: String, fileSystem: FS, options: LogOptions, segments: [SegmentHeader], tail: LogRecovery<FS>.Tail,
        file: FS.File, hardStateFile: HardStateFile<FS>
    ) {
        self.directory = directory
        self.fileSystem = fileSystem
        var options = options
        if options.diskID == .unknown { options.diskID = hardStateFile.current.diskID }
        self.options = options
        self.segments = segments
        self.file = file
        self.hardStateFile = hardStateFile
        offset = tail.offset
        filledBytes = tail.fileBytes
        chain = tail.chain
        last = tail.last
        metrics.segments = segments.count
    }

    /// Opens the log in `directory`, which has to exist, or makes an empty one where `options` allow it.
    ///
    /// Damage that only an interrupted write explains is cut and reported in `RecoveredLog.truncatedTail`; any other throws
    /// `LogError.corrupt` and changes nothing.
    package static func open(
        directory: String, fileSystem: FS, options: LogOptions = LogOptions()
    ) throws(LogError) -> (log: SegmentedLog, recovered: RecoveredLog) {
        var recovery = LogRecovery(directory: directory, fileSystem: fileSystem, diskID: options.diskID)
        // What the folder says now has to be durable before anything is derived from it, above all which files are leftovers.
        try rethrown { () throws(FileSystemError) in try fileSystem.synchronizeDirectory(directory) }
        try recovery.readDirectory()
        let hardStateFile = try openHardState(recovery, options)
        if recovery.segments.isEmpty {
            try createFirstSegment(recovery, hardStateFile, options)
            recovery = LogRecovery(directory: directory, fileSystem: fileSystem, diskID: options.diskID)
            try recovery.readDirectory()
        }
        try recovery.readSegments(synced: hardStateFile.current)
        try removeFiles(recovery.leftovers, directory, fileSystem)
        return try assemble(recovery, hardStateFile, options)
    }

    /// The position before the first entry.
    package var base: LogPosition { segments[0].base }
    package var hardState: HardState { hardStateFile.current.hardState }

    /// Makes all of `persists` durable, in their order, as one group: one write and one sync for the entries of each segment
    /// touched, after the hard state if that changed.
    ///
    /// The order on disk differs from the order in `Persist`, which nobody can see, since nothing is acknowledged before this
    /// returns: the hard state goes first. So at each moment the term on disk is at least that of the last entry on disk, and
    /// recovery can insist on it.
    ///
    /// After `LogError.full` nothing is lost: the next call, with nothing more or with what follows, goes on with it first.
    package func write(_ persists: [Persist]) throws(LogError) {
        try guarded { () throws(LogError) in
            take(persists)
            try finishWrite()
        }
    }

    /// Removes the segments all of whose entries are at or before `position`; the last segment stays. What is left begins
    /// somewhere at or before `position`.
    package func compact(to position: LogPosition) throws(LogError) {
        try guarded { () throws(LogError) in
            while segments.count > 1, segments[1].base.index <= position.index {
                // One at a time, each synced: after a crash the rest has no gap.
                try rethrown { () throws(FileSystemError) in
                    try fileSystem.remove(path(segments[0].name))
                    try fileSystem.synchronizeDirectory(directory)
                }
                segments.removeFirst()
                metrics.segments = segments.count
            }
        }
    }

    /// Closes the files. A log that has not failed notes first how far it is synced, so that after an orderly stop damage to
    /// the last batch cannot pass for a torn write. Later calls are a bug.
    package func close() {
        guard !isClosed else { return }
        if failure == nil {
            do throws(LogError) {
                try guarded { () throws(LogError) in try storeHardState(hardState) }
            } catch {
                // The note only narrows down a later judgement; everything acknowledged is synced without it.
                failure = error
            }
        }
        isClosed = true
        file.close()
        hardStateFile.close()
    }

    func path(_ name: String) -> String { directory + "/" + name }

    func storeHardState(_ state: HardState) throws(LogError) {
        try timed(syncs: 2) { () throws(FileSystemError) in
            try hardStateFile.store(state, generation: segments[segments.count - 1].generation, syncedIndex: last.index)
        }
        metrics.bytesWritten += UInt64(2 * HardStateFile<FS>.slotBytes)
    }

    /// Runs file-system calls that end with a sync and notes how long they took.
    func timed(syncs: UInt64, _ body: () throws(FileSystemError) -> Void) throws(LogError) {
        let start = fileSystem.monotonicNanoseconds
        try rethrown(body)
        metrics.lastSyncNanoseconds = fileSystem.monotonicNanoseconds - start
        metrics.syncs += syncs
    }

    private func guarded(_ body: () throws(LogError) -> Void) throws(LogError) {
        precondition(!isClosed, "the log in \(directory) is closed")
        if let failure { throw .failedBefore(first: failure.description) }
        do throws(LogError) {
            try body()
        } catch {
            if case .full = error { throw error }
            failure = error
            throw error
        }
    }

    /// Clears a torn tail and makes durable what was read, then hands the log over.
    static func assemble(
        _ recovery: LogRecovery<FS>, _ hardStateFile: HardStateFile<FS>, _ options: LogOptions
    ) throws(LogError) -> (log: SegmentedLog, recovered: RecoveredLog) {
        guard let tail = recovery.tail, let base = recovery.segments.first?.base else {
            preconditionFailure("a log with \(recovery.segments.count) segments has no tail")
        }
        let file = try rethrown { () throws(FileSystemError) in
            let file = try recovery.fileSystem.open(recovery.path(tail.header.name), .readWrite)
            if let torn = recovery.truncatedTail {
                try file.writeZeros(count: torn.bytes, at: torn.offset)
            }
            // What was read may still be on its way to the disk, if only the process died. If it died of a sync that failed, what
            // was read may not even be that: the kernel shows such pages, calls them clean, and syncs them no more (fsyncgate).
            // Written again, each byte as it is, they are dirty.
            if let batch = tail.lastBatch { try file.write(batch.bytes, at: batch.offset) }
            try file.synchronizeData()
            return file
        }
        let log = SegmentedLog(
            directory: recovery.directory, fileSystem: recovery.fileSystem, options: options,
            segments: recovery.segments, tail: tail, file: file, hardStateFile: hardStateFile)
        let recovered = RecoveredLog(
            hardState: hardStateFile.current.hardState, base: base, entries: recovery.entries,
            truncatedTail: recovery.truncatedTail)
        return (log, recovered)
    }

    private static func openHardState(
        _ recovery: LogRecovery<FS>, _ options: LogOptions
    ) throws(LogError) -> HardStateFile<FS> {
        if recovery.hasHardState {
            return try .open(recovery.directory, fileSystem: recovery.fileSystem, diskID: options.diskID)
        }
        // The hard state is made before the first segment, so a segment without one is not a new log.
        guard recovery.segments.isEmpty else {
            throw .corrupt(
                file: recovery.path(HardStateFile<FS>.name), offset: 0, record: nil,
                reason: "it is missing, so this member's term and vote are not known")
        }
        guard options.createIfEmpty else { throw .missing(directory: recovery.directory) }
        // Before the new file takes one of their names.
        try removeFiles(recovery.leftovers, recovery.directory, recovery.fileSystem)
        return try rethrown { () throws(FileSystemError) in
            try .create(recovery.directory, fileSystem: recovery.fileSystem, diskID: options.diskID)
        }
    }

    /// Makes the first segment of a new log, behind a hard state that nothing was ever written to.
    private static func createFirstSegment(
        _ recovery: LogRecovery<FS>, _ hardStateFile: HardStateFile<FS>, _ options: LogOptions
    ) throws(LogError) {
        let slot = hardStateFile.current
        guard slot.sequence == 1 else {
            throw .corrupt(
                file: recovery.directory, offset: 0, record: nil,
                reason: "it has a hard state of term \(slot.hardState.term), and its segments are gone")
        }
        let header = SegmentHeader(
            start: .reset, generation: 1, diskID: options.diskID, base: .zero, chain: 0,
            filledBytes: initialFillBytes(options))
        try rethrown { () throws(FileSystemError) in
            try createSegment(header, recovery.directory, recovery.fileSystem)
        }
    }
}
