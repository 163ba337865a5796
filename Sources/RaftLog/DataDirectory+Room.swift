#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Room on the disk of a data directory: how much there is, and a file that holds some of it for the moment when the log cannot
/// grow any more. A cluster that is told to delete has to be able to write that down.
extension DataDirectory {
    /// Bytes that this process may still take; nil when the file system does not say.
    package static func freeBytes(path: String) -> UInt64? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    /// Makes the reserve file, if it is not there with this size. What cannot be had is left: a reserve that took the last room
    /// would be the opposite of one.
    package static func makeReserve(path: String, bytes: Int) throws(DataDirectoryError) {
        try makeReserve(path: path, bytes: bytes, fileSystem: PosixFileSystem())
    }

    /// Gives the reserve back to the file system. One that is not there, or cannot be removed, is as good as none.
    package static func releaseReserve(path: String) { releaseReserve(path: path, fileSystem: PosixFileSystem()) }

    package static func releaseReserve<FS: FileSystem>(path: String, fileSystem: FS) {
        do throws(FileSystemError) { try fileSystem.remove(path + "/" + reserveName) } catch { return }
    }

    package static func makeReserve<FS: FileSystem>(
        path: String, bytes: Int, fileSystem: FS
    ) throws(DataDirectoryError) {
        let file = path + "/" + reserveName
        do throws(FileSystemError) {
            if try fileSystem.list(path).contains(reserveName) {
                let present = try fileSystem.open(file, .readOnly)
                defer { present.close() }
                if try present.size() == bytes { return }
            }
            let fresh = try fileSystem.open(file, .createOrReplace)
            defer { fresh.close() }
            // Written, not only reserved: a file with holes gives nothing back.
            try fresh.writeZeros(count: bytes, at: 0)
        } catch {
            guard error.isLackOfRoom else { throw DataDirectoryError(error) }
            releaseReserve(path: path, fileSystem: fileSystem)
        }
    }
}
