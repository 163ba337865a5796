internal import GRDBSQLite
internal import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A volume as SQLite sees it: registered under a name of its own, so that any number of simulated machines have their
/// databases side by side in one process.
///
/// Time, sleep and random bytes are the volume's. One VFS, and every connection on it, belongs to one thread.
///
/// `@unchecked Sendable`: nothing changes after `init` but the volume, which checks its thread.
package final class SimulatedVFS: @unchecked Sendable {
    package let name: String
    package let volume: SimulatedVolume
    private let table: UnsafeMutablePointer<sqlite3_vfs>
    fileprivate let methods: UnsafeMutablePointer<sqlite3_io_methods>

    private static let made = Atomic<UInt64>(0)
    private static let pathBytesMax: Int32 = 512

    package init(seed: UInt64) {
        precondition(
            sqlite3_compileoption_used("USE_URI") != 0, "this SQLite takes no URIs, by which the simulated VFS is named"
        )
        name = "simulated-\(Self.made.add(1, ordering: .relaxed).newValue)"
        volume = SimulatedVolume(seed: seed)
        methods = .allocate(capacity: 1)
        methods.initialize(to: Self.fileMethods)
        table = .allocate(capacity: 1)
        table.initialize(to: Self.methods)
        table.pointee.szOsFile = Int32(MemoryLayout<FileRecord>.size)
        table.pointee.mxPathname = Self.pathBytesMax
        table.pointee.zName = UnsafePointer(strdup(name))
        // Not owned: the VFS goes away with the last connection, which holds it (`OpenFile`).
        table.pointee.pAppData = Unmanaged.passUnretained(self).toOpaque()
        let code = sqlite3_vfs_register(table, 0)
        precondition(code == SQLITE_OK, "SQLite did not take the VFS: \(code)")
    }

    deinit {
        sqlite3_vfs_unregister(table)
        free(UnsafeMutablePointer(mutating: table.pointee.zName))
        table.deallocate()
        methods.deallocate()
    }

    // MARK: The file system's methods

    fileprivate func open(
        _ path: String?, _ record: UnsafeMutablePointer<FileRecord>, flags: Int32
    ) -> Int32 {
        record.pointee = FileRecord()
        let isTemporary = path == nil || flags & SQLITE_OPEN_DELETEONCLOSE != 0
        let path = path ?? "/temporary-\(volume.nextTemporaryNumber())"
        let file: VolumeFile
        do throws(SimulatedVolume.Failure) {
            if let found = volume.lookUp(path) {
                file = found
            } else if flags & SQLITE_OPEN_CREATE != 0 {
                file = try volume.create(path)
            } else {
                return SQLITE_CANTOPEN
            }
        } catch {
            return error == .full ? SQLITE_FULL : SQLITE_CANTOPEN
        }
        let opened = OpenFile(file, temporaryPath: isTemporary ? path : nil, of: self)
        record.pointee.opened = Unmanaged.passRetained(opened)
        // SQLite calls `xClose` exactly for files that have methods.
        record.pointee.base.pMethods = UnsafePointer(methods)
        return SQLITE_OK
    }

    fileprivate func delete(_ path: String, syncDirectory: Bool) -> Int32 {
        do throws(SimulatedVolume.Failure) {
            try volume.remove(path)
            if syncDirectory { try volume.syncDirectory() }
            return SQLITE_OK
        } catch {
            return error == .notFound ? SQLiteCode.deleteOfNothing : SQLiteCode.delete
        }
    }

    fileprivate func access(_ path: String, _ flags: Int32) -> Bool {
        guard let file = volume.lookUp(path) else { return false }
        // An empty file counts as none, as in SQLite's own file system.
        return flags != SQLITE_ACCESS_EXISTS || file.count > 0
    }
}

/// What SQLite allocates for a file: its own part first, then ours.
private struct FileRecord {
    var base = sqlite3_file(pMethods: nil)
    var opened: Unmanaged<OpenFile>?
}

private func opened(_ file: UnsafeMutablePointer<sqlite3_file>?) -> OpenFile? {
    guard let file else { return nil }
    return UnsafeMutableRawPointer(file).assumingMemoryBound(to: FileRecord.self).pointee.opened?.takeUnretainedValue()
}

private func vfs(_ table: UnsafeMutablePointer<sqlite3_vfs>?) -> SimulatedVFS? {
    guard let data = table?.pointee.pAppData else { return nil }
    return Unmanaged<SimulatedVFS>.fromOpaque(data).takeUnretainedValue()
}

// The tables of C functions. They hold nothing: each call finds its object and hands over to it.
extension SimulatedVFS {
    private static var methods: sqlite3_vfs {
        var methods = sqlite3_vfs()
        methods.iVersion = 2
        methods.xOpen = { table, name, file, flags, flagsOut in
            guard let vfs = vfs(table), let file else { return SQLITE_CANTOPEN }
            flagsOut?.pointee = flags
            let record = UnsafeMutableRawPointer(file).bindMemory(to: FileRecord.self, capacity: 1)
            return vfs.open(name.map { String(cString: $0) }, record, flags: flags)
        }
        methods.xDelete = { table, name, syncDirectory in
            guard let vfs = vfs(table), let name else { return SQLiteCode.delete }
            return vfs.delete(String(cString: name), syncDirectory: syncDirectory != 0)
        }
        methods.xAccess = { table, name, flags, result in
            guard let vfs = vfs(table), let name else { return SQLiteCode.access }
            result?.pointee = vfs.access(String(cString: name), flags) ? 1 : 0
            return SQLITE_OK
        }
        methods.xFullPathname = { _, name, capacity, result in
            guard let name, let result, strlen(name) < Int(capacity) else { return SQLITE_CANTOPEN }
            strcpy(result, name)
            return SQLITE_OK
        }
        methods.xRandomness = { table, count, buffer in
            guard let vfs = vfs(table), let buffer else { return 0 }
            vfs.volume.fill(UnsafeMutableRawBufferPointer(start: buffer, count: Int(count)))
            return count
        }
        methods.xSleep = { table, microseconds in
            vfs(table)?.volume.sleep(microseconds: UInt64(max(0, microseconds)))
            return microseconds
        }
        methods.xCurrentTimeInt64 = { table, result in
            guard let vfs = vfs(table) else { return SQLITE_ERROR }
            result?.pointee = sqlite3_int64(vfs.volume.julianMilliseconds)
            return SQLITE_OK
        }
        methods.xCurrentTime = { table, result in
            guard let vfs = vfs(table) else { return SQLITE_ERROR }
            result?.pointee = Double(vfs.volume.julianMilliseconds) / 86_400_000
            return SQLITE_OK
        }
        methods.xGetLastError = { _, _, _ in 0 }
        return methods
    }

    private static var fileMethods: sqlite3_io_methods {
        var methods = sqlite3_io_methods()
        // 2: shared memory for the WAL, no memory-mapped reads.
        methods.iVersion = 2
        methods.xClose = { file in
            guard let file else { return SQLITE_OK }
            let record = UnsafeMutableRawPointer(file).assumingMemoryBound(to: FileRecord.self)
            guard let opened = record.pointee.opened?.takeRetainedValue() else { return SQLITE_OK }
            record.pointee = FileRecord()
            return opened.close()
        }
        methods.xRead = { file, buffer, count, offset in
            let target = UnsafeMutableRawBufferPointer(start: buffer, count: Int(count))
            return opened(file)?.read(target, at: Int(offset)) ?? SQLiteCode.read
        }
        methods.xWrite = { file, buffer, count, offset in
            let source = UnsafeRawBufferPointer(start: buffer, count: Int(count))
            return opened(file)?.write(source, at: Int(offset)) ?? SQLiteCode.write
        }
        methods.xTruncate = { file, size in opened(file)?.truncate(to: Int(size)) ?? SQLiteCode.truncate }
        methods.xSync = { file, _ in opened(file)?.sync() ?? SQLiteCode.sync }
        methods.xFileSize = { file, size in
            guard let size else { return SQLiteCode.status }
            return opened(file)?.size(&size.pointee) ?? SQLiteCode.status
        }
        methods.xLock = { file, level in opened(file)?.lock(level) ?? SQLiteCode.lock }
        methods.xUnlock = { file, level in opened(file)?.unlock(level) ?? SQLITE_OK }
        methods.xCheckReservedLock = { file, result in
            result?.pointee = opened(file)?.isReserved == true ? 1 : 0
            return SQLITE_OK
        }
        methods.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        // As SQLite's own file system on Linux says of its files.
        methods.xSectorSize = { _ in 4_096 }
        methods.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
        methods.xShmMap = { file, region, bytes, extending, result in
            guard let result, let opened = opened(file) else { return SQLiteCode.sharedMemoryMap }
            return opened.map(region: Int(region), bytes: Int(bytes), extending: extending != 0, &result.pointee)
        }
        methods.xShmLock = { file, first, count, flags in
            opened(file)?.lockMemory(first: Int(first), count: Int(count), flags: flags) ?? SQLiteCode.lock
        }
        // One thread: everything is seen in order.
        methods.xShmBarrier = { _ in }
        methods.xShmUnmap = { file, _ in opened(file)?.detach() ?? SQLITE_OK }
        return methods
    }
}
