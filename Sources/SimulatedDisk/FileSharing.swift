internal import GRDBSQLite

/// What the connections to one file share while the machine runs.
final class FileSharing {
    var locks = FileLocks()
    /// The index of its WAL; nil while nobody is attached.
    var memory: SharedMemory?
}

/// The locks of connections on one database file, as SQLite defines them: many SHARED, at most one RESERVED or above, and
/// EXCLUSIVE alone. A connection that waits for EXCLUSIVE holds PENDING, which keeps new readers out.
struct FileLocks {
    private var levels: [ObjectIdentifier: Int32] = [:]

    func level(of holder: ObjectIdentifier) -> Int32 { levels[holder] ?? SQLITE_LOCK_NONE }

    /// Returns false when another connection is in the way.
    mutating func raise(_ holder: ObjectIdentifier, to wanted: Int32) -> Bool {
        guard level(of: holder) < wanted else { return true }
        let others = levels.filter { $0.key != holder }.values
        switch wanted {
        case SQLITE_LOCK_SHARED:
            guard others.allSatisfy({ $0 < SQLITE_LOCK_PENDING }) else { return false }
        case SQLITE_LOCK_RESERVED:
            guard others.allSatisfy({ $0 < SQLITE_LOCK_RESERVED }) else { return false }
        default:
            guard others.allSatisfy({ $0 < SQLITE_LOCK_RESERVED }) else { return false }
            guard others.allSatisfy({ $0 < SQLITE_LOCK_SHARED }) else {
                levels[holder] = SQLITE_LOCK_PENDING
                return false
            }
        }
        levels[holder] = wanted
        return true
    }

    mutating func lower(_ holder: ObjectIdentifier, to wanted: Int32) {
        guard level(of: holder) > wanted else { return }
        levels[holder] = wanted == SQLITE_LOCK_NONE ? nil : wanted
    }

    var isReserved: Bool { levels.values.contains { $0 >= SQLITE_LOCK_RESERVED } }
}

/// The shared memory of a WAL: the pages of its index, and eight locks. It exists while a connection is attached to it, and
/// a power loss ends it for all of them.
final class SharedMemory {
    private var regions: [UnsafeMutableRawBufferPointer] = []
    /// Who holds each lock.
    private var slots = [Slot](repeating: Slot(), count: Int(SQLITE_SHM_NLOCK))
    var attached: Set<ObjectIdentifier> = []

    private struct Slot {
        var readers: Set<ObjectIdentifier> = []
        var writer: ObjectIdentifier?
    }

    deinit {
        for region in regions { region.deallocate() }
    }

    /// The region, zeros at first; nil when it does not exist and is not wanted.
    func region(_ number: Int, bytes: Int, extending: Bool) -> UnsafeMutableRawPointer? {
        while regions.count <= number {
            guard extending else { return nil }
            let region = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 4_096)
            region.initializeMemory(as: UInt8.self, repeating: 0)
            regions.append(region)
        }
        return regions[number].baseAddress
    }

    func has(region number: Int) -> Bool { number < regions.count }

    /// Takes or gives back `count` locks from `first` on, all or none.
    func lock(_ holder: ObjectIdentifier, first: Int, count: Int, flags: Int32) -> Bool {
        let range = first..<first + count
        precondition(range.upperBound <= slots.count, "locks \(range) of \(slots.count)")
        if flags & SQLITE_SHM_UNLOCK != 0 {
            for slot in range { release(holder, slot) }
            return true
        }
        if flags & SQLITE_SHM_SHARED != 0 {
            guard range.allSatisfy({ slots[$0].writer == nil || slots[$0].writer == holder }) else { return false }
            for slot in range { slots[slot].readers.insert(holder) }
            return true
        }
        let isFree = range.allSatisfy { slot in
            (slots[slot].writer == nil || slots[slot].writer == holder)
                && slots[slot].readers.allSatisfy { $0 == holder }
        }
        guard isFree else { return false }
        for slot in range { slots[slot].writer = holder }
        return true
    }

    func releaseAll(_ holder: ObjectIdentifier) {
        for slot in slots.indices { release(holder, slot) }
        attached.remove(holder)
    }

    private func release(_ holder: ObjectIdentifier, _ slot: Int) {
        slots[slot].readers.remove(holder)
        if slots[slot].writer == holder { slots[slot].writer = nil }
    }
}
