import Foundation
import MetadataStore
import RaftCore
import RaftLog
import Replica

/// Makes a new cluster of one voter out of what a survivor holds.
///
/// Everything is built beside the old data, in a folder of its own, checked, and made durable; then the directory's identity,
/// one file, is replaced in one step and names that folder. Before that the directory is the old node as it was, after it the
/// new one; nothing of the old is changed or removed.
struct Recovery {
    /// In their order. Tests stop after each.
    enum Step: CaseIterable {
        case cleared, folderMade, databaseCopied, tailApplied, clusterBegun, logMade, checked, named, identityKept
        /// From here on the directory is the new cluster's.
        case identityReplaced
    }

    let survivor: Survivor
    let clusterID: String
    let disk: DiskID
    let member: Member
    /// Called after each step; throwing is a crash there.
    var reached: (Step) throws -> Void = { _ in }

    /// How far the new cluster's log begins after the old one's: beyond whatever other nodes can have acknowledged that this
    /// one never heard of. At 50,000 writes a second it is 250 days.
    static let indexStep: UInt64 = 1 << 40
    /// The same for terms, so that no memory of an old leader outranks a new one.
    static let termStep: UInt64 = 1 << 20
    /// The same for the epochs of partitions.
    static let epochStep: Int32 = 1 << 20
    static let unfinishedSuffix = ".unfinished"
    private static let batchEntriesMax = 1_024

    /// Where the new cluster's log begins.
    var position: LogPosition {
        let term = max(survivor.hardState.term, survivor.last.term)
        return LogPosition(
            index: LogIndex(survivor.last.index.rawValue + Recovery.indexStep),
            term: Term(term.rawValue + Recovery.termStep))
    }

    /// - Returns: the folder in the data directory that the new cluster lives in.
    func run() throws -> String {
        let root = survivor.directory.path
        try clear(root)
        let name = try freeName(root)
        let unfinished = root + "/" + name + Recovery.unfinishedSuffix
        let files = PosixFileSystem()
        for folder in [
            unfinished, unfinished + "/" + DataDirectory.logName, unfinished + "/" + DataDirectory.snapshotName,
        ] {
            try files.createDirectory(folder)
        }
        try reached(.folderMade)
        try buildDatabase(unfinished + "/" + DataDirectory.databaseName)
        try buildLog(unfinished + "/" + DataDirectory.logName)
        try check(unfinished)
        try reached(.checked)
        try files.synchronizeDirectory(unfinished)
        try files.rename(unfinished, to: root + "/" + name)
        try reached(.named)
        // Writing an identity syncs the directory, and so the folder's name, before it is in its place.
        try survivor.directory.keepIdentity(as: "identity.before-\(name)")
        try reached(.identityKept)
        try survivor.directory.replaceIdentity(
            with: NodeIdentity(clusterID: clusterID, nodeID: survivor.identity.nodeID, diskID: disk, folder: name))
        try reached(.identityReplaced)
        return name
    }

    /// What an attempt left that did not come to its end.
    private func clear(_ root: String) throws {
        for name in try PosixFileSystem().list(root) where name.hasSuffix(Recovery.unfinishedSuffix) {
            try FileManager.default.removeItem(atPath: root + "/" + name)
        }
        try reached(.cleared)
    }

    private func freeName(_ root: String) throws -> String {
        let taken = try PosixFileSystem().list(root)
        var number = 1
        while taken.contains("recovered-\(number)") { number += 1 }
        return "recovered-\(number)"
    }

    private func buildDatabase(_ path: String) throws {
        try survivor.store.copy(to: path)
        try reached(.databaseCopied)
        let store = try MetadataStore(path: path)
        var rest = survivor.tail[...]
        while !rest.isEmpty {
            _ = try store.apply(Array(rest.prefix(Recovery.batchEntriesMax)))
            rest = rest.dropFirst(Recovery.batchEntriesMax)
        }
        try reached(.tailApplied)
        try store.beginCluster(
            at: position, configuration: Configuration(voters: [member]), epochStep: Recovery.epochStep)
        // All of it into one synced file.
        let durable = try store.checkpoint(.truncate)
        guard durable == position else {
            throw CommandFailure.local("database_failed", "the new database is durable to \(durable), not \(position)")
        }
        try store.close()
        try reached(.clusterBegun)
    }

    private func buildLog(_ path: String) throws {
        let (log, _) = try SegmentedLog.open(
            directory: path, fileSystem: PosixFileSystem(), options: LogOptions(diskID: disk))
        try log.write([
            Persist(sequence: 0, reset: position, hardState: HardState(term: position.term, vote: nil))
        ])
        log.close()
        try reached(.logMade)
    }

    /// Reads everything back as the node will.
    private func check(_ folder: String) throws {
        let (log, recovered) = try SegmentedLog.open(
            directory: folder + "/" + DataDirectory.logName, fileSystem: PosixFileSystem(),
            options: LogOptions(diskID: disk, createIfEmpty: false))
        log.close()
        let store = try MetadataStore(path: folder + "/" + DataDirectory.databaseName)
        let (applied, configuration, isSound) = (store.applied, store.configuration, try store.scrub().isSound)
        try store.close()
        let restored = RestoredState(
            hardState: recovered.hardState, base: recovered.base, entries: recovered.entries, applied: applied.index,
            configuration: configuration ?? .empty)
        guard isSound, applied == position, recovered.base == position, recovered.entries.isEmpty,
            configuration?.voters == [member.id], restored.problem() == nil
        else {
            throw CommandFailure.local(
                "check_failed",
                "what was built does not read back as it should: \(restored.problem() ?? "it is at \(applied)"); the "
                    + "directory is as it was")
        }
    }
}
