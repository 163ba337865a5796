import MetadataModel
import MetadataSchema
import RaftCore
import Testing

@testable import Replica

func members(_ voters: [UInt64], learners: [UInt64] = []) -> Configuration {
    let all = (voters + learners).sorted().map {
        Member(id: NodeID($0), disk: DiskID(high: 1, low: $0), peerAddress: "a:\($0)", clientAddress: "b:\($0)")
    }
    return Configuration(members: all, voters: voters.map { NodeID($0) }, learners: learners.map { NodeID($0) })
}

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

@Suite("Room on the disk")
struct DiskRoomTests {
    @Test("it is low below the low mark, and until the high mark is reached")
    func marks() {
        var room = DiskRoom(lowBytes: 100, highBytes: 200)
        let seen = [150, 100, 99, 150, 199, 200, 150].map { (free: UInt64) in
            room.measured(freeBytes: free)
            return room.isLow
        }
        #expect(seen == [false, false, true, true, true, false, false])
    }

    @Test("marks of zero are never crossed")
    func off() {
        var room = DiskRoom(lowBytes: 0, highBytes: 0)
        room.measured(freeBytes: 0)
        #expect(!room.isLow)
    }
}

/// One member of three, driven by hand; the test plays the others.
struct OfThree {
    static let others = [NodeID(2), NodeID(3)]
    var replica: Replica
    var now: UInt64 = 10_000
    var seen: [Effect] = []
    /// Writes that a silent disk has not answered.
    var unanswered: [UInt64] = []
    var isDiskSilent = false

    init(
        options: ReplicaOptions = ReplicaOptions(), brokers: [Broker] = [], isRecovering: Bool = false,
        configuration: Configuration = members([1, 2, 3])
    ) {
        let first = Entry(
            term: Term(1), index: LogIndex(1), kind: .configuration, payload: configuration.encoded())
        replica = Replica(
            id: NodeID(1), disk: DiskID(high: 1, low: 1), options: options,
            restored: RestoredState(
                hardState: HardState(term: Term(1), vote: nil), base: .zero, entries: [first], applied: .zero,
                configuration: .empty, isRecovering: isRecovering),
            image: StateMachineImage(applied: .zero, version: .zero, logTimeMilliseconds: 0, brokers: brokers),
            now: 10_000, seed: 7)
    }

    /// The disk and the state machine answer at once; `digest` is what the latter has.
    mutating func turn(digest: UInt64 = 1) {
        while true {
            let effects = replica.takeEffects()
            replica.checkInvariants()
            if effects.isEmpty { return }
            for effect in effects {
                switch effect {
                case .persist(let persist):
                    if isDiskSilent { unanswered.append(persist.sequence) } else { replica.persisted(persist.sequence) }
                case .apply(let entries): apply(entries, digest: digest)
                default: seen.append(effect)
                }
            }
        }
    }

    private mutating func apply(_ entries: [Entry], digest: UInt64) {
        guard let last = entries.last else { return }
        let commands = entries.filter { $0.kind == .command }
        replica.applied(
            AppliedReport(
                applied: last.position, version: Version(last.index.rawValue), logTimeMilliseconds: 0,
                outcomes: commands.map { .init(index: $0.index, outcome: .done(.changed(Version($0.index.rawValue)))) },
                brokers: [], removedBrokers: [],
                digests: commands.filter { LogCommand(decoding: $0.payload).command == .compareDigests }.map {
                    DigestMark(index: $0.index.rawValue, digest: digest)
                }))
    }

    mutating func receive(_ kind: Message.Kind, from peer: NodeID, term: Term? = nil) {
        replica.receive(
            [Message(from: peer, to: NodeID(1), term: term ?? replica.status.term, kind: kind)], now: now)
        turn()
    }

    mutating func tick(_ milliseconds: UInt64 = 20, digest: UInt64 = 1) {
        now += milliseconds
        replica.tick(now: now)
        turn(digest: digest)
    }

    /// The others say that they are there and whole, and acknowledge everything.
    mutating func others(_ condition: PeerCondition = PeerCondition(isDiskLow: false, isUnfit: false)) {
        for peer in Self.others {
            replica.notified(.condition(condition), from: peer)
            if replica.isLeader { receive(.appendAccepted(match: replica.core.lastIndex), from: peer) }
        }
        turn()
    }

    mutating func lead() {
        for _ in 0..<60 where !replica.isLeader {
            tick()
            for peer in Self.others {
                receive(.preVoteResponse(granted: true), from: peer, term: replica.status.term.next)
                receive(.voteResponse(granted: true), from: peer)
            }
        }
        others()
        seen = []
    }

    mutating func follow(_ leader: NodeID, commit: UInt64 = 0) {
        receive(.heartbeat(commit: LogIndex(commit), round: 1), from: leader, term: Term(2))
        seen = []
    }

    /// Time passes under `leader`; the others say all along how they are, or nothing.
    mutating func wait(
        _ milliseconds: UInt64, under leader: NodeID = NodeID(2),
        _ condition: PeerCondition? = PeerCondition(isDiskLow: false, isUnfit: false)
    ) {
        let end = now + milliseconds
        while now < end {
            tick(100)
            receive(.heartbeat(commit: .zero, round: 1), from: leader)
            if let condition { others(condition) }
        }
    }

    func intent(_ command: Command) -> WriteIntent {
        WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: command.schemaBytes())
    }

    var repairs: [String] {
        seen.compactMap { if case .repair(let reason) = $0 { reason } else { nil } }
    }
}

@Suite("A replica whose state is damaged")
struct QuarantineTests {
    private let token = RequestToken(connection: 3, request: 4)

    @Test("it answers nothing from its state, and repairs itself when another leads and the others are whole")
    func follower() {
        var member = OfThree()
        member.follow(NodeID(2))
        member.others()
        member.replica.read(.atLeast(Version(1_000)), token: token, now: member.now)
        member.turn()
        member.replica.damaged("a row flipped")
        member.turn()
        #expect(member.seen.contains(.refuseReads([token], .repairing)), "a read that waits is refused too")
        #expect(member.repairs == [], "it may be that all are damaged and have not said so yet")
        member.wait(2_100)
        #expect(member.repairs == ["a row flipped"])
        member.seen = []
        for consistency in [ReadConsistency.linearizable, .stale(maxLagMilliseconds: 9_999), .atLeast(Version(0))] {
            member.replica.read(consistency, token: token, now: member.now)
        }
        member.turn()
        #expect(member.seen == Array(repeating: .refuseReads([token], .repairing), count: 3))
        member.wait(1_000)
        #expect(member.repairs == [], "it is asked for once")
    }

    @Test("members that one entry damages within moments keep their logs: what was said before does not count")
    func together() {
        let unfit = PeerCondition(isDiskLow: false, isUnfit: true)
        var member = OfThree()
        member.follow(NodeID(2))
        member.others()
        member.replica.damaged("a bad entry")
        member.turn()
        member.now += 10
        member.others(unfit)
        member.wait(3_000, unfit)
        #expect(member.repairs == [])

        var late = OfThree()
        late.follow(NodeID(2))
        late.replica.damaged("a bad entry")
        late.wait(1_900)
        late.wait(3_000, unfit)
        #expect(late.repairs == [], "the others took a moment longer to meet it")
    }

    @Test("it keeps its log while the others cannot do without it: alone, leaderless, or when they are damaged too")
    func waits() {
        var silent = OfThree()
        silent.follow(NodeID(2))
        silent.replica.damaged("x")
        silent.wait(3_000, nil)
        #expect(silent.repairs == [], "nobody has said that he is whole")

        var leaderless = OfThree()
        leaderless.others()
        leaderless.replica.damaged("x")
        for _ in 0..<30 {
            leaderless.tick(100)
            leaderless.others()
        }
        #expect(leaderless.repairs == [])

        var together = OfThree()
        together.follow(NodeID(2))
        together.others(PeerCondition(isDiskLow: false, isUnfit: true))
        together.replica.damaged("x")
        together.wait(3_000, PeerCondition(isDiskLow: false, isUnfit: true))
        #expect(together.repairs == [], "a quorum that is damaged discards nothing")
        together.others()
        together.tick()
        #expect(together.repairs == ["x"])
    }

    @Test("as a leader it hands over first, and steps down if nobody takes over")
    func leader() {
        var member = OfThree(options: ReplicaOptions(diskSilenceMilliseconds: 300))
        member.lead()
        member.replica.damaged("x")
        member.turn()
        let asked = member.seen.contains {
            if case .send(let messages) = $0 { messages.contains { $0.kind == .timeoutNow } } else { false }
        }
        #expect(asked, "nobody was asked to take over")
        #expect(member.replica.isLeader)
        member.replica.write(member.intent(.expireSessions), token: token)
        member.turn()
        #expect(member.seen.contains(.replyWrite(token, .notLeader(nil))))
        for _ in 0..<35 {
            member.tick()
            if member.replica.isLeader { member.others() }
        }
        #expect(!member.replica.isLeader)
        #expect(member.repairs == [], "another has to lead first")
        member.receive(
            .heartbeat(commit: LogIndex(0), round: 1), from: NodeID(3), term: member.replica.status.term.next)
        member.wait(2_000, under: NodeID(3))
        #expect(member.repairs == ["x"])
    }

    @Test("a leader that nobody whole could follow up stays, and answers no reads: leadership does not flap")
    func lonelyLeader() {
        var member = OfThree(options: ReplicaOptions(diskSilenceMilliseconds: 300))
        member.lead()
        let term = member.replica.status.term
        member.others(PeerCondition(isDiskLow: false, isUnfit: true))
        member.replica.damaged("x")
        for _ in 0..<60 {
            member.tick()
            member.others(PeerCondition(isDiskLow: false, isUnfit: true))
        }
        #expect(member.replica.isLeader && member.replica.status.term == term)
        member.replica.read(.linearizable, token: token, now: member.now)
        member.turn()
        #expect(member.seen.contains(.refuseReads([token], .repairing)))
        #expect(member.repairs == [])
    }

    @Test(
        "a quarantined leader refuses heartbeats and writes, so it fences no broker and expires no session for silence")
    func silenceOfItsOwn() {
        let broker = Broker(
            id: BrokerID(1), epoch: BrokerEpoch(1), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
            rack: "", state: .active, version: Version(1))
        func growth(isDamaged: Bool) -> UInt64 {
            let unfit = PeerCondition(isDiskLow: false, isUnfit: true)
            var member = OfThree(brokers: [broker])
            member.lead()
            member.others(unfit)
            if isDamaged { member.replica.damaged("x") }
            member.turn()
            let length = member.replica.core.lastIndex.rawValue
            for _ in 0..<600 {
                member.tick(100)
                member.others(unfit)
            }
            #expect(member.replica.isLeader)
            return member.replica.core.lastIndex.rawValue - length
        }
        #expect(growth(isDamaged: false) > 0)
        #expect(growth(isDamaged: true) == 0)
    }

    @Test("a leader counts no quorum on a member that is damaged or being repaired, however well it hears it")
    func unfitIsNoQuorum() {
        var member = OfThree()
        member.lead()
        member.replica.notified(.condition(PeerCondition(isDiskLow: false, isUnfit: true)), from: NodeID(3))
        member.replica.changeMembers(.remove(NodeID(2)), isForced: false, token: token)
        member.turn()
        let reasons = member.seen.map { effect -> MembershipRefusal.Reason? in
            if case .replyMembership(token, .refused(let refusal)) = effect { refusal.reason } else { nil }
        }
        #expect(reasons.contains(.quorumAtRisk))
    }

    @Test("while it takes everything again it serves no reads, and tells the others that it must not lead")
    func recovering() {
        var member = OfThree(isRecovering: true)
        member.tick()
        let condition = PeerNotice.condition(PeerCondition(isDiskLow: false, isUnfit: true))
        #expect(member.seen.contains(.notify(NodeID(2), condition)))
        member.follow(NodeID(2))
        member.replica.read(.stale(maxLagMilliseconds: 9_999), token: token, now: member.now)
        member.turn()
        #expect(member.seen.contains(.refuseReads([token], .repairing)))
    }
}

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

@Suite("A replica whose disk is nearly full")
struct FullDiskTests {
    private let token = RequestToken(connection: 3, request: 4)
    private let options = ReplicaOptions(diskLowBytes: 100, diskHighBytes: 200)

    private func reply(_ command: Command, _ member: inout OfThree) -> [Effect] {
        member.seen = []
        member.replica.write(member.intent(command), token: token)
        member.turn()
        return member.seen.filter { if case .replyWrite = $0 { true } else { false } }
    }

    private let create = Command.createTopic(
        .init(name: "t", id: TopicID(high: 1, low: 1), partitionCount: 1, replicationFactor: 1))

    @Test("what makes the state larger is refused, the rest goes on, and it ends by itself")
    func marks() {
        var member = OfThree(options: options)
        member.lead()
        member.others(PeerCondition(isDiskLow: true, isUnfit: false))
        member.replica.diskMeasured(freeBytes: 99)
        member.turn()
        #expect(member.seen.contains(.protection(.diskLow(freeBytes: 99))))
        #expect(reply(create, &member) == [.replyWrite(token, .diskFull)])
        #expect(reply(.deleteTopic(topic: .name("t"), ifVersion: nil), &member) == [])
        #expect(reply(.openSession(timeoutMilliseconds: 5_000), &member) == [])
        #expect(reply(.fenceBroker(id: BrokerID(1), epoch: BrokerEpoch(1)), &member) == [])
        #expect(member.replica.openWrites == 3, "they are in the log")
        member.replica.diskMeasured(freeBytes: 150)
        #expect(reply(create, &member) == [.replyWrite(token, .diskFull)])
        member.replica.diskMeasured(freeBytes: 200)
        #expect(reply(create, &member) == [])
    }

    @Test("a leader hands over to a member with room, and keeps leading when there is none")
    func handsOver() {
        func asksToTakeOver(
            _ condition: PeerCondition, after trouble: (inout Replica) -> Void = { $0.diskMeasured(freeBytes: 1) }
        ) -> Bool {
            var member = OfThree(options: options)
            member.lead()
            member.others(condition)
            trouble(&member.replica)
            member.turn()
            member.tick()
            return member.seen.contains {
                if case .send(let messages) = $0 { messages.contains { $0.kind == .timeoutNow } } else { false }
            }
        }
        #expect(asksToTakeOver(PeerCondition(isDiskLow: false, isUnfit: false)))
        #expect(!asksToTakeOver(PeerCondition(isDiskLow: true, isUnfit: false)))
        #expect(!asksToTakeOver(PeerCondition(isDiskLow: false, isUnfit: true)))
        let sound = PeerCondition(isDiskLow: false, isUnfit: false)
        let appliesNothing = asksToTakeOver(sound) { $0.applyingChanged(isSuspended: true) }
        #expect(appliesNothing)
        let appliesAgain = asksToTakeOver(sound) { replica in
            for isSuspended in [true, false] { replica.applyingChanged(isSuspended: isSuspended) }
        }
        #expect(!appliesAgain)
    }

    @Test("commands that make the state larger are told from those that do not")
    func growth() {
        func alter(_ value: String?) -> Command {
            .alterConfigs(.init(resource: .cluster, changes: [ConfigChange(name: "user.key", value: value)]))
        }
        #expect(create.growsState)
        #expect(alter("x").growsState)
        #expect(!alter(nil).growsState)
        #expect(!Command.expireSessions.growsState)
    }
}
