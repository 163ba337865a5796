import RaftCore

@testable import RaftLog

extension FuzzTarget {
    /// The files of the log and the identity of its folder.
    static let log = [
        logFile("segment") { $0 != HardStateFile<MemoryFileSystem>.name },
        logFile("hard-state") { $0 == HardStateFile<MemoryFileSystem>.name },
        FuzzTarget(
            name: "identity",
            examples: {
                let identity = NodeIdentity(
                    clusterID: "5L6g3nShT-eMCtK--X86sw", nodeID: NodeID(1), diskID: DiskID(high: 0x3f25, low: 9))
                return [Array(identity.encoded().utf8)]
            }
        ) { bytes in
            try roundTrip(
                bytes, decode: { try NodeIdentity.parse(String(decoding: $0, as: UTF8.self)) },
                encode: { Array($0.encoded().utf8) })
        },
    ]

    private static let folder = "/log"

    /// One file of a log is replaced by the input. A log that opens has entries without a gap, and opens again as the same.
    private static func logFile(_ name: String, _ isMeant: @escaping @Sendable (String) -> Bool) -> FuzzTarget {
        FuzzTarget(
            name: name,
            examples: {
                let files = try exampleLog()
                return try files.list(folder).filter(isMeant).suffix(1).map { files.bytes(of: folder + "/" + $0) }
            }
        ) { bytes in
            let files = try exampleLog()
            // The last one: where a torn write is told from corruption.
            guard let meant = try files.list(folder).last(where: isMeant) else {
                throw Finding("there is no such file")
            }
            files.replace(folder + "/" + meant, with: bytes)
            let first: RecoveredLog
            do throws(LogError) {
                try LogDump.dump(directory: folder, fileSystem: files) { _ in }
            } catch {
                // A dump says where it stopped and goes no further.
            }
            do throws(LogError) {
                let (log, recovered) = try SegmentedLog.open(directory: folder, fileSystem: files, options: options)
                first = recovered
                log.close()
            } catch {
                return .refused
            }
            try judge(first)
            let (log, second) = try SegmentedLog.open(directory: folder, fileSystem: files, options: options)
            log.close()
            guard second.entries == first.entries, second.hardState == first.hardState, second.base == first.base,
                second.truncatedTail == nil
            else { throw Finding("a log that was opened and closed opens as another: \(first), \(second)") }
            return .accepted
        }
    }

    private static func judge(_ log: RecoveredLog) throws {
        var last = log.base
        for entry in log.entries {
            guard entry.index == last.index.next, entry.term >= last.term else {
                throw Finding("entry \(entry.position) follows \(last)")
            }
            last = entry.position
        }
        guard log.hardState.term >= last.term else {
            throw Finding("term \(log.hardState.term) with an entry \(last)")
        }
    }

    private static let options = LogOptions(segmentBytes: 8_192, fillStepBytes: 1_024)

    /// Some batches over more than one segment; the process died, so nothing says that the last one was synced.
    private static func exampleLog() throws -> MemoryFileSystem {
        let files = MemoryFileSystem()
        try files.createDirectory(folder)
        let (log, _) = try SegmentedLog.open(directory: folder, fileSystem: files, options: options)
        var index: UInt64 = 1
        for sequence in 1...6 {
            let entries = (0..<3).map { offset in
                Entry(
                    term: Term(UInt64(sequence)), index: LogIndex(index + UInt64(offset)), kind: .command,
                    payload: [UInt8](repeating: UInt8(sequence), count: 300 * offset))
            }
            index += 3
            try log.write([
                Persist(
                    sequence: UInt64(sequence), entries: entries,
                    hardState: HardState(term: Term(UInt64(sequence)), vote: NodeID(1)))
            ])
        }
        return files
    }
}
