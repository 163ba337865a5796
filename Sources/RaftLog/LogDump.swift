package import RaftCore

/// One line of a dump, in the order of the bytes.
package enum DumpedRecord: Hashable, Sendable {
    case segment(file: String, generation: UInt64, base: LogPosition, start: String, bytes: Int)
    /// `syncedOffset`: everything before it was synced when the batch was written.
    case batch(file: String, offset: Int, records: Int, bytes: Int, syncedOffset: Int)
    case entry(file: String, offset: Int, entry: Entry)
    /// The hard state and how far the log was synced when it was written.
    case hardState(file: String, HardState, generation: UInt64, syncedIndex: LogIndex)
    /// A file that does not count: unfinished, or replaced by a newer generation. Opening the log would remove it.
    case leftover(file: String)
    /// Where reading the segment ended and why: its end, or damage.
    case stopped(file: String, offset: Int, record: LogIndex, reason: String)
}

/// Reads a log for people: changes nothing and cuts nothing. Behind damage it goes on with the next segment; without the
/// header of each segment it cannot say which of them count, so a damaged header is all that it shows.
package enum LogDump {
    /// What `.stopped` says at the end of an undamaged log.
    package static let endReason = "the log ends"
    private static let continuedReason = "the next segment begins"

    /// Whether `.stopped` with this reason tells of no damage.
    package static func isEnd(_ reason: String) -> Bool { reason == endReason || reason == continuedReason }

    /// Visits everything in the folder of a log. Throws only when the folder or a file cannot be read at all; damage is
    /// visited as `.stopped`.
    package static func dump(directory: String, visit: (DumpedRecord) -> Void) throws(LogError) {
        try dump(directory: directory, fileSystem: PosixFileSystem(), visit: visit)
    }

    package static func dump<FS: FileSystem>(
        directory: String, fileSystem: FS, visit: (DumpedRecord) -> Void
    ) throws(LogError) {
        var recovery = LogRecovery(directory: directory, fileSystem: fileSystem, diskID: .unknown)
        do throws(LogError) {
            try recovery.readDirectory()
        } catch .corrupt(let file, let offset, let record, let reason) {
            visit(.stopped(file: file, offset: offset, record: record ?? .zero, reason: reason))
            return
        } catch {
            throw error
        }
        if recovery.hasHardState { try dumpHardState(recovery, visit) }
        for name in recovery.leftovers { visit(.leftover(file: recovery.path(name))) }
        for (number, header) in recovery.segments.enumerated() {
            let next = number + 1 < recovery.segments.count ? recovery.segments[number + 1] : nil
            try dumpSegment(header, limit: next?.base.index, recovery, visit)
        }
    }

    private static func dumpHardState<FS: FileSystem>(
        _ recovery: LogRecovery<FS>, _ visit: (DumpedRecord) -> Void
    ) throws(LogError) {
        let path = recovery.path(HardStateFile<FS>.name)
        let file = try rethrown { () throws(FileSystemError) in try recovery.fileSystem.open(path, .readOnly) }
        defer { file.close() }
        do throws(LogError) {
            let slot = try HardStateFile<FS>.read(file, diskID: .unknown).newest
            visit(.hardState(file: path, slot.hardState, generation: slot.generation, syncedIndex: slot.syncedIndex))
        } catch .corrupt(let file, let offset, let record, let reason) {
            visit(.stopped(file: file, offset: offset, record: record ?? .zero, reason: reason))
        } catch {
            throw error
        }
    }

    private static func dumpSegment<FS: FileSystem>(
        _ header: SegmentHeader, limit: LogIndex?, _ recovery: LogRecovery<FS>, _ visit: (DumpedRecord) -> Void
    ) throws(LogError) {
        let path = recovery.path(header.name)
        let bytes = try recovery.readFile(header.name)
        visit(
            .segment(
                file: path, generation: header.generation, base: header.base, start: "\(header.start)",
                bytes: bytes.count))
        var scanner = SegmentScanner(bytes, header: header, limit: limit)
        while true {
            switch scanner.next() {
            case .batch(let batch):
                visit(
                    .batch(
                        file: path, offset: batch.offset, records: batch.records, bytes: batch.length,
                        syncedOffset: batch.syncedOffset))
            case .record(let offset, let entry):
                visit(.entry(file: path, offset: offset, entry: entry))
            case .batchEnd:
                continue
            case .end:
                let isFollowed = limit.map { scanner.last.index >= $0 } ?? false
                let reason = isFollowed ? continuedReason : endReason
                visit(.stopped(file: path, offset: scanner.offset, record: scanner.last.index.next, reason: reason))
                return
            case .damaged(let damage):
                let verdict =
                    scanner.proofOfSync(of: damage).map { "synced before the batch at offset \($0.offset)" }
                    ?? scanner.tearEvidence(of: damage) ?? "not torn"
                visit(
                    .stopped(
                        file: path, offset: damage.offset, record: damage.record,
                        reason: "\(damage.reason) (\(verdict))"))
                return
            }
        }
    }
}
