import MetadataStore
import RaftCore
import SimulatedDisk
import Testing

/// Bytes and names of a simulated disk, without SQLite.
@Suite("A simulated disk")
struct VolumeTests {
    private func write(_ bytes: [UInt8], to file: any StoreFile) throws {
        var failure: (any Error)?
        bytes.withUnsafeBytes { buffer in
            do { try file.write(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    @Test("of what was not synced any sector may be lost, each by itself; what was synced stays")
    func sectors() throws {
        var outcomes: Set<[UInt8]> = []
        for seed in 0..<UInt64(200) {
            let vfs = SimulatedVFS(seed: seed)
            let file = try vfs.create("/a")
            try write(Array(repeating: 1, count: 512), to: file)
            try file.sync()
            try write(Array(repeating: 2, count: 1_024), to: file)
            var random = SeededGenerator(seed: seed)
            vfs.volume.losePower(&random)
            let left = try #require(vfs.volume.contents("/a"))
            #expect(left.starts(with: Array(repeating: 1, count: 512)))
            // The first byte of each sector behind it; what was never written is zero, or old bytes of the disk.
            outcomes.insert([left.count > 512 ? left[512] : 255, left.count > 1_024 ? left[1_024] : 255])
        }
        #expect(outcomes == [[255, 255], [2, 255], [0, 2], [0xA5, 2], [2, 2]])
    }

    @Test("bytes that were overwritten come back when the new ones are lost")
    func overwritten() throws {
        var seen: Set<UInt8> = []
        for seed in 0..<UInt64(100) {
            let vfs = SimulatedVFS(seed: seed)
            vfs.volume.store([1, 1, 1], at: "/a")
            let file = try vfs.open("/a")
            try write([2, 2, 2], to: file)
            let again = try vfs.open("/a")
            try write([3, 3, 3, 3], to: again)
            #expect(vfs.volume.contents("/a") == [3, 3, 3, 3])
            var random = SeededGenerator(seed: seed)
            vfs.volume.losePower(&random)
            let left = try #require(vfs.volume.contents("/a"))
            #expect([[1, 1, 1], [2, 2, 2], [3, 3, 3, 3]].contains(left))
            seen.insert(left[0])
        }
        #expect(seen == [1, 2, 3])
    }

    @Test("after a sync that failed a later one succeeds without those bytes (fsyncgate)")
    func failedSync() throws {
        var lost = 0
        for seed in 0..<UInt64(50) {
            let vfs = SimulatedVFS(seed: seed)
            let file = try vfs.create("/a")
            try file.sync()
            vfs.volume.syncFailsAfter = 0
            try write([1], to: file)
            #expect(throws: StoreError.self) { try file.sync() }
            try write([2], to: file)
            try file.sync()
            #expect(vfs.volume.contents("/a") == [1, 2])
            var random = SeededGenerator(seed: seed)
            vfs.volume.losePower(&random)
            let left = try #require(vfs.volume.contents("/a"))
            #expect(left.count == 2 && left[1] == 2)
            if left[0] != 1 { lost += 1 }
        }
        #expect(lost > 10)
    }

    @Test(
        "a rename survives only with its directory synced, and never half (pitfall: rename without syncing the directory)"
    )
    func names() throws {
        var seen: Set<[String]> = []
        for seed in 0..<UInt64(50) {
            for isSynced in [false, true] {
                let vfs = SimulatedVFS(seed: seed)
                vfs.volume.store([1], at: "/old")
                try vfs.rename("/old", to: "/new")
                if isSynced { try vfs.syncDirectory(of: "/new") }
                var random = SeededGenerator(seed: seed)
                vfs.volume.losePower(&random)
                if isSynced { #expect(vfs.volume.paths == ["/new"]) } else { seen.insert(vfs.volume.paths) }
            }
        }
        #expect(seen == [["/new"], ["/old"]])
    }

    @Test("a file that was synced keeps its name, one that was not may lose it")
    func newFile() throws {
        var seen: Set<[String]> = []
        for seed in 0..<UInt64(50) {
            let vfs = SimulatedVFS(seed: seed)
            try vfs.create("/synced").sync()
            _ = try vfs.create("/volatile")
            var random = SeededGenerator(seed: seed)
            vfs.volume.losePower(&random)
            seen.insert(vfs.volume.paths)
        }
        #expect(seen == [["/synced"], ["/synced", "/volatile"]])
    }
}
