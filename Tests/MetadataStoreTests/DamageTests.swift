import Foundation
import GRDB
import MetadataModel
import RaftCore
import Testing

@testable import MetadataStore

/// Digests that nodes compare, and what a scrub finds in a database that changed by itself.
@Suite("Damage")
struct DamageTests {
    /// To repeat a seed: swift test --filter "digest as of an entry"
    @Test("the digest as of an entry does not depend on where batches end", arguments: [UInt64(1), 2, 3])
    func digestMarks(seed: UInt64) throws {
        let directory = try TemporaryDirectory()
        var log = RandomLog(seed: seed)
        var random = SeededGenerator(seed: seed)
        var entries: [Entry] = []
        for _ in 0..<12 {
            entries += log.entries(1 + random.below(20))
            entries.append(log.asking())
        }
        func marks(batchesUpTo limit: Int) throws -> [DigestMark] {
            let store = try MetadataStore(path: directory.file("db-\(limit)"))
            var marks: [DigestMark] = []
            var rest = entries[...]
            while !rest.isEmpty {
                let count = min(rest.count, 1 + random.below(limit))
                marks += try store.apply(Array(rest.prefix(count))).digests
                rest = rest.dropFirst(count)
            }
            #expect(try store.scrub().isSound)
            try store.close()
            return marks
        }
        let single = try marks(batchesUpTo: 1)
        #expect(single.count == 12)
        #expect(single == log.marks)
        #expect(try marks(batchesUpTo: 50) == single)
    }

    @Test(
        "a scrub finds a row, an index or a count that was changed behind the store's back",
        arguments: [
            "UPDATE partition SET leader_epoch = leader_epoch + 1 WHERE number = 0",
            "UPDATE broker SET rack = 'elsewhere' WHERE id = 1", "DELETE FROM topic WHERE name = 'orders'",
            "DELETE FROM replica WHERE broker = 1", "UPDATE broker_load SET leaders = leaders + 1 WHERE id = 1",
            "UPDATE state SET partitions = partitions + 1", "UPDATE state SET digest = digest + 1",
            "UPDATE partition SET replicas = x'00' WHERE number = 0",
        ])
    func findings(sql: String) throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("db")
        let store = try MetadataStore(path: path)
        _ = try store.apply(smallCluster())
        #expect(try store.scrub().finding == nil)
        let changed = try DatabaseQueue(path: path).write { database in
            try database.execute(sql: sql)
            return database.changesCount
        }
        #expect(changed > 0, "nothing was changed")
        do throws(StoreError) {
            #expect(try store.scrub().finding != nil)
        } catch {
            #expect(error.isDamage, "\(error)")
        }
        try store.close()
    }

    @Test("a scrub rests between its slices")
    func pace() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        for part in UInt64(0)..<2 {
            _ = try store.apply([
                commandEntry(9 + part, topicCreation("wide\(part)", id: 100 + part, partitions: 2_000, replication: 2))
            ])
        }
        let rests = Counter()
        _ = try store.scrub { rests.count += 1 }
        // 4,005 partitions with two or three replicas each, and the rest.
        #expect(rests.count == 12_023 / DigestScan.rowsBetweenRests)
        try store.close()
    }

    /// To repeat a seed: swift test --filter "bytes flipped anywhere"
    @Test("bytes flipped anywhere in the file end in an error or a finding, never in a crash", arguments: 1...40)
    func flippedBytes(seed: Int) throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("db")
        let store = try MetadataStore(path: path)
        _ = try store.apply(smallCluster())
        _ = try store.checkpoint(.truncate)
        try store.close()
        var file = try bytes(of: path)
        var random = SeededGenerator(seed: UInt64(seed))
        for _ in 0..<1 + random.below(12) { file[random.below(file.count)] ^= UInt8(1 + random.below(255)) }
        try write(file, to: path)
        do throws(StoreError) {
            let damaged = try MetadataStore(path: path)
            do throws(StoreError) {
                _ = try damaged.scrub()
                _ = try damaged.apply([commandEntry(9, configChange("orders", "a", "b"))])
            } catch {
                #expect(error.isDamage, "seed \(seed): \(error)")
            }
            try damaged.close()
        } catch {
            guard case .schemaTooNew = error else {
                #expect(error.isDamage, "seed \(seed): \(error)")
                return
            }
        }
    }
}

private final class Counter {
    var count = 0
}
