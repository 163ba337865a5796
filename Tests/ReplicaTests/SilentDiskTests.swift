import MetadataModel
import RaftCore
import Testing

@testable import Replica

@Suite("A leader whose disk is silent")
struct SilentDiskTests {
    private let token = RequestToken(connection: 3, request: 4)

    private func asked(_ member: OfThree) -> [NodeID] {
        member.seen.flatMap { effect -> [NodeID] in
            guard case .send(let messages) = effect else { return [] }
            return messages.filter { $0.kind == .timeoutNow }.map(\.to)
        }
    }

    /// A leader with a write that its own disk does not answer.
    private func silent() -> OfThree {
        var member = OfThree(options: ReplicaOptions(diskSilenceMilliseconds: 300))
        member.lead()
        member.isDiskSilent = true
        member.replica.write(member.intent(.openSession(timeoutMilliseconds: 5_000)), token: token)
        member.turn()
        return member
    }

    private func heartbeat(_ member: inout OfThree, from peer: NodeID) {
        member.receive(.heartbeatResponse(round: 0), from: peer)
    }

    @Test(
        "it hands over to a follower that has synced everything, and not to one that only answers heartbeats (pitfall 20)"
    )
    func handsOver() {
        var member = silent()
        for _ in 0..<10 {
            member.tick()
            for peer in OfThree.others { heartbeat(&member, from: peer) }
        }
        #expect(asked(member) == [], "before an election timeout")
        member.receive(.appendAccepted(match: member.replica.core.lastIndex), from: NodeID(3))
        for _ in 0..<10 {
            member.tick()
            for peer in OfThree.others { heartbeat(&member, from: peer) }
        }
        #expect(!asked(member).isEmpty && asked(member).allSatisfy { $0 == NodeID(3) })
    }

    @Test(
        "with nobody to hand over to it steps down within two election timeouts, and waking up it does no harm (pitfall 20)"
    )
    func wakesUp() {
        var member = silent()
        let term = member.replica.status.term
        for _ in 0..<31 {
            member.tick()
            for peer in OfThree.others { heartbeat(&member, from: peer) }
        }
        #expect(asked(member) == [], "no follower had synced everything")
        #expect(!member.replica.isLeader)
        #expect(member.seen.contains(.replyWrite(token, .leadershipLost(nil))), "its outcome is not known here")
        // Another one leads without that entry; then the disk answers.
        member.receive(.heartbeat(commit: LogIndex(0), round: 1), from: NodeID(2), term: Term(term.rawValue + 5))
        member.seen = []
        let commit = member.replica.core.commitIndex
        member.isDiskSilent = false
        for sequence in member.unanswered { member.replica.persisted(sequence) }
        member.turn()
        #expect(member.replica.status == Status(role: .follower, term: Term(term.rawValue + 5), leader: NodeID(2)))
        #expect(member.replica.core.commitIndex == commit, "it committed what only it had")
        let said = member.seen.flatMap { effect -> [Message] in
            if case .send(let messages) = effect { messages } else { [] }
        }
        #expect(said.allSatisfy { $0.term >= Term(term.rawValue + 5) }, "it spoke for an old term: \(said)")
    }
}
