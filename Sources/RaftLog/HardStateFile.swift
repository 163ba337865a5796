internal import RaftCore

/// Term and vote on disk: one file, the same slot twice.
///
/// A change is written to the first slot and synced, then to the second and synced. So at each moment one slot is whole,
/// and a slot that was damaged later has a twin: the vote of a term is neither lost by a crash (Raft §5.1) nor by a flipped
/// bit. With slots that take turns, damage to the newer one would silently bring back the older vote.
///
/// ```
/// slot 0 at 0, slot 1 at 4096:
///  0 magic "VOTE"    4 checksum u32 over 8..<80      8 version u32   12 has vote u32
/// 16 sequence u64   24 term u64   32 vote u64       40 disk id (2 x u64)
/// 56 generation u64 and 64 synced index u64: the log's, when the slot was written   72 zeros
/// ```
struct HardStateFile<FS: FileSystem> {
    /// What a slot holds.
    struct Slot: Hashable {
        var sequence: UInt64
        var hardState: HardState
        var diskID: DiskID
        /// In this generation of the log all entries up to `syncedIndex` were synced: damage to them is no tear.
        var generation: UInt64
        var syncedIndex: LogIndex
    }

    private(set) var current: Slot
    private let file: FS.File

    static var name: String { "hard-state" }
    static var slotBytes: Int { 80 }
    static var secondSlotOffset: Int { 4096 }
    static var fileBytes: Int { 8192 }
    private static var magic: UInt32 { 0x4554_4F56 }  // "VOTE"

    /// Writes a slot that differs from the current one, to both places. Two syncs.
    mutating func store(
        _ hardState: HardState, generation: UInt64, syncedIndex: LogIndex
    ) throws(FileSystemError) {
        precondition(hardState.term >= current.hardState.term, "term \(hardState.term) after \(current.hardState.term)")
        let revoted = hardState.term == current.hardState.term && current.hardState.vote != nil
        precondition(!revoted || hardState.vote == current.hardState.vote, "two votes in term \(hardState.term)")
        var slot = current
        slot.sequence += 1
        slot.hardState = hardState
        slot.generation = generation
        slot.syncedIndex = syncedIndex
        let bytes = Self.encode(slot)
        for offset in [0, Self.secondSlotOffset] {
            try file.write(bytes, at: offset)
            try file.synchronizeData()
        }
        current = slot
    }

    func close() { file.close() }

    /// Creates the file with the state of a member that never voted.
    static func create(_ directory: String, fileSystem: FS, diskID: DiskID) throws(FileSystemError) -> Self {
        let path = directory + "/" + name
        let slot = Slot(sequence: 1, hardState: .initial, diskID: diskID, generation: 0, syncedIndex: .zero)
        let encoded = encode(slot)
        let temporary = try fileSystem.open(path + LogFormat.temporarySuffix, .createOrReplace)
        defer { temporary.close() }
        try temporary.writeZeros(count: fileBytes, at: 0)
        try temporary.write(encoded, at: 0)
        try temporary.write(encoded, at: secondSlotOffset)
        try temporary.synchronizeData()
        try fileSystem.rename(path + LogFormat.temporarySuffix, to: path)
        try fileSystem.synchronizeDirectory(directory)
        return Self(current: slot, file: try fileSystem.open(path, .readWrite))
    }

    /// Reads the newest valid slot and makes both slots equal and durable before it is relied on: it may have been read from
    /// the page cache of a process that died before its sync.
    static func open(_ directory: String, fileSystem: FS, diskID: DiskID) throws(LogError) -> Self {
        let path = directory + "/" + name
        let file = try rethrown { () throws(FileSystemError) in try fileSystem.open(path, .readWrite) }
        let slots = try read(file, diskID: diskID)
        try rethrown { () throws(FileSystemError) in
            // The valid slot has to be on the disk before the other one is touched.
            try file.synchronizeData()
            let bytes = encode(slots.newest)
            for offset in [0, secondSlotOffset] where slots.stale.contains(offset) {
                try file.write(bytes, at: offset)
                try file.synchronizeData()
            }
        }
        return Self(current: slots.newest, file: file)
    }

    /// The newest valid slot, and the offsets of those that differ from it. Throws when none is valid: a member that does not
    /// know its vote must not act as if it had none.
    static func read(_ file: FS.File, diskID: DiskID) throws(LogError) -> (newest: Slot, stale: [Int]) {
        let bytes = try rethrown { () throws(FileSystemError) in try file.readAll(limit: fileBytesMax) }
        var valid: [(offset: Int, slot: Slot)] = []
        for offset in [0, secondSlotOffset] {
            guard let bytes, bytes.count >= offset + slotBytes else { continue }
            let slotRange = offset..<offset + slotBytes
            if let slot = try decode(bytes.buffer.slice(slotRange), path: file.path) { valid.append((offset, slot)) }
        }
        guard let newest = valid.map(\.slot).max(by: { $0.sequence < $1.sequence }) else {
            throw .corrupt(
                file: file.path, offset: 0, record: nil,
                reason: "neither of its two slots is valid, so this member's term and vote are not known")
        }
        if let error = newest.diskID.mismatch(with: diskID, file: file.path) { throw error }
        let fresh = valid.filter { $0.slot == newest }.map(\.offset)
        return (newest, [0, secondSlotOffset].filter { !fresh.contains($0) })
    }

    private static func encode(_ slot: Slot) -> RawBytes {
        let encoded = RawBytes(count: slotBytes)
        let bytes = encoded.mutable
        bytes.store32(magic, 0)
        bytes.store32(LogFormat.version, 8)
        bytes.store32(slot.hardState.vote == nil ? 0 : 1, 12)
        bytes.store64(slot.sequence, 16)
        bytes.store64(slot.hardState.term.rawValue, 24)
        bytes.store64(slot.hardState.vote?.rawValue ?? 0, 32)
        bytes.store64(slot.diskID.high, 40)
        bytes.store64(slot.diskID.low, 48)
        bytes.store64(slot.generation, 56)
        bytes.store64(slot.syncedIndex.rawValue, 64)
        bytes.store32(Checksum.crc32(encoded.buffer.slice(8..<slotBytes)), 4)
        return encoded
    }

    /// Nil when the slot is not valid: it was being written, or it was damaged.
    private static func decode(_ bytes: UnsafeRawBufferPointer, path: String) throws(LogError) -> Slot? {
        guard bytes.load32(0) == magic, bytes.load32(4) == Checksum.crc32(bytes.slice(8..<slotBytes)) else {
            return nil
        }
        guard bytes.load32(8) == LogFormat.version else {
            throw .unsupportedVersion(file: path, found: bytes.load32(8), supported: LogFormat.version)
        }
        let largest = max(bytes.load64(16), bytes.load64(24), bytes.load64(56), bytes.load64(64))
        guard largest < LogFormat.numberMax else { return nil }
        let vote = bytes.load32(12) == 0 ? nil : NodeID(bytes.load64(32))
        return Slot(
            sequence: bytes.load64(16), hardState: HardState(term: Term(bytes.load64(24)), vote: vote),
            diskID: DiskID(high: bytes.load64(40), low: bytes.load64(48)), generation: bytes.load64(56),
            syncedIndex: LogIndex(bytes.load64(64)))
    }

    /// Nothing larger is read as a hard state.
    private static var fileBytesMax: Int { 1 << 16 }
}

extension DiskID {
    /// The error for a file of `self` in a data directory of `expected`; nothing is compared with an unknown one.
    func mismatch(with expected: DiskID, file: String) -> LogError? {
        guard expected != .unknown, self != expected else { return nil }
        return .foreign(file: file, found: self, expected: expected)
    }
}

/// Runs calls of the file system and reports their error as the log's.
func rethrown<Value>(_ body: () throws(FileSystemError) -> Value) throws(LogError) -> Value {
    do throws(FileSystemError) {
        return try body()
    } catch {
        throw LogError(error)
    }
}
