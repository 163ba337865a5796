import RaftLog
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Files in memory, for decoders that read files: nothing of it is about durability.
final class MemoryFileSystem: FileSystem, Sendable {
    private let contents = Mutex<[String: [UInt8]]>([:])

    func bytes(of path: String) -> [UInt8] { contents.withLock { $0[path] ?? [] } }

    func replace(_ path: String, with bytes: [UInt8]) { contents.withLock { $0[path] = bytes } }

    func open(_ path: String, _ mode: FileOpenMode) throws(FileSystemError) -> MemoryFile {
        let exists = contents.withLock { $0[path] != nil }
        switch mode {
        case .readOnly, .readWrite:
            guard exists else { throw FileSystemError(.open, path: path, errno: ENOENT) }
        case .createOrReplace: replace(path, with: [])
        }
        return MemoryFile(path: path, files: self)
    }

    func rename(_ source: String, to target: String) throws(FileSystemError) {
        let isDone = contents.withLock { files in
            guard let bytes = files.removeValue(forKey: source) else { return false }
            files[target] = bytes
            return true
        }
        guard isDone else { throw FileSystemError(.rename, path: source, errno: ENOENT) }
    }

    func remove(_ path: String) throws(FileSystemError) {
        let removed = contents.withLock { $0.removeValue(forKey: path) }
        guard removed != nil else { throw FileSystemError(.remove, path: path, errno: ENOENT) }
    }

    func list(_ directory: String) throws(FileSystemError) -> [String] {
        contents.withLock { files in
            files.keys.filter { $0.hasPrefix(directory + "/") }.map { String($0.dropFirst(directory.count + 1)) }
                .sorted()
        }
    }

    func createDirectory(_ path: String) throws(FileSystemError) {}
    func synchronizeDirectory(_ path: String) throws(FileSystemError) {}
    var monotonicNanoseconds: UInt64 { 0 }

    fileprivate func change(_ path: String, _ body: (inout [UInt8]) -> Void) {
        contents.withLock { body(&$0[path, default: []]) }
    }
}

final class MemoryFile: FileSystemFile {
    let path: String
    private let files: MemoryFileSystem

    fileprivate init(path: String, files: MemoryFileSystem) {
        self.path = path
        self.files = files
    }

    func size() throws(FileSystemError) -> Int { files.bytes(of: path).count }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) -> Int {
        let part = files.bytes(of: path).dropFirst(offset).prefix(buffer.count)
        buffer.copyBytes(from: part)
        return part.count
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        put(Array(bytes), at: offset)
    }

    func writeZeros(count: Int, at offset: Int) throws(FileSystemError) {
        put([UInt8](repeating: 0, count: count), at: offset)
    }

    func synchronizeData() throws(FileSystemError) {}
    func close() {}

    private func put(_ bytes: [UInt8], at offset: Int) {
        files.change(path) { content in
            let end = offset + bytes.count
            if content.count < end { content += [UInt8](repeating: 0, count: end - content.count) }
            content.replaceSubrange(offset..<end, with: bytes)
        }
    }
}
