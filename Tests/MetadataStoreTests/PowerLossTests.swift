import MetadataModel
import RaftCore
import SimulatedDisk
import Testing

@testable import MetadataStore

/// The store on a disk whose power fails in the middle of anything.
@Suite("The store on a simulated disk")
struct PowerLossTests {
    private let path = "/data/db"

    /// A store's log, what the reference makes of it, and where the database may stand after a loss of power.
    private struct History {
        var log: RandomLog
        private(set) var entries: [Entry] = []
        private var digests: [UInt64] = [0]
        var borders: Set<UInt64> = [0]
        var durable: UInt64 = 0

        init(seed: UInt64) {
            log = RandomLog(seed: seed)
            digests[0] = log.reference.machine.digest
        }

        /// The next entries behind `applied`: old ones again after a loss, then new ones.
        mutating func batch(after applied: LogPosition, count: Int) -> [Entry] {
            while entries.count < Int(applied.index.rawValue) + count {
                entries.append(log.next())
                digests.append(log.reference.machine.digest)
            }
            borders.insert(applied.index.rawValue + UInt64(count))
            return Array(entries[Int(applied.index.rawValue)...].prefix(count))
        }

        func digest(at applied: LogPosition) -> UInt64 { digests[Int(applied.index.rawValue)] }
    }

    private func checkRecovered(_ store: MetadataStore, _ history: History, _ place: Comment) throws(StoreError) {
        #expect(history.borders.contains(store.applied.index.rawValue), place)
        #expect(store.applied.index.rawValue >= history.durable, place)
        #expect(store.digest == history.digest(at: store.applied), place)
        let isSound = try store.scrub().isSound
        #expect(isSound, place)
    }

    @Test(
        "after a loss of power rows and index are those of one border of a batch, at a checkpoint or later (etcd 3.5.0)"
    )
    func powerLosses() throws {
        var (losses, lostEntries, interruptedOpenings) = (0, 0, 0)
        for seed in 0..<UInt64(40) {
            let vfs = SimulatedVFS(seed: seed)
            var random = SeededGenerator(seed: seed &+ 7)
            var history = History(seed: seed)
            for life in 0..<5 {
                let place: Comment = "seed \(seed), life \(life)"
                vfs.volume.powerFailsAfter = random.below(random.below(3) == 0 ? 60 : 900)
                var reached: UInt64 = 0
                do throws(StoreError) {
                    let store = try MetadataStore(path: path, fileSystem: vfs)
                    try checkRecovered(store, history, place)
                    while true {
                        _ = try store.apply(history.batch(after: store.applied, count: 1 + random.below(40)))
                        reached = store.applied.index.rawValue
                        guard random.below(4) == 0 else { continue }
                        let mode = [CheckpointMode.automatic, .passive, .full, .truncate][random.below(4)]
                        history.durable = max(history.durable, try store.checkpoint(mode).index.rawValue)
                    }
                } catch {
                    #expect(!error.isRetriable, "\(place): \(error)")
                    if reached == 0 { interruptedOpenings += 1 }
                }
                vfs.volume.losePower(&random)
                losses += 1
                let store = try MetadataStore(path: path, fileSystem: vfs)
                try checkRecovered(store, history, place)
                lostEntries += max(0, Int(reached) - Int(store.applied.index.rawValue))
            }
            // The log replays what was lost, and nothing tells that it ever was.
            let store = try MetadataStore(path: path, fileSystem: vfs)
            let rest = history.entries.count - Int(store.applied.index.rawValue)
            if rest > 0 { _ = try store.apply(history.batch(after: store.applied, count: rest)) }
            #expect(store.digest == history.log.reference.machine.digest)
            #expect(try store.scrub().isSound)
        }
        // The faults took place.
        #expect(losses == 200)
        #expect(lostEntries > 200)
        #expect(interruptedOpenings > 2)
    }

    @Test("a first opening that loses power at any step is done again, and the database is not taken for a foreign one")
    func openingSteps() throws {
        var interrupted = 0
        for step in 0..<200 {
            let vfs = SimulatedVFS(seed: UInt64(step))
            var random = SeededGenerator(seed: UInt64(step))
            vfs.volume.powerFailsAfter = step
            do throws(StoreError) { _ = try MetadataStore(path: path, fileSystem: vfs) } catch { interrupted += 1 }
            vfs.volume.losePower(&random)
            let store = try MetadataStore(path: path, fileSystem: vfs)
            #expect(try store.apply(smallCluster()).version == Version(8), "step \(step)")
        }
        #expect((20..<200).contains(interrupted), "\(interrupted) of 200 openings were interrupted")
    }

    @Test("a process that is killed in the middle of a batch loses that batch only")
    func killed() throws {
        let vfs = SimulatedVFS(seed: 1)
        var history = History(seed: 61)
        var acknowledged = LogPosition.zero
        for round in 0..<30 {
            let store = try MetadataStore(path: path, fileSystem: vfs)
            #expect(store.applied == acknowledged)
            try checkRecovered(store, history, "round \(round)")
            acknowledged = try store.apply(history.batch(after: store.applied, count: 20)).applied
            vfs.volume.endProcess()
            #expect(throws: StoreError.self) { try store.apply(history.batch(after: acknowledged, count: 20)) }
        }
    }

    @Test("a checkpoint whose sync failed is not tried again, and promises nothing (fsyncgate)")
    func failedSync() throws {
        var failures = 0
        for number in 0..<8 {
            let vfs = SimulatedVFS(seed: UInt64(number))
            var history = History(seed: 62)
            let store = try MetadataStore(path: path, fileSystem: vfs)
            _ = try store.apply(history.batch(after: store.applied, count: 100))
            let before = try store.checkpoint()
            history.durable = before.index.rawValue
            _ = try store.apply(history.batch(after: store.applied, count: 100))
            vfs.volume.syncFailsAfter = number
            do {
                _ = try store.checkpoint(.truncate)
                continue
            } catch {
                #expect(!error.isRetriable)
                let failure: StoreError? = error
                failures += 1
                #expect(store.durablePosition == before)
                // The disk is well again, and still nothing is promised that rests on the lost pages.
                let again = #expect(throws: StoreError.self) { try store.checkpoint(.truncate) }
                #expect(again == failure)
            }
            #expect(store.durablePosition == before)
            var random = SeededGenerator(seed: UInt64(number))
            vfs.volume.losePower(&random)
            try checkRecovered(try MetadataStore(path: path, fileSystem: vfs), history, "sync \(number)")
        }
        #expect(failures >= 2, "neither the WAL's sync nor the database's failed")
    }

    @Test("after an install whose sync failed no checkpoint promises what was committed before it (fsyncgate)")
    func failedSyncOfInstall() throws {
        let vfs = SimulatedVFS(seed: 1)
        var (other, history) = (History(seed: 63), History(seed: 62))
        let origin = SimulatedVFS(seed: 2)
        let source = try MetadataStore(path: path, fileSystem: origin)
        _ = try source.apply(other.batch(after: .zero, count: 150))
        _ = try source.writeSnapshot(to: "/data/snapshot")
        vfs.volume.store(try #require(origin.volume.contents("/data/snapshot")), at: "/data/incoming")

        let store = try MetadataStore(path: path, fileSystem: vfs)
        _ = try store.apply(history.batch(after: store.applied, count: 50))
        history.durable = try store.checkpoint().index.rawValue
        _ = try store.apply(history.batch(after: store.applied, count: 50))
        vfs.volume.syncFailsAfter = 0
        let failure = #expect(throws: StoreError.self) { try store.installSnapshot(from: "/data/incoming") }
        #expect(vfs.volume.counts.failedSyncs == 1)
        #expect(store.applied.index == LogIndex(100), "the install changed nothing")
        // The disk is well again. A checkpoint would move pages into the database that the WAL has lost.
        let refusal = #expect(throws: StoreError.self) { try store.checkpoint() }
        #expect(refusal == failure)
        #expect(store.durablePosition.index == LogIndex(50))
    }

    @Test(
        "an install that loses power at any step leaves the old state or the new one; when it has returned, the new one"
    )
    func installSteps() throws {
        let origin = SimulatedVFS(seed: 1)
        var other = History(seed: 63)
        let source = try MetadataStore(path: path, fileSystem: origin)
        _ = try source.apply(other.batch(after: .zero, count: 150))
        let file = try source.writeSnapshot(to: "/data/snapshot")
        let bytes = try #require(origin.volume.contents("/data/snapshot"))
        var (old, new) = (0, 0)
        for step in 0... {
            let vfs = SimulatedVFS(seed: UInt64(step))
            var random = SeededGenerator(seed: UInt64(step))
            var history = History(seed: 64)
            let store = try MetadataStore(path: path, fileSystem: vfs)
            _ = try store.apply(history.batch(after: store.applied, count: 40))
            history.durable = try store.checkpoint().index.rawValue
            let before = store.summary
            vfs.volume.store(bytes, at: "/data/incoming")
            vfs.volume.powerFailsAfter = step
            var isInstalled = false
            do throws(StoreError) {
                #expect(try store.installSnapshot(from: "/data/incoming") == file.position)
                isInstalled = true
            } catch {
                #expect(!error.isRetriable)
            }
            vfs.volume.losePower(&random)
            let reopened = try MetadataStore(path: path, fileSystem: vfs)
            if reopened.summary == before {
                old += 1
                #expect(!isInstalled, "step \(step)")
            } else {
                new += 1
                #expect(reopened.summary == source.summary, "step \(step)")
                #expect(reopened.configuration == source.configuration)
            }
            #expect(try reopened.scrub().isSound, "step \(step)")
            // The checkpoint that ends an install may fail without harm: some steps more.
            if isInstalled, new > 20 { break }
        }
        #expect(old > 10 && new > 10, "\(old) times the old state, \(new) times the new one")
    }

    @Test("a snapshot file appears whole, or not at all, when the power fails (rename without syncing the directory)")
    func snapshotSteps() throws {
        var (absent, whole, interrupted) = (0, 0, 0)
        for step in 0..<40 {
            let vfs = SimulatedVFS(seed: UInt64(step))
            var random = SeededGenerator(seed: UInt64(step))
            var history = History(seed: 65)
            let store = try MetadataStore(path: path, fileSystem: vfs)
            _ = try store.apply(history.batch(after: store.applied, count: 60))
            vfs.volume.powerFailsAfter = step
            var written: SnapshotFile?
            do throws(StoreError) { written = try store.writeSnapshot(to: "/data/snapshot") } catch { interrupted += 1 }
            vfs.volume.losePower(&random)
            if vfs.exists("/data/snapshot") {
                whole += 1
                let found = try MetadataStore.verifySnapshot(at: "/data/snapshot", in: vfs)
                #expect(found.position == LogPosition(index: LogIndex(60), term: Term(1)))
            } else {
                absent += 1
                #expect(written == nil, "step \(step): a snapshot that was written is gone")
            }
        }
        #expect(
            absent > 3 && whole > 20 && interrupted > 3, "\(absent) absent, \(whole) whole, \(interrupted) interrupted")
    }

    @Test("while a snapshot's last bytes wait for a slow disk, no transaction pins the WAL (spool first)")
    func spooled() throws {
        let directory = try TemporaryDirectory()
        let probe = SlowDisk()
        let store = try MetadataStore(path: directory.file("db"), fileSystem: probe)
        _ = try store.apply(smallCluster())
        var checkpointed: LogPosition?
        try probe.whileSyncing {
            _ = try store.apply([commandEntry(9, registration(9))])
            checkpointed = try store.checkpoint(.truncate)
        } do: {
            _ = try store.writeSnapshot(to: directory.file("snapshot"))
        }
        #expect(checkpointed == store.applied)
        #expect(try bytes(of: directory.file("db-wal")).isEmpty)
        try store.close()
    }

    @Test("a full disk suspends an apply, a checkpoint or a snapshot, and nothing is lost (etcd 9992)")
    func fullDisk() throws {
        let vfs = SimulatedVFS(seed: 1)
        var history = History(seed: 66)
        let store = try MetadataStore(path: path, fileSystem: vfs)
        _ = try store.apply(history.batch(after: store.applied, count: 200))
        let before = store.summary
        vfs.volume.capacityBytes = vfs.volume.paths.reduce(0) { $0 + (vfs.volume.contents($1)?.count ?? 0) } + 8_192
        let batch = history.batch(after: store.applied, count: 300)
        for _ in 0..<3 {
            let failure = #expect(throws: StoreError.self) { try store.apply(batch) }
            #expect(failure?.isRetriable == true, "\(String(describing: failure))")
            #expect(store.summary == before)
        }
        vfs.volume.capacityBytes = 0
        #expect(throws: StoreError.self) { try store.writeSnapshot(to: "/data/snapshot") }
        #expect(!vfs.exists("/data/snapshot") && !vfs.exists("/data/snapshot.tmp"))
        vfs.volume.capacityBytes = .max
        #expect(try store.apply(batch).digest == history.log.reference.machine.digest)
        #expect(try store.checkpoint() == store.applied)
        #expect(try store.scrub().isSound)
    }
}

/// The files of the operating system on a disk that lets something happen before it calls a snapshot synced.
private final class SlowDisk: StoreFileSystem, @unchecked Sendable {
    private let files = PosixStoreFileSystem()
    /// Used by one test, on its thread.
    fileprivate var meanwhile: (() throws -> Void)?
    fileprivate var failure: (any Error)?

    func whileSyncing(_ meanwhile: @escaping () throws -> Void, do body: () throws -> Void) throws {
        self.meanwhile = meanwhile
        try body()
        self.meanwhile = nil
        if let failure { throw failure }
    }

    var vfsName: String? { nil }
    func exists(_ path: String) -> Bool { files.exists(path) }
    func open(_ path: String) throws(StoreError) -> any StoreFile { try files.open(path) }
    func create(_ path: String) throws(StoreError) -> any StoreFile { SlowFile(try files.create(path), self) }
    func rename(_ from: String, to target: String) throws(StoreError) { try files.rename(from, to: target) }
    func removeIfExists(_ path: String) throws(StoreError) { try files.removeIfExists(path) }
    func syncDirectory(of path: String) throws(StoreError) { try files.syncDirectory(of: path) }
}

private final class SlowFile: StoreFile {
    private let file: any StoreFile
    private let disk: SlowDisk

    init(_ file: any StoreFile, _ disk: SlowDisk) {
        self.file = file
        self.disk = disk
    }

    func size() throws(StoreError) -> Int { try file.size() }
    func read(_ count: Int) throws(StoreError) -> [UInt8] { try file.read(count) }
    func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError) { try file.write(bytes) }
    func sync() throws(StoreError) {
        do { try disk.meanwhile?() } catch { disk.failure = error }
        try file.sync()
    }
    func close() throws(StoreError) { try file.close() }
}
