internal import RaftCore
package import RaftLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The files of one simulated machine: what programs see, apart from what is on the platters.
///
/// The rules are those of the port. Written bytes are durable after `synchronizeData`, names after `synchronizeDirectory`; until
/// then a loss of power keeps any of the sectors and any of the names, in any order. The end of a process alone loses
/// nothing: what it wrote is in the page cache, synced or not.
///
/// `SimulatedVolume`, on which databases lie, is another disk and not this one with another front. There names are as a journal
/// keeps them and a sync of a file covers its name, as SQLite takes for granted; here each name survives by itself, so that
/// nothing is taken for granted. It remembers what it replaced, since databases write a lot; this one keeps both images, since
/// bits are flipped and sectors misdirected in what was synced.
package final class SimulatedFileSystem: FileSystem {
    /// What a loss of power does to what was not synced. Drawn for each loss, so that the extremes are seen too.
    package enum Survival: Hashable, Sendable {
        case nothing
        case everything
        /// Each sector and name by itself.
        case perMille(Int)
    }

    /// A file, whatever its names are.
    final class Node {
        var live: [UInt8] = []
        var durable: [UInt8] = []
        var pending: [Pending] = []
        /// Where the last write of bytes that are not filling began, and the same as of the last sync.
        var lastWriteStart = 0
        var syncedWriteStart = 0
    }

    enum Pending {
        case write(offset: Int, bytes: [UInt8])
        case zeros(offset: Int, count: Int)
        /// An existing file was opened as a new one.
        case emptied
    }

    private enum NameChange {
        case bound(String, Node)
        case renamed(String, String)
        case removed(String)

        /// The folder whose sync makes it durable.
        var directory: Substring {
            switch self {
            case .bound(let path, _), .removed(let path), .renamed(_, let path): parent(of: path)
            }
        }
    }

    package static let sectorBytes = 512

    private var names: [String: Node] = [:]
    private var durableNames: [String: Node] = [:]
    private var nameChanges: [NameChange] = []
    private var directories: Set<String> = ["/"]
    private var clock: UInt64 = 0

    // What is going to go wrong.

    /// After this many more calls that change something the machine stops: every later call throws, and changes nothing.
    package var callsUntilPowerFails: Int?
    /// The sync that comes after this many others fails with EIO. What it should have made durable is lost in part, and no later
    /// sync brings it back, though the page cache may go on showing it (fsyncgate).
    package var syncsUntilError: Int?
    /// Bytes of all files together.
    package var capacityBytes = Int.max
    /// Reads that come back with a flipped bit, of 1,000.
    package var flippedReadsPerMille = 0
    private var generator: SeededGenerator

    // What went wrong, for the report.

    package private(set) var syncErrors = 0
    package private(set) var flippedReads = 0
    package private(set) var refusedForSpace = 0

    package init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    package var monotonicNanoseconds: UInt64 {
        clock += 1_000
        return clock
    }

    // MARK: The port

    package func open(_ path: String, _ mode: FileOpenMode) throws(FileSystemError) -> SimulatedFile {
        if mode == .createOrReplace {
            try changes(.create, path)
            if let node = names[path] {
                node.live = []
                node.pending.append(.emptied)
            } else {
                let node = Node()
                names[path] = node
                nameChanges.append(.bound(path, node))
            }
        }
        guard let node = names[path] else { throw FileSystemError(.open, path: path, errno: ENOENT) }
        return SimulatedFile(path: path, node: node, fileSystem: self)
    }

    package func rename(_ source: String, to target: String) throws(FileSystemError) {
        try changes(.rename, source)
        guard let node = names.removeValue(forKey: source) else {
            throw FileSystemError(.rename, path: source, errno: ENOENT)
        }
        names[target] = node
        nameChanges.append(.renamed(source, target))
    }

    package func remove(_ path: String) throws(FileSystemError) {
        try changes(.remove, path)
        guard names.removeValue(forKey: path) != nil else {
            throw FileSystemError(.remove, path: path, errno: ENOENT)
        }
        nameChanges.append(.removed(path))
    }

    package func list(_ directory: String) throws(FileSystemError) -> [String] {
        guard directories.contains(directory) else { throw FileSystemError(.list, path: directory, errno: ENOENT) }
        let prefix = directory + "/"
        return (Array(names.keys) + Array(directories)).filter { $0.hasPrefix(prefix) }
            .map { String($0.dropFirst(prefix.count)) }.filter { !$0.contains("/") }.sorted()
    }

    /// Folders are durable at once: only formatting makes any, and a format that was interrupted is repeated.
    package func createDirectory(_ path: String) throws(FileSystemError) {
        try changes(.createDirectory, path)
        directories.insert(path)
    }

    package func synchronizeDirectory(_ path: String) throws(FileSystemError) {
        try changes(.synchronizeDirectory, path)
        try failIfDue(.synchronizeDirectory, path, nil)
        nameChanges.removeAll { change in
            guard change.directory == path else { return false }
            apply(change)
            return true
        }
    }

    // MARK: The machine

    /// The power goes and comes back. Open files of before are not to be used any more.
    package func losePower(_ survival: Survival) {
        callsUntilPowerFails = nil
        for change in nameChanges where survives(survival) { apply(change) }
        nameChanges = []
        names = durableNames
        var seen: Set<ObjectIdentifier> = []
        for path in names.keys.sorted() {
            guard let node = names[path], seen.insert(ObjectIdentifier(node)).inserted else { continue }
            for pending in node.pending { keepSectors(of: pending, in: node, survival) }
            node.pending = []
            node.live = node.durable
            node.lastWriteStart = min(node.lastWriteStart, node.live.count)
            node.syncedWriteStart = min(node.syncedWriteStart, node.live.count)
        }
    }

    /// The disk is gone; another one takes its place.
    package func wipe() {
        names = [:]
        durableNames = [:]
        nameChanges = []
        callsUntilPowerFails = nil
        syncsUntilError = nil
    }

    package var freeBytes: Int { capacityBytes == .max ? .max : max(0, capacityBytes - usedBytes) }

    package var usedBytes: Int { names.values.reduce(0) { $0 + $1.live.count } }

    /// The files in a folder, by name.
    package func paths(in directory: String) -> [String] {
        names.keys.filter { $0.hasPrefix(directory + "/") }.sorted()
    }

    /// What a file holds, as programs see it.
    package func contents(_ path: String) -> [UInt8]? { names[path]?.live }

    /// How much of a file lies before the last write that was synced. Damage there cannot be taken for a torn write, since
    /// that last one vouches for everything before it.
    package func vouchedBytes(_ path: String) -> Int { names[path].map(\.syncedWriteStart) ?? 0 }

    /// Turns one bit around, on the platter and in the page cache.
    package func flipBit(_ path: String, at offset: Int, bit: Int) {
        guard let node = names[path], node.live.indices.contains(offset) else { return }
        node.live[offset] ^= 1 << UInt8(bit)
        if node.durable.indices.contains(offset) { node.durable[offset] = node.live[offset] }
    }

    /// A write of `sector` went to `target` instead, some time ago: the one holds what the other should, which still is zero.
    package func misdirect(_ path: String, sector: Int, to target: Int) {
        guard let node = names[path] else { return }
        let (from, to) = (sector * Self.sectorBytes, target * Self.sectorBytes)
        guard max(from, to) + Self.sectorBytes <= min(node.live.count, node.durable.count) else { return }
        for offset in 0..<Self.sectorBytes {
            node.live[to + offset] = node.live[from + offset]
            node.live[from + offset] = 0
            node.durable[to + offset] = node.live[to + offset]
            node.durable[from + offset] = 0
        }
    }

    // MARK: For files

    /// Counts a call that changes something; throws instead once the power has failed.
    func changes(_ operation: FileOperation, _ path: String) throws(FileSystemError) {
        guard let left = callsUntilPowerFails else { return }
        guard left > 0 else { throw FileSystemError(operation, path: path, errno: EIO) }
        callsUntilPowerFails = left - 1
    }

    /// How many bytes the disk is short of for a file that is to reach to `end`.
    func missingRoom(for node: Node, to end: Int) -> Int {
        let growth = max(0, end - node.live.count)
        guard growth > 0, capacityBytes != .max else { return 0 }
        return min(growth, max(0, usedBytes + growth - capacityBytes))
    }

    func lackOfRoom(_ operation: FileOperation, _ path: String) -> FileSystemError {
        refusedForSpace += 1
        return FileSystemError(operation, path: path, errno: ENOSPC)
    }

    func synchronize(_ node: Node, _ path: String) throws(FileSystemError) {
        try changes(.synchronize, path)
        try failIfDue(.synchronize, path, node)
        for pending in node.pending { put(pending, into: &node.durable) }
        node.pending.removeAll(keepingCapacity: true)
        node.syncedWriteStart = node.lastWriteStart
    }

    func put(_ pending: Pending, into file: inout [UInt8]) {
        switch pending {
        case .write(let offset, let bytes):
            bytes.withUnsafeBytes { Self.put($0, at: offset, into: &file) }
        case .zeros(let offset, let count):
            Self.putZeros(count: count, at: offset, into: &file)
        case .emptied:
            file = []
        }
    }

    func flipIfDue(_ buffer: UnsafeMutableRawBufferPointer, count: Int) {
        guard flippedReadsPerMille > 0, count > 0, generator.below(1_000) < flippedReadsPerMille else { return }
        flippedReads += 1
        buffer[generator.below(count)] ^= 1 << UInt8(generator.below(8))
    }

    static func put(_ bytes: UnsafeRawBufferPointer, at offset: Int, into file: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        extend(&file, to: offset + bytes.count)
        file.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyMemory(from: bytes) }
    }

    static func putZeros(count: Int, at offset: Int, into file: inout [UInt8]) {
        let end = offset + count
        if offset >= file.count {
            extend(&file, to: end)
            return
        }
        extend(&file, to: end)
        _ = file.withUnsafeMutableBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<end]).initializeMemory(as: UInt8.self, repeating: 0)
        }
    }

    // MARK: Helpers

    private static func extend(_ file: inout [UInt8], to count: Int) {
        if file.count < count { file.append(contentsOf: repeatElement(0, count: count - file.count)) }
    }

    private func failIfDue(_ operation: FileOperation, _ path: String, _ node: Node?) throws(FileSystemError) {
        guard let left = syncsUntilError else { return }
        guard left == 0 else {
            syncsUntilError = left - 1
            return
        }
        syncsUntilError = nil
        syncErrors += 1
        if let node {
            for pending in node.pending { keepSectors(of: pending, in: node, .perMille(500)) }
            node.pending = []
            // From now on programs see what is left, as on Btrfs, or still what is lost, as on ext4 and XFS (Rebello et al., Can
            // Applications Recover from fsync Failures, 2020).
            if generator.below(2) == 0 { node.live = node.durable }
        }
        throw FileSystemError(operation, path: path, errno: EIO)
    }

    private func keepSectors(of pending: Pending, in node: Node, _ survival: Survival) {
        switch pending {
        case .emptied:
            if survives(survival) { node.durable = [] }
        case .zeros(let offset, let count):
            for sector in Self.sectors(offset..<offset + count) where survives(survival) {
                Self.putZeros(count: sector.count, at: sector.lowerBound, into: &node.durable)
            }
        case .write(let offset, let bytes):
            for sector in Self.sectors(offset..<offset + bytes.count) where survives(survival) {
                let part = sector.lowerBound - offset..<sector.upperBound - offset
                bytes.withUnsafeBytes {
                    Self.put(UnsafeRawBufferPointer(rebasing: $0[part]), at: sector.lowerBound, into: &node.durable)
                }
            }
        }
    }

    private func survives(_ survival: Survival) -> Bool {
        switch survival {
        case .nothing: false
        case .everything: true
        case .perMille(let share): generator.below(1_000) < share
        }
    }

    private func apply(_ change: NameChange) {
        switch change {
        case .bound(let path, let node):
            durableNames[path] = node
        case .renamed(let source, let target):
            // What bound the source may have been lost; then there is nothing to rename.
            if let node = durableNames.removeValue(forKey: source) { durableNames[target] = node }
        case .removed(let path):
            durableNames[path] = nil
        }
    }

    /// A range cut at the borders of sectors.
    private static func sectors(_ range: Range<Int>) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min((start / sectorBytes + 1) * sectorBytes, range.upperBound)
            result.append(start..<end)
            start = end
        }
        return result
    }
}

private func parent(of path: String) -> Substring {
    path.lastIndex(of: "/").map { path[..<$0] } ?? ""
}
