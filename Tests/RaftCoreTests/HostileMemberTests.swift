@testable import RaftCore
import Testing

/// What a broken or hostile member can say: numbers at their ends, in every kind of message. It may cost an election; it must
/// not end a process, nor use up what others count with.
@Suite struct HostileMemberTests {
    @Test("a term that is further ahead than any cluster can get is refused, with the reason, by members in every role")
    func termAhead() {
        let far = Term(7 + RaftNode.termStepMax + 1)
        var follower = makeNode(hardState: HardState(term: 7, vote: nil))
        var leader = makeNode(hardState: HardState(term: 6, vote: nil))
        leader.win()
        _ = leader.drain()
        for term in [far, Term(1 << 62), Term(.max)] {
            let message = Message(from: 2, to: 1, term: term, kind: .voteRequest(last: at(9, 7), transfer: true))
            #expect(follower.objection(to: message) == "it speaks of term \(term), and term 7 is now")
            follower.step(message)
            leader.step(message)
            leader.receive(.heartbeatResponse(round: 0), from: 2, term: term)
        }
        #expect(follower.status.term == 7)
        #expect(leader.status == Status(role: .leader, term: 7, leader: 1))
        // One step less is taken: a member that was away for long comes back by it.
        let near = Term(far.rawValue - 1)
        let message = Message(from: 2, to: 1, term: near, kind: .heartbeat(commit: 0, round: 1))
        #expect(follower.objection(to: message) == nil)
        follower.step(message)
        #expect(follower.status == Status(role: .follower, term: near, leader: 2))
    }

    @Test("a member at the end of all terms stands for no election, and does not end its process")
    func lastTerm() {
        var node = makeNode(voters: [1], hardState: HardState(term: RaftNode.termMax, vote: nil))
        for _ in 0..<100 {
            node.tick()
            _ = node.drain()
        }
        node.campaign()
        node.receive(.timeoutNow, from: 2, term: RaftNode.termMax)
        #expect(node.status.role == .follower)
    }

    @Test("messages with any numbers from one member trap nobody and leave the others' terms within bounds")
    func anyNumbers() {
        for seed in UInt64(1)...400 {
            var generator = SeededGenerator(seed: seed, stream: 7)
            // A voter, a leader, and a learner that the other can elect alone.
            let (voters, learners): ([UInt64], [UInt64]) = seed % 3 == 2 ? ([2], [1]) : ([1, 2, 3], [])
            var node = makeNode(
                voters: voters, learners: learners, hardState: HardState(term: 3, vote: nil), base: at(10, 2),
                entries: makeEntries(11...20, term: 3), applied: 12)
            if seed % 3 == 0 { node.lead() }
            var highest = node.status.term
            for step in 0..<200 {
                let message = Self.message(&generator, near: node)
                let isRefused = node.objection(to: message) != nil
                let before = node.status
                node.step(message)
                node.checkInvariants()
                if isRefused { #expect(node.status == before, "seed \(seed), step \(step): \(message)") }
                if step % 3 == 0 { node.tick() }
                _ = node.drain()
                #expect(node.status.term >= highest, "seed \(seed): the term fell")
                highest = node.status.term
            }
            #expect(highest <= Term(200 * (RaftNode.termStepMax + 1)))
        }
    }

    /// A message of member 2 whose numbers are at the ends of their ranges, or near what the node has.
    private static func message(_ generator: inout SeededGenerator, near node: RaftNode) -> Message {
        func number(_ near: UInt64) -> UInt64 {
            switch generator.below(8) {
            case 0: .max
            case 1: 1 << 62
            case 2: (1 << 62) - 1
            case 3: 1 << 32
            case 4: 0
            case 5: near &+ 1
            default: near
            }
        }
        func index() -> LogIndex { LogIndex(number(generator.below(2) == 0 ? node.lastIndex.rawValue : 12)) }
        func term() -> Term { Term(number(node.status.term.rawValue)) }
        func position() -> LogPosition { LogPosition(index: index(), term: term()) }
        func entries(after previous: LogPosition) -> [Entry] {
            (0..<generator.below(3)).map { offset in
                Entry(
                    term: term(), index: LogIndex(previous.index.rawValue &+ UInt64(offset) &+ 1),
                    kind: generator.below(6) == 0 ? .configuration : .command, payload: [])
            }
        }
        let kind: Message.Kind
        switch generator.below(13) {
        case 0: kind = .preVoteRequest(last: position())
        case 1: kind = .preVoteResponse(granted: generator.below(2) == 0)
        case 2: kind = .voteRequest(last: position(), transfer: generator.below(2) == 0)
        case 3: kind = .voteResponse(granted: generator.below(2) == 0)
        case 4, 5:
            let previous = position()
            kind = .append(previous: previous, entries: entries(after: previous), commit: index())
        case 6: kind = .appendAccepted(match: index())
        case 7: kind = .appendRejected(rejected: index(), hint: position())
        case 8: kind = .heartbeat(commit: index(), round: number(3))
        case 9: kind = .heartbeatResponse(round: number(3))
        case 10: kind = .readIndexRequest(id: number(3))
        case 11: kind = .readIndexResponse(id: number(3), index: generator.below(2) == 0 ? index() : nil)
        default: kind = .timeoutNow
        }
        return Message(from: 2, to: 1, term: term(), kind: kind)
    }
}
