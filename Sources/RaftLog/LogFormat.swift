internal import RaftCore

/// The byte format of the log, version 1; `docs/formats/log.md` is its description for people.
///
/// ```
/// segment    header (4096) | batch | batch | ... | zeros
/// batch      header (64) | record | record | ... | zeros to a multiple of 8 | trailer (8)
/// record     header (28) | payload
/// ```
enum LogFormat {
    static let version: UInt32 = 1

    /// A page of its own, so that no later write touches the page that the header is on.
    static let segmentHeaderBytes = 4096
    static let batchHeaderBytes = 64
    static let batchTrailerBytes = 8
    static let recordHeaderBytes = 28
    /// Batches begin and end at multiples of this, so that a sector boundary never splits a number in their frame.
    static let alignment = 8
    /// What a disk writes as a whole or not at all, at most: the unit in which a tear is looked for.
    static let sectorBytes = 512

    /// What one payload may have.
    static let payloadBytesMax = 64 << 20
    /// What a segment file may have; more is refused before anything is allocated for it.
    static let segmentBytesMax = 1 << 30

    /// Indexes, terms, generations and sequence numbers are far below this; what is not was never written by a log, and could
    /// not be counted on from.
    static let numberMax: UInt64 = 1 << 62

    static let segmentMagic: UInt64 = 0x0A47_4F4C_5446_4152  // "RAFTLOG\n"
    static let batchMagic: UInt32 = 0x4843_5442  // "BTCH"
    static let batchHeaderEnd: UInt32 = 0x4744_4845  // "EHDG"
    static let batchTrailerMagic: UInt32 = 0x4E45_5442  // "BTEN"

    static let segmentSuffix = ".log"
    static let temporarySuffix = ".tmp"

    /// `00000000000000000001.log`
    static func segmentName(first: LogIndex) -> String {
        let digits = String(first.rawValue)
        return String(repeating: "0", count: 20 - digits.count) + digits + segmentSuffix
    }

    /// The size of a batch with these payloads.
    static func batchBytes(payloads: Int, records: Int) -> Int {
        let body = payloads + records * recordHeaderBytes
        return batchHeaderBytes + (body + alignment - 1) / alignment * alignment + batchTrailerBytes
    }
}

/// The first page of a segment.
///
/// ```
///  0 magic "RAFTLOG\n"   8 version u32   12 checksum u32 over 16..<80 and version
/// 16 start u32          20 fill u32      24 generation u64
/// 32 disk id (2 x u64)  48 base index    56 base term     64 chain u32   68 zeros
/// ```
struct SegmentHeader: Hashable {
    /// How the log came to this segment.
    enum Start: UInt32 {
        /// The log begins here: it is new, or was reset to a snapshot's position. Nothing of an older generation counts.
        case reset = 0
        /// The segment before it was full.
        case roll = 1
        /// Entries from the segment's first index on were removed: nothing of an older generation counts from there on.
        case truncation = 2
    }

    var start: Start
    /// Grows with each reset and truncation. Where segments contradict each other the higher generation is right.
    var generation: UInt64
    var diskID: DiskID
    /// The position before the segment's first record.
    var base: LogPosition
    /// The checksum that the segment's first batch continues: that of the record at `base`, or zero.
    var chain: UInt32
    /// The size that the file had before it got its name; it is never smaller.
    var filledBytes: UInt32

    var first: LogIndex { base.index.next }
    var name: String { LogFormat.segmentName(first: first) }

    /// Seeds the checksum of batch headers, so that those of another segment or generation do not match.
    var salt: UInt32 {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { bytes in
            bytes.store64(generation, 0)
            bytes.store64(base.index.rawValue, 8)
            bytes.store64(diskID.high, 16)
            bytes.store64(diskID.low, 24)
            return Checksum.crc32(UnsafeRawBufferPointer(bytes))
        }
    }

    func encoded() -> RawBytes {
        let page = RawBytes(count: LogFormat.segmentHeaderBytes)
        let bytes = page.mutable
        bytes.store64(LogFormat.segmentMagic, 0)
        bytes.store32(LogFormat.version, 8)
        bytes.store32(start.rawValue, 16)
        bytes.store32(filledBytes, 20)
        bytes.store64(generation, 24)
        bytes.store64(diskID.high, 32)
        bytes.store64(diskID.low, 40)
        bytes.store64(base.index.rawValue, 48)
        bytes.store64(base.term.rawValue, 56)
        bytes.store32(chain, 64)
        bytes.store32(Self.checksum(page.buffer), 12)
        return page
    }

    /// Parses the first page of `file`. A segment gets its name only after its header is synced, so a header that does not
    /// parse is damage and never a tear.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, fileBytes: Int, file: String
    ) throws(LogError) -> SegmentHeader {
        guard bytes.count >= LogFormat.segmentHeaderBytes else {
            throw .corrupt(file: file, offset: bytes.count, record: nil, reason: "the file ends within its header")
        }
        guard bytes.load64(0) == LogFormat.segmentMagic else {
            throw .corrupt(file: file, offset: 0, record: nil, reason: "it does not begin like a log segment")
        }
        guard bytes.load32(12) == checksum(bytes) else {
            throw .corrupt(
                file: file, offset: 0, record: nil, reason: "the segment header does not match its checksum")
        }
        let version = bytes.load32(8)
        guard version == LogFormat.version else {
            throw .unsupportedVersion(file: file, found: version, supported: LogFormat.version)
        }
        guard max(bytes.load64(24), bytes.load64(48), bytes.load64(56)) < LogFormat.numberMax else {
            throw .corrupt(file: file, offset: 24, record: nil, reason: "generation or base is beyond any limit")
        }
        guard let start = Start(rawValue: bytes.load32(16)) else {
            throw .corrupt(file: file, offset: 16, record: nil, reason: "unknown kind of segment \(bytes.load32(16))")
        }
        let header = SegmentHeader(
            start: start, generation: bytes.load64(24), diskID: DiskID(high: bytes.load64(32), low: bytes.load64(40)),
            base: LogPosition(index: LogIndex(bytes.load64(48)), term: Term(bytes.load64(56))), chain: bytes.load32(64),
            filledBytes: bytes.load32(20))
        guard fileBytes >= Int(header.filledBytes) else {
            throw .corrupt(
                file: file, offset: fileBytes, record: nil,
                reason: "the file was cut: it was created with \(header.filledBytes) bytes")
        }
        return header
    }

    /// Version and fields; the rest of the page is not covered and means nothing.
    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        Checksum.crc32(bytes.slice(16..<80), seed: Checksum.crc32(bytes.slice(0..<12)))
    }
}

/// What stands before the records of one write.
///
/// ```
///  0 magic "BTCH"    4 checksum u32 over 8..<64, seeded with the segment's salt
///  8 length u32     12 records u32    16 offset u64    24 synced offset u64
/// 32 first index    40 chain u32      44 zeros         60 end mark
/// ```
struct BatchHeader: Hashable {
    /// Header, records, padding and trailer.
    var length: Int
    var records: Int
    /// Where in the segment the batch stands: a copy of it elsewhere is not valid.
    var offset: Int
    /// Everything before this offset of the segment, and all earlier segments, was synced when the batch was written.
    var syncedOffset: Int
    var first: LogIndex
    /// The checksum of the record before the batch.
    var chain: UInt32

    /// Writes the header and returns its checksum, which the first record continues.
    func encode(into bytes: UnsafeMutableRawBufferPointer, salt: UInt32) -> UInt32 {
        let header = UnsafeMutableRawBufferPointer(rebasing: bytes[..<LogFormat.batchHeaderBytes])
        header.initializeMemory(as: UInt8.self, repeating: 0)
        header.store32(LogFormat.batchMagic, 0)
        header.store32(UInt32(length), 8)
        header.store32(UInt32(records), 12)
        header.store64(UInt64(offset), 16)
        header.store64(UInt64(syncedOffset), 24)
        header.store64(first.rawValue, 32)
        header.store32(chain, 40)
        header.store32(LogFormat.batchHeaderEnd, 60)
        let checksum = Self.checksum(UnsafeRawBufferPointer(header), salt: salt)
        header.store32(checksum, 4)
        return checksum
    }

    /// The header at `offset`, if its own checksum, its place and its numbers are right. Whether it continues what stands
    /// before it is for the caller to say.
    static func decode(_ segment: UnsafeRawBufferPointer, at offset: Int, salt: UInt32) -> BatchHeader? {
        guard offset >= LogFormat.segmentHeaderBytes, segment.count - offset >= LogFormat.batchHeaderBytes else {
            return nil
        }
        let bytes = segment.slice(offset..<offset + LogFormat.batchHeaderBytes)
        guard bytes.load32(0) == LogFormat.batchMagic, bytes.load32(60) == LogFormat.batchHeaderEnd,
            bytes.load32(4) == checksum(bytes, salt: salt), bytes.load64(16) == UInt64(offset),
            bytes.load64(24) <= UInt64(offset)
        else { return nil }
        return BatchHeader(
            length: Int(bytes.load32(8)), records: Int(bytes.load32(12)), offset: offset,
            syncedOffset: Int(bytes.load64(24)), first: LogIndex(bytes.load64(32)), chain: bytes.load32(40))
    }

    static func checksum(_ header: UnsafeRawBufferPointer, salt: UInt32) -> UInt32 {
        Checksum.crc32(header.slice(8..<LogFormat.batchHeaderBytes), seed: salt)
    }
}

/// One entry.
///
/// ```
///  0 checksum u32 over 4..<28 + length, continuing the one before   4 length u32
///  8 term u64       16 index u64       24 kind u8      25 zeros     28 payload
/// ```
enum RecordFormat {
    /// Writes the record and returns its checksum.
    static func encode(_ entry: Entry, into bytes: UnsafeMutableRawBufferPointer, chain: UInt32) -> UInt32 {
        let size = LogFormat.recordHeaderBytes + entry.payload.count
        bytes.store32(UInt32(entry.payload.count), 4)
        bytes.store64(entry.term.rawValue, 8)
        bytes.store64(entry.index.rawValue, 16)
        bytes.store32(UInt32(entry.kind.rawValue), 24)
        entry.payload.withUnsafeBytes { payload in
            UnsafeMutableRawBufferPointer(rebasing: bytes[LogFormat.recordHeaderBytes..<size]).copyMemory(from: payload)
        }
        let checksum = Checksum.crc32(UnsafeRawBufferPointer(rebasing: bytes[4..<size]), seed: chain)
        bytes.store32(checksum, 0)
        return checksum
    }
}
