#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The operating system's files.
package struct PosixStoreFileSystem: StoreFileSystem {
    package init() {}

    package var vfsName: String? { nil }

    package func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package func open(_ path: String) throws(StoreError) -> any StoreFile {
        try PosixStoreFile(open: path, flags: PosixStoreFile.readFlags)
    }

    package func create(_ path: String) throws(StoreError) -> any StoreFile {
        try PosixStoreFile(open: path, flags: PosixStoreFile.createFlags)
    }

    package func syncDirectory(of path: String) throws(StoreError) {
        let file = try open(directory(of: path))
        try file.sync()
        try file.close()
    }

    package func rename(_ from: String, to target: String) throws(StoreError) {
        #if canImport(Darwin)
            let code = Darwin.rename(from, target)
        #else
            let code = Glibc.rename(from, target)
        #endif
        guard code == 0 else { throw .file(operation: "rename to \(target)", path: from, errno: errno) }
    }

    package func removeIfExists(_ path: String) throws(StoreError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .file(operation: "remove", path: path, errno: errno) }
    }

    private func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

final class PosixStoreFile: StoreFile {
    static let readFlags = O_RDONLY | O_CLOEXEC
    static let createFlags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC

    private let path: String
    private var descriptor: Int32

    init(open path: String, flags: Int32, mode: mode_t = 0o600) throws(StoreError) {
        var descriptor: Int32
        repeat { descriptor = openDescriptor(path, flags, mode) } while descriptor < 0 && errno == EINTR
        guard descriptor >= 0 else { throw .file(operation: "open", path: path, errno: errno) }
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        if descriptor >= 0 { closeDescriptor(descriptor) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        var offset = 0
        while offset < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            let count = writeBytes(descriptor, rest)
            if count < 0 {
                if errno == EINTR { continue }
                if errno == ENOSPC || errno == EDQUOT { throw .diskFull(operation: "write \(path)") }
                throw .file(operation: "write", path: path, errno: errno)
            }
            offset += count
        }
    }

    func read(_ count: Int) throws(StoreError) -> [UInt8] {
        var failure: Int32?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let rest = UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[filled..<count])
                let step = readBytes(descriptor, rest)
                if step > 0 {
                    filled += step
                } else if step == 0 {
                    break
                } else if errno != EINTR {
                    failure = errno
                    break
                }
            }
        }
        if let failure { throw .file(operation: "read", path: path, errno: failure) }
        return bytes
    }

    func size() throws(StoreError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .file(operation: "fstat", path: path, errno: errno) }
        return Int(status.st_size)
    }

    func sync() throws(StoreError) {
        guard fsync(descriptor) == 0 else {
            if errno == ENOSPC || errno == EDQUOT { throw .diskFull(operation: "fsync \(path)") }
            throw .file(operation: "fsync", path: path, errno: errno)
        }
    }

    func close() throws(StoreError) {
        let closing = descriptor
        descriptor = -1
        // On Linux the descriptor is gone also after EINTR.
        guard closeDescriptor(closing) == 0 || errno == EINTR else {
            throw .file(operation: "close", path: path, errno: errno)
        }
    }
}

// Free functions, since the methods of the types above hide the system's names.
private func writeBytes(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}

private func readBytes(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    read(descriptor, buffer.baseAddress, buffer.count)
}

@discardableResult
private func closeDescriptor(_ descriptor: Int32) -> Int32 { close(descriptor) }

private func openDescriptor(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { open(path, flags, mode) }
