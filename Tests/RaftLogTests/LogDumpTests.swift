import RaftCore
import Testing

@testable import RaftLog

@Suite struct LogDumpTests {
    static let directory = "/data/log"
    static let options = LogOptions(segmentBytes: 8192, fillStepBytes: 1024)

    private func dump(_ disk: CrashingFileSystem) throws -> [DumpedRecord] {
        var records: [DumpedRecord] = []
        let before = disk.trace.count
        try LogDump.dump(directory: Self.directory, fileSystem: disk) { records.append($0) }
        #expect(disk.trace.count == before, "a dump changes nothing")
        return records
    }

    @Test("a dump shows hard state, segments, batches and entries in the order of their bytes")
    func everything() throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        let first = entry(1, term: 1, bytes: 20)
        let second = entry(2, term: 1, bytes: 20)
        let other = entry(2, term: 2, bytes: 4)
        try log.write([Persist(sequence: 1, entries: [first, second], hardState: hardState(1, vote: 3))])
        try log.write([Persist(sequence: 2, truncateFrom: LogIndex(2), entries: [other], hardState: hardState(2))])
        log.close()
        let one = Self.directory + "/00000000000000000001.log"
        let two = Self.directory + "/00000000000000000002.log"
        #expect(
            try dump(disk) == [
                .hardState(file: Self.directory + "/hard-state", hardState(2), generation: 2, syncedIndex: LogIndex(2)),
                .segment(file: one, generation: 1, base: .zero, start: "reset", bytes: 5120),
                .batch(file: one, offset: 4096, records: 2, bytes: 168, syncedOffset: 4096),
                .entry(file: one, offset: 4160, entry: first),
                .stopped(file: one, offset: 4208, record: LogIndex(2), reason: "the next segment begins"),
                .segment(file: two, generation: 2, base: position(1, 1), start: "truncation", bytes: 5120),
                .batch(file: two, offset: 4096, records: 1, bytes: 104, syncedOffset: 4096),
                .entry(file: two, offset: 4160, entry: other),
                .stopped(file: two, offset: 4200, record: LogIndex(3), reason: "the log ends"),
            ])
    }

    @Test("a dump says where and why it stopped, and cuts nothing")
    func damage() throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        for index in 1...3 { try log.write([Persist(sequence: UInt64(index), entries: [entry(index, term: 1)])]) }
        let one = Self.directory + "/00000000000000000001.log"
        disk.corrupt(one) { $0[4096 + 120 + 64 + 30] ^= 4 }
        let contents = disk.contents(one)
        #expect(
            try dump(disk).last
                == .stopped(
                    file: one, offset: 4280, record: LogIndex(2),
                    reason: "the record does not match its checksum (synced before the batch at offset 4336)"))
        #expect(disk.contents(one) == contents)
    }
}
