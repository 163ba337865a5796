import GRDB
import MetadataModel
import Testing

@testable import MetadataStore

@Suite("Probes of the database")
struct ProbeTests {
    @Test("a probe changes nothing, and tells of the caches")
    func healthy() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        let (digest, applied) = (store.digest, store.applied)
        let reader = try store.makeReader()
        #expect(try store.probeWriter().bytes > 0)
        let cache = try reader.probe()
        #expect(cache.bytes > 0 && cache.hits + cache.misses > 0)
        #expect(store.digest == digest && store.applied == applied)
        #expect(try store.scrub().isSound)
        // The next batch goes on as if nothing had been.
        _ = try store.apply([commandEntry(9, topicCreation("more", id: 3))])
        try reader.close()
        try store.close()
    }

    @Test("caches are given back, and filled again by what is asked for")
    func releasedMemory() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        _ = try store.apply(smallCluster())
        let reader = try store.makeReader()
        let (written, read) = (try store.probeWriter().bytes, try reader.probe().bytes)
        store.releaseMemory()
        reader.releaseMemory()
        #expect(try store.probeWriter().bytes < written)
        #expect(try reader.probe().bytes <= read)
        _ = try store.apply([commandEntry(9, topicCreation("more", id: 3))])
        #expect(try store.scrub().isSound)
        try reader.close()
        try store.close()
    }

    @Test("a database that somebody else locks can be read and not written, until it is unlocked")
    func locked() throws {
        let directory = try TemporaryDirectory()
        var options = StoreOptions()
        options.busyTimeoutMilliseconds = 10
        let store = try MetadataStore(path: directory.file("db"), options: options)
        let reader = try store.makeReader()
        var settings = GRDB.Configuration()
        settings.allowsUnsafeTransactions = true
        let intruder = try DatabaseQueue(path: directory.file("db"), configuration: settings)
        try intruder.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        let error = #expect(throws: StoreError.self) { try store.probeWriter() }
        guard case .busy? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        _ = try reader.probe()
        try intruder.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        _ = try store.probeWriter()
        try intruder.close()
        try reader.close()
        try store.close()
    }
}
