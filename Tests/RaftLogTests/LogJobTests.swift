import RaftCore
import Testing

@testable import RaftLog

/// What the thread of a log makes of what has queued up.
@Suite("Jobs of the log thread")
struct LogJobTests {
    private func write(_ index: Int) -> LogJob {
        .write(Persist(sequence: UInt64(index), entries: [entry(index, term: 1, bytes: 40)]))
    }

    @Test("writes up to a compaction are one batch and one report; what follows is the next")
    func groups() throws {
        let disk = CrashingFileSystem(directory: "/log")
        let log = try SegmentedLog.open(directory: "/log", fileSystem: disk).log
        try log.write([Persist(sequence: 0, hardState: hardState(1))])
        let batches = log.metrics.batchesWritten
        var outcomes: [LogJobOutcome] = []
        log.perform([write(1), write(2), .compact(position(2, 1)), write(3)]) { outcomes.append($0) }
        #expect(outcomes == [.persisted(2), .compacted(position(2, 1)), .persisted(3)])
        #expect(log.metrics.batchesWritten == batches + 2)
        #expect(log.last == position(3, 1))
    }

    @Test("after a failed sync everything is reported as failed, and nothing is tried again (fsyncgate)")
    func failure() throws {
        let disk = CrashingFileSystem(directory: "/log")
        let log = try SegmentedLog.open(directory: "/log", fileSystem: disk).log
        try log.write([Persist(sequence: 0, hardState: hardState(1))])
        disk.failures[.synchronize] = (call: (disk.calls[.synchronize] ?? 0) + 1, errno: 5)
        let before = disk.trace.count
        var outcomes: [LogJobOutcome] = []
        log.perform([write(1), .compact(position(1, 1)), write(2)]) { outcomes.append($0) }
        #expect(outcomes.count == 3)
        for outcome in outcomes {
            guard case .failed = outcome else {
                Issue.record("\(outcome) after a failed sync")
                continue
            }
        }
        #expect(disk.trace.count == before + 1, "only the write before the failed sync")
    }
}
