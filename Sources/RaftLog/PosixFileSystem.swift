#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The operating system's files, with blocking calls.
///
/// Short reads and writes and interrupted calls are continued; a failed sync is not tried again, since the kernel may have
/// dropped the pages and would report success (fsyncgate).
package struct PosixFileSystem: FileSystem, Sendable {
    package init() {}

    package func open(_ path: String, _ mode: FileOpenMode) throws(FileSystemError) -> PosixFile {
        let flags: Int32
        let operation: FileOperation
        switch mode {
        case .readOnly: (flags, operation) = (O_RDONLY, .open)
        case .readWrite: (flags, operation) = (O_RDWR, .open)
        case .createOrReplace: (flags, operation) = (O_RDWR | O_CREAT | O_TRUNC, .create)
        }
        return PosixFile(path: path, descriptor: try openDescriptor(path, flags, operation))
    }

    package func rename(_ source: String, to target: String) throws(FileSystemError) {
        guard systemRename(source, target) == 0 else {
            throw FileSystemError(.rename, path: "\(source) to \(target)", errno: errno)
        }
    }

    package func remove(_ path: String) throws(FileSystemError) {
        guard unlink(path) == 0 else { throw FileSystemError(.remove, path: path, errno: errno) }
    }

    package func list(_ directory: String) throws(FileSystemError) -> [String] {
        guard let stream = opendir(directory) else { throw FileSystemError(.list, path: directory, errno: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw FileSystemError(.list, path: directory, errno: errno) }
                break
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) {
                    String(cString: $0)
                }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    package func createDirectory(_ path: String) throws(FileSystemError) {
        guard mkdir(path, 0o700) != 0 else { return }
        let code = errno
        var status = stat()
        if code == EEXIST, stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
        throw FileSystemError(.createDirectory, path: path, errno: code)
    }

    package func synchronizeDirectory(_ path: String) throws(FileSystemError) {
        let descriptor = try openDescriptor(path, O_RDONLY | O_DIRECTORY, .synchronizeDirectory)
        defer { _ = systemClose(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw FileSystemError(.synchronizeDirectory, path: path, errno: errno)
        }
    }

    package var monotonicNanoseconds: UInt64 {
        var time = timespec()
        guard clock_gettime(CLOCK_MONOTONIC, &time) == 0 else { return 0 }
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// A file descriptor, closed when the last reference goes.
package final class PosixFile: FileSystemFile {
    package let path: String
    /// Below zero once closed.
    private(set) var descriptor: Int32

    init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close() }

    package func size() throws(FileSystemError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileSystemError(.status, path: path, errno: errno) }
        return Int(status.st_size)
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileSystemError(.read, path: path, errno: errno)
            }
            done += count
        }
        return done
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        try writeAll(bytes, at: offset, .write)
    }

    package func writeZeros(count: Int, at offset: Int) throws(FileSystemError) {
        let chunk = min(count, Self.zeroChunkBytes)
        guard chunk > 0 else { return }
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk, alignment: 4096)
        defer { zeros.deallocate() }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        var done = 0
        while done < count {
            let next = min(chunk, count - done)
            try writeAll(UnsafeRawBufferPointer(rebasing: zeros[..<next]), at: offset + done, .allocate)
            done += next
        }
    }

    package func synchronizeData() throws(FileSystemError) {
        #if canImport(Darwin)
            // On macOS fsync leaves the bytes in the drive's cache; only this call does what fdatasync does elsewhere.
            let result = fcntl(descriptor, F_FULLFSYNC)
        #else
            let result = fdatasync(descriptor)
        #endif
        guard result != -1 else { throw FileSystemError(.synchronize, path: path, errno: errno) }
    }

    package func close() {
        guard descriptor >= 0 else { return }
        // Nothing unsynced is ever relied on, so the result of close has nothing to tell.
        _ = systemClose(descriptor)
        descriptor = -1
    }

    private func writeAll(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, _ operation: FileOperation
    ) throws(FileSystemError) {
        guard let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, base + done, bytes.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw FileSystemError(operation, path: path, errno: errno)
            }
            // A regular file that takes nothing and reports nothing would keep this loop for ever.
            guard count > 0 else { throw FileSystemError(operation, path: path, errno: EIO) }
            done += count
        }
    }

    /// Zeros are written in pieces of this size.
    private static let zeroChunkBytes = 1 << 20
}

/// Opens a descriptor that child processes do not inherit; files that it creates are for their owner only (0600).
func openDescriptor(_ path: String, _ flags: Int32, _ operation: FileOperation) throws(FileSystemError) -> Int32 {
    while true {
        let descriptor = systemOpen(path, flags | O_CLOEXEC)
        if descriptor >= 0 { return descriptor }
        if errno == EINTR { continue }
        throw FileSystemError(operation, path: path, errno: errno)
    }
}

// Inside a type that has methods of the same names the C functions are out of reach; these give them another name.
private func systemOpen(_ path: String, _ flags: Int32) -> Int32 { open(path, flags, 0o600) }
private func systemRename(_ source: String, _ target: String) -> Int32 { rename(source, target) }
func systemClose(_ descriptor: Int32) -> Int32 { close(descriptor) }

/// "cannot write /var/lib/x: No space left on device (error 28)"
func describe(_ operation: FileOperation, path: String, errno code: Int32) -> String {
    let text = strerror(code).map { String(cString: $0) } ?? "unknown error"
    return "cannot \(operation.rawValue) \(path): \(text) (error \(code))"
}

/// True when the error says that a file or folder is not there.
func isNotFound(_ error: FileSystemError) -> Bool { error.errno == ENOENT }
