import MetadataModel
import RaftCore
import Synchronization
import Testing

@testable import MetadataStore

/// The system's files, with something that happens whenever a file that was created is synced.
private struct HookedFileSystem: StoreFileSystem {
    final class Hook: Sendable {
        let body = Mutex<(@Sendable () -> Void)?>(nil)
    }

    private final class File: StoreFile {
        let file: any StoreFile
        let hook: Hook

        init(_ file: any StoreFile, _ hook: Hook) {
            self.file = file
            self.hook = hook
        }

        func size() throws(StoreError) -> Int { try file.size() }
        func read(_ count: Int) throws(StoreError) -> [UInt8] { try file.read(count) }
        func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError) { try file.write(bytes) }
        func close() throws(StoreError) { try file.close() }

        func sync() throws(StoreError) {
            hook.body.withLock { $0 }?()
            try file.sync()
        }
    }

    let hook: Hook
    private let system = PosixStoreFileSystem()

    init(hook: Hook) { self.hook = hook }

    var vfsName: String? { system.vfsName }
    func exists(_ path: String) -> Bool { system.exists(path) }
    func open(_ path: String) throws(StoreError) -> any StoreFile { try system.open(path) }
    func create(_ path: String) throws(StoreError) -> any StoreFile { File(try system.create(path), hook) }
    func rename(_ from: String, to target: String) throws(StoreError) { try system.rename(from, to: target) }
    func removeIfExists(_ path: String) throws(StoreError) { try system.removeIfExists(path) }
    func syncDirectory(of path: String) throws(StoreError) { try system.syncDirectory(of: path) }
}

@Suite("Checkpoints")
struct CheckpointTests {
    @Test("nothing is durable before the first checkpoint; then everything that was applied before it")
    func position() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        #expect(store.durablePosition == .zero)
        _ = try store.apply(smallCluster())
        #expect(store.durablePosition == .zero)
        let position = LogPosition(index: LogIndex(8), term: Term(1))
        #expect(try store.checkpoint() == position)
        _ = try store.apply([commandEntry(9, registration(9))])
        #expect(store.durablePosition == position)
        #expect(try store.checkpoint(.passive) == LogPosition(index: LogIndex(9), term: Term(1)))
        try store.close()
    }

    @Test("a checkpoint that a reader holds back promises no more than the one before (the log must not be cut)")
    func incomplete() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        let first = try store.checkpoint()
        _ = try store.apply([commandEntry(9, registration(9))])
        try store.onReader("hold") { (connection) throws(StoreError) in
            _ = try connection.integer("SELECT applied_index FROM state", "begin the read")
            _ = try store.apply([commandEntry(10, registration(10))])
            #expect(try store.checkpoint(.passive) == first)
            #expect(store.durablePosition == first)
        }
        #expect(try store.checkpoint(.passive).index == LogIndex(10))
        try store.close()
    }

    @Test("a snapshot file that is slow to reach the disk pins no WAL: its read transaction has ended (pitfall 53)")
    func slowSnapshot() throws {
        let directory = try TemporaryDirectory()
        let hook = HookedFileSystem.Hook()
        let store = try MetadataStore(path: directory.file("db"), fileSystem: HookedFileSystem(hook: hook))
        _ = try store.apply(smallCluster())
        let reached = Mutex(LogPosition.zero)
        hook.body.withLock { body in
            body = {
                do {
                    _ = try store.apply([commandEntry(9, registration(9))])
                    let position = try store.checkpoint(.passive)
                    reached.withLock { $0 = position }
                } catch {
                    Issue.record("\(error)")
                }
            }
        }
        _ = try store.writeSnapshot(to: directory.file("snapshot"))
        #expect(reached.withLock { $0.index } == LogIndex(9))
        #expect(try MetadataStore.verifySnapshot(at: directory.file("snapshot")).position.index == LogIndex(8))
        try store.close()
    }

    @Test("the position that a checkpoint returns is in the database file alone, without its WAL")
    func withoutWAL() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        var log = RandomLog(seed: 41)
        _ = try store.apply(log.entries(200))
        let dump = try store.dump(in: directory)
        let durable = try store.checkpoint()
        #expect(durable == log.reference.applied)
        try write(try bytes(of: directory.file("db")), to: directory.file("copy"))
        // What came after the checkpoint and sits in the WAL is what a power loss may take.
        _ = try store.apply(log.entries(20))
        let copy = try MetadataStore(path: directory.file("copy"))
        #expect(copy.applied == durable)
        #expect(try copy.dump(in: directory) == dump)
        try copy.close()
        try store.close()
    }

    @Test("a long WAL makes an automatic checkpoint start it again; truncate leaves none")
    func restart() throws {
        let directory = try TemporaryDirectory()
        var options = StoreOptions()
        options.walFramesRestart = 8
        let store = try MetadataStore(path: directory.file("db"), options: options)
        var log = RandomLog(seed: 42)
        var longest = 0
        for _ in 0..<30 {
            _ = try store.apply(log.entries(40))
            #expect(try store.checkpoint() == log.reference.applied)
            longest = max(longest, try bytes(of: directory.file("db-wal")).count)
        }
        #expect(longest < 1 << 20, "the WAL grew to \(longest) bytes")
        _ = try store.apply(log.entries(10))
        #expect(try store.checkpoint(.truncate) == log.reference.applied)
        #expect(try bytes(of: directory.file("db-wal")).isEmpty)
        try store.close()
    }

    @Test("a checkpoint that overlaps an install promises nothing of the state that the install replaced")
    func overlapsInstall() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        _ = try store.writeSnapshot(to: directory.file("snapshot"))
        _ = try store.apply([commandEntry(9, registration(9))])
        let checkpointer = store.checkpointer
        // Begun before the install, ended after it.
        let position = try checkpointer.checkpoint(.passive) {
            let applied = store.applied
            #expect(throws: Never.self) { try store.installSnapshot(from: directory.file("snapshot")) }
            return applied
        }
        #expect(position.index == LogIndex(8))
        #expect(store.durablePosition == store.applied)
        try store.close()
    }

    @Test("a blocking checkpoint gives up on a reader before the writer gives up on the checkpoint")
    func blockedCheckpoint() throws {
        let directory = try TemporaryDirectory()
        var options = StoreOptions()
        options.checkpointTimeoutMilliseconds = 5
        let store = try MetadataStore(path: directory.file("db"), options: options)
        _ = try store.apply(smallCluster())
        try store.onReader("hold") { (connection) throws(StoreError) in
            _ = try connection.integer("SELECT applied_index FROM state", "begin the read")
            _ = try store.apply([commandEntry(9, registration(9))])
            for mode in [CheckpointMode.full, .truncate] { #expect(try store.checkpoint(mode) == .zero) }
            _ = try store.apply([commandEntry(10, registration(10))])
        }
        #expect(try store.checkpoint(.truncate).index == LogIndex(10))
        try store.close()
    }
}
