import MetadataModel
import RaftCore
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
            while !policy.shouldCheckpoint(before: nil, durable: .zero) {
                policy.handedToApply(bytes: 100)
                bytes += 100
            }
            return bytes
        }
        let cores = (1...1_001).map(follower)
        let lengths = (0..<25).map { jitter in
            let policy = policy(jitter)
            return cores.firstIndex { policy.target(of: $0) != nil }.map { $0 + 1 } ?? 0
        }
        #expect(Set(sizes).count == 25 && sizes.allSatisfy { (76_000...100_000).contains($0) })
        #expect(Set(lengths).count == 25 && lengths.allSatisfy { (751...1_001).contains($0) })
    }

    @Test("half of a long log is to go, once a checkpoint has made that durable")
    func half() {
        var policy = CompactionPolicy(entriesMax: 100, bytesMax: 1 << 30, checkpointBytes: 1 << 30, jitter: 0)
        #expect(policy.target(of: follower(100)) == nil)
        #expect(policy.target(of: follower(101)) == LogIndex(50))
        policy.handedToApply(bytes: 1)
        func at(_ index: UInt64) -> LogPosition { LogPosition(index: LogIndex(index), term: Term(1)) }
        var isDue = policy.shouldCheckpoint(before: LogIndex(50), durable: at(50))
        #expect(!isDue)
        isDue = policy.shouldCheckpoint(before: LogIndex(50), durable: at(49))
        #expect(isDue)
        isDue = policy.shouldCheckpoint(before: LogIndex(50), durable: at(49))
        #expect(!isDue, "one at a time")
        policy.checkpointFinished()
        isDue = policy.shouldCheckpoint(before: LogIndex(50), durable: at(49))
        #expect(!isDue, "it made nothing durable, and there is nothing new")
        policy.handedToApply(bytes: 1)
        isDue = policy.shouldCheckpoint(before: LogIndex(50), durable: at(49))
        #expect(isDue)
    }

    @Test("a log of few large entries is long as well")
    func bytes() {
        var policy = CompactionPolicy(entriesMax: 100, bytesMax: 1_000, checkpointBytes: 1 << 30, jitter: 0)
        policy.handedToApply(bytes: 1_000)
        #expect(policy.target(of: follower(10)) == nil)
        policy.handedToApply(bytes: 1)
        #expect(policy.target(of: follower(10)) == LogIndex(5))
        policy.cutDone(bytes: 500)
        #expect(policy.target(of: follower(10)) == nil)
    }

    @Test(
        "for a follower that answers the log is held back, up to four times its length, without a checkpoint after the other"
    )
    func heldBack() {
        var member = leader()
        let slow = member.replica.core.lastIndex
        // Of 100 entries its seed takes 7 off.
        while member.replica.core.lastIndex < LogIndex(4 * 93) {
            write(&member)
            member.receive(.appendAccepted(match: slow), from: NodeID(3))
        }
        #expect(member.replica.core.base == .zero)
        var isAsked = member.seen.contains(.checkpoint)
        #expect(!isAsked, "nothing would be cut after it")
        write(&member)
        isAsked = member.seen.contains(.checkpoint)
        #expect(isAsked)
        checkpointed(&member)
        #expect(member.replica.core.base == LogIndex(2 * 93).position(in: member), "it is too slow")
    }

    @Test("nothing is held back for a follower that is silent, or that has caught up with half of the log")
    func notHeldBack() {
        var silent = leader()
        for _ in 0..<20 {
            silent.tick()
            silent.receive(.heartbeatResponse(round: 0), from: NodeID(2))
        }
        while silent.replica.core.lastIndex < LogIndex(101) { write(&silent) }
        checkpointed(&silent)
        #expect(silent.replica.core.base == LogIndex(50).position(in: silent))

        var near = leader()
        while near.replica.core.lastIndex < LogIndex(101) { write(&near) }
        near.receive(.appendAccepted(match: LogIndex(49)), from: NodeID(3))
        checkpointed(&near)
        #expect(near.replica.core.base == .zero)
        near.receive(.appendAccepted(match: LogIndex(50)), from: NodeID(3))
        checkpointed(&near)
        #expect(near.replica.core.base == LogIndex(50).position(in: near))
    }

    /// With a log of so many entries, all applied.
    private func follower(_ count: Int) -> RaftNode {
        let entries = (1...UInt64(count)).map { Entry(term: Term(1), index: LogIndex($0), kind: .noop, payload: []) }
        return RaftNode(
            id: NodeID(1), options: Options(),
            restored: RestoredState(
                hardState: HardState(term: Term(1), vote: nil), base: .zero, entries: entries,
                applied: LogIndex(UInt64(count)), configuration: .empty), seed: 1)
    }

    private func leader() -> OfThree {
        var member = OfThree(options: ReplicaOptions(logEntriesMax: 100, checkpointBytes: 1 << 30))
        member.lead()
        return member
    }

    /// One write, which the second member acknowledges.
    private func write(_ member: inout OfThree) {
        let request = member.replica.core.lastIndex.rawValue
        member.replica.write(
            member.intent(.openSession(timeoutMilliseconds: 5_000)),
            token: RequestToken(connection: 1, request: request))
        member.turn()
        member.receive(.appendAccepted(match: member.replica.core.lastIndex), from: NodeID(2))
    }

    private func checkpointed(_ member: inout OfThree) {
        member.replica.checkpointed(member.replica.core.appliedIndex.position(in: member))
        member.turn()
    }
}

extension LogIndex {
    fileprivate func position(in member: OfThree) -> LogPosition {
        LogPosition(index: self, term: member.replica.core.term(at: self) ?? .zero)
    }
}
