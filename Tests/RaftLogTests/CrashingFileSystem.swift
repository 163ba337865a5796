import RaftLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file system in memory that keeps what programs see apart from what is durable.
///
/// Bytes become durable with `synchronizeData`, names with `synchronizeDirectory`. A crash keeps what is durable and, of the
/// rest, what a seeded generator picks: of each write any of its sectors, of the changes of names any.
final class CrashingFileSystem: FileSystem {
    /// What was done, in order; reads are not in it.
    enum Operation: Hashable {
        case create(String), write(String), synchronizeData(String)
        case rename(String, String), remove(String), synchronizeDirectory(String), createDirectory(String)
    }

    /// What happens to the bytes and names that were not synced.
    enum Fate {
        case allLost
        case allKept
        case picked(seed: UInt64)
    }

    final class Node {
        var live: [UInt8] = []
        var durable: [UInt8] = []
        var unsynced: [Change] = []
    }

    enum Change {
        case write(offset: Int, bytes: [UInt8])
        /// An existing file was opened as a new one: same file, no bytes.
        case empty
    }

    enum NameChange {
        case bind(String, Node)
        case rename(String, String)
        case remove(String)
    }

    private(set) var trace: [Operation] = []
    /// After this many operations the power fails: every further call throws.
    var powerFailsAfter: Int?
    /// Makes the n-th call (from 1) of an operation fail with an error number.
    var failures: [FileOperation: (call: Int, errno: Int32)] = [:]
    private(set) var calls: [FileOperation: Int] = [:]
    /// Bytes that all files may have together.
    var capacity = Int.max
    private var directories: Set<String>
    private var names: [String: Node] = [:]
    private var durableNames: [String: Node] = [:]
    private var changes: [NameChange] = []
    private var clock: UInt64 = 0

    init(directory: String) { directories = [directory] }

    var monotonicNanoseconds: UInt64 {
        clock += 1000
        return clock
    }

    /// The machine stops and starts again.
    func crash(_ fate: Fate) {
        var generator = SplitMix64(state: 0)
        if case .picked(let seed) = fate { generator.state = seed }
        func keeps() -> Bool {
            switch fate {
            case .allLost: false
            case .allKept: true
            case .picked: generator.next() % 2 == 0
            }
        }
        for change in changes where keeps() { apply(change, to: &durableNames) }
        changes = []
        names = durableNames
        var seen: Set<ObjectIdentifier> = []
        for path in names.keys.sorted() {
            guard let node = names[path], seen.insert(ObjectIdentifier(node)).inserted else { continue }
            for change in node.unsynced {
                switch change {
                case .empty:
                    if keeps() { node.durable = [] }
                case .write(let offset, let bytes):
                    for sector in Self.sectors(offset: offset, count: bytes.count) where keeps() {
                        let part = sector.lowerBound - offset..<sector.upperBound - offset
                        bytes.withUnsafeBytes {
                            Self.put(
                                UnsafeRawBufferPointer(rebasing: $0[part]), at: sector.lowerBound, into: &node.durable)
                        }
                    }
                }
            }
            node.unsynced = []
            node.live = node.durable
        }
        trace = []
        powerFailsAfter = nil
    }

    func contents(_ path: String) -> [UInt8]? { names[path]?.live }

    /// Changes a file behind the program's back, durably.
    func corrupt(_ path: String, _ body: (inout [UInt8]) -> Void) {
        guard let node = names[path] else { return }
        body(&node.live)
        node.durable = node.live
        node.unsynced = []
    }

    func removeSilently(_ path: String) {
        names[path] = nil
        durableNames[path] = nil
    }

    /// Another file system in the same state, synced or not.
    func copy() -> CrashingFileSystem {
        var copies: [ObjectIdentifier: Node] = [:]
        func copied(_ node: Node) -> Node {
            if let known = copies[ObjectIdentifier(node)] { return known }
            let new = Node()
            (new.live, new.durable, new.unsynced) = (node.live, node.durable, node.unsynced)
            copies[ObjectIdentifier(node)] = new
            return new
        }
        let other = CrashingFileSystem(directory: "")
        other.directories = directories
        other.names = names.mapValues(copied)
        other.durableNames = durableNames.mapValues(copied)
        other.changes = changes.map { change in
            if case .bind(let path, let node) = change { return .bind(path, copied(node)) }
            return change
        }
        return other
    }

    func open(_ path: String, _ mode: FileOpenMode) throws(FileSystemError) -> CrashingFile {
        if mode == .createOrReplace {
            try perform(.create(path), .create, path)
            if let node = names[path] {
                node.live = []
                node.unsynced.append(.empty)
            } else {
                let node = Node()
                names[path] = node
                changes.append(.bind(path, node))
            }
        }
        guard let node = names[path] else { throw FileSystemError(.open, path: path, errno: ENOENT) }
        return CrashingFile(path: path, node: node, fileSystem: self)
    }

    func rename(_ source: String, to target: String) throws(FileSystemError) {
        try perform(.rename(source, target), .rename, source)
        guard names[source] != nil else { throw FileSystemError(.rename, path: source, errno: ENOENT) }
        apply(.rename(source, target), to: &names)
        changes.append(.rename(source, target))
    }

    func remove(_ path: String) throws(FileSystemError) {
        try perform(.remove(path), .remove, path)
        guard names[path] != nil else { throw FileSystemError(.remove, path: path, errno: ENOENT) }
        names[path] = nil
        changes.append(.remove(path))
    }

    func list(_ directory: String) throws(FileSystemError) -> [String] {
        guard directories.contains(directory) else { throw FileSystemError(.list, path: directory, errno: ENOENT) }
        let prefix = directory + "/"
        return (Array(names.keys) + Array(directories)).filter { $0.hasPrefix(prefix) }.map {
            String($0.dropFirst(prefix.count))
        }
        .filter { !$0.contains("/") }.sorted()
    }

    func createDirectory(_ path: String) throws(FileSystemError) {
        try perform(.createDirectory(path), .createDirectory, path)
        directories.insert(path)
    }

    func synchronizeDirectory(_ path: String) throws(FileSystemError) {
        try perform(.synchronizeDirectory(path), .synchronizeDirectory, path)
        durableNames = names
        changes = []
    }

    /// Counts an operation; throws instead if the power or the disk fails here.
    func perform(_ operation: Operation, _ kind: FileOperation, _ path: String) throws(FileSystemError) {
        if let limit = powerFailsAfter, trace.count >= limit { throw FileSystemError(kind, path: path, errno: EIO) }
        calls[kind, default: 0] += 1
        if let failure = failures[kind], failure.call == calls[kind] {
            throw FileSystemError(kind, path: path, errno: failure.errno)
        }
        trace.append(operation)
    }

    var usedBytes: Int { names.values.reduce(0) { $0 + $1.live.count } }

    private func apply(_ change: NameChange, to table: inout [String: Node]) {
        switch change {
        case .bind(let path, let node): table[path] = node
        case .rename(let source, let target):
            // The change that bound the source may have been lost in a crash; then there is nothing to rename.
            guard let node = table.removeValue(forKey: source) else { return }
            table[target] = node
        case .remove(let path): table[path] = nil
        }
    }

    static func put(_ bytes: UnsafeRawBufferPointer, at offset: Int, into file: inout [UInt8]) {
        if file.count < offset + bytes.count { file += [UInt8](repeating: 0, count: offset + bytes.count - file.count) }
        file.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyMemory(from: bytes) }
    }

    static func sectors(offset: Int, count: Int) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var start = offset
        while start < offset + count {
            let end = min((start / 512 + 1) * 512, offset + count)
            result.append(start..<end)
            start = end
        }
        return result
    }
}

final class CrashingFile: FileSystemFile {
    let path: String
    private let node: CrashingFileSystem.Node
    private let fileSystem: CrashingFileSystem

    init(path: String, node: CrashingFileSystem.Node, fileSystem: CrashingFileSystem) {
        self.path = path
        self.node = node
        self.fileSystem = fileSystem
    }

    func size() throws(FileSystemError) -> Int { node.live.count }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) -> Int {
        guard offset < node.live.count else { return 0 }
        let count = min(buffer.count, node.live.count - offset)
        node.live.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
        }
        return count
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        try store(
            [UInt8](unsafeUninitializedCapacity: bytes.count) { buffer, count in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
                count = bytes.count
            }, at: offset, .write)
    }

    func writeZeros(count: Int, at offset: Int) throws(FileSystemError) {
        guard count > 0 else { return }
        try store([UInt8](repeating: 0, count: count), at: offset, .allocate)
    }

    func synchronizeData() throws(FileSystemError) {
        try fileSystem.perform(.synchronizeData(path), .synchronize, path)
        node.durable = node.live
        node.unsynced = []
    }

    func close() {}

    private func store(_ bytes: [UInt8], at offset: Int, _ kind: FileOperation) throws(FileSystemError) {
        let growth = max(0, offset + bytes.count - node.live.count)
        // A full disk takes what still fits, as it does with a write of the kernel's.
        let missing = fileSystem.capacity == .max ? 0 : max(0, fileSystem.usedBytes + growth - fileSystem.capacity)
        let fitting = missing == 0 ? bytes : Array(bytes.prefix(max(0, bytes.count - missing)))
        if !fitting.isEmpty {
            try fileSystem.perform(.write(path), kind, path)
            fitting.withUnsafeBytes { CrashingFileSystem.put($0, at: offset, into: &node.live) }
            node.unsynced.append(.write(offset: offset, bytes: fitting))
        }
        if missing > 0 { throw FileSystemError(kind, path: path, errno: ENOSPC) }
    }
}

/// Sebastiano Vigna's SplitMix64: small, seeded, the same everywhere.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
