import Testing

@testable import Replica

@Suite("When to checkpoint and cut")
struct CompactionTests {
    @Test("members checkpoint at sizes of their own, so that they do not all do so at the same time (pitfall 18)")
    func spread() {
        let sizes = (0..<25).map { seed in
            var policy = CompactionPolicy(
                entriesMax: 1_000, bytesMax: 1 << 20, checkpointBytes: 100_000, jitter: UInt64(seed))
            var bytes = 0
            while !policy.shouldCheckpoint(entriesInLog: 0) {
                policy.handedToApply(bytes: 100)
                bytes += 100
            }
            return bytes
        }
        #expect(Set(sizes).count == 25)
        #expect(sizes.allSatisfy { (76_000...100_000).contains($0) })
    }
}
