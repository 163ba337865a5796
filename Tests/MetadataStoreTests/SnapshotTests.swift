import Foundation
import MetadataModel
import RaftCore
import Testing

@testable import MetadataStore

@Suite("Snapshots")
struct SnapshotTests {
    private func filled(_ path: String, seed: UInt64, entries count: Int = 400) throws -> (MetadataStore, RandomLog) {
        let store = try MetadataStore(path: path)
        var log = RandomLog(seed: seed)
        _ = try store.apply(log.entries(count))
        return (store, log)
    }

    @Test("a snapshot installed on an empty store gives the same state, bytes and future")
    func roundTrip() throws {
        let directory = try TemporaryDirectory()
        var (store, log) = try filled(directory.file("db"), seed: 21)
        let written = try store.writeSnapshot(to: directory.file("snapshot"))
        #expect(written.position == store.applied)
        #expect(written.configuration == store.configuration)
        #expect(written.configuration != nil)
        #expect(written.digest == store.digest)
        #expect(written.bytes == (try bytes(of: directory.file("snapshot")).count))
        #expect(try MetadataStore.verifySnapshot(at: directory.file("snapshot")) == written)
        let other = try MetadataStore(path: directory.file("other"))
        #expect(try other.installSnapshot(from: directory.file("snapshot")) == store.applied)
        #expect(other.applied == store.applied)
        #expect(other.configuration == store.configuration)
        #expect(other.summary == store.summary)
        #expect(other.partitionTally == store.partitionTally)
        #expect(other.durablePosition == store.applied)
        #expect(try other.scrub().isSound)
        #expect(try other.dump(in: directory) == store.dump(in: directory))
        // Sessions and loads came along: the future is the same.
        let future = log.entries(200)
        let outcomes = try store.apply(future).outcomes
        let others = try other.apply(future).outcomes
        #expect(outcomes.map(\.outcome) == others.map(\.outcome))
        #expect(try other.dump(in: directory) == store.dump(in: directory))
        try other.close()
        try store.close()
    }

    @Test("a session whose window is full of commands for a thousand partitions fits a snapshot")
    func heavySession() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        let keys = (0..<Limits.partitionsPerCommandMax).map {
            PartitionKey(topic: TopicID(high: 9, low: UInt64($0)), index: PartitionIndex(0))
        }
        let heavy = Command.electLeaders(Command.ElectLeaders(.preferred, partitions: keys))
        var entries = [commandEntry(1, .openSession(timeoutMilliseconds: 600_000))]
        for sequence in 0..<Limits.sessionWindow {
            entries.append(commandEntry(sequence + 2, heavy, session: SessionID(1), sequence: sequence))
        }
        let outcomes = try store.apply(entries).outcomes.map(\.outcome)
        let declined = outcomes.count { outcome in
            if case .refused(let refusal) = outcome { refusal.reason == .limitExceeded } else { false }
        }
        #expect((1..<outcomes.count - 100).contains(declined))
        let written = try store.writeSnapshot(to: directory.file("snapshot"))
        #expect(try MetadataStore.verifySnapshot(at: directory.file("snapshot")) == written)
        let other = try MetadataStore(path: directory.file("other"))
        _ = try other.installSnapshot(from: directory.file("snapshot"))
        #expect(try other.scrub().isSound)
        try other.close()
        try store.close()
    }

    @Test("a scrub that is cancelled ends at once, in the middle of a statement, and leaves the store as it was")
    func cancelledScrub() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        // A table whose scan asks several times.
        _ = try store.apply((1...5_000).map { commandEntry($0, .openSession(timeoutMilliseconds: 600_000)) })
        #expect(throws: StoreError.self) { try store.scrub(isCancelled: { true }) }
        #expect(try store.scrub().isSound)
        try store.close()
    }

    @Test("an install replaces everything that was there, and readers that are open see it next")
    func installOver() throws {
        let directory = try TemporaryDirectory()
        let (store, _) = try filled(directory.file("db"), seed: 22)
        let (other, _) = try filled(directory.file("other"), seed: 23, entries: 700)
        let reader = try other.makeReader()
        let before = try reader.answer([.summary])
        #expect(before.applied.index == LogIndex(700))
        _ = try store.writeSnapshot(to: directory.file("snapshot"))
        _ = try other.installSnapshot(from: directory.file("snapshot"))
        #expect(try other.dump(in: directory) == store.dump(in: directory))
        #expect(try reader.answer([.summary]).results == [.summary(store.summary)])
        try reader.close()
        try other.close()
        let reopened = try MetadataStore(path: directory.file("other"))
        #expect(try reopened.dump(in: directory) == store.dump(in: directory))
        #expect(try reopened.scrub().isSound)
        try reopened.close()
        try store.close()
    }

    @Test("an install goes through while a reader is in the middle of a transaction, which keeps the old state")
    func installUnderReader() throws {
        let directory = try TemporaryDirectory()
        let (store, _) = try filled(directory.file("db"), seed: 24)
        let (other, _) = try filled(directory.file("other"), seed: 25)
        _ = try store.writeSnapshot(to: directory.file("snapshot"))
        let old = other.summary
        try other.onReader("read slowly") { (connection) throws(StoreError) in
            let state = StateStatementsProbe(connection)
            #expect(try state.read() == old)
            #expect(throws: Never.self) { try other.installSnapshot(from: directory.file("snapshot")) }
            #expect(try state.read() == old)
        }
        #expect(other.summary == store.summary)
        #expect(other.partitionTally == store.partitionTally)
        #expect(other.durablePosition == store.applied)
        try other.close()
        try store.close()
    }

    private struct StateStatementsProbe {
        let connection: Connection
        init(_ connection: Connection) { self.connection = connection }
        func read() throws(StoreError) -> MetadataSummary { try StateStatements(connection).read().summary }
    }

    @Test("a file cut at any length is refused and nothing changes")
    func cut() throws {
        let directory = try TemporaryDirectory()
        let (store, _) = try filled(directory.file("db"), seed: 26, entries: 80)
        let whole = try store.dump(in: directory)
        let other = try MetadataStore(path: directory.file("other"))
        let path = directory.file("cut")
        for length in 0..<whole.count {
            try write(Array(whole[..<length]), to: path)
            #expect(throws: StoreError.self, "length \(length)") { _ = try MetadataStore.verifySnapshot(at: path) }
        }
        #expect(throws: StoreError.self) { _ = try other.installSnapshot(from: path) }
        #expect(other.applied == .zero)
        try write(whole + [0], to: path)
        #expect(throws: StoreError.snapshot(reason: "1 bytes after the end mark")) {
            _ = try MetadataStore.verifySnapshot(at: path)
        }
        try other.close()
        try store.close()
    }

    @Test("a flipped bit at any offset is refused")
    func flipped() throws {
        let directory = try TemporaryDirectory()
        let (store, _) = try filled(directory.file("db"), seed: 27, entries: 80)
        let whole = try store.dump(in: directory)
        let path = directory.file("flipped")
        for offset in whole.indices {
            var damaged = whole
            damaged[offset] ^= UInt8(1 << (offset % 8))
            try write(damaged, to: path)
            #expect(throws: StoreError.self, "offset \(offset)") { _ = try MetadataStore.verifySnapshot(at: path) }
        }
        try store.close()
    }

    @Test("a snapshot whose rows do not add up to its digest is refused, though every checksum is right")
    func wrongDigest() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("db")
        let store = try MetadataStore(path: path)
        _ = try store.apply(smallCluster())
        try MetadataStore.onWriter(of: store.writerQueue, "spoil") { (connection) throws(StoreError) in
            try connection.execute("UPDATE partition SET leader_epoch = leader_epoch + 1", "spoil")
        }
        _ = try store.writeSnapshot(to: directory.file("snapshot"))
        let other = try MetadataStore(path: directory.file("other"))
        let failure = #expect(throws: StoreError.self) {
            _ = try other.installSnapshot(from: directory.file("snapshot"))
        }
        guard case .snapshot(let reason) = failure else {
            Issue.record("a wrong digest came out as \(String(describing: failure))")
            return
        }
        #expect(reason.contains("digest"))
        #expect(other.applied == .zero)
        try other.close()
        try store.close()
    }

    @Test("an install that fails half way leaves the old state, in the database and in memory")
    func failedInstall() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        for index in UInt64(9)..<40 {
            let value = String(repeating: "v", count: 30_000)
            _ = try store.apply([commandEntry(index, configChange("orders", "k\(index)", value))])
        }
        _ = try store.writeSnapshot(to: directory.file("snapshot"))
        var (other, log) = try filled(directory.file("other"), seed: 28)
        let before = try other.dump(in: directory)
        let summary = other.summary
        try other.limitPages(to: 150)
        #expect(throws: StoreError.self) { _ = try other.installSnapshot(from: directory.file("snapshot")) }
        #expect(other.summary == summary)
        #expect(try other.dump(in: directory) == before)
        // A copy of the files says the same: nothing of the failed install is there after a crash either.
        try directory.copyDatabase(directory.file("other"), to: directory.file("copy"))
        let copy = try MetadataStore(path: directory.file("copy"))
        #expect(copy.summary == summary)
        try copy.close()
        try other.limitPages(to: 1_000_000)
        _ = try other.apply(log.entries(50))
        #expect(other.digest == log.reference.machine.digest)
        _ = try other.installSnapshot(from: directory.file("snapshot"))
        #expect(other.summary == store.summary)
        try MetadataStore.onWriter(of: other.writerQueue, "check") { (connection) throws(StoreError) in
            #expect(try connection.integer("PRAGMA synchronous", "check") == 1)
        }
        try other.close()
        try store.close()
    }

    @Test("two stores at the same index write the same bytes, however they got there")
    func sameBytes() throws {
        let directory = try TemporaryDirectory()
        var log = RandomLog(seed: 29)
        let early = log.entries(200)
        let late = log.entries(200)
        let first = try MetadataStore(path: directory.file("first"))
        _ = try first.apply(early)
        let second = try MetadataStore(path: directory.file("second"))
        _ = try first.writeSnapshot(to: directory.file("snapshot"))
        _ = try second.installSnapshot(from: directory.file("snapshot"))
        _ = try first.apply(late)
        for entry in late { _ = try second.apply([entry]) }
        #expect(try first.dump(in: directory) == second.dump(in: directory))
        try first.close()
        try second.close()
    }

    @Test("a snapshot file belongs to its owner only and leaves no temporary file")
    func fileMode() throws {
        let directory = try TemporaryDirectory()
        let (store, _) = try filled(directory.file("db"), seed: 30, entries: 10)
        _ = try store.writeSnapshot(to: directory.file("snapshot"))
        let attributes = try FileManager.default.attributesOfItem(atPath: directory.file("snapshot"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(!FileManager.default.fileExists(atPath: directory.file("snapshot.tmp")))
        #expect(throws: StoreError.self) { _ = try store.writeSnapshot(to: directory.file("none/snapshot")) }
        try store.close()
    }

    @Test("the header of a snapshot has the bytes of docs/formats/snapshot.md")
    func goldenHeader() {
        let state = StateRow(
            applied: LogPosition(index: LogIndex(0x0102), term: Term(3)), version: Version(0x0101),
            digest: 0xa1a2_a3a4_a5a6_a7a8, logTimeMilliseconds: 5, featureLevel: 1,
            totals: MetadataTotals(brokers: 1, topics: 2, partitions: 3, sessions: 4), configCount: 6,
            configuration: [0xee], feedFloor: Version(0x0101))
        let expected: [UInt8] = [
            0x53, 0x42, 0x4d, 0x44, 0x53, 0x4e, 0x41, 0x50,  // magic
            0, 0, 0, 2,  // version
            0, 0, 0, 90,  // header length
            0, 0, 0, 0, 0, 0, 1, 2,  // index
            0, 0, 0, 0, 0, 0, 0, 3,  // term
            0, 0, 0, 0, 0, 0, 1, 1,  // version
            0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8,  // digest
            0, 0, 0, 0, 0, 0, 0, 5,  // log time
            0, 0, 0, 1,  // feature level
            0, 0, 0, 0, 0, 0, 0, 1,  // brokers
            0, 0, 0, 0, 0, 0, 0, 2,  // topics
            0, 0, 0, 0, 0, 0, 0, 3,  // partitions
            0, 0, 0, 0, 0, 0, 0, 6,  // configs
            0, 0, 0, 0, 0, 0, 0, 4,  // sessions
            1, 0, 0, 0, 1, 0xee,  // configuration
        ]
        let bytes = SnapshotFormat.encode(state)
        #expect(Array(bytes.dropLast(4)) == expected)
        #expect(Array(bytes.suffix(4)) == [UInt8](bigEndian: Checksum.crc32(expected)))
    }
}

extension [UInt8] {
    fileprivate init(bigEndian value: UInt32) { self = Swift.withUnsafeBytes(of: value.bigEndian) { Array($0) } }
}
