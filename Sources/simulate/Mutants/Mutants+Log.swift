import Simulation

extension Mutant {
    private static let log = "RaftLog/SegmentedLog.swift"
    private static let writing = "RaftLog/SegmentedLog+Write.swift"
    private static let recovery = "RaftLog/LogRecovery.swift"
    private static let scanner = "RaftLog/SegmentScanner.swift"
    private static let hardState = "RaftLog/HardStateFile.swift"
    private static let sync = "try timed(syncs: 1) { () throws(FileSystemError) in try file.synchronizeData() }"
    private static let behindSync = "\n        unfinished?.strayEnd = nil\n        offset = end"

    static let disk = [
        Mutant(
            "batch-not-synced", line: 25, "a write of entries ends before its sync",
            .statements(writing, "⟦\(sync)⟧\(behindSync)", "_ = end")),
        Mutant(
            "sync-tried-again", line: 25, "a sync that failed is tried again, and succeeds (fsyncgate)",
            under: [.failedSync, .powerLoss],
            .statements(writing, "⟦\(sync)⟧\(behindSync)", "do { \(sync) } catch { \(sync) }")),
        Mutant(
            "damage-cut", line: 26, "any damage is taken for a torn tail and cut (Protocol-Aware Recovery, FAST 2018)",
            under: [.bitFlip, .kill],
            .statements(
                recovery,
                "try judge(\n                    damage, firstCut: whole.last.index.next, scanner, header, hasNext: next != nil, synced: synced)",
                "_ = damage")),
        Mutant(
            "torn-batch-kept", line: 49,
            "the records of a batch that is not whole are kept, and the log goes on in its middle",
            under: [.powerLoss, .burst, .slowSync],
            .statements(
                recovery, "entries.removeLast(entries.count - whole.entries)",
                "whole = (entries.count, scanner.offset, scanner.last, scanner.chain)")),
        Mutant(
            "torn-tail-left", line: 49, "what was cut stays on the disk, behind the end of the log",
            under: [.powerLoss, .burst, .slowSync],
            .statements(log, "try file.writeZeros(count: torn.bytes, at: torn.offset)", "_ = torn")),
        Mutant(
            "records-without-checksum", line: 26, "a record is taken whatever its checksum says",
            under: [.bitFlip, .kill],
            .expression(
                scanner, "let computed = ⟦Checksum.crc32(bytes.slice(offset + 4..<end), seed: checksum)⟧",
                "bytes.load32(offset)")),
        Mutant(
            "read-and-not-synced", line: 8,
            "entries that a dead process left in the page cache count as synced when they are read",
            under: [.kill, .powerLoss, .slowSync],
            .statements(
                log, "⟦try file.synchronizeData()⟧\n            return file", "_ = file")),
        Mutant(
            "failed-sync-believed", line: 25,
            "what a failed sync left in the page cache counts as synced at the next start (fsyncgate)",
            under: [.failedSync, .powerLoss],
            .statements(
                log, "if let batch = tail.lastBatch { try file.write(batch.bytes, at: batch.offset) }",
                "_ = tail.lastBatch")),
        Mutant(
            "hard-state-not-synced", line: 8, "term and vote are written and not synced",
            .statements(
                hardState,
                "            try file.write(bytes, at: offset)\n            ⟦try file.synchronizeData()⟧\n        }\n        current = slot",
                "_ = offset")),
        Mutant(
            "hard-state-after-the-entries", line: 8, "entries are on the disk before the term that they belong to",
            under: [.powerLoss, .kill, .isolation, .slowSync],
            .statements(
                writing, "⟦try storeHardState(state)\n            unfinished?.hardState = nil⟧", "_ = state"),
            .statements(
                writing, "⟦try append()⟧\n        unfinished = nil",
                "try append(); if let state = unfinished?.hardState { try storeHardState(state) }")),
        Mutant(
            "segment-without-a-name", line: 29, "a new segment is renamed and its folder not synced",
            .statements(
                writing,
                "try fileSystem.rename(temporary, to: path)\n        ⟦try fileSystem.synchronizeDirectory(directory)⟧",
                "_ = path")),
        Mutant(
            "segment-named-before-its-sync", line: 29, "a new segment has its name before its first page is synced",
            under: [.powerLoss],
            .statements(writing, "⟦try file.synchronizeData()⟧\n        try fileSystem.rename", "_ = filled")),
        Mutant(
            "segments-removed-at-once", line: 5,
            "segments are removed without a sync between them, so that a crash leaves a gap",
            // A short log is cut by less than a segment.
            under: [.powerLoss, .burst],
            .statements(
                log,
                "try fileSystem.remove(path(segments[0].name))\n                    ⟦try fileSystem.synchronizeDirectory(directory)⟧",
                "_ = 0")),
        Mutant(
            "replaced-segments-read", line: 4,
            "segments that a newer generation has replaced are read as part of the log",
            under: [.kill, .burst, .isolation, .shortLog],
            .expression(recovery, "if ⟦isReplaced⟧ { leftovers", "isReplaced && leftovers.count > 9")),
    ]
}
