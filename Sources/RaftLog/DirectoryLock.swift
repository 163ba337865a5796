#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Holds `flock` on a file: at most one process uses a data directory. The kernel lets go of it when the process ends, however
/// it ends, so there is no stale lock to clean up.
final class DirectoryLock {
    private var descriptor: Int32

    /// Nil when another process, or another lock of this one, holds it.
    static func acquire(_ path: String) throws(FileSystemError) -> DirectoryLock? {
        let descriptor = try openDescriptor(path, O_RDWR | O_CREAT, .lock)
        guard flock(descriptor, LOCK_EX | LOCK_NB) != 0 else { return DirectoryLock(descriptor: descriptor) }
        let code = errno
        _ = systemClose(descriptor)
        if code == EWOULDBLOCK { return nil }
        throw FileSystemError(.lock, path: path, errno: code)
    }

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { release() }

    func release() {
        guard descriptor >= 0 else { return }
        _ = systemClose(descriptor)
        descriptor = -1
    }
}
