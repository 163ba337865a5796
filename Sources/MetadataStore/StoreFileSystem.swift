/// The file system as the store needs it beside SQLite: a port, so that a simulator can keep database and snapshots on a
/// disk of its own.
///
/// Written bytes are durable only after `sync` on their file, a name that was created or moved only after `syncDirectory`.
package protocol StoreFileSystem: Sendable {
    /// The name of the SQLite VFS under which the same files are found; nil for SQLite's own.
    var vfsName: String? { get }

    func exists(_ path: String) -> Bool
    func open(_ path: String) throws(StoreError) -> any StoreFile
    /// Creates a file that belongs to its owner only; an old one of that name is emptied.
    func create(_ path: String) throws(StoreError) -> any StoreFile
    /// Puts `from` in the place of `target`, which is replaced in one step if it exists.
    func rename(_ from: String, to target: String) throws(StoreError)
    func removeIfExists(_ path: String) throws(StoreError)
    /// Makes the names in the directory that holds `path` durable.
    func syncDirectory(of path: String) throws(StoreError)
}

/// An open file, read or written from its beginning on.
package protocol StoreFile: AnyObject {
    func size() throws(StoreError) -> Int
    /// The next `count` bytes; fewer only at the end of the file.
    func read(_ count: Int) throws(StoreError) -> [UInt8]
    func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError)
    /// A failed sync is never retried: the pages may be marked clean without being on the disk.
    func sync() throws(StoreError)
    /// Reports what closing found; without it the file is closed silently, after a failure.
    func close() throws(StoreError)
}
