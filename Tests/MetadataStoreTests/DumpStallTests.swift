import Foundation
import MetadataModel
import RaftCore
import Synchronization
import Testing

@testable import MetadataStore

@Suite("A dump beside the writer", .serialized)
struct DumpStallTests {
    @Test("applies go on while a large snapshot is written, and see no pause that a client would")
    func stall() throws {
        let directory = try TemporaryDirectory()
        let store = try MetadataStore(path: directory.file("db"))
        var entries = smallCluster()
        let topics = UInt64(100)
        for number in 1...topics {
            entries.append(
                commandEntry(
                    UInt64(entries.count + 1),
                    topicCreation("large-\(number)", id: 100 + number, partitions: 1_000, replication: 1)))
        }
        for start in stride(from: 0, to: entries.count, by: 8) {
            _ = try store.apply(Array(entries[start..<min(start + 8, entries.count)]))
        }
        #expect(store.summary.totals.partitions == Int(topics) * 1_000 + 5)

        let state = Mutex((isWriting: true, seconds: 0.0, bytes: 0, failure: nil as StoreError?))
        let clock = ContinuousClock()
        let path = directory.file("snapshot")
        let thread = Thread {
            let start = clock.now
            let result = Result { () throws(StoreError) in try store.writeSnapshot(to: path) }
            let took = clock.now - start
            state.withLock { state in
                state.isWriting = false
                state.seconds = Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
                switch result {
                case .success(let file): state.bytes = file.bytes
                case .failure(let error): state.failure = error
                }
            }
        }
        var next = UInt64(entries.count + 1)
        var stalls: [Duration] = []
        thread.start()
        while state.withLock({ $0.isWriting }) {
            let start = clock.now
            _ = try store.apply([commandEntry(next, configChange("orders", "key", "\(next)"))])
            stalls.append(clock.now - start)
            next += 1
        }
        let (_, seconds, bytes, failure) = state.withLock { $0 }
        #expect(failure == nil)
        #expect(stalls.count >= 20, "only \(stalls.count) applies while the dump was written")
        let worst = stalls.max() ?? .zero
        print("a dump of \(bytes) bytes took \(seconds) s; \(stalls.count) applies meanwhile, the slowest \(worst)")
        // Two orders of magnitude above what was measured: a machine may be busy, but a writer that waits for the dump shows.
        #expect(worst < .milliseconds(200) || Double(stalls.count) > seconds * 500)
        try store.close()
    }
}
