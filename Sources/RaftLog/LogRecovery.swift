internal import RaftCore

/// Reads the folder of a log and says what is in it, without changing anything.
///
/// What has to be changed before the log may be written (leftovers removed, a torn tail cleared) is named in the result and
/// done by `SegmentedLog.open`.
struct LogRecovery<FS: FileSystem> {
    /// The end of the last segment, where the next batch goes.
    struct Tail {
        var header: SegmentHeader
        var offset: Int
        var last: LogPosition
        var chain: UInt32
        var fileBytes: Int
        /// The last whole batch of the segment, nil when it has none. Whatever was written after a batch vouches for it having been
        /// synced; for this one nothing does.
        var lastBatch: Batch?
    }

    /// Bytes of a segment, and where they stand.
    struct Batch {
        var offset: Int
        var bytes: RawBytes
    }

    let directory: String
    let fileSystem: FS
    let diskID: DiskID

    /// The segments that count, in the order of their indexes.
    private(set) var segments: [SegmentHeader] = []
    /// Names of files that a crash left behind: unfinished ones, and segments that a newer generation replaced.
    private(set) var leftovers: [String] = []
    private(set) var hasHardState = false
    private(set) var entries: [Entry] = []
    private(set) var tail: Tail?
    private(set) var truncatedTail: TornTail?

    init(directory: String, fileSystem: FS, diskID: DiskID) {
        self.directory = directory
        self.fileSystem = fileSystem
        self.diskID = diskID
    }

    func path(_ name: String) -> String { directory + "/" + name }

    /// Sorts the files of the folder into segments that count and leftovers.
    mutating func readDirectory() throws(LogError) {
        let names = try rethrown { () throws(FileSystemError) in try fileSystem.list(directory) }
        hasHardState = names.contains(HardStateFile<FS>.name)
        leftovers = names.filter { $0.hasSuffix(LogFormat.temporarySuffix) }
        var found: [SegmentHeader] = []
        for name in names where name.hasSuffix(LogFormat.segmentSuffix) {
            let header = try readHeader(name)
            guard header.name == name else {
                throw .corrupt(
                    file: path(name), offset: 48, record: nil, reason: "by its header it is segment \(header.name)")
            }
            found.append(header)
        }
        for segment in found {
            let isReplaced = found.contains { other in
                other.generation > segment.generation && (other.start == .reset || other.first <= segment.first)
            }
            if isReplaced { leftovers.append(segment.name) } else { segments.append(segment) }
        }
    }

    /// The highest generation that any readable header names, or `floor`. Headers that cannot be read do not count: their
    /// files are about to be removed.
    func newestGeneration(atLeast floor: UInt64) throws(LogError) -> UInt64 {
        let names = try rethrown { () throws(FileSystemError) in try fileSystem.list(directory) }
        var newest = floor
        for name in names where name.hasSuffix(LogFormat.segmentSuffix) {
            do throws(LogError) {
                newest = max(newest, try readHeader(name).generation)
            } catch .corrupt {
                continue
            } catch {
                throw error
            }
        }
        return newest
    }

    /// Reads the records of every segment that counts. `synced` is what the hard state knows to have been synced.
    mutating func readSegments(synced: HardStateFile<FS>.Slot) throws(LogError) {
        for (number, header) in segments.enumerated() {
            if number > 0 { try checkJoint(header) }
            let next = number + 1 < segments.count ? segments[number + 1] : nil
            try readSegment(header, next: next, synced: synced)
        }
        guard let tail else { return }
        if synced.generation == tail.header.generation, tail.last.index < synced.syncedIndex {
            throw .corrupt(
                file: path(tail.header.name), offset: tail.offset, record: tail.last.index.next,
                reason: "the log ends here, and entries up to \(synced.syncedIndex) had been synced")
        }
        if synced.generation > tail.header.generation {
            throw .corrupt(
                file: path(tail.header.name), offset: 24, record: nil,
                reason: "it has generation \(tail.header.generation), and the log had reached generation "
                    + "\(synced.generation), whose segment is missing")
        }
        if tail.last.term > synced.hardState.term {
            throw .corrupt(
                file: path(HardStateFile<FS>.name), offset: 0, record: tail.last.index,
                reason: "it says term \(synced.hardState.term), and the log has entry \(tail.last)")
        }
    }

    /// Reads one segment into `entries` and `tail`.
    private mutating func readSegment(
        _ header: SegmentHeader, next: SegmentHeader?, synced: HardStateFile<FS>.Slot
    ) throws(LogError) {
        let bytes = try readFile(header.name)
        var scanner = SegmentScanner(bytes, header: header, limit: next?.base.index)
        var whole = (entries: entries.count, offset: scanner.offset, last: scanner.last, chain: scanner.chain)
        var begun = scanner.offset
        var lastBatch: Range<Int>?
        scan: while true {
            switch scanner.next() {
            case .batch(let batch):
                begun = batch.offset
            case .record(_, let entry):
                entries.append(entry)
            case .batchEnd:
                whole = (entries.count, scanner.offset, scanner.last, scanner.chain)
                lastBatch = begun..<scanner.offset
            case .end:
                break scan
            case .damaged(let damage):
                try judge(
                    damage, firstCut: whole.last.index.next, scanner, header, hasNext: next != nil, synced: synced)
                let end = scanner.endOfData(from: damage.batchOffset)
                truncatedTail = TornTail(
                    file: path(header.name), offset: damage.batchOffset, bytes: end - damage.batchOffset,
                    firstIndex: whole.last.index.next, reason: scanner.tearEvidence(of: damage) ?? damage.reason)
                entries.removeLast(entries.count - whole.entries)
                break scan
            }
        }
        if next != nil { whole = (entries.count, scanner.offset, scanner.last, scanner.chain) }
        tail = Tail(
            header: header, offset: whole.offset, last: whole.last, chain: whole.chain, fileBytes: bytes.count,
            lastBatch: lastBatch.map { Batch(offset: $0.lowerBound, bytes: RawBytes([UInt8](bytes.buffer.slice($0)))) })
    }

    /// Throws unless the damage is a torn tail: part of the last batch, which no one was told is safe. A cut would take
    /// the whole batch, from `firstCut` on, whichever of its records is damaged.
    private func judge(
        _ damage: SegmentScanner.Damage, firstCut: LogIndex, _ scanner: SegmentScanner, _ header: SegmentHeader,
        hasNext: Bool,
        synced: HardStateFile<FS>.Slot
    ) throws(LogError) {
        let proof: String
        if hasNext {
            proof = "the next segment was begun after this one was synced"
        } else if let later = scanner.proofOfSync(of: damage) {
            proof =
                "the batch at offset \(later.offset) was written after everything before "
                + "\(later.syncedOffset) was synced"
        } else if synced.generation == header.generation, firstCut <= synced.syncedIndex {
            proof = "entries up to \(synced.syncedIndex) had been synced"
        } else if scanner.tearEvidence(of: damage) == nil {
            proof = "it is in the last batch, all of which had reached the disk, so that it was not torn by a crash"
        } else {
            return
        }
        throw .corrupt(
            file: path(header.name), offset: damage.offset, record: damage.record, reason: "\(damage.reason); \(proof)")
    }

    /// A segment has to begin where the one before it ended.
    private func checkJoint(_ header: SegmentHeader) throws(LogError) {
        guard let tail else { return }
        let file = path(header.name)
        guard tail.last == header.base else {
            throw .corrupt(
                file: path(tail.header.name), offset: tail.offset, record: tail.last.index.next,
                reason: "its entries end at \(tail.last), and \(header.name) begins after \(header.base)")
        }
        guard tail.chain == header.chain else {
            throw .corrupt(
                file: file, offset: 64, record: header.first,
                reason: "it does not continue the checksum of \(tail.header.name)")
        }
        let continues =
            header.start == .roll ? header.generation == tail.header.generation : header.start == .truncation
        guard continues else {
            throw .corrupt(
                file: file, offset: 16, record: header.first,
                reason: "generation \(header.generation) does not follow generation \(tail.header.generation)")
        }
    }

    private func readHeader(_ name: String) throws(LogError) -> SegmentHeader {
        let page = RawBytes(count: LogFormat.segmentHeaderBytes)
        let size = try rethrown { () throws(FileSystemError) in
            let file = try fileSystem.open(path(name), .readOnly)
            defer { file.close() }
            page.count = try file.read(into: page.mutable, at: 0)
            return try file.size()
        }
        let header = try SegmentHeader.decode(page.buffer, fileBytes: size, file: path(name))
        if let error = header.diskID.mismatch(with: diskID, file: path(name)) { throw error }
        return header
    }

    /// The bytes of a segment whose header was read before.
    func readFile(_ name: String) throws(LogError) -> RawBytes {
        let bytes = try rethrown { () throws(FileSystemError) in
            let file = try fileSystem.open(path(name), .readOnly)
            defer { file.close() }
            return try file.readAll(limit: LogFormat.segmentBytesMax)
        }
        guard let bytes else {
            throw .corrupt(
                file: path(name), offset: LogFormat.segmentBytesMax, record: nil,
                reason: "it is too large for a segment")
        }
        return bytes
    }
}
