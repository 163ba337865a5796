import Testing

@testable import Replica

@Suite("When to checkpoint and cut")
struct CompactionTests {
    @Test("members checkpoint and cut at sizes and lengths of their own, at most a quarter earlier (pitfall 18)")
    func spread() {
        func policy(_ jitter: Int) -> CompactionPolicy {
            CompactionPolicy(entriesMax: 1_000, bytesMax: 1 << 30, checkpointBytes: 100_000, jitter: UInt64(jitter))
        }
        let sizes = (0..<25).map { jitter in
            var policy = policy(jitter)
            var bytes = 0
            while !policy.shouldCheckpoint(entriesInLog: 0) {
                policy.handedToApply(bytes: 100)
                bytes += 100
            }
            return bytes
        }
        let lengths = (0..<25).map { jitter in
            var policy = policy(jitter)
            policy.handedToApply(bytes: 1)
            return (1...2_000).first { policy.shouldCheckpoint(entriesInLog: $0) } ?? 0
        }
        #expect(Set(sizes).count == 25 && sizes.allSatisfy { (76_000...100_000).contains($0) })
        #expect(Set(lengths).count == 25 && lengths.allSatisfy { (751...1_001).contains($0) })
    }
}
