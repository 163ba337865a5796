import MetadataModel
import RaftCore
import Testing

@testable import Replica

/// A snapshot was installed while the log filled up to it: the state machine is ahead of what the log has synced.
@Suite("A replica that settles")
struct SettlingTests {
    private func snapshot(_ index: UInt64, of member: OfThree) -> IncomingSnapshot {
        IncomingSnapshot(
            id: index, from: NodeID(2), term: Term(2), position: LogPosition(index: LogIndex(index), term: Term(2)),
            configuration: member.replica.core.configuration)
    }

    @Test("a second snapshot that cannot be installed leaves it settling: nothing is applied twice")
    func secondFails() {
        var member = OfThree()
        member.follow(NodeID(2))
        let first = snapshot(10, of: member)
        member.replica.snapshotReceived(first)
        member.turn()
        #expect(member.seen.contains(.installSnapshot(first)))
        member.isDiskSilent = true
        let entries = (UInt64(2)...10).map { Entry(term: Term(2), index: LogIndex($0), kind: .noop, payload: []) }
        member.receive(
            .append(
                previous: LogPosition(index: LogIndex(1), term: Term(1)), entries: entries, commit: LogIndex(10)),
            from: NodeID(2))
        member.replica.snapshotInstalled(
            StateMachineImage(applied: first.position, version: Version(10), logTimeMilliseconds: 0, brokers: []))
        member.turn()
        #expect(member.replica.appliedIndex < LogIndex(10), "the log is not synced so far")

        let second = snapshot(20, of: member)
        member.replica.snapshotReceived(second)
        member.turn()
        #expect(member.seen.contains(.installSnapshot(second)))
        member.seen = []
        member.replica.snapshotInstallFailed()
        member.isDiskSilent = false
        for sequence in member.unanswered { member.replica.persisted(sequence) }
        let effects = member.replica.takeEffects()
        #expect(!effects.contains { if case .apply = $0 { true } else { false } }, "applied twice: \(effects)")
        #expect(member.replica.appliedIndex == LogIndex(10))
    }
}
