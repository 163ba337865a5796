import MetadataModel
import RaftCore
import Testing

@testable import MetadataStore

/// Batches that share a transaction.
@Suite("Staged batches")
struct StagingTests {
    @Test("what is staged is seen by nobody before it is committed, and gone after a crash, so that the log replays it")
    func crash() throws {
        let directory = try TemporaryDirectory()
        var log = RandomLog(seed: 3)
        let first = log.entries(40)
        let second = log.entries(40)
        let third = log.entries(40)
        do {
            let store = try MetadataStore(path: directory.file("db"))
            let reader = try store.makeReader()
            _ = try store.apply(first)
            let digest = store.digest
            _ = try store.stage(second)
            _ = try store.stage(third)
            #expect(store.isStaged)
            #expect(store.applied == third.last?.position)
            #expect(store.committed == first.last?.position)
            #expect(try reader.answer([.summary]).applied == first.last?.position)
            #expect(store.digest == log.reference.machine.digest && store.digest != digest)
            // A checkpoint promises nothing of it, whatever its mode.
            #expect(try store.checkpoint() == first.last?.position)
            #expect(try store.probeWriter().bytes > 0)
            try reader.close()
            // As by a crash: SQLite takes back what was not committed.
            try store.close()
        }
        let store = try MetadataStore(path: directory.file("db"))
        #expect(store.applied == first.last?.position)
        #expect(!store.isStaged)
        #expect(try store.scrub().isSound)
        _ = try store.stage(second)
        _ = try store.stage(third)
        try store.commit()
        #expect(!store.isStaged)
        #expect(store.committed == third.last?.position)
        #expect(try store.checkpoint() == third.last?.position)
        #expect(store.digest == log.reference.machine.digest)
        #expect(try store.scrub().isSound)
        try store.close()
    }

    @Test("a store that is let go of takes back what it had staged, as one that is closed, and harms nothing")
    func letGo() throws {
        let directory = try TemporaryDirectory()
        var log = RandomLog(seed: 4)
        let first = log.entries(40)
        let second = log.entries(40)
        do {
            let store = try MetadataStore(path: directory.file("db"))
            _ = try store.apply(first)
            try store.close()
        }
        // Whether what is freed is used again shows by chance.
        for _ in 0..<60 {
            let store = try MetadataStore(path: directory.file("db"))
            #expect(store.applied == first.last?.position)
            _ = try store.stage(second)
            #expect(store.isStaged)
        }
        let store = try MetadataStore(path: directory.file("db"))
        #expect(store.applied == first.last?.position)
        #expect(try store.scrub().isSound)
        try store.close()
    }

    @Test("a batch that finds the disk full takes nothing back that was staged before, and can be tried again")
    func diskFull() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        let reader = try store.makeReader()
        _ = try store.apply(smallCluster())
        let committed = store.committed
        _ = try store.stage([alteration(9, "small", bytes: 10)])
        let (digest, applied) = (store.digest, store.applied)
        try store.limitPages(to: Int(try pageCount(of: store)))
        let large = (10..<20).map { alteration($0, "large\($0)", bytes: 60_000) }
        for _ in 0..<2 {
            let error = #expect(throws: StoreError.self) { _ = try store.stage(large) }
            #expect(error?.isRetriable == true)
            #expect(store.applied == applied && store.digest == digest && store.committed == committed)
        }
        // The transaction that held it is gone, it is not.
        try store.limitPages(to: 1_000_000)
        try store.commit()
        #expect(store.committed == applied)
        #expect(try reader.answer([.summary]).applied == applied)
        _ = try store.stage(large)
        try store.commit()
        #expect(try store.scrub().isSound)
        let other = try MetadataStore(path: directory.file("other"))
        _ = try other.apply(smallCluster() + [alteration(9, "small", bytes: 10)] + large)
        #expect(other.digest == store.digest)
        try other.close()
        try reader.close()
        try store.close()
    }

    @Test("a commit that finds the disk full can be tried again; a batch that is applied with it is taken back alone")
    func commitFails() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        let before = store.committed
        // It fits as a row, and once more in the change feed it does not.
        let pages = try pageCount(of: store)
        _ = try store.stage([alteration(9, "one", bytes: 60_000)])
        try store.limitPages(to: Int(pages) + 17)
        let staged = store.applied
        for _ in 0..<2 {
            let error = #expect(throws: StoreError.self) { try store.commit() }
            #expect(error?.isRetriable == true)
            #expect(store.applied == staged && store.committed == before && store.isStaged)
        }
        let batch = [alteration(10, "two", bytes: 10)]
        #expect(throws: StoreError.self) { _ = try store.apply(batch) }
        #expect(store.applied == staged && store.committed == before)
        try store.limitPages(to: 1_000_000)
        _ = try store.apply(batch)
        #expect(store.committed == batch.last?.position)
        #expect(try store.scrub().isSound)
        try store.close()
    }

    @Test("topics that changed, went and came again within one transaction are what they are at its end")
    func topics() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        func change(_ index: UInt64, _ topic: String) -> Entry {
            commandEntry(index, configChange(topic, "key", "\(index)"))
        }
        func version(_ topic: String) throws -> UInt64? {
            guard case .topic(let found) = try store.answer(.topic(.name(topic))) else { return nil }
            return found.version.rawValue
        }
        _ = try store.stage([commandEntry(9, topicCreation("a", id: 11)), commandEntry(10, topicCreation("b", id: 12))])
        _ = try store.stage([change(11, "a"), change(12, "b"), change(13, "a")])
        #expect(try version("a") == nil)
        try store.commit()
        #expect(try version("a") == 13 && version("b") == 12)
        let deletion = Command.deleteTopic(topic: .name("a"), ifVersion: Version(14))
        _ = try store.stage([change(14, "a"), commandEntry(15, deletion)])
        _ = try store.stage([commandEntry(16, topicCreation("a", id: 13)), change(17, "a")])
        try store.commit()
        #expect(try version("a") == 17 && version("b") == 12)
        #expect(try store.scrub().isSound)
        try store.close()
    }

    @Test("what is staged is bounded")
    func bounded() throws {
        let directory = try TemporaryDirectory()
        var options = StoreOptions()
        options.stagedEntriesMax = 10
        let store = try MetadataStore(path: directory.file("db"), options: options)
        _ = try store.apply(smallCluster())
        for index in UInt64(9)..<40 {
            _ = try store.stage([alteration(index, "key", bytes: Int(index))])
            #expect(store.applied.index.rawValue - store.committed.index.rawValue <= 10)
        }
        #expect(store.committed.index.rawValue > 9)
        try store.close()
    }

    private func alteration(_ index: UInt64, _ name: String, bytes: Int) -> Entry {
        let change = ConfigChange(name: "user.\(name)", value: String(repeating: "z", count: bytes))
        return commandEntry(index, .alterConfigs(Command.AlterConfigs(resource: .cluster, changes: [change])))
    }

    private func pageCount(of store: MetadataStore) throws -> Int64 {
        try MetadataStore.onWriter(of: store.writerQueue, "count") { (connection) throws(StoreError) in
            try connection.integer("PRAGMA page_count", "count pages")
        }
    }
}
