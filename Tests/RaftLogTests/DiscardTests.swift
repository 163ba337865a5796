import RaftCore
import Testing

@testable import RaftLog

/// Giving up a corrupt log for a snapshot.
@Suite struct DiscardTests {
    static let directory = "/data/log"
    static let options = LogOptions(segmentBytes: 4096 + 1024, fillStepBytes: 512, diskID: DiskID(high: 1, low: 2))

    private func corruptDisk() throws -> CrashingFileSystem {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        try log.write([Persist(sequence: 1, entries: entries(1...40, term: 1), hardState: hardState(1, vote: 2))])
        try log.write([Persist(sequence: 2, truncateFrom: LogIndex(39), entries: entries(39...40, term: 1))])
        log.close()
        disk.corrupt(Self.directory + "/00000000000000000001.log") { $0[4096 + 100] ^= 1 }
        disk.corrupt(Self.directory + "/00000000000000000039.log") { $0[20] ^= 1 }
        return disk
    }

    @Test("a corrupt log can be given up for a snapshot: entries go, term and vote stay, wherever the power fails")
    func discard() throws {
        let damaged = try corruptDisk()
        #expect(throws: LogError.self) {
            try SegmentedLog.open(directory: Self.directory, fileSystem: damaged, options: Self.options)
        }
        let expected = RecoveredLog(hardState: hardState(3), base: position(70, 3), entries: [])
        var point = 0
        while true {
            let disk = damaged.copy()
            disk.powerFailsAfter = point
            do throws(LogError) {
                let result = try SegmentedLog.discard(
                    directory: Self.directory, fileSystem: disk, options: Self.options, restartingAfter: position(70, 3)
                )
                #expect(result.recovered == expected)
                disk.powerFailsAfter = nil
                try result.log.write([Persist(sequence: 3, entries: [entry(71, term: 3)])])
                break
            } catch {
                point += 1
            }
            for seed in UInt64(1)...8 {
                let crashed = disk.copy()
                crashed.crash(.picked(seed: seed))
                do throws(LogError) {
                    let found = try SegmentedLog.open(
                        directory: Self.directory, fileSystem: crashed, options: Self.options)
                    #expect(found.recovered == expected, "power fails after \(point - 1) operations, seed \(seed)")
                } catch {
                    // Still, or again, refused: then it is given up once more.
                    let again = try SegmentedLog.discard(
                        directory: Self.directory, fileSystem: crashed, options: Self.options,
                        restartingAfter: position(70, 3))
                    #expect(again.recovered == expected, "power fails after \(point - 1) operations, seed \(seed)")
                }
            }
        }
        #expect(point > 8)
    }

    @Test("a log without a readable hard state is not given up for a snapshot: the vote would be forgotten")
    func discardWithoutVote() throws {
        let disk = try corruptDisk()
        disk.removeSilently(Self.directory + "/hard-state")
        #expect(throws: LogError.self) {
            try SegmentedLog.discard(
                directory: Self.directory, fileSystem: disk, options: Self.options, restartingAfter: position(70, 3))
        }
    }

    @Test("a truncation whose segment is missing does not bring the truncated entries back")
    func lostTruncation() throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        try log.write([Persist(sequence: 1, entries: entries(1...6, term: 1), hardState: hardState(1))])
        try log.write([
            Persist(sequence: 2, truncateFrom: LogIndex(4), entries: entries(4...4, term: 2), hardState: hardState(2))
        ])
        log.close()
        disk.removeSilently(Self.directory + "/00000000000000000004.log")
        #expect(throws: LogError.self) {
            try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options)
        }
    }
}
