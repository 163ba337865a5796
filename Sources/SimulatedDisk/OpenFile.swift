internal import GRDBSQLite

/// A file that SQLite has open on a simulated volume. Each method is one of SQLite's io methods and returns its code.
///
/// After a power loss a handle of the life before does nothing any more: reads and writes fail, giving things back succeeds.
final class OpenFile {
    /// Keeps the VFS there until SQLite has closed its last file.
    private let vfs: SimulatedVFS
    private let volume: SimulatedVolume
    private let file: VolumeFile
    private let sharing: FileSharing
    private let life: Int
    /// Removed by `close`.
    private let temporaryPath: String?
    private var memory: SharedMemory?

    init(_ file: VolumeFile, temporaryPath: String?, of vfs: SimulatedVFS) {
        self.vfs = vfs
        self.file = file
        self.temporaryPath = temporaryPath
        volume = vfs.volume
        sharing = file.sharing
        life = vfs.volume.life
    }

    private var isAlive: Bool { life == volume.life && !volume.isPoweredOff }
    private var holder: ObjectIdentifier { ObjectIdentifier(self) }

    func close() -> Int32 {
        // Closing without giving the locks back is what a process that ends does.
        sharing.locks.lower(holder, to: SQLITE_LOCK_NONE)
        _ = detach()
        guard let temporaryPath, isAlive else { return SQLITE_OK }
        return code(SQLiteCode.delete) { () throws(SimulatedVolume.Failure) in try volume.remove(temporaryPath) }
    }

    // MARK: Bytes

    func read(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int32 {
        code(SQLiteCode.read) { () throws(SimulatedVolume.Failure) in
            try volume.noteRead(offset)
            let count = file.read(into: buffer, at: offset)
            guard count < buffer.count else { return SQLITE_OK }
            // SQLite relies on zeros behind the end.
            UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
            return SQLiteCode.shortRead
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int32 {
        code(SQLiteCode.write) { () throws(SimulatedVolume.Failure) in try volume.write(bytes, to: file, at: offset) }
    }

    func truncate(to size: Int) -> Int32 {
        code(SQLiteCode.truncate) { () throws(SimulatedVolume.Failure) in try volume.resize(file, to: size) }
    }

    func sync() -> Int32 {
        code(SQLiteCode.sync) { () throws(SimulatedVolume.Failure) in try volume.sync(file) }
    }

    func size(_ result: inout sqlite3_int64) -> Int32 {
        guard isAlive else { return SQLiteCode.status }
        result = sqlite3_int64(file.count)
        return SQLITE_OK
    }

    // MARK: Locks

    func lock(_ level: Int32) -> Int32 {
        guard isAlive else { return SQLiteCode.lock }
        return sharing.locks.raise(holder, to: level) ? SQLITE_OK : SQLITE_BUSY
    }

    func unlock(_ level: Int32) -> Int32 {
        sharing.locks.lower(holder, to: level)
        return SQLITE_OK
    }

    var isReserved: Bool { sharing.locks.isReserved }

    // MARK: Shared memory

    func map(region: Int, bytes: Int, extending: Bool, _ result: inout UnsafeMutableRawPointer?) -> Int32 {
        guard isAlive else { return SQLiteCode.sharedMemoryMap }
        let memory = attach()
        // On a real machine it is a file as well, and grows on the same disk.
        if extending, !memory.has(region: region), !volume.hasRoom(for: bytes) { return SQLiteCode.sharedMemorySize }
        result = memory.region(region, bytes: bytes, extending: extending)
        return SQLITE_OK
    }

    func lockMemory(first: Int, count: Int, flags: Int32) -> Int32 {
        guard isAlive || flags & SQLITE_SHM_UNLOCK != 0 else { return SQLiteCode.lock }
        guard let memory else { return SQLiteCode.lock }
        return memory.lock(holder, first: first, count: count, flags: flags) ? SQLITE_OK : SQLITE_BUSY
    }

    func detach() -> Int32 {
        guard let memory else { return SQLITE_OK }
        memory.releaseAll(holder)
        if memory.attached.isEmpty, sharing.memory === memory { sharing.memory = nil }
        self.memory = nil
        return SQLITE_OK
    }

    private func attach() -> SharedMemory {
        if let memory { return memory }
        let found = sharing.memory ?? SharedMemory()
        found.attached.insert(holder)
        sharing.memory = found
        memory = found
        return found
    }

    // MARK: Errors

    /// SQLite's code for what `body` did; `failure` is the one for an operation that the volume refused.
    private func code(_ failure: Int32, _ body: () throws(SimulatedVolume.Failure) -> Int32) -> Int32 {
        guard life == volume.life else { return failure }
        do throws(SimulatedVolume.Failure) {
            return try body()
        } catch {
            return error == .full ? SQLITE_FULL : failure
        }
    }

    private func code(_ failure: Int32, _ body: () throws(SimulatedVolume.Failure) -> Void) -> Int32 {
        code(failure) { () throws(SimulatedVolume.Failure) -> Int32 in
            try body()
            return SQLITE_OK
        }
    }
}

/// Extended result codes: macros with arithmetic, which Swift does not import.
enum SQLiteCode {
    static let read = SQLITE_IOERR | 1 << 8
    static let shortRead = SQLITE_IOERR | 2 << 8
    static let write = SQLITE_IOERR | 3 << 8
    static let sync = SQLITE_IOERR | 4 << 8
    static let truncate = SQLITE_IOERR | 6 << 8
    static let status = SQLITE_IOERR | 7 << 8
    static let delete = SQLITE_IOERR | 10 << 8
    static let access = SQLITE_IOERR | 13 << 8
    static let lock = SQLITE_IOERR | 15 << 8
    static let sharedMemorySize = SQLITE_IOERR | 19 << 8
    static let sharedMemoryMap = SQLITE_IOERR | 21 << 8
    static let deleteOfNothing = SQLITE_IOERR | 23 << 8
}
