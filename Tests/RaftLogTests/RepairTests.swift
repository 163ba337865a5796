import RaftCore
import Testing

@testable import RaftLog

/// A data directory whose log or database is damaged begins anew, and no crash on the way loses the vote or forgets that the
/// member has to catch up.
@Suite struct RepairTests {
    static let path = "/data"
    static let log = "/data/log"
    static let options = LogOptions(segmentBytes: 4096 + 1024, fillStepBytes: 512, diskID: DiskID(high: 1, low: 2))
    static let marker = RepairMarker(phase: .discard, members: [1, 2, 255], reason: "a byte\nflipped")

    private func damagedDisk() throws -> CrashingFileSystem {
        let disk = CrashingFileSystem(directory: Self.path)
        try disk.createDirectory(Self.log)
        let log = try SegmentedLog.open(directory: Self.log, fileSystem: disk, options: Self.options).log
        try log.write([Persist(sequence: 1, entries: entries(1...40, term: 3), hardState: hardState(3, vote: 2))])
        log.close()
        for name in ["metadata.sqlite", "metadata.sqlite-wal"] {
            let file = try disk.open(Self.path + "/" + name, .createOrReplace)
            try file.write(RawBytes([7, 7, 7]), at: 0)
            try file.synchronizeData()
        }
        try disk.synchronizeDirectory(Self.path)
        disk.corrupt(Self.log + "/00000000000000000001.log") { $0[4096 + 100] ^= 1 }
        return disk
    }

    @Test("a marker is read back as it was written, and one that is damaged asks for everything to be discarded")
    func marker() throws {
        let text = Self.marker.encoded()
        #expect(RepairMarker(reading: text) == Self.marker)
        #expect(Self.marker.reason == "a byte flipped", "a reason is one line")
        #expect(
            RepairMarker(reading: RepairMarker(phase: .catchUp, members: [], reason: "").encoded()).phase == .catchUp)
        let bytes = Array(RepairMarker(phase: .catchUp, members: [1], reason: "x").encoded().utf8)
        for place in bytes.indices {
            var flipped = bytes
            flipped[place] ^= 1
            #expect(RepairMarker(reading: String(decoding: flipped, as: UTF8.self)).phase == .discard, "byte \(place)")
            #expect(RepairMarker(reading: String(decoding: bytes[..<place], as: UTF8.self)).phase == .discard)
        }
    }

    @Test("log and database begin anew, term and vote stay, and what was there is kept aside, wherever the power fails")
    func discard() throws {
        let damaged = try damagedDisk()
        let fresh = RecoveredLog(hardState: hardState(3, vote: 2), base: .zero, entries: [])
        var point = 0
        while true {
            let disk = damaged.copy()
            disk.powerFailsAfter = point
            var isWhole = false
            do throws(DataDirectoryError) {
                let done = try DataDirectory.discardDamaged(
                    path: Self.path, options: Self.options, marker: Self.marker, fileSystem: disk)
                #expect(done.phase == .catchUp)
                isWhole = true
            } catch {
                point += 1
            }
            for seed in UInt64(1)...3 {
                let crashed = disk.copy()
                crashed.crash(.picked(seed: seed))
                try finish(crashed, fresh, "power fails after \(point) operations, seed \(seed)")
            }
            if isWhole { break }
        }
        #expect(point > 12)
    }

    /// What the next start does, up to the end of the repair.
    private func finish(_ disk: CrashingFileSystem, _ fresh: RecoveredLog, _ place: String) throws {
        guard var marker = try DataDirectory.repairMarker(path: Self.path, fileSystem: disk) else {
            // Nothing was touched: the damage is found again.
            #expect(throws: LogError.self, "\(place)") {
                try SegmentedLog.open(directory: Self.log, fileSystem: disk, options: Self.options)
            }
            return
        }
        if marker.phase == .discard {
            marker = try DataDirectory.discardDamaged(
                path: Self.path, options: Self.options, marker: marker, fileSystem: disk)
        }
        #expect(marker.members == Self.marker.members, "\(place)")
        let opened = try SegmentedLog.open(directory: Self.log, fileSystem: disk, options: Self.options)
        #expect(opened.recovered == fresh, "\(place)")
        opened.log.close()
        #expect(try disk.list(Self.path).filter { $0.hasPrefix("metadata") } == [], "\(place)")
        let kept = try disk.list(Self.path + "/damaged")
        let segments = [1, 11, 21, 31].map { LogFormat.segmentName(first: LogIndex($0)) }
        #expect(kept == segments + ["metadata.sqlite", "metadata.sqlite-wal"], "\(place)")
        #expect(disk.contents(Self.path + "/damaged/00000000000000000001.log")?.count ?? 0 > 5_000, "\(place)")
        try DataDirectory.finishRepair(path: Self.path, fileSystem: disk)
        #expect(try DataDirectory.repairMarker(path: Self.path, fileSystem: disk) == nil)
        #expect(try disk.list(Self.path + "/damaged") == [])
    }

    @Test("what an earlier repair left behind does not take the place of what this one moves")
    func leftovers() throws {
        let disk = try damagedDisk()
        let old = Self.path + "/damaged"
        try disk.createDirectory(old)
        for name in ["00000000000000000001.log", "00000000000000009999.log", "metadata.sqlite"] {
            try disk.open(old + "/" + name, .createOrReplace).write(RawBytes([1]), at: 0)
        }
        // As a running node does it, then as its next start goes on.
        try DataDirectory.mark(Self.marker, path: Self.path, fileSystem: disk)
        _ = try DataDirectory.discardDamaged(
            path: Self.path, options: Self.options, marker: Self.marker, fileSystem: disk)
        let segments = [1, 11, 21, 31].map { LogFormat.segmentName(first: LogIndex($0)) }
        #expect(try disk.list(old) == segments + ["metadata.sqlite", "metadata.sqlite-wal"])
        #expect(disk.contents(old + "/00000000000000000001.log")?.count ?? 0 > 5_000)
        #expect(disk.contents(old + "/metadata.sqlite") == [7, 7, 7])
    }

    @Test("the end of one repair does not take away the marker of the next")
    func markedAgain() throws {
        let disk = try damagedDisk()
        let done = try DataDirectory.discardDamaged(
            path: Self.path, options: Self.options, marker: Self.marker, fileSystem: disk)
        #expect(done.phase == .catchUp)
        let again = RepairMarker(phase: .discard, members: done.members, reason: "and again")
        try DataDirectory.mark(again, path: Self.path, fileSystem: disk)
        try DataDirectory.finishRepair(path: Self.path, fileSystem: disk)
        #expect(try DataDirectory.repairMarker(path: Self.path, fileSystem: disk) == again)
        #expect(disk.contents(Self.path + "/damaged/metadata.sqlite") == [7, 7, 7])
    }

    @Test("a database is moved away alone, and wherever the power fails it can be done again")
    func database() throws {
        for point in 0..<8 {
            let disk = try damagedDisk()
            disk.powerFailsAfter = disk.trace.count + point
            do throws(DataDirectoryError) {
                try DataDirectory.discardDatabase(path: Self.path, fileSystem: disk)
            } catch {
                disk.crash(.picked(seed: UInt64(point)))
                try DataDirectory.discardDatabase(path: Self.path, fileSystem: disk)
            }
            #expect(try disk.list(Self.path).filter { $0.hasPrefix("metadata") } == [])
            #expect(try disk.list(Self.log).count == 5, "segments and hard state stay")
            #expect(try DataDirectory.repairMarker(path: Self.path, fileSystem: disk) == nil)
        }
    }

    @Test("the first entry is looked for in the log that counts: the present one, or the one that a repair has moved")
    func firstEntry() throws {
        let disk = try damagedDisk()
        func holds(isMoved: Bool = false) throws -> Bool {
            try DataDirectory.holdsFirstEntry(path: Self.path, isMoved: isMoved, fileSystem: disk)
        }
        #expect(try holds())
        disk.removeSilently(Self.log + "/00000000000000000001.log")
        #expect(try !holds(), "the log was compacted")
        _ = try DataDirectory.discardDamaged(
            path: Self.path, options: Self.options, marker: Self.marker, fileSystem: disk)
        #expect(try holds(), "the log begins anew")
        #expect(try !holds(isMoved: true), "what was moved has no first entry")
    }

    @Test("without a readable term and vote nothing is touched: the member has to be replaced")
    func withoutVote() throws {
        let disk = try damagedDisk()
        disk.corrupt(Self.log + "/hard-state") { bytes in
            bytes[20] ^= 1
            bytes[4096 + 20] ^= 1
        }
        let before = try disk.list(Self.log)
        let error = #expect(throws: DataDirectoryError.self) {
            try DataDirectory.discardDamaged(
                path: Self.path, options: Self.options, marker: Self.marker, fileSystem: disk)
        }
        #expect("\(error.map { "\($0)" } ?? "")".contains("replace the member"))
        #expect(try disk.list(Self.log) == before)
        #expect(try DataDirectory.repairMarker(path: Self.path, fileSystem: disk) == nil)
    }

    @Test("any flipped byte of a closed log is refused as repairable, or does not matter")
    func everyByte() throws {
        let disk = CrashingFileSystem(directory: Self.log)
        let log = try SegmentedLog.open(directory: Self.log, fileSystem: disk, options: Self.options).log
        try log.write([Persist(sequence: 1, entries: entries(1...6, term: 3), hardState: hardState(3, vote: 2))])
        log.close()
        let name = Self.log + "/00000000000000000001.log"
        let whole = try SegmentedLog.open(directory: Self.log, fileSystem: disk.copy(), options: Self.options).recovered
        var refused = 0
        for place in disk.contents(name)?.indices ?? 0..<0 {
            let flipped = disk.copy()
            flipped.corrupt(name) { $0[place] ^= 0x10 }
            do throws(LogError) {
                let found = try SegmentedLog.open(
                    directory: Self.log, fileSystem: flipped, options: Self.options
                ).recovered
                #expect(found.entries == whole.entries, "byte \(place) cut what was acknowledged")
            } catch {
                #expect(error.isRepairable, "byte \(place): \(error)")
                refused += 1
            }
        }
        #expect(refused > 600)
    }
}
