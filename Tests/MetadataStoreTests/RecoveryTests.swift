import Foundation
import GRDB
import MetadataModel
import RaftCore
import Testing

@testable import MetadataStore

@Suite("Recovery and settings")
struct RecoveryTests {
    @Test("a process that was killed comes back at the border of a batch, with rows and index together (etcd 3.5.0)")
    func killed() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        var log = RandomLog(seed: 5)
        for round in 0..<20 {
            _ = try store.apply(log.entries(30))
            if round == 10 { _ = try store.checkpoint() }
            // The files as they are, without closing anything.
            try directory.copyDatabase(directory.file("db"), to: directory.file("copy"))
            let copy = try MetadataStore(path: directory.file("copy"))
            #expect(copy.applied == log.reference.applied)
            #expect(copy.digest == log.reference.machine.digest)
            #expect(try copy.scrub().isSound)
            #expect(try copy.dump(in: directory) == store.dump(in: directory))
            try copy.close()
        }
        try store.close()
    }

    @Test("a kill in the middle of a batch, with half of it in the WAL, leaves nothing of it")
    func killedInBatch() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        var log = RandomLog(seed: 6)
        _ = try store.apply(log.entries(300))
        let before = try store.dump(in: directory)
        let path = directory.file("db")
        try MetadataStore.onWriter(of: store.writerQueue, "half a batch") { (connection) throws(StoreError) in
            // A cache so small that uncommitted pages go to the WAL.
            try connection.execute("PRAGMA cache_size = 2", "shrink the cache")
            try connection.execute("BEGIN IMMEDIATE", "begin")
            try connection.execute("UPDATE partition SET leader_epoch = 999", "spoil")
            try connection.execute("UPDATE state SET applied_index = 999999", "spoil")
            for number in 0..<500 {
                try connection.execute(
                    "INSERT INTO config VALUES (x'00', 'spoiled\(number)', '\(String(repeating: "y", count: 500))', 1)",
                    "spoil")
            }
            #expect(throws: Never.self) { try directory.copyDatabase(path, to: directory.file("copy")) }
            try connection.execute("ROLLBACK", "roll back")
        }
        let walBytes = try bytes(of: directory.file("copy-wal")).count
        #expect(walBytes > 100_000, "the uncommitted pages were not in the WAL")
        let copy = try MetadataStore(path: directory.file("copy"))
        #expect(copy.applied == log.reference.applied)
        #expect(try copy.dump(in: directory) == before)
        _ = try copy.apply(log.entries(50))
        #expect(copy.digest == log.reference.machine.digest)
        try copy.close()
        try store.close()
    }

    @Test("a full disk rolls the batch back, loses nothing, and the same batch passes when there is room (etcd 9992)")
    func diskFull() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        var log = RandomLog(seed: 8)
        _ = try store.apply(log.entries(400))
        let before = try store.dump(in: directory)
        let applied = store.applied
        var pages: Int64 = 0
        try MetadataStore.onWriter(of: store.writerQueue, "count") { (connection) throws(StoreError) in
            pages = try connection.integer("PRAGMA page_count", "count pages")
        }
        try store.limitPages(to: Int(pages))
        let big = String(repeating: "z", count: 60_000)
        let topic = topicCreation("big", id: 900, partitions: 1, replication: 1)
        var batch = log.entries(20)
        let next = (batch.last?.index.rawValue ?? 0) + 1
        batch.append(commandEntry(next, topic, time: 90_000))
        for offset in 1..<30 {
            batch.append(
                commandEntry(
                    next + UInt64(offset),
                    .alterConfigs(
                        Command.AlterConfigs(
                            resource: .cluster, changes: [ConfigChange(name: "user.big\(offset)", value: big)])),
                    time: 90_000))
        }
        for _ in 0..<2 {
            let failure = #expect(throws: StoreError.self) { try store.apply(batch) }
            guard case .diskFull = failure else {
                Issue.record("a full disk came out as \(String(describing: failure))")
                return
            }
            #expect(failure?.isRetriable == true)
            #expect(store.applied == applied)
            #expect(try store.dump(in: directory) == before)
        }
        try store.limitPages(to: 1_000_000)
        let done = try store.apply(batch)
        #expect(done.applied == batch.last?.position)
        // The same log on a disk that never was full.
        let other = try MetadataStore(path: directory.file("other"))
        var again = RandomLog(seed: 8)
        _ = try other.apply(again.entries(400))
        _ = try other.apply(batch)
        #expect(try other.dump(in: directory) == store.dump(in: directory))
        try other.close()
        try store.close()
    }

    @Test("an entry whose apply failed is neither skipped nor taken for applied, and stops the node (KAFKA-14275)")
    func failedApply() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        let applied = store.applied
        try MetadataStore.onWriter(of: store.writerQueue, "damage") { (connection) throws(StoreError) in
            // Three bytes are no list of brokers.
            try connection.execute("UPDATE partition SET isr = X'010203'", "damage")
        }
        // Between entries that would pass: nothing of the batch may stay.
        let batch = [
            commandEntry(9, configChange("orders", "a", "1")),
            commandEntry(10, .fenceBroker(id: BrokerID(1), epoch: BrokerEpoch(2))),
            commandEntry(11, configChange("orders", "b", "2")),
        ]
        for _ in 0..<2 {
            let failure = #expect(throws: StoreError.self) { try store.apply(batch) }
            #expect(failure?.isRetriable == false, "the node would try again for ever instead of stopping")
            #expect(store.applied == applied)
        }
        guard case .configs(let page) = try store.answer(.configs(.topic(.name("orders")), after: nil, limit: 10))
        else {
            Issue.record("no configurations were answered")
            return
        }
        #expect(page.items == [], "a part of the failed batch was applied")
        try store.close()
    }

    @Test("a flipped row is found by the scrub")
    func flippedPage() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("db")
        let store = try MetadataStore(path: path)
        _ = try store.apply(smallCluster())
        _ = try store.apply([commandEntry(9, configChange("orders", "needle", "haystack-haystack"))])
        // The feed holds the value too, and is no part of the state.
        _ = try store.checkpoint(.truncate)
        #expect(try store.scrub().isSound)
        try store.close()
        var file = try bytes(of: path)
        let needle = Array("needlehaystack".utf8)
        var flips = 0
        for offset in 0..<(file.count - needle.count) where file[offset..<offset + needle.count].elementsEqual(needle) {
            file[offset + 8] ^= 1
            flips += 1
        }
        #expect(flips == 1)
        try write(file, to: path)
        let damaged = try MetadataStore(path: path)
        let scrub = try damaged.scrub()
        #expect(!scrub.isSound)
        #expect(try damaged.scrub().recomputed != damaged.digest)
        #expect(scrub.applied == damaged.applied)
        try damaged.close()
    }

    @Test("a database of a newer release is refused and left as it is")
    func schemaTooNew() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("db")
        let store = try MetadataStore(path: path)
        _ = try store.apply(smallCluster())
        try MetadataStore.onWriter(of: store.writerQueue, "raise") { (connection) throws(StoreError) in
            try connection.execute("PRAGMA user_version = 3", "raise the version")
            try connection.execute("INSERT INTO grdb_migrations VALUES ('3: later')", "name the migration")
        }
        try store.close()
        #expect(throws: StoreError.schemaTooNew(found: 3, supported: 2)) { _ = try MetadataStore(path: path) }
    }

    @Test("a flipped bit in the number of the schema, or in the name of a migration, is damage and no newer release")
    func flippedSchema() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("db")
        let damages =
            (0..<31).map { "PRAGMA user_version = \(2 ^ (1 << $0))" }
            + ["UPDATE grdb_migrations SET identifier = '3' || substr(identifier, 2) WHERE identifier LIKE '2:%'"]
        for damage in damages {
            let store = try MetadataStore(path: path)
            try MetadataStore.onWriter(of: store.writerQueue, "damage") { (connection) throws(StoreError) in
                try connection.execute(damage, "damage")
            }
            try store.close()
            let failure = #expect(throws: StoreError.self, "\(damage)") { _ = try MetadataStore(path: path) }
            guard case .corrupt = failure else {
                Issue.record("\(damage) came out as \(String(describing: failure))")
                return
            }
            #expect(failure?.isDamage == true)
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        }
    }

    @Test("a database of the first schema becomes one of the second, and its feed begins anew")
    func firstSchema() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("db")
        let store = try MetadataStore(path: path)
        _ = try store.apply(smallCluster())
        let (rows, summary) = (try store.dump(in: directory), store.summary)
        try MetadataStore.onWriter(of: store.writerQueue, "go back") { (connection) throws(StoreError) in
            for statement in [
                "DROP INDEX partition_offline", "DROP INDEX partition_under_replicated",
                "DROP INDEX partition_reassigning", "ALTER TABLE broker DROP COLUMN capacity",
                "ALTER TABLE broker DROP COLUMN tags", "ALTER TABLE broker DROP COLUMN is_draining",
                "ALTER TABLE partition DROP COLUMN eligible_leaders", "PRAGMA user_version = 1",
                "DELETE FROM grdb_migrations WHERE identifier LIKE '2:%'",
            ] { try connection.execute(statement, "go back") }
        }
        try store.close()
        let again = try MetadataStore(path: path)
        #expect(again.summary == summary)
        #expect(try again.dump(in: directory) == rows)
        #expect(try again.scrub().isSound)
        let changes = try again.answer(.changes(after: .zero, filter: WatchFilter(), limit: 1))
        #expect(changes == .changes(.tooOld(oldest: summary.version)))
        try again.close()
    }

    @Test("a database of another program, and a file that is none, are refused")
    func foreign() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("other")
        let queue = try DatabaseQueue(path: path)
        try queue.write { try $0.execute(sql: "CREATE TABLE notes (text TEXT)") }
        try queue.close()
        #expect(throws: StoreError.foreignDatabase(path: path, applicationID: 0)) {
            _ = try MetadataStore(path: path)
        }
        let garbage = directory.file("garbage")
        try write(Array(repeating: 0x55, count: 8_192), to: garbage)
        let failure = #expect(throws: StoreError.self) { _ = try MetadataStore(path: garbage) }
        guard case .corrupt = failure else {
            Issue.record("garbage came out as \(String(describing: failure))")
            return
        }
    }

    @Test("the settings that the guarantees rest on are in effect on the writer after opening")
    func pragmas() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        let expected: [String: String] = [
            "journal_mode": "wal", "synchronous": "1", "wal_autocheckpoint": "0", "secure_delete": "0",
            "foreign_keys": "0", "busy_timeout": "5000", "cache_size": "-65536", "application_id": "1396854116",
            "user_version": "2",
        ]
        for (pragma, wanted) in expected {
            var found = ""
            try MetadataStore.onWriter(of: store.writerQueue, "check") { (connection) throws(StoreError) in
                found = try connection.text("PRAGMA \(pragma)", "check")
            }
            #expect(found == wanted, "\(pragma)")
        }
        try MetadataStore.onWriter(of: store.writerQueue, "check") { (connection) throws(StoreError) in
            _ = #expect(throws: StoreError.pragma(name: "page_size", wanted: "8192", found: "4096")) {
                try connection.set("page_size", to: 8_192)
            }
        }
        try store.close()
    }

    @Test("a writer that cannot get its lock is busy, which may be tried again")
    func busy() throws {
        let directory = try TemporaryDirectory()
        var options = StoreOptions()
        options.busyTimeoutMilliseconds = 10
        let store = try MetadataStore(path: directory.file("db"), options: options)
        var configuration = GRDB.Configuration()
        // The lock is held from one call to the next.
        configuration.allowsUnsafeTransactions = true
        let other = try DatabaseQueue(path: directory.file("db"), configuration: configuration)
        try other.inDatabase { try $0.execute(sql: "BEGIN IMMEDIATE") }
        let failure = #expect(throws: StoreError.self) { _ = try store.apply(smallCluster()) }
        #expect(failure?.isRetriable == true)
        try other.inDatabase { try $0.execute(sql: "ROLLBACK") }
        #expect(try store.apply(smallCluster()).version == Version(8))
        try other.close()
        try store.close()
    }

    @Test("after close every call says so")
    func closed() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        let reader = try store.makeReader()
        try reader.close()
        #expect(throws: StoreError.closed(operation: "read")) { _ = try reader.answer([.summary]) }
        try store.close()
        #expect(throws: StoreError.closed(operation: "apply")) { _ = try store.apply(smallCluster()) }
        #expect(throws: StoreError.closed(operation: "checkpoint")) { _ = try store.checkpoint() }
        #expect(throws: StoreError.self) { _ = try store.scrub() }
        #expect(throws: StoreError.self) { _ = try store.writeSnapshot(to: directory.file("s")) }
    }
}
