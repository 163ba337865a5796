package import RaftCore

/// A member's data directory:
///
/// ```
/// identity          whose directory it is; written last, so its presence means "formatted"
/// lock              held while a process uses the directory
/// log/              see SegmentedLog
/// metadata.sqlite   the state machine; made by the store
/// snapshots/        snapshots that are being sent or received
/// ```
///
/// After `metactl recover` the last three lie in a folder of the directory that the identity names.
package enum DataDirectory {
    static let lockName = "lock"
    package static let logName = "log"
    package static let databaseName = "metadata.sqlite"
    package static let snapshotName = "snapshots"
    /// What a file system puts into the root of a fresh disk.
    private static let lostAndFound = "lost+found"

    /// Makes `path` the data directory of a new, empty member. Refuses a directory that is formatted or holds anything else,
    /// and then changes nothing; a format that was interrupted can be repeated.
    ///
    /// - Parameters:
    ///   - diskID: has to be random (`SystemRandomNumberGenerator`) and never used before.
    ///   - joins: the cluster is there already.
    package static func format(
        path: String, clusterID: String, nodeID: NodeID, diskID: DiskID, joins: Bool = false
    ) throws(DataDirectoryError) {
        precondition(diskID != .unknown, "a data directory needs a disk id of its own")
        guard NodeIdentity.isValidClusterID(clusterID) else { throw .invalidClusterID(clusterID) }
        let fileSystem = PosixFileSystem()
        try makeDirectory(path, fileSystem)
        try checkUnformatted(path, fileSystem)
        let lock = try translated { () throws(FileSystemError) in try DirectoryLock.acquire(path + "/" + lockName) }
        guard let lock else { throw .inUse(path: path) }
        defer { lock.release() }
        // Again, now that nobody else can format it.
        try checkUnformatted(path, fileSystem)
        let identity = NodeIdentity(clusterID: clusterID, nodeID: nodeID, diskID: diskID, hasJoined: joins)
        try create(identity, path: path, fileSystem: fileSystem)
    }

    /// Opens the directory for this process alone and checks that it is the one that is meant.
    package static func open(
        path: String, expectedClusterID: String, expectedNodeID: NodeID
    ) throws(DataDirectoryError) -> OpenDataDirectory {
        let fileSystem = PosixFileSystem()
        // Before the lock, which would create a file in a directory that is not ours.
        _ = try identity(path: path, fileSystem: fileSystem)
        let lock = try translated { () throws(FileSystemError) in try DirectoryLock.acquire(path + "/" + lockName) }
        guard let lock else { throw .inUse(path: path) }
        let found = try identity(path: path, fileSystem: fileSystem)
        guard found.clusterID == expectedClusterID else {
            throw .wrongCluster(
                path: path, found: found, expectedClusterID: expectedClusterID, expectedNodeID: expectedNodeID)
        }
        guard found.nodeID == expectedNodeID else {
            throw .wrongNode(path: path, found: found, expectedNodeID: expectedNodeID)
        }
        return OpenDataDirectory(path: path, identity: found, lock: lock)
    }

    /// Where log, database and snapshots of the directory at `path` lie.
    static func root(of identity: NodeIdentity, in path: String) -> String {
        identity.folder.map { path + "/" + $0 } ?? path
    }

    package static func logDirectory(of identity: NodeIdentity, in path: String) -> String {
        root(of: identity, in: path) + "/" + logName
    }

    /// Reads the identity without opening the directory: for tools that only look.
    package static func identity(path: String) throws(DataDirectoryError) -> NodeIdentity {
        try identity(path: path, fileSystem: PosixFileSystem())
    }

    /// Everything that formatting writes. The identity comes last: until it has its name the directory is not formatted.
    static func create<FS: FileSystem>(
        _ identity: NodeIdentity, path: String, fileSystem: FS
    ) throws(DataDirectoryError) {
        let log = path + "/" + logName
        try translated { () throws(FileSystemError) in
            try fileSystem.createDirectory(log)
            try fileSystem.createDirectory(path + "/" + snapshotName)
            // An interrupted format left a log without entries and votes, under another disk id.
            for name in try fileSystem.list(log) { try fileSystem.remove(log + "/" + name) }
        }
        do throws(LogError) {
            try SegmentedLog.open(directory: log, fileSystem: fileSystem, options: LogOptions(diskID: identity.diskID))
                .log.close()
        } catch {
            throw .log(error)
        }
        try write(identity, as: NodeIdentity.fileName, in: path, fileSystem: fileSystem)
    }

    /// Puts an identity in the place of one that may be there, in one step.
    static func write<FS: FileSystem>(
        _ identity: NodeIdentity, as name: String, in path: String, fileSystem: FS
    ) throws(DataDirectoryError) {
        let file = path + "/" + name
        try translated { () throws(FileSystemError) in
            let text = RawBytes(Array(identity.encoded().utf8))
            let temporary = try fileSystem.open(file + LogFormat.temporarySuffix, .createOrReplace)
            defer { temporary.close() }
            try temporary.write(text, at: 0)
            try temporary.synchronizeData()
            // The folders that were made have to be durable before the identity says that they are there.
            try fileSystem.synchronizeDirectory(path)
            try fileSystem.rename(file + LogFormat.temporarySuffix, to: file)
            try fileSystem.synchronizeDirectory(path)
        }
    }

    static func identity<FS: FileSystem>(path: String, fileSystem: FS) throws(DataDirectoryError) -> NodeIdentity {
        let file = path + "/" + NodeIdentity.fileName
        let bytes: RawBytes?
        do throws(FileSystemError) {
            let handle = try fileSystem.open(file, .readOnly)
            defer { handle.close() }
            bytes = try handle.readAll(limit: NodeIdentity.fileBytesMax)
        } catch {
            if isNotFound(error) { throw .notFormatted(path: path) }
            throw DataDirectoryError(error)
        }
        guard let bytes else { throw .damagedIdentity(path: file, reason: "it is too large") }
        do throws(NodeIdentity.ParseError) {
            return try NodeIdentity.parse(String(decoding: bytes.buffer, as: UTF8.self))
        } catch {
            switch error {
            case .damaged(let reason):
                throw .damagedIdentity(path: file, reason: reason)
            case .unsupportedVersion(let version):
                throw .unsupportedVersion(path: file, found: version, supported: NodeIdentity.currentVersion)
            }
        }
    }

    /// Throws unless the directory is empty or holds what an interrupted format leaves: then the log has neither entries nor a
    /// term. A log with either is not thrown away because its identity was lost.
    static func checkUnformatted<FS: FileSystem>(_ path: String, _ fileSystem: FS) throws(DataDirectoryError) {
        let names = try translated { () throws(FileSystemError) in try fileSystem.list(path) }
        if names.contains(NodeIdentity.fileName) {
            throw .alreadyFormatted(path: path, identity: try identity(path: path, fileSystem: fileSystem))
        }
        let own = [lockName, logName, snapshotName, NodeIdentity.fileName + LogFormat.temporarySuffix, lostAndFound]
        if let other = names.first(where: { !own.contains($0) }) { throw .notEmpty(path: path, name: other) }
        if names.contains(snapshotName) {
            let snapshots = try translated { () throws(FileSystemError) in
                try fileSystem.list(path + "/" + snapshotName)
            }
            if let first = snapshots.first { throw .notEmpty(path: path, name: snapshotName + "/" + first) }
        }
        guard names.contains(logName) else { return }
        var used: String?
        do throws(LogError) {
            try LogDump.dump(directory: path + "/" + logName, fileSystem: fileSystem) { record in
                switch record {
                case .segment(let file, let generation, let base, _, _):
                    if generation != 1 || base != .zero { used = file }
                case .batch(let file, _, _, _, _), .entry(let file, _, _):
                    used = file
                case .hardState(let file, let state, _, _):
                    if state != .initial { used = file }
                case .stopped(let file, _, _, let reason):
                    if reason != LogDump.endReason { used = file }
                case .leftover:
                    break
                }
            }
        } catch {
            throw .log(error)
        }
        if let used { throw .notEmpty(path: path, name: String(used.dropFirst(path.count + 1))) }
    }

    /// A folder that is there already may be a mount point, whose parent is none of our business.
    private static func makeDirectory<FS: FileSystem>(_ path: String, _ fileSystem: FS) throws(DataDirectoryError) {
        do throws(FileSystemError) {
            _ = try fileSystem.list(path)
        } catch {
            guard isNotFound(error) else { throw DataDirectoryError(error) }
            try translated { () throws(FileSystemError) in
                try fileSystem.createDirectory(path)
                try fileSystem.synchronizeDirectory(parent(of: path))
            }
        }
    }

    private static func parent(of path: String) -> String {
        var trimmed = path[...]
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    private static func translated<Value>(
        _ body: () throws(FileSystemError) -> Value
    ) throws(DataDirectoryError) -> Value {
        do throws(FileSystemError) {
            return try body()
        } catch {
            throw DataDirectoryError(error)
        }
    }
}

/// A data directory that this process holds. The lock is released by `close`, or with the last reference.
package final class OpenDataDirectory {
    package let path: String
    package let identity: NodeIdentity
    private let lock: DirectoryLock

    init(path: String, identity: NodeIdentity, lock: DirectoryLock) {
        self.path = path
        self.identity = identity
        self.lock = lock
    }

    /// Where log, database and whatever belongs to them lie: the directory itself, or a folder of it after a recovery.
    package var root: String { DataDirectory.root(of: identity, in: path) }
    package var logDirectory: String { DataDirectory.logDirectory(of: identity, in: path) }
    package var databasePath: String { root + "/" + DataDirectory.databaseName }
    package var snapshotDirectory: String { root + "/" + DataDirectory.snapshotName }

    /// Keeps a copy of the present identity under another name, so that it can be put back by hand.
    package func keepIdentity(as name: String) throws(DataDirectoryError) {
        try DataDirectory.write(identity, as: name, in: path, fileSystem: PosixFileSystem())
    }

    /// Gives the directory to another cluster, in one step: what the new identity refers to is there and durable. What this
    /// object says of the directory is not true from then on.
    package func replaceIdentity(with identity: NodeIdentity) throws(DataDirectoryError) {
        try DataDirectory.write(identity, as: NodeIdentity.fileName, in: path, fileSystem: PosixFileSystem())
    }

    /// For `SegmentedLog.open`: the log has to be there, and has to be this directory's.
    package var logOptions: LogOptions { LogOptions(diskID: identity.diskID, createIfEmpty: false) }

    package func close() { lock.release() }
}
