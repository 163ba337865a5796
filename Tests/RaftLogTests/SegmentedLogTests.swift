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
}
