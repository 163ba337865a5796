import RaftCore
import RaftLog
import Testing

@testable import Simulation

/// The simulated disk keeps what a real one promises, and nothing else.
@Suite("The simulated file system")
struct SimulatedFileSystemTests {
    private let files = SimulatedFileSystem(seed: 7)

    init() throws { try files.createDirectory("/d") }

    private func write(_ bytes: [UInt8], at offset: Int, to file: SimulatedFile) throws {
        try bytes.withUnsafeBytes { try file.write($0, at: offset) }
    }

    @Test("bytes survive after their sync, names after that of their folder")
    func durability() throws {
        let file = try files.open("/d/a.tmp", .createOrReplace)
        try write([1, 2, 3], at: 0, to: file)
        try file.synchronizeData()
        try files.rename("/d/a.tmp", to: "/d/a")
        try files.synchronizeDirectory("/d")
        try write([9], at: 1, to: file)
        #expect(files.contents("/d/a") == [1, 9, 3], "a program sees what it wrote")
        _ = try files.open("/d/b", .createOrReplace)
        files.losePower(.nothing)
        #expect(files.contents("/d/a") == [1, 2, 3])
        #expect(try files.list("/d") == ["a"])
    }

    @Test("a file whose name was not synced is gone with everything in it")
    func lostName() throws {
        let file = try files.open("/d/a", .createOrReplace)
        try write([1], at: 0, to: file)
        try file.synchronizeData()
        files.losePower(.nothing)
        #expect(files.contents("/d/a") == nil)
    }

    @Test("a write that was not synced is torn at sectors, in any order")
    func torn() throws {
        let file = try files.open("/d/a", .createOrReplace)
        try file.writeZeros(count: 8 * SimulatedFileSystem.sectorBytes, at: 0)
        try file.synchronizeData()
        try files.synchronizeDirectory("/d")
        try write([UInt8](repeating: 1, count: 8 * SimulatedFileSystem.sectorBytes), at: 0, to: file)
        files.losePower(.perMille(500))
        let bytes = try #require(files.contents("/d/a"))
        let sectors = (0..<8).map {
            bytes[$0 * SimulatedFileSystem.sectorBytes..<($0 + 1) * SimulatedFileSystem.sectorBytes]
        }
        #expect(sectors.allSatisfy { Set($0).count == 1 }, "a sector is written whole or not at all")
        let kept = sectors.map { $0.first == 1 }
        #expect(Set(kept).count == 2, "some are there and some are not: \(kept)")
    }

    @Test(
        "the n-th sync fails once, and a part of what it should have kept is gone, whether programs still see it or not"
    )
    func failedSync() throws {
        var wasSeen: Set<Bool> = []
        for seed in UInt64(0)..<8 {
            let files = SimulatedFileSystem(seed: seed)
            try files.createDirectory("/d")
            let file = try files.open("/d/a", .createOrReplace)
            try files.synchronizeDirectory("/d")
            files.syncsUntilError = 1
            try write([1], at: 0, to: file)
            try file.synchronizeData()
            try write([UInt8](repeating: 2, count: 4096), at: 512, to: file)
            #expect(throws: FileSystemError.self) { try file.synchronizeData() }
            #expect(files.syncErrors == 1)
            let seen = try #require(files.contents("/d/a"))
            try file.synchronizeData()
            files.losePower(.nothing)
            let left = try #require(files.contents("/d/a"))
            #expect(left.count { $0 == 2 } < 4096, "a sync that succeeds later brings nothing back (fsyncgate)")
            wasSeen.insert(seen != left)
        }
        #expect(wasSeen == [true, false])
    }

    @Test("what a log finds behind a failed sync survives the loss of power from then on (fsyncgate)")
    func foundBehindFailedSync() throws {
        var wasFound = 0
        for seed in UInt64(0)..<16 {
            let files = SimulatedFileSystem(seed: seed)
            try files.createDirectory("/d")
            let log = try SegmentedLog.open(directory: "/d", fileSystem: files).log
            try log.write([Persist(sequence: 1, entries: [entry(1)], hardState: HardState(term: Term(1), vote: nil))])
            files.syncsUntilError = 0
            #expect(throws: LogError.self) { try log.write([Persist(sequence: 2, entries: [entry(2), entry(3)])]) }
            // Only the process ends, and the next one relies on what it reads.
            let found = try SegmentedLog.open(directory: "/d", fileSystem: files).recovered.entries
            if found.count == 3 { wasFound += 1 }
            files.losePower(.nothing)
            #expect(
                try SegmentedLog.open(directory: "/d", fileSystem: files).recovered.entries == found, "seed \(seed)")
        }
        #expect(wasFound > 0)
    }

    /// Larger than a sector.
    private func entry(_ index: UInt64) -> Entry {
        Entry(
            term: Term(1), index: LogIndex(index), kind: .command, payload: [UInt8](repeating: UInt8(index), count: 900)
        )
    }

    @Test("after the power has failed nothing is changed any more, and a full disk takes what fits")
    func limits() throws {
        let file = try files.open("/d/a", .createOrReplace)
        try files.synchronizeDirectory("/d")
        files.capacityBytes = 100
        #expect(throws: FileSystemError.self) { try self.write([UInt8](repeating: 1, count: 101), at: 0, to: file) }
        #expect(files.contents("/d/a") == [UInt8](repeating: 1, count: 100))
        #expect(throws: FileSystemError.self) { try self.write([1], at: 100, to: file) }
        files.callsUntilPowerFails = 1
        try write([2], at: 0, to: file)
        #expect(throws: FileSystemError.self) { try self.write([3], at: 0, to: file) }
        #expect(throws: FileSystemError.self) { try file.synchronizeData() }
        #expect(files.contents("/d/a") == [2] + [UInt8](repeating: 1, count: 99))
    }

    @Test("a log on it survives the loss of power with everything that was synced")
    func log() throws {
        let log = try SegmentedLog.open(directory: "/d", fileSystem: files).log
        try log.write([Persist(sequence: 1, hardState: HardState(term: Term(1), vote: nil))])
        for index in 1...20 {
            try log.write([
                Persist(
                    sequence: UInt64(index + 1),
                    entries: [
                        Entry(
                            term: Term(1), index: LogIndex(UInt64(index)), kind: .command,
                            payload: [UInt8](repeating: UInt8(index), count: 90))
                    ])
            ])
        }
        files.losePower(.nothing)
        let recovered = try SegmentedLog.open(directory: "/d", fileSystem: files).recovered
        #expect(recovered.entries.map(\.index.rawValue) == Array(1...20))
    }

    @Test("a flipped bit in front of the last synced write is found and never cut (PAR, FAST 2018)")
    func flippedBit() throws {
        let log = try SegmentedLog.open(directory: "/d", fileSystem: files).log
        try log.write([Persist(sequence: 1, hardState: HardState(term: Term(1), vote: nil))])
        for index in 1...3 {
            let entry = Entry(term: Term(1), index: LogIndex(UInt64(index)), kind: .command, payload: [1, 2, 3, 4])
            try log.write([Persist(sequence: UInt64(index + 1), entries: [entry])])
        }
        let segment = try #require(files.paths(in: "/d").first { $0.hasSuffix(".log") })
        let vouched = files.vouchedBytes(segment)
        #expect(vouched > 4096)
        files.flipBit(segment, at: vouched - 20, bit: 3)
        #expect(throws: LogError.self) { try SegmentedLog.open(directory: "/d", fileSystem: self.files) }
    }
}
