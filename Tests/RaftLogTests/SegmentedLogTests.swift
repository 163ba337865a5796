import RaftCore
import Testing

@testable import RaftLog

@Suite struct SegmentedLogTests {
    @Test("a log gives back what was written, on the operating system's files")
    func roundTrip() throws {
        let directory = try TemporaryDirectory()
        let (log, recovered) = try SegmentedLog.open(directory: directory.path, fileSystem: PosixFileSystem())
        #expect(recovered == RecoveredLog(hardState: .initial, base: .zero, entries: []))
        let entries = (1...500).map { entry($0, term: 2, bytes: $0 % 300) }
        try log.write([
            Persist(sequence: 1, entries: Array(entries[..<200]), hardState: HardState(term: Term(2), vote: NodeID(3)))
        ])
        try log.write([Persist(sequence: 2, entries: Array(entries[200...]))])
        log.close()
        let again = try SegmentedLog.open(directory: directory.path, fileSystem: PosixFileSystem())
        #expect(
            again.recovered
                == RecoveredLog(hardState: HardState(term: Term(2), vote: NodeID(3)), base: .zero, entries: entries))
        again.log.close()
    }

    @Test("a group is one write and one sync for entries, and two syncs for a hard state that changed")
    func groupCommit() throws {
        let disk = CrashingFileSystem(directory: "/log")
        let log = try SegmentedLog.open(directory: "/log", fileSystem: disk).log
        let before = disk.trace.count
        let groups = (1...256).map { Persist(sequence: UInt64($0), entries: [entry($0, term: 1, bytes: 256)]) }
        try log.write([Persist(sequence: 0, hardState: hardState(1))] + groups)
        let state = "/log/hard-state"
        let segment = "/log/00000000000000000001.log"
        #expect(
            Array(disk.trace[before...]) == [
                .write(state), .synchronizeData(state), .write(state), .synchronizeData(state),
                .write(segment), .synchronizeData(segment),
            ])
        #expect(log.metrics.syncs == 3)
        #expect(log.metrics.entriesWritten == 256)
        #expect(log.metrics.batchesWritten == 1)
        #expect(log.metrics.segments == 1)
        #expect(log.metrics.lastSyncNanoseconds > 0)
    }

    @Test("entries of a newer term raise the term on disk before them, without a vote")
    func entriesRaiseTheTerm() throws {
        let disk = CrashingFileSystem(directory: "/log")
        let log = try SegmentedLog.open(directory: "/log", fileSystem: disk).log
        try log.write([Persist(sequence: 1, hardState: hardState(1, vote: 1))])
        try log.write([Persist(sequence: 2, entries: [entry(1, term: 3)])])
        #expect(log.hardState == hardState(3))
        #expect(try SegmentedLog.open(directory: "/log", fileSystem: disk).recovered.hardState == hardState(3))
    }

    @Test("an entry larger than a segment gets a segment of its own")
    func largeEntry() throws {
        let disk = CrashingFileSystem(directory: "/log")
        let options = LogOptions(segmentBytes: 8192, fillStepBytes: 1024)
        let log = try SegmentedLog.open(directory: "/log", fileSystem: disk, options: options).log
        let written = [entry(1, term: 1), entry(2, term: 1, bytes: 100_000), entry(3, term: 1, bytes: 0, kind: .noop)]
        try log.write([Persist(sequence: 1, entries: written)])
        #expect(log.metrics.segments == 3)
        #expect(
            try SegmentedLog.open(directory: "/log", fileSystem: disk, options: options).recovered.entries == written)
    }

    @Test("compaction removes only segments that are behind the position, and keeps the last")
    func compaction() throws {
        let disk = CrashingFileSystem(directory: "/log")
        let options = LogOptions(segmentBytes: 4096 + 1024, fillStepBytes: 512)
        let log = try SegmentedLog.open(directory: "/log", fileSystem: disk, options: options).log
        try log.write([Persist(sequence: 1, entries: entries(1...60, term: 1))])
        let segments = log.segments
        try log.compact(to: LogPosition(index: segments[2].base.index.previous, term: Term(1)))
        #expect(log.base == segments[1].base)
        try log.compact(to: segments[2].base)
        #expect(log.base == segments[2].base)
        try log.compact(to: position(60, 1))
        #expect(log.segments == [try #require(segments.last)])
        let recovered = try SegmentedLog.open(directory: "/log", fileSystem: disk, options: options).recovered
        #expect(recovered.base == log.base)
        #expect(recovered.entries == entries(1...60, term: 1).filter { $0.index > log.base.index })
    }

    @Test("a folder whose log was lost is not a new log where the data directory is formatted")
    func lostLog() throws {
        let disk = CrashingFileSystem(directory: "/log")
        #expect(throws: LogError.missing(directory: "/log")) {
            try SegmentedLog.open(directory: "/log", fileSystem: disk, options: LogOptions(createIfEmpty: false))
        }
        #expect(disk.trace == [.synchronizeDirectory("/log")])
        let log = try SegmentedLog.open(directory: "/log", fileSystem: disk).log
        log.close()
        disk.removeSilently("/log/00000000000000000001.log")
        #expect(throws: LogError.self) { try SegmentedLog.open(directory: "/log", fileSystem: disk) }
    }

    @Test("the format of version 1 is these bytes")
    func goldenBytes() throws {
        let disk = CrashingFileSystem(directory: "/log")
        let options = LogOptions(
            segmentBytes: 8192, fillStepBytes: 1024,
            diskID: DiskID(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718))
        let log = try SegmentedLog.open(directory: "/log", fileSystem: disk, options: options).log
        try log.write([
            Persist(
                sequence: 1,
                entries: [
                    Entry(term: Term(1), index: LogIndex(1), kind: .noop, payload: []),
                    Entry(term: Term(2), index: LogIndex(2), kind: .command, payload: Array("hello".utf8)),
                ], hardState: HardState(term: Term(2), vote: NodeID(3)))
        ])
        try log.write([Persist(sequence: 2, truncateFrom: LogIndex(2))])
        let first = try #require(disk.contents("/log/00000000000000000001.log"))
        #expect(hexadecimal(first[..<80]) == Self.goldenHeader)
        #expect(hexadecimal(first[4096..<4096 + 136]) == Self.goldenBatch)
        #expect(first[(4096 + 136)...].allSatisfy { $0 == 0 })
        let second = try #require(disk.contents("/log/00000000000000000002.log"))
        #expect(hexadecimal(second[..<80]) == Self.goldenTruncation)
        let state = try #require(disk.contents("/log/hard-state"))
        #expect(hexadecimal(state[..<80]) == Self.goldenHardState)
        #expect(state[4096..<4176] == state[..<80])
    }

    static let goldenHeader =
        "524146544c4f470a010000005321899b00000000001400000100000000000000"
        + "0807060504030201181716151413121100000000000000000000000000000000"
        + "00000000000000000000000000000000"
    static let goldenBatch =
        "425443486f1fd34c880000000200000000100000000000000010000000000000"
        + "0100000000000000000000000000000000000000000000000000000045484447"
        + "fe2aa8c7000000000100000000000000010000000000000000000000a6ff92fe"
        + "05000000020000000000000002000000000000000100000068656c6c6f000000"
        + "a6ff92fe4254454e"
    static let goldenTruncation =
        "524146544c4f470a01000000eaf8db5902000000001400000200000000000000"
        + "0807060504030201181716151413121101000000000000000100000000000000"
        + "fe2aa8c7000000000000000000000000"
    static let goldenHardState =
        "564f5445e1f3eecd010000000100000002000000000000000200000000000000"
        + "0300000000000000080706050403020118171615141312110100000000000000"
        + "00000000000000000000000000000000"

    private func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.map { String(UInt64($0).hexadecimal.suffix(2)) }.joined()
    }
}
