import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@testable import Replica

@Suite("The comparison of digests")
struct DigestComparisonTests {
    private func feed(
        _ reports: [(node: UInt64, digest: UInt64)], voters: [UInt64] = [1, 2, 3], learners: [UInt64] = []
    ) -> [DigestComparison.Finding] {
        var comparison = DigestComparison()
        return reports.flatMap {
            comparison.reported(
                DigestMark(index: 9, digest: $0.digest), by: NodeID($0.node),
                configuration: members(voters, learners: learners), now: 0)
        }
    }

    @Test("equal digests are no news but that they agree, once all voters have reported")
    func agreement() {
        #expect(feed([(1, 7), (2, 7)]) == [])
        #expect(feed([(1, 7), (2, 7), (3, 7)]) == [.agreed(index: 9)])
    }

    @Test("the minority is named as soon as a quorum agrees, in whatever order reports come")
    func minority() {
        let verdict = DigestMark(index: 9, digest: 7)
        #expect(feed([(1, 7), (3, 8), (2, 7)]) == [.minority(NodeID(3), majority: verdict)])
        #expect(feed([(3, 8), (1, 7), (2, 7)]) == [.minority(NodeID(3), majority: verdict)])
        #expect(feed([(1, 7), (2, 7), (3, 8)]) == [.minority(NodeID(3), majority: verdict)])
    }

    @Test("without a quorum for one value there is an alarm and nothing else")
    func undecided() {
        #expect(feed([(1, 7), (2, 8), (3, 9)]) == [.undecided(index: 9)])
        #expect(feed([(1, 7), (2, 7), (3, 8), (4, 8)], voters: [1, 2, 3, 4]) == [.undecided(index: 9)])
        #expect(feed([(1, 7), (2, 8)], voters: [1, 2]) == [.undecided(index: 9)])
    }

    @Test("a learner is judged and does not judge; a stranger and a second report do not count")
    func others() {
        let verdict = DigestMark(index: 9, digest: 7)
        #expect(feed([(4, 8), (1, 7)], learners: [4]) == [])
        #expect(
            feed([(4, 8), (1, 7), (2, 7)], learners: [4]) == [.minority(NodeID(4), majority: verdict)])
        #expect(feed([(1, 7), (9, 7), (1, 7)]) == [])
    }

    @Test("a round whose rest does not come is forgotten, with an alarm if what came differs")
    func expiry() {
        var comparison = DigestComparison()
        for (node, digest) in [(UInt64(1), UInt64(7)), (2, 8)] {
            _ = comparison.reported(
                DigestMark(index: 9, digest: digest), by: NodeID(node), configuration: members([1, 2, 3]), now: 100)
        }
        _ = comparison.reported(
            DigestMark(index: 12, digest: 1), by: NodeID(1), configuration: members([1, 2, 3]), now: 100)
        #expect(comparison.expired(before: 100) == [])
        #expect(comparison.expired(before: 101) == [.undecided(index: 9)])
        #expect(comparison.expired(before: 1_000) == [])
    }

    @Test("rounds are bounded: the oldest goes")
    func bounded() {
        var comparison = DigestComparison()
        for index in UInt64(1)...20 {
            _ = comparison.reported(
                DigestMark(index: index, digest: 1), by: NodeID(1), configuration: members([1, 2, 3]), now: 0)
        }
        let late = comparison.reported(
            DigestMark(index: 1, digest: 2), by: NodeID(2), configuration: members([1, 2, 3]), now: 0)
        #expect(late == [])
    }
}

@Suite("Digests between replicas")
struct ReplicaDigestTests {
    private let options = ReplicaOptions(digestIntervalMilliseconds: 1_000)

    /// Ticks until the leader has asked for digests and applied that entry; its index.
    private func compare(_ member: inout OfThree, digest: UInt64) -> UInt64 {
        member.replica.write(
            member.intent(.openSession(timeoutMilliseconds: 5_000)), token: RequestToken(connection: 1, request: 1))
        member.turn()
        member.others()
        member.tick(1_000, digest: digest)
        member.replica.write(
            member.intent(.openSession(timeoutMilliseconds: 5_000)), token: RequestToken(connection: 1, request: 2))
        member.turn(digest: digest)
        let index = member.replica.core.lastIndex.rawValue - 1
        for peer in OfThree.others {
            member.replica.receive(
                [
                    Message(
                        from: peer, to: NodeID(1), term: member.replica.status.term,
                        kind: .appendAccepted(match: member.replica.core.lastIndex))
                ], now: member.now)
        }
        member.turn(digest: digest)
        return index
    }

    @Test("a leader tells the minority, and hands leadership to nobody of it")
    func minority() {
        var member = OfThree(options: options)
        member.lead()
        let index = compare(&member, digest: 7)
        member.replica.notified(.digestReport(DigestMark(index: index, digest: 7)), from: NodeID(2))
        member.replica.notified(.digestReport(DigestMark(index: index, digest: 8)), from: NodeID(3))
        member.turn()
        #expect(member.seen.contains(.notify(NodeID(3), .digestVerdict(DigestMark(index: index, digest: 7)))))
        #expect(member.seen.contains(.protection(.digestDiffers(NodeID(3), index: index))))
        #expect(member.replica.successors == [NodeID(2)])
        #expect(member.replica.quarantine == nil)
    }

    @Test("a leader in the minority is quarantined and hands over")
    func leaderInMinority() {
        var member = OfThree(options: options)
        member.lead()
        let index = compare(&member, digest: 7)
        for peer in OfThree.others {
            member.replica.notified(.digestReport(DigestMark(index: index, digest: 8)), from: peer)
        }
        member.turn()
        #expect(member.replica.quarantine?.contains("majority") == true)
        #expect(
            member.seen.contains {
                if case .send(let messages) = $0 { messages.contains { $0.kind == .timeoutNow } } else { false }
            })
    }

    @Test("without a majority there is an alarm, and nobody is quarantined")
    func undecided() {
        var member = OfThree(options: options)
        member.lead()
        let index = compare(&member, digest: 7)
        member.replica.notified(.digestReport(DigestMark(index: index, digest: 8)), from: NodeID(2))
        member.replica.notified(.digestReport(DigestMark(index: index, digest: 9)), from: NodeID(3))
        member.turn()
        #expect(member.seen.contains(.protection(.digestsUndecided(index: index))))
        #expect(member.replica.undecidedDigest == index)
        #expect(member.replica.quarantine == nil)
        #expect(!member.seen.contains { if case .notify(_, .digestVerdict) = $0 { true } else { false } })
    }

    @Test("a follower reports its digest to its leader, and believes a verdict of nobody else")
    func follower() {
        var member = OfThree(options: options)
        member.follow(NodeID(2))
        let envelope = LogEnvelope(
            timeMilliseconds: 1, session: nil, sequence: 0, acknowledgedBelow: 0,
            commandBytes: Command.compareDigests.schemaBytes())
        let entry = Entry(term: Term(2), index: LogIndex(2), kind: .command, payload: envelope.encoded())
        member.replica.receive(
            [
                Message(
                    from: NodeID(2), to: NodeID(1), term: Term(2),
                    kind: .append(
                        previous: LogPosition(index: LogIndex(1), term: Term(1)), entries: [entry], commit: LogIndex(2))
                )
            ], now: member.now)
        member.turn(digest: 7)
        #expect(member.seen.contains(.notify(NodeID(2), .digestReport(DigestMark(index: 2, digest: 7)))))
        member.replica.notified(.digestVerdict(DigestMark(index: 2, digest: 7)), from: NodeID(2))
        member.replica.notified(.digestVerdict(DigestMark(index: 1, digest: 8)), from: NodeID(2))
        member.replica.notified(.digestVerdict(DigestMark(index: 2, digest: 8)), from: NodeID(3))
        member.turn()
        #expect(member.replica.quarantine == nil)
        member.replica.notified(.digestVerdict(DigestMark(index: 2, digest: 8)), from: NodeID(2))
        member.turn()
        #expect(member.replica.quarantine != nil)
    }

    @Test("an idle log stays idle: comparisons and sweeps do not call for one another")
    func idle() {
        var member = OfThree(
            options: ReplicaOptions(sessionSweepMilliseconds: 400, digestIntervalMilliseconds: 1_000))
        member.lead()
        for _ in 0..<100 {
            member.tick(100)
            member.others()
        }
        let length = member.replica.core.lastIndex
        for _ in 0..<100 {
            member.tick(100)
            member.others()
        }
        #expect(member.replica.core.lastIndex == length)
    }
}
