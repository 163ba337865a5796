import RaftCore
import Testing

@testable import RaftLog

/// Calls that only a bug of ours can make end the process before they reach the disk.
@Suite struct PreconditionTests {
    @Test("entries that leave a gap never reach the disk")
    func gap() async {
        await #expect(processExitsWith: .failure) {
            let disk = CrashingFileSystem(directory: "/log")
            let log = try SegmentedLog.open(directory: "/log", fileSystem: disk).log
            try log.write([Persist(sequence: 1, entries: [entry(1, term: 1), entry(3, term: 1)])])
        }
    }

    @Test("a second vote in a term never reaches the disk (Raft §5.2)")
    func secondVote() async {
        await #expect(processExitsWith: .failure) {
            let disk = CrashingFileSystem(directory: "/log")
            let log = try SegmentedLog.open(directory: "/log", fileSystem: disk).log
            try log.write([Persist(sequence: 1, hardState: hardState(1, vote: 1))])
            try log.write([Persist(sequence: 2, hardState: hardState(1, vote: 2))])
        }
    }

    @Test("a closed log is not written")
    func closed() async {
        await #expect(processExitsWith: .failure) {
            let disk = CrashingFileSystem(directory: "/log")
            let log = try SegmentedLog.open(directory: "/log", fileSystem: disk).log
            log.close()
            try log.write([])
        }
    }
}
