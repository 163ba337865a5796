internal import RaftCore

/// Walks through the bytes of one segment and checks every frame against the one before it.
///
/// It decides nothing about damage: `Damage` says what was found, and `proofOfSync`, `tearEvidence` say what the bytes around
/// it tell.
struct SegmentScanner {
    enum Step {
        case batch(BatchHeader)
        case record(offset: Int, entry: Entry)
        /// The batch is whole; the next one begins at `end`.
        case batchEnd
        /// Nothing but zeros from here on, or the last wanted index was reached.
        case end
        case damaged(Damage)
    }

    struct Damage {
        /// Where the first frame stands that is not valid.
        var offset: Int
        /// Where its batch begins.
        var batchOffset: Int
        /// The entry that should have stood there; of a damaged trailer, the one before it.
        var record: LogIndex
        var reason: String
        /// The checksum matches and the contents are wrong all the same: no interrupted write looks like that.
        var isImpossible = false
    }

    private enum State {
        case betweenBatches
        case inBatch(BatchHeader, recordsLeft: Int, checksum: UInt32)
        case stopped
    }

    /// Keeps the memory behind `bytes`.
    private let storage: RawBytes
    private let bytes: UnsafeRawBufferPointer
    let salt: UInt32
    /// Entries behind this index belong to a later segment and are not looked at.
    let limit: LogIndex?
    /// Where the next frame begins.
    private(set) var offset: Int
    /// The last record that was valid, also of a batch that is not whole.
    private(set) var last: LogPosition
    /// The checksum of the last valid frame.
    private(set) var chain: UInt32
    private var state: State = .betweenBatches

    init(_ storage: RawBytes, header: SegmentHeader, limit: LogIndex? = nil) {
        precondition(storage.count >= LogFormat.segmentHeaderBytes, "a segment of \(storage.count) bytes has no header")
        self.storage = storage
        bytes = storage.buffer
        self.salt = header.salt
        self.limit = limit
        offset = LogFormat.segmentHeaderBytes
        last = header.base
        chain = header.chain
    }

    mutating func next() -> Step {
        switch state {
        case .stopped:
            return .end
        case .betweenBatches:
            if let limit, last.index >= limit { return stop(.end) }
            return nextBatch()
        case .inBatch(let header, let recordsLeft, let checksum):
            if let limit, last.index >= limit { return stop(.end) }
            return recordsLeft > 0 ? nextRecord(header, recordsLeft, checksum) : endBatch(header, checksum)
        }
    }

    private mutating func stop(_ step: Step) -> Step {
        state = .stopped
        return step
    }

    private mutating func damaged(
        at place: Int, in batch: Int, record: LogIndex? = nil, _ reason: String, isImpossible: Bool = false
    ) -> Step {
        stop(
            .damaged(
                Damage(
                    offset: place, batchOffset: batch, record: record ?? last.index.next, reason: reason,
                    isImpossible: isImpossible)))
    }

    private mutating func nextBatch() -> Step {
        guard let header = BatchHeader.decode(bytes, at: offset, salt: salt) else {
            if bytes.slice(offset..<bytes.count).isZero { return stop(.end) }
            return damaged(at: offset, in: offset, "no valid batch header")
        }
        guard header.chain == chain, header.first == last.index.next else {
            return damaged(
                at: offset, in: offset,
                "the batch header continues entry \(header.first.previous), checksum \(header.chain), and not entry "
                    + "\(last.index), checksum \(chain)", isImpossible: true)
        }
        let smallest = LogFormat.batchBytes(payloads: 0, records: header.records)
        guard header.records > 0, header.length % LogFormat.alignment == 0, header.length >= smallest else {
            return damaged(
                at: offset, in: offset, "a batch of \(header.records) records cannot have \(header.length) bytes",
                isImpossible: true)
        }
        guard header.length <= bytes.count - offset else {
            return damaged(
                at: offset, in: offset, "the batch of \(header.length) bytes goes beyond the end of the file")
        }
        let checksum = bytes.load32(offset + 4)
        state = .inBatch(header, recordsLeft: header.records, checksum: checksum)
        offset += LogFormat.batchHeaderBytes
        return .batch(header)
    }

    private mutating func nextRecord(_ batch: BatchHeader, _ recordsLeft: Int, _ checksum: UInt32) -> Step {
        let available = batch.offset + batch.length - LogFormat.batchTrailerBytes - offset
        guard available >= LogFormat.recordHeaderBytes else {
            return damaged(at: offset, in: batch.offset, "the batch ends before its last record")
        }
        let length = Int(bytes.load32(offset + 4))
        guard length <= available - LogFormat.recordHeaderBytes else {
            return damaged(at: offset, in: batch.offset, "the record's length \(length) goes beyond its batch")
        }
        let end = offset + LogFormat.recordHeaderBytes + length
        let computed = Checksum.crc32(bytes.slice(offset + 4..<end), seed: checksum)
        guard computed == bytes.load32(offset) else {
            return damaged(at: offset, in: batch.offset, "the record does not match its checksum")
        }
        let position = LogPosition(index: LogIndex(bytes.load64(offset + 16)), term: Term(bytes.load64(offset + 8)))
        guard position.index == last.index.next, position.term >= last.term,
            max(position.index.rawValue, position.term.rawValue) < LogFormat.numberMax
        else {
            return damaged(at: offset, in: batch.offset, "entry \(position) follows entry \(last)", isImpossible: true)
        }
        let kindNumber = bytes.load32(offset + 24)
        guard let kind = UInt8(exactly: kindNumber).flatMap(Entry.Kind.init(rawValue:)) else {
            return damaged(at: offset, in: batch.offset, "unknown kind of entry \(kindNumber)", isImpossible: true)
        }
        let payload = [UInt8](bytes.slice(offset + LogFormat.recordHeaderBytes..<end))
        let step = Step.record(
            offset: offset, entry: Entry(term: position.term, index: position.index, kind: kind, payload: payload))
        offset = end
        last = position
        chain = computed
        state = .inBatch(batch, recordsLeft: recordsLeft - 1, checksum: computed)
        return step
    }

    private mutating func endBatch(_ batch: BatchHeader, _ checksum: UInt32) -> Step {
        let trailer = batch.offset + batch.length - LogFormat.batchTrailerBytes
        guard bytes.slice(offset..<trailer).isZero else {
            return damaged(
                at: offset, in: batch.offset, record: last.index,
                "the bytes between the last record and the trailer are not zero")
        }
        guard bytes.load32(trailer) == checksum, bytes.load32(trailer + 4) == LogFormat.batchTrailerMagic else {
            return damaged(
                at: trailer, in: batch.offset, record: last.index, "the batch's trailer does not match its last record")
        }
        offset = trailer + LogFormat.batchTrailerBytes
        state = .betweenBatches
        return .batchEnd
    }

    /// Where the last byte is that is not zero, or `start`: everything behind is as it was filled.
    func endOfData(from start: Int) -> Int {
        var end = bytes.count
        while end > start, bytes[end - 1] == 0 { end -= 1 }
        return end
    }

    /// The first batch behind `damage` whose header says that the damaged batch was synced before it was written.
    func proofOfSync(of damage: Damage) -> BatchHeader? {
        var place = damage.batchOffset + LogFormat.alignment
        while place + LogFormat.batchHeaderBytes <= bytes.count {
            if bytes.load32(place) == LogFormat.batchMagic,
                let header = BatchHeader.decode(bytes, at: place, salt: salt), header.syncedOffset > damage.batchOffset
            {
                return header
            }
            place += LogFormat.alignment
        }
        return nil
    }

    /// Why the damaged batch looks like a write that was interrupted, or nil if all of it reached the disk.
    ///
    /// The file was filled with zeros before, and a disk writes whole sectors: what an interrupted write leaves out still
    /// is zero, from some byte to the end of its sector. Every sector of a batch that was written has a byte that is not zero:
    /// the first one has the magic, the last one has the trailer's mark, and those between have zeros only if a payload has.
    func tearEvidence(of damage: Damage) -> String? {
        guard !damage.isImpossible else { return nil }
        let start = damage.batchOffset
        guard let header = BatchHeader.decode(bytes, at: start, salt: salt) else {
            return tearEvidence(ofHeaderAt: start)
        }
        let end = start + header.length
        if end > bytes.count { return "the file ends within the batch" }
        if isCutShort(LogFormat.batchTrailerMagic, at: end - 4) { return "the end of the batch was not written" }
        var sector = start
        while sector < end {
            let next = min(endOfSector(sector), end)
            if bytes.slice(sector..<next).isZero { return "the sector at offset \(sector) was not written" }
            sector = next
        }
        return nil
    }

    private func tearEvidence(ofHeaderAt start: Int) -> String? {
        let end = start + LogFormat.batchHeaderBytes
        if end > bytes.count { return "the file ends within the batch header" }
        if bytes.slice(start..<endOfSector(start)).isZero { return "the beginning of the batch was not written" }
        if !hasBytesOfBatch(from: start) { return "there are fewer bytes than any batch has" }
        let beginsLikeHeader = bytes.load32(start) == LogFormat.batchMagic
        if beginsLikeHeader, isCutShort(LogFormat.batchHeaderEnd, at: end - 4),
            bytes.slice(end..<max(end, endOfSector(end - 1))).isZero
        {
            return "the end of the batch header was not written"
        }
        return nil
    }

    /// True when the mark at `place` was written up to some byte and is zero from there on.
    private func isCutShort(_ mark: UInt32, at place: Int) -> Bool {
        let found = bytes.load32(place)
        return (0..<4).contains { written in found == mark & ((1 << (8 * UInt32(written))) - 1) }
    }

    /// False when the rest of the file has fewer bytes that are not zero than the marks of one batch.
    private func hasBytesOfBatch(from start: Int) -> Bool {
        var count = 0
        for place in start..<bytes.count where bytes[place] != 0 {
            count += 1
            if count == Self.markBytes { return true }
        }
        return false
    }

    private func endOfSector(_ offset: Int) -> Int {
        min((offset / LogFormat.sectorBytes + 1) * LogFormat.sectorBytes, bytes.count)
    }

    /// The bytes of magic, header mark and trailer mark, none of them zero.
    private static let markBytes = 12
}
