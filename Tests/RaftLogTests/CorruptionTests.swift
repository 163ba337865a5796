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

/// Damage and tears: what was acknowledged is never cut (Protocol-Aware Recovery, FAST 2018; pitfall 26).
@Suite struct CorruptionTests {
    static let directory = "/data/log"
    static let options = LogOptions(segmentBytes: 4096 + 1700, fillStepBytes: 1700)
    static let first = directory + "/00000000000000000001.log"
    static let second = directory + "/00000000000000000009.log"

    private func open(_ disk: CrashingFileSystem) throws(LogError) -> RecoveredLog {
        try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).recovered
    }

    /// Two segments: entries 1 to 8 in the first; 9 to 11 in the second, in batches of 1, 1 and 1.
    private func disk(closed: Bool) throws -> CrashingFileSystem {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        try log.write([Persist(sequence: 1, entries: entries(1...3, term: 1), hardState: hardState(1, vote: 2))])
        try log.write([Persist(sequence: 2, entries: entries(4...8, term: 1, bytes: 200))])
        for index in 9...11 {
            try log.write([Persist(sequence: UInt64(index), entries: entries(index...index, term: 1, bytes: 120))])
        }
        if closed { log.close() }
        #expect(disk.contents(Self.second) != nil)
        return disk
    }

    private var written: RecoveredLog {
        RecoveredLog(
            hardState: hardState(1, vote: 2), base: .zero,
            entries: entries(1...3, term: 1) + entries(4...8, term: 1, bytes: 200)
                + entries(9...11, term: 1, bytes: 120))
    }

    @Test(
        "a flipped bit anywhere costs no acknowledged entry: it is harmless, or an error names file and offset",
        arguments: [false, true])
    func flippedBits(closed: Bool) throws {
        let original = try disk(closed: closed)
        var refused = 0
        for path in [Self.first, Self.second, Self.directory + "/" + HardStateFile<CrashingFileSystem>.name] {
            let size = try #require(original.contents(path)?.count)
            // All bytes that carry something or stand next to it; of the long runs of padding a sample.
            let pages = (0..<size).filter { $0 % 4096 < 80 || ($0 > 4096 && path.hasSuffix(".log")) || $0 % 61 == 0 }
            for offset in pages {
                let disk = original.copy()
                disk.corrupt(path) { $0[offset] ^= 1 << UInt8(offset % 8) }
                do throws(LogError) {
                    let recovered = try open(disk)
                    #expect(recovered.model == written.model, "\(path), offset \(offset)")
                } catch {
                    refused += 1
                    guard case .corrupt(let file, let place, _, _) = error else {
                        Issue.record("\(path), offset \(offset): \(error)")
                        continue
                    }
                    #expect(file == path && place <= offset, "\(path), offset \(offset): \(error)")
                    #expect(disk.contents(path)?.count == size, "changed \(path)")
                }
            }
        }
        #expect(refused > 1000, "hardly any flip was noticed")
    }

    @Test("noise written over any part of a segment costs no acknowledged entry, and never the process")
    func noise() throws {
        let original = try disk(closed: false)
        var refused = 0
        for seed in UInt64(1)...600 {
            var generator = SplitMix64(state: seed)
            let disk = original.copy()
            let path = Bool.random(using: &generator) ? Self.first : Self.second
            disk.corrupt(path) { file in
                let start = Int.random(in: 0..<file.count, using: &generator)
                let end = min(file.count, start + Int.random(in: 1...600, using: &generator))
                for place in start..<end { file[place] = UInt8.random(in: 0...255, using: &generator) }
            }
            do throws(LogError) {
                let recovered = try open(disk)
                #expect(recovered.entries == written.entries, "seed \(seed)")
            } catch {
                refused += 1
            }
        }
        #expect(refused > 100)
    }

    @Test("a file that was cut at any length is refused")
    func everyLength() throws {
        let original = try disk(closed: false)
        for path in [Self.first, Self.second] {
            let size = try #require(original.contents(path)?.count)
            for length in stride(from: 0, to: size, by: 7) {
                let disk = original.copy()
                disk.corrupt(path) { $0.removeLast(size - length) }
                #expect(throws: LogError.self, "\(path), \(length) bytes") { _ = try open(disk) }
            }
        }
    }

    @Test("a last batch that was written up to any length is cut, and only it")
    func tornAtEveryLength() throws {
        let original = try disk(closed: false)
        let end = 4096 + 3 * LogFormat.batchBytes(payloads: 120 + 5, records: 1)
        let bytes = try #require(original.contents(Self.second))
        let start = try #require(lastBatchOffset(bytes))
        var cuts = 0
        for length in start..<bytes.count {
            let disk = original.copy()
            disk.corrupt(Self.second) { file in
                for place in length..<file.count { file[place] = 0 }
            }
            let recovered = try open(disk)
            let isWhole = recovered.entries.count == written.entries.count
            #expect(isWhole == (length >= end || bytes[length...].allSatisfy { $0 == 0 }), "length \(length)")
            guard !isWhole else { continue }
            cuts += 1
            #expect(recovered.entries == Array(written.entries.dropLast()), "length \(length)")
            if length > start { #expect(recovered.truncatedTail?.offset == start, "length \(length)") }
            #expect(recovered.truncatedTail?.file ?? Self.second == Self.second)
            #expect(try open(disk).truncatedTail == nil, "the cut is made once")
        }
        #expect(cuts > 200)
    }

    @Test("a batch torn in its middle with valid records behind is a torn tail, not corruption (pitfall 49)")
    func tornMiddle() throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        let options = LogOptions(segmentBytes: 16384, fillStepBytes: 1024)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: options).log
        try log.write([Persist(sequence: 1, entries: entries(1...2, term: 1), hardState: hardState(1))])
        let start = log.offset
        try log.write([Persist(sequence: 2, entries: entries(3...30, term: 1, bytes: 90))])
        let end = log.offset
        let sectors = CrashingFileSystem.sectors(offset: start, count: end - start)
        #expect(sectors.count >= 6)
        for missing in 1..<(1 << sectors.count) {
            let torn = disk.copy()
            torn.corrupt(Self.first) { file in
                for (number, sector) in sectors.enumerated() where missing & (1 << number) != 0 {
                    for place in sector { file[place] = 0 }
                }
            }
            let recovered = try SegmentedLog.open(directory: Self.directory, fileSystem: torn, options: options)
                .recovered
            #expect(recovered.entries == entries(1...2, term: 1), "sectors \(String(missing, radix: 2)) missing")
            let isAllMissing = missing == (1 << sectors.count) - 1
            #expect((recovered.truncatedTail == nil) == isAllMissing, "sectors \(String(missing, radix: 2)) missing")
        }
    }

    @Test("a hole in a batch is corruption when a later batch says that it was synced")
    func holeBeforeLaterBatch() throws {
        let disk = try disk(closed: false)
        disk.corrupt(Self.second) { file in
            for place in 4096 + 64..<4096 + 128 { file[place] = 0 }
        }
        let error = #expect(throws: LogError.self) { _ = try open(disk) }
        guard case .corrupt(Self.second, 4096 + 64, LogIndex(9), let reason) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains("was written after everything before"))
    }

    @Test("a hole in the last batch is corruption after an orderly stop")
    func holeAfterClose() throws {
        let disk = try disk(closed: true)
        let bytes = try #require(disk.contents(Self.second))
        let start = try #require(lastBatchOffset(bytes))
        for length in start..<bytes.count - 1 where bytes[length...].contains(where: { $0 != 0 }) {
            let damaged = disk.copy()
            damaged.corrupt(Self.second) { file in
                for place in length..<file.count { file[place] = 0 }
            }
            let error = #expect(throws: LogError.self) { _ = try open(damaged) }
            guard case .corrupt(Self.second, _, LogIndex(11), let reason) = error,
                reason.contains("; entries up to 11 had been synced") == (length > start)
            else {
                Issue.record("start \(start), length \(length): \(String(describing: error))")
                return
            }
        }
    }

    @Test("a segment that is missing is noticed, in the middle and at the end of a log that was closed")
    func missingSegment() throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        try log.write([Persist(sequence: 1, entries: entries(1...60, term: 1), hardState: hardState(1))])
        log.close()
        let segments = try disk.list(Self.directory).filter { $0.hasSuffix(".log") }
        #expect(segments.count >= 3)
        for name in segments.dropFirst() {
            let damaged = disk.copy()
            damaged.removeSilently(Self.directory + "/" + name)
            #expect(throws: LogError.self, "\(name)") { _ = try open(damaged) }
        }
    }

    @Test("a lost or unreadable hard state is an error, never a member that has not voted (pitfall 8)")
    func lostHardState() throws {
        let path = Self.directory + "/" + HardStateFile<CrashingFileSystem>.name
        let missing = try disk(closed: false)
        missing.removeSilently(path)
        #expect(throws: LogError.self) { _ = try open(missing) }
        let damaged = try disk(closed: false)
        damaged.corrupt(path) { file in
            file[30] ^= 1
            file[4096 + 30] ^= 1
        }
        #expect(throws: LogError.self) { _ = try open(damaged) }
        let older = CrashingFileSystem(directory: Self.directory)
        _ = try open(older)
        let initial = try #require(older.contents(path))
        let rolledBack = try disk(closed: false)
        rolledBack.corrupt(path) { $0 = initial }
        let error = #expect(throws: LogError.self) { _ = try open(rolledBack) }
        #expect("\(String(describing: error))".contains("it says term 0, and the log has entry 11@1"))
    }

    @Test("either slot of the hard state alone is enough, and the other is restored")
    func oneSlot() throws {
        let path = Self.directory + "/" + HardStateFile<CrashingFileSystem>.name
        for slot in [0, 4096] {
            let disk = try disk(closed: false)
            disk.corrupt(path) { file in
                for place in slot..<slot + 80 { file[place] = 0xFF }
            }
            #expect(try open(disk).hardState == hardState(1, vote: 2))
            disk.corrupt(path) { file in
                for place in 4096 - slot..<4096 - slot + 80 { file[place] = 0xFF }
            }
            #expect(try open(disk).hardState == hardState(1, vote: 2))
        }
    }

    @Test("records that survive behind a truncation or come from elsewhere are never taken for the log's")
    func staleBytes() throws {
        let disk = CrashingFileSystem(directory: Self.directory)
        let log = try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: Self.options).log
        try log.write([Persist(sequence: 1, entries: entries(1...2, term: 1), hardState: hardState(1))])
        let secondBatch = log.offset
        try log.write([Persist(sequence: 2, entries: entries(3...4, term: 1))])
        let end = log.offset
        let old = try #require(disk.contents(Self.first))
        try log.write([
            Persist(sequence: 3, truncateFrom: LogIndex(1), entries: entries(1...2, term: 2), hardState: hardState(2))
        ])
        #expect(log.offset == secondBatch)
        // The old second batch, at its own place behind a new first batch of the same size.
        disk.corrupt(Self.first) { $0.replaceSubrange(secondBatch..<end, with: old[secondBatch..<end]) }
        do throws(LogError) {
            #expect(try open(disk).entries == entries(1...2, term: 2))
        } catch {
            guard case .corrupt = error else { throw error }
        }
    }

    @Test("files of a newer version or another disk are refused by name")
    func foreignFiles() throws {
        let disk = try disk(closed: false)
        let other = LogOptions(diskID: DiskID(high: 7, low: 7))
        let error = #expect(throws: LogError.self) {
            try SegmentedLog.open(directory: Self.directory, fileSystem: disk, options: other)
        }
        #expect(error.map { if case .foreign = $0 { true } else { false } } == true)
        disk.corrupt(Self.first) { file in
            file[8] = 2
            file.withUnsafeMutableBytes { bytes in
                let page = UnsafeRawBufferPointer(bytes)
                let sum = Checksum.crc32(page.slice(16..<80), seed: Checksum.crc32(page.slice(0..<12)))
                bytes.store32(sum, 12)
            }
        }
        #expect(throws: LogError.unsupportedVersion(file: Self.first, found: 2, supported: 1)) { try open(disk) }
    }

    /// Where the last batch of a segment begins.
    private func lastBatchOffset(_ bytes: [UInt8]) -> Int? {
        let mark = Array("BTCH".utf8)
        return (4096..<bytes.count - mark.count).last { Array(bytes[$0..<$0 + mark.count]) == mark }
    }
}
