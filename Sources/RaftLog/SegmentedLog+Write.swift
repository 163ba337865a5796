internal import RaftCore

extension SegmentedLog {
    /// See `write`. Each step that is done is taken off, so that a write goes on where a full disk stopped it. Entries are
    /// collected and written at the end; what a later reset or truncation of the same group removes is never written.
    func finishWrite() throws(LogError) {
        guard unfinished != nil else { return }
        try clearStray()
        if let state = unfinished?.hardState {
            try storeHardState(state)
            unfinished?.hardState = nil
        }
        while let persist = unfinished?.persists.first {
            try prepare(for: persist)
            unfinished?.persists.removeFirst()
        }
        try append()
        unfinished = nil
    }

    /// Does the reset and the truncation of a part of the group, and takes its entries.
    private func prepare(for persist: Persist) throws(LogError) {
        var entries = unfinished?.entries ?? []
        if let position = persist.reset, base != position || last != position || !entries.isEmpty {
            entries = []
            try reset(to: position)
        }
        if let index = persist.truncateFrom {
            let end = entries.last?.index ?? last.index
            precondition(index > base.index && index <= end.next, "truncation from \(index) of a log up to \(end)")
            entries = entries.prefix { $0.index < index }
            if index <= last.index { try truncate(from: index) }
        }
        checkContinuity(persist.entries, after: entries.last?.position ?? last)
        if entries.isEmpty { entries = persist.entries[...] } else { entries += persist.entries }
        unfinished?.entries = entries
    }

    /// Puts a group behind what a full disk may have left of the one before.
    func take(_ persists: [Persist]) {
        guard let sequence = persists.last?.sequence else { return }
        let wanted = wantedHardState(of: persists)
        guard unfinished != nil else {
            unfinished = UnfinishedWrite(sequence: sequence, hardState: wanted, persists: persists[...])
            return
        }
        unfinished?.sequence = sequence
        unfinished?.persists += persists
        if let wanted { unfinished?.hardState = wanted }
    }

    /// The last hard state of the group, if it differs. Entries of a newer term prove that the member saw that term, without a
    /// vote in it: a vote would have been written with the term.
    private func wantedHardState(of persists: [Persist]) -> HardState? {
        let known = unfinished?.hardState ?? hardState
        var wanted = persists.last { $0.hardState != nil }?.hardState ?? known
        for persist in persists {
            let seen = max(persist.entries.last?.term ?? .zero, persist.reset?.term ?? .zero)
            if seen > wanted.term { wanted = HardState(term: seen, vote: nil) }
        }
        return wanted == known ? nil : wanted
    }

    private func checkContinuity(_ entries: [Entry], after position: LogPosition) {
        var previous = position
        for entry in entries {
            precondition(entry.index == previous.index.next, "entry \(entry.position) cannot follow entry \(previous)")
            precondition(entry.term >= previous.term, "entry \(entry.position) cannot follow entry \(previous)")
            precondition(
                entry.payload.count <= LogFormat.payloadBytesMax,
                "entry \(entry.index) has \(entry.payload.count) bytes")
            previous = entry.position
        }
    }

    /// Writes the entries that were collected, as one batch for each segment that they reach into.
    private func append() throws(LogError) {
        while let rest = unfinished?.entries, !rest.isEmpty {
            var count = 0
            var payloads = 0
            for entry in rest {
                let size = LogFormat.batchBytes(payloads: payloads + entry.payload.count, records: count + 1)
                // An empty segment takes one entry of any size, or an entry larger than a segment would fit nowhere.
                let takesAnySize = count == 0 && offset == LogFormat.segmentHeaderBytes
                guard offset + size <= options.segmentBytes || takesAnySize else { break }
                payloads += entry.payload.count
                count += 1
            }
            guard count > 0 else {
                try roll()
                continue
            }
            try writeBatch(rest.prefix(count), bytes: LogFormat.batchBytes(payloads: payloads, records: count))
            unfinished?.entries.removeFirst(count)
        }
    }

    /// Zeroes what a batch that a full disk stopped has left behind the end of the log. Its entries may be gone by now, and a
    /// shorter batch in its place would leave the rest of it for damage.
    private func clearStray() throws(LogError) {
        guard let end = unfinished?.strayEnd else { return }
        try rethrown { () throws(FileSystemError) in
            // What lies beyond the end of the file was never written, and to zero it would take the room that lacks.
            try file.writeZeros(count: max(0, min(end, file.size()) - offset), at: offset)
        }
        try timed(syncs: 1) { () throws(FileSystemError) in try file.synchronizeData() }
        unfinished?.strayEnd = nil
    }

    private func writeBatch(_ entries: ArraySlice<Entry>, bytes size: Int) throws(LogError) {
        guard let first = entries.first, let lastEntry = entries.last else { return }
        let newChain = encode(entries, first: first.index, size: size)
        let end = offset + size
        unfinished?.strayEnd = end
        try rethrown { () throws(FileSystemError) in
            try file.write(buffer, at: offset)
            try fillAhead(of: end)
        }
        try timed(syncs: 1) { () throws(FileSystemError) in try file.synchronizeData() }
        unfinished?.strayEnd = nil
        offset = end
        chain = newChain
        last = lastEntry.position
        metrics.bytesWritten += UInt64(size)
        metrics.entriesWritten += UInt64(entries.count)
        metrics.batchesWritten += 1
    }

    /// Keeps the file filled with zeros beyond `end`. It only makes syncs faster, so a disk without room for it is no reason to
    /// stop.
    private func fillAhead(of end: Int) throws(FileSystemError) {
        guard end > filledBytes else { return }
        let target = max(end, min(options.segmentBytes, end + options.fillStepBytes))
        do throws(FileSystemError) {
            try file.writeZeros(count: target - end, at: end)
            filledBytes = target
        } catch {
            guard error.isLackOfRoom else { throw error }
            filledBytes = end
        }
    }

    /// Puts a batch into `buffer` and returns the checksum of its last record.
    private func encode(_ entries: ArraySlice<Entry>, first: LogIndex, size: Int) -> UInt32 {
        buffer.reserve(size)
        buffer.count = size
        let bytes = buffer.mutable
        let header = BatchHeader(
            length: size, records: entries.count, offset: offset, syncedOffset: offset, first: first, chain: chain)
        var checksum = header.encode(into: bytes, salt: segments[segments.count - 1].salt)
        var place = LogFormat.batchHeaderBytes
        for entry in entries {
            checksum = RecordFormat.encode(
                entry, into: UnsafeMutableRawBufferPointer(rebasing: bytes[place...]), chain: checksum)
            place += LogFormat.recordHeaderBytes + entry.payload.count
        }
        let trailer = size - LogFormat.batchTrailerBytes
        precondition(
            place <= trailer && trailer - place < LogFormat.alignment, "a batch of \(size) bytes ends at \(place)")
        while place < trailer {
            bytes.store8(0, place)
            place += 1
        }
        bytes.store32(checksum, trailer)
        bytes.store32(LogFormat.batchTrailerMagic, trailer + 4)
        return checksum
    }

    /// Begins the next segment; the one before is synced up to its end.
    private func roll() throws(LogError) {
        let current = segments[segments.count - 1]
        precondition(last.index >= current.first, "segment \(current.name) has no entry to end with")
        try begin(.roll, generation: current.generation, base: last, chain: chain, keeping: segments.count)
    }

    /// Removes the entries from `index` on.
    ///
    /// They were synced, so they are not overwritten: a half-done overwrite would look like damage to synced entries. A new
    /// segment of a higher generation takes over from `index` on, with one rename.
    private func truncate(from index: LogIndex) throws(LogError) {
        guard let number = segments.lastIndex(where: { $0.first <= index }) else {
            preconditionFailure("truncation from \(index) of a log that begins after \(base)")
        }
        let (position, checksum) = try findEnd(before: index, in: segments[number])
        try begin(
            .truncation, generation: segments[segments.count - 1].generation + 1, base: position, chain: checksum,
            keeping: segments[number].first == index ? number : number + 1)
    }

    /// Starts the log anew after `position`. One rename decides between the old log and the new.
    private func reset(to position: LogPosition) throws(LogError) {
        try begin(
            .reset, generation: segments[segments.count - 1].generation + 1, base: position, chain: 0, keeping: 0)
    }

    /// Makes a segment the last one, behind the first `kept` of the present ones, and removes the others, newest first.
    private func begin(
        _ start: SegmentHeader.Start, generation: UInt64, base: LogPosition, chain: UInt32, keeping kept: Int
    ) throws(LogError) {
        let header = SegmentHeader(
            start: start, generation: generation, diskID: options.diskID, base: base, chain: chain,
            filledBytes: Self.initialFillBytes(options))
        try rethrown { () throws(FileSystemError) in
            try Self.createSegment(header, directory, fileSystem)
            file.close()
            file = try fileSystem.open(path(header.name), .readWrite)
        }
        let replaced = segments[kept...].map(\.name).filter { $0 != header.name }
        try Self.removeFiles(replaced.reversed(), directory, fileSystem)
        segments.removeLast(segments.count - kept)
        segments.append(header)
        offset = LogFormat.segmentHeaderBytes
        filledBytes = Int(header.filledBytes)
        self.chain = chain
        last = base
        metrics.segments = segments.count
        metrics.bytesWritten += UInt64(LogFormat.segmentHeaderBytes)
        metrics.syncs += 1
    }

    /// The position and the checksum of the record before `index`, read back from the disk: truncations are rare, and to
    /// remember the checksum of every record is not.
    private func findEnd(
        before index: LogIndex, in header: SegmentHeader
    ) throws(LogError) -> (position: LogPosition, chain: UInt32) {
        let recovery = LogRecovery(directory: directory, fileSystem: fileSystem, diskID: options.diskID)
        var scanner = SegmentScanner(try recovery.readFile(header.name), header: header, limit: index.previous)
        scan: while true {
            switch scanner.next() {
            case .batch, .record, .batchEnd:
                continue
            case .end:
                break scan
            case .damaged(let damage):
                throw .corrupt(
                    file: path(header.name), offset: damage.offset, record: damage.record, reason: damage.reason)
            }
        }
        guard scanner.last.index == index.previous else {
            throw .corrupt(
                file: path(header.name), offset: scanner.offset, record: scanner.last.index.next,
                reason: "the segment ends before entry \(index.previous), which had been synced")
        }
        return (scanner.last, scanner.chain)
    }

    static func initialFillBytes(_ options: LogOptions) -> UInt32 {
        UInt32(min(options.segmentBytes, LogFormat.segmentHeaderBytes + options.fillStepBytes))
    }

    /// Creates a segment that is whole and synced before it has its name (pitfall: a rename without a synced folder).
    static func createSegment(_ header: SegmentHeader, _ directory: String, _ fileSystem: FS) throws(FileSystemError) {
        let path = directory + "/" + header.name
        let temporary = path + LogFormat.temporarySuffix
        let file = try fileSystem.open(temporary, .createOrReplace)
        defer { file.close() }
        try file.write(header.encoded(), at: 0)
        let filled = Int(header.filledBytes)
        try file.writeZeros(count: filled - LogFormat.segmentHeaderBytes, at: LogFormat.segmentHeaderBytes)
        try file.synchronizeData()
        try fileSystem.rename(temporary, to: path)
        try fileSystem.synchronizeDirectory(directory)
    }

    static func removeFiles(_ names: [String], _ directory: String, _ fileSystem: FS) throws(LogError) {
        guard !names.isEmpty else { return }
        try rethrown { () throws(FileSystemError) in
            for name in names { try fileSystem.remove(directory + "/" + name) }
            try fileSystem.synchronizeDirectory(directory)
        }
    }
}

/// A write on its way to the disk; what of it is done has been taken off.
struct UnfinishedWrite {
    /// Of the last of its parts.
    var sequence: UInt64
    /// To be written first; nil when it is done or nothing changed.
    var hardState: HardState?
    /// Those whose reset and truncation are still to be done.
    var persists: ArraySlice<Persist>
    /// Taken from the others, and not written yet.
    var entries: ArraySlice<Entry> = []
    /// Up to here, from the end of the log on, there may be bytes of a batch that was begun; nil when none was.
    var strayEnd: Int?
}
