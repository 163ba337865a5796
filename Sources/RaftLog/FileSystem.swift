#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The file system as the log needs it: few operations, each of which either happened or threw.
///
/// It is a port so that tests and a simulator can stand in for the kernel with a file system that keeps live and durable
/// bytes apart. The rules of a real one hold: written bytes are durable only after `synchronizeData` on their file, a name
/// (created, renamed or removed) only after `synchronizeDirectory` on the folder that holds it.
package protocol FileSystem {
    associatedtype File: FileSystemFile

    /// Opens a file; `mode` says whether it may be written and whether it has to be new.
    func open(_ path: String, _ mode: FileOpenMode) throws(FileSystemError) -> File
    /// Puts `source` in the place of `target`, which is replaced in one step if it exists.
    func rename(_ source: String, to target: String) throws(FileSystemError)
    func remove(_ path: String) throws(FileSystemError)
    /// The names in a folder, sorted, without `.` and `..`.
    func list(_ directory: String) throws(FileSystemError) -> [String]
    /// Creates a folder that only its owner may enter (0700); its parent has to exist. A folder that is there already stays.
    func createDirectory(_ path: String) throws(FileSystemError)
    /// Makes the names in a folder durable.
    func synchronizeDirectory(_ path: String) throws(FileSystemError)
    /// A clock that never goes back, for measuring how long a sync took.
    var monotonicNanoseconds: UInt64 { get }
}

/// An open file. Positions are explicit: there is no cursor.
package protocol FileSystemFile: AnyObject {
    var path: String { get }

    func size() throws(FileSystemError) -> Int
    /// Reads into `buffer` from `offset` until it is full or the file ends; returns how much was read.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) -> Int
    /// Writes all of `bytes` at `offset`. After an error any part of it may have been written.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError)
    /// Writes `count` zero bytes at `offset`. They are written, not only reserved: a later overwrite followed by
    /// `synchronizeData` then needs no change of metadata (measured: 8.0k instead of 6.6k synced appends a second).
    func writeZeros(count: Int, at offset: Int) throws(FileSystemError)
    /// Makes the bytes of the file durable, and its size if that grew.
    func synchronizeData() throws(FileSystemError)
    /// Closes the handle; further calls are a bug. Closing again is harmless.
    func close()
}

package enum FileOpenMode: Hashable, Sendable {
    case readOnly
    case readWrite
    /// Creates the file, readable and writable by its owner only (0600); an old one of that name is emptied.
    case createOrReplace
}

/// What the file system was asked to do when it failed.
package enum FileOperation: String, Hashable, Sendable {
    case open, create, read, write, allocate, synchronize, rename, remove, list, lock, status
    case createDirectory = "create directory"
    case synchronizeDirectory = "synchronize directory"
}

/// A call that the operating system refused.
package struct FileSystemError: Error, Hashable, CustomStringConvertible {
    package var operation: FileOperation
    package var path: String
    package var errno: Int32

    package init(_ operation: FileOperation, path: String, errno: Int32) {
        self.operation = operation
        self.path = path
        self.errno = errno
    }

    package var description: String { describe(operation, path: path, errno: errno) }

    /// True when a file could not be made or could not grow, and nothing else is wrong: the call may be made again. A sync
    /// that fails says nothing certain any more, whatever its error number (fsyncgate).
    var isLackOfRoom: Bool {
        switch operation {
        case .create, .write, .allocate: errno == ENOSPC || errno == EDQUOT
        case .open, .read, .synchronize, .rename, .remove, .list, .lock, .status, .createDirectory,
            .synchronizeDirectory:
            false
        }
    }
}

extension FileSystemFile {
    /// The whole file, or nil if it is larger than `limit`, whatever is in it: nothing is allocated then.
    func readAll(limit: Int) throws(FileSystemError) -> RawBytes? {
        let size = try size()
        guard size <= limit else { return nil }
        let bytes = RawBytes(count: size)
        bytes.count = try read(into: bytes.mutable, at: 0)
        return bytes
    }

    func write(_ bytes: RawBytes, at offset: Int) throws(FileSystemError) {
        try write(bytes.buffer, at: offset)
    }
}

/// Bytes outside any array, so that errors with a type can be thrown while they are in use.
final class RawBytes {
    private var memory: UnsafeMutableRawBufferPointer
    /// The bytes in use, at most what was allocated.
    var count: Int

    /// Zeros.
    init(count: Int) {
        memory = .allocate(byteCount: count, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        self.count = count
    }

    convenience init(_ bytes: [UInt8]) {
        self.init(count: bytes.count)
        memory.copyBytes(from: bytes)
    }

    deinit { memory.deallocate() }

    var mutable: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: memory[..<count]) }
    var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(mutable) }

    /// Makes room for `capacity` bytes; what was in it is lost.
    func reserve(_ capacity: Int) {
        guard memory.count < capacity else { return }
        memory.deallocate()
        memory = .allocate(byteCount: max(capacity, memory.count * 2), alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
    }
}
