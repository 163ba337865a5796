#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder of its own under the system's temporary folder, removed with the last reference.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/raftlog-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw CannotMake(errno: errno) }
        path = String(cString: made)
    }

    deinit { Self.removeTree(path) }

    struct CannotMake: Error { var errno: Int32 }

    private static func removeTree(_ path: String) {
        if let stream = opendir(path) {
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != "." && name != ".." { removeTree(path + "/" + name) }
            }
            closedir(stream)
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}
