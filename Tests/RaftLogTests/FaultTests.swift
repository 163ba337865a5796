import RaftCore
import Testing

@testable import RaftLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Errors of the disk: the first one ends the log (fsyncgate; pitfall 25).
@Suite struct FaultTests {
    static let directory = "/data/log"
    static let options = LogOptions(segmentBytes: 4096 + 1024, fillStepBytes: 512)

    private static let groups: [[Persist]] = [
        [Persist(sequence: 1, entries: entries(1...3, term: 1), hardState: hardState(1))],
        [Persist(sequence: 2, entries: entries(4...20, term: 1))],
        [Persist(sequence: 3, truncateFrom: LogIndex(8), entries: entries(8...9, term: 2), hardState: hardState(2))],
        [Persist(sequence: 4, reset: position(50, 2), entries: entries(51...52, term: 2))],
    ]

    @Test(
        "a failed call is fatal and never repeated: every later call throws and touches nothing",
        arguments: [
            FileOperation.synchronize, .synchronizeDirectory, .write, .allocate, .create, .rename, .remove,
        ])
    func firstErrorIsFatal(operation: FileOperation) throws {
        var failed = 0
        for number in 1...200 {
            let disk = CrashingFileSystem(directory: Self.directory)
            let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
            disk.failures[operation] = ((disk.calls[operation] ?? 0) + number, EIO)
            var failure: LogError?
            for group in Self.groups {
                do throws(LogError) {
                    try log.write(group)
                } catch {
                    failure = error
                    break
                }
            }
            guard let failure else { break }
            failed += 1
            guard case .io(operation, _, EIO) = failure else {
                Issue.record("call \(number): \(failure)")
                continue
            }
            let done = disk.trace.count
            #expect(throws: LogError.failedBefore(first: failure.description)) {
                try log.write([Persist(sequence: 9, hardState: hardState(9))])
            }
            #expect(throws: LogError.failedBefore(first: failure.description)) { try log.compact(to: position(1, 1)) }
            log.close()
            #expect(disk.trace.count == done, "a failed log went on with \(disk.trace.dropFirst(done))")
        }
        #expect(failed > 0, "\(operation) was never called")
    }

    @Test("a full disk says so, with the file, and loses nothing that was acknowledged")
    func diskFull() throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        try log.write([Persist(sequence: 1, entries: entries(1...3, term: 1), hardState: hardState(1))])
        disk.capacity = disk.usedBytes + 2000
        let error = #expect(throws: LogError.self) {
            try log.write([Persist(sequence: 2, entries: entries(4...60, term: 1))])
        }
        #expect(error?.description.contains("No space left on device") == true)
        #expect(error?.description.contains(Self.directory) == true)
        disk.crash(.allLost)
        disk.capacity = .max
        let recovered = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options)
            .recovered
        #expect(recovered.entries.starts(with: entries(1...3, term: 1)))
    }
}

/// A full disk is no failed sync: nothing is in doubt, and the write goes on when there is room (pitfall 28).
@Suite struct FullDiskTests {
    static let directory = "/data/log"
    static let options = LogOptions(segmentBytes: 4096 + 1024, fillStepBytes: 512)

    @Test("a write that a full disk stopped goes on where it stood, at every size of the disk")
    func resumes() throws {
        let groups: [[Persist]] = [
            [Persist(sequence: 1, entries: entries(1...30, term: 1), hardState: hardState(1))],
            [
                Persist(
                    sequence: 2, truncateFrom: LogIndex(20), entries: entries(20...25, term: 2), hardState: hardState(2)
                ),
                Persist(sequence: 3, entries: entries(26...60, term: 2)),
            ],
            [Persist(sequence: 4, reset: position(90, 2), entries: entries(91...99, term: 2))],
        ]
        var expected = LogModel()
        for persist in groups.joined() { expected.apply(persist) }
        var stops = 0
        for room in stride(from: 0, to: 40_000, by: 377) {
            let disk = CrashingFileSystem(directory: Self.directory)
            let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
            disk.capacity = disk.usedBytes + room
            for group in groups {
                do throws(LogError) {
                    try log.write(group)
                    continue
                } catch {
                    guard case .full = error else { throw error }
                    stops += 1
                }
                // Still no room: the same answer, and nothing is spoilt by asking.
                #expect(throws: LogError.self) { try log.write([]) }
                disk.capacity = .max
                try log.write([])
            }
            log.close()
            disk.crash(.allLost)
            let found = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options)
            #expect(found.recovered.model == expected, "with \(room) bytes of room")
        }
        #expect(stops > 50)
    }

    @Test("what a full disk took of a batch that was then truncated is no damage to the shorter one in its place")
    func truncatedWhileFull() throws {
        var stops = 0
        for room in stride(from: 0, to: 2_000, by: 61) {
            let disk = CrashingFileSystem(directory: Self.directory)
            let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
            try log.write([Persist(sequence: 1, entries: entries(1...3, term: 1), hardState: hardState(1))])
            disk.capacity = disk.usedBytes + room
            do throws(LogError) {
                try log.write([Persist(sequence: 2, entries: entries(4...14, term: 1))])
            } catch {
                guard case .full = error else { throw error }
                stops += 1
            }
            disk.capacity = .max
            let next = Persist(
                sequence: 3, truncateFrom: LogIndex(4), entries: entries(4...4, term: 2), hardState: hardState(2))
            try log.write([next])
            for fate in [CrashingFileSystem.Fate.allKept, .allLost] {
                let crashed = disk.copy()
                crashed.crash(fate)
                let found = try SegmentedLog.open(directory: Self.directory, fileSystem: crashed, options: Self.options)
                #expect(
                    found.recovered.entries == entries(1...3, term: 1) + entries(4...4, term: 2),
                    "with \(room) bytes of room")
            }
            log.close()
        }
        #expect(stops > 10)
    }

    @Test("a sync that fails for want of room is a failed sync: fatal, never repeated (fsyncgate)")
    func failedSync() throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        disk.failures[.synchronize] = ((disk.calls[.synchronize] ?? 0) + 1, ENOSPC)
        let error = #expect(throws: LogError.self) {
            try log.write([Persist(sequence: 1, entries: entries(1...3, term: 1))])
        }
        guard case .io(.synchronize, _, ENOSPC)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(throws: LogError.self) { try log.write([]) }
    }
}
