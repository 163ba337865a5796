import Foundation
import RaftCore

/// A library between nodes and the C library (`faults.c`, compiled by the test): it makes their disks hang, fail, be slow or
/// full, their clocks jump, and keeps beside a data directory what of it would survive the loss of power. Each node has a page
/// of numbers that the library and this type share, so faults come and go while it runs, and what they struck is counted.
struct FaultLibrary: Sendable {
    /// A fault; zero: not there. All begin with zero.
    enum Fault: Int, Sendable {
        /// Syncs of the log hang for as long as it is not zero.
        case hangSyncs = 0
        /// Every sync takes so many milliseconds longer.
        case delaySyncs
        /// Syncs of the log fail with EIO from the n-th of this process on; 1: from now on, those that hang included.
        case failSyncsFrom
        /// Writes that make a file longer fail with ENOSPC from the n-th of this process on; 1: from now on.
        case fullFrom
        /// Syncs say that they were done, and are not.
        case ignoreSyncs
        /// So many milliseconds are added to the time of day.
        case wallClock
        /// So many milliseconds are added to the clocks that only go forward.
        case monotonicClock
    }

    /// How often a fault has struck, over all lives of the node.
    enum Strikes: Int, Sendable {
        case hung = 9
        case delayed
        case failed
        case refused
        case ignored
        case clockReads
    }

    private static let wordBytes = 8

    private let library: URL
    /// That of the cluster, with the data directories.
    private let folder: URL

    /// Nil where there is no C compiler.
    static func compiled(in folder: URL) throws -> FaultLibrary? {
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/cc") else { return nil }
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("faults.c")
        let library = folder.appendingPathComponent("faults.so")
        try run("/usr/bin/cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library.path, source.path, "-ldl")
        return FaultLibrary(library: library, folder: folder)
    }

    /// What a process needs in its environment; the faults are as they were left.
    ///
    /// - Parameter losesPower: whether `losePower` may follow. Whatever the data directory holds now counts as synced.
    func environment(_ id: Int, losesPower: Bool = false) throws -> [String: String] {
        if !FileManager.default.fileExists(atPath: page(id).path) { try Data(count: 4_096).write(to: page(id)) }
        var environment = [
            "LD_PRELOAD": library.path, "FAULTS_PAGE": page(id).path, "FAULTS_DATA": data(id).path,
        ]
        if losesPower {
            try copy(id)
            environment["FAULTS_SHADOW"] = shadow(id).path
        }
        return environment
    }

    func set(_ fault: Fault, to value: Int, on id: Int) throws {
        let handle = try FileHandle(forWritingTo: page(id))
        defer { handle.closeFile() }
        try handle.seek(toOffset: UInt64(fault.rawValue * Self.wordBytes))
        try withUnsafeBytes(of: Int64(value)) { try handle.write(contentsOf: Data($0)) }
    }

    func count(_ strikes: Strikes, on id: Int) throws -> Int {
        let bytes = try Data(contentsOf: page(id)).dropFirst(strikes.rawValue * Self.wordBytes).prefix(Self.wordBytes)
        return Int(bytes.reversed().reduce(Int64(0)) { $0 << 8 | Int64($1) })
    }

    private func data(_ id: Int) -> URL { folder.appendingPathComponent("node\(id)") }
    private func page(_ id: Int) -> URL { folder.appendingPathComponent("faults\(id)") }

    // MARK: Loss of power

    private func shadow(_ id: Int) -> URL { folder.appendingPathComponent("shadow\(id)") }
    private func survivors(_ id: Int) -> URL { shadow(id).appendingPathComponent("tree") }

    /// The copy that the library brings up to date: files by name, and the same files by their numbers.
    private func copy(_ id: Int) throws {
        let (files, data) = (FileManager.default, data(id))
        if files.fileExists(atPath: shadow(id).path) { try files.removeItem(at: shadow(id)) }
        let numbers = shadow(id).appendingPathComponent("inodes")
        try files.createDirectory(at: numbers, withIntermediateDirectories: true)
        try run("/bin/cp", "-a", data.path, survivors(id).path)
        for name in try files.subpathsOfDirectory(atPath: data.path) where !name.hasSuffix("-shm") {
            var status = stat()
            guard lstat(data.appendingPathComponent(name).path, &status) == 0, status.st_mode & S_IFMT == S_IFREG
            else { continue }
            try files.linkItem(
                at: survivors(id).appendingPathComponent(name), to: numbers.appendingPathComponent("\(status.st_ino)"))
        }
    }

    /// What the loss of power took.
    struct PowerLoss: Sendable {
        /// Files that are gone or back under a former name, or have other bytes than before.
        var files: [String] = []
        /// Blocks of 4 KiB that were written and are not there any more.
        var blocks = 0
        /// Blocks that reached the disk without a sync.
        var survivors = 0
    }

    /// Cuts from the data directory of a killed node what was not synced. Of the blocks of a file that still has its name each
    /// one survives with this probability: a kernel writes back what it likes, in any order.
    func losePower(_ id: Int, surviving probability: Double = 0, seed: UInt64 = 1) throws -> PowerLoss {
        let (files, data) = (FileManager.default, data(id))
        var random = SeededGenerator(seed: seed)
        var loss = PowerLoss()
        for name in try files.subpathsOfDirectory(atPath: data.path).sorted() where !name.hasSuffix("-shm") {
            let (file, survivor) = (data.appendingPathComponent(name), survivors(id).appendingPathComponent(name))
            var isFolder: ObjCBool = false
            guard files.fileExists(atPath: file.path, isDirectory: &isFolder), !isFolder.boolValue else { continue }
            guard files.fileExists(atPath: survivor.path) else {
                loss.files.append(name)
                continue
            }
            var old = try Data(contentsOf: survivor)
            let new = try Data(contentsOf: file)
            guard old != new else { continue }
            loss.files.append(name)
            for start in stride(from: 0, to: new.count, by: 4_096) {
                let block = new[start..<min(start + 4_096, new.count)]
                guard start >= old.count || old[start..<min(start + 4_096, old.count)] != block else { continue }
                guard random.below(1_000) < Int(probability * 1_000) else {
                    loss.blocks += 1
                    continue
                }
                loss.survivors += 1
                if old.count < block.endIndex { old.append(Data(count: block.endIndex - old.count)) }
                old.replaceSubrange(start..<block.endIndex, with: block)
            }
            try old.write(to: survivor)
        }
        try files.removeItem(at: data)
        try run("/bin/cp", "-a", survivors(id).path, data.path)
        for name in try files.subpathsOfDirectory(atPath: data.path) where name.hasSuffix("-shm") {
            try files.removeItem(at: data.appendingPathComponent(name))
        }
        return loss
    }
}
