import Testing

@testable import RaftCore

@Suite struct ElectionTests {
    @Test("a member votes once in a term, whoever asks again under that name (Raft §5.2)")
    func votesOnce() {
        var node = makeNode()
        node.receive(.voteRequest(last: .zero, transfer: false), from: 2, term: 1)
        #expect(node.drain().kinds(to: 2) == [.voteResponse(granted: true)])
        node.receive(.voteRequest(last: .zero, transfer: false), from: 3, term: 1)
        #expect(node.drain().kinds(to: 3) == [.voteResponse(granted: false)])
        node.receive(.voteRequest(last: .zero, transfer: false), from: 2, term: 1)
        #expect(node.drain().messages.isEmpty)
    }

    @Test("a vote leaves only after it is synced, so that a crash cannot give two votes in a term")
    func voteWaitsForSync() {
        var node = makeNode()
        node.receive(.voteRequest(last: .zero, transfer: false), from: 2, term: 1)
        let ready = node.takeReady()
        #expect(ready.persist?.hardState == HardState(term: 1, vote: 2))
        #expect(ready.messages.isEmpty)
        node.persisted(1)
        #expect(node.takeReady().kinds(to: 2) == [.voteResponse(granted: true)])
    }

    @Test("a restored vote stands")
    func restoredVote() {
        var node = makeNode(hardState: HardState(term: 4, vote: 3))
        node.receive(.voteRequest(last: at(9, 3), transfer: false), from: 2, term: 4)
        #expect(node.drain().kinds(to: 2) == [.voteResponse(granted: false)])
    }

    @Test("a candidate asks for votes, and counts its own, only after both rest on the disk")
    func candidateWaitsForSync() {
        var node = makeNode()
        node.campaign()
        _ = node.takeReady()
        node.receive(.preVoteResponse(granted: true), from: 2, term: 1)
        let ready = node.takeReady()
        #expect(ready.status?.role == .candidate)
        #expect(ready.messages.isEmpty)
        #expect(ready.persist?.hardState == HardState(term: 1, vote: 1))
        node.persisted(1)
        #expect(node.takeReady().messages.map(\.to) == [2, 3])
    }

    @Test("the log of a candidate has to be as up-to-date as the voter's (Raft §5.4.1)")
    func upToDate() {
        func answer(to last: LogPosition) -> [Message.Kind] {
            var node = makeNode(hardState: HardState(term: 2, vote: nil), entries: makeEntries(1...3, term: 2))
            node.receive(.voteRequest(last: last, transfer: false), from: 2, term: 9)
            return node.drain().kinds(to: 2)
        }
        #expect(answer(to: at(9, 1)) == [.voteResponse(granted: false)])
        #expect(answer(to: at(2, 2)) == [.voteResponse(granted: false)])
        #expect(answer(to: at(3, 2)) == [.voteResponse(granted: true)])
        #expect(answer(to: at(1, 3)) == [.voteResponse(granted: true)])
    }

    @Test("a vote request of a later term does not move a member that hears its leader (Diss. §4.2.3)")
    func stickiness() {
        var node = makeNode()
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        _ = node.drain()
        node.receive(.voteRequest(last: at(9, 9), transfer: false), from: 3, term: 9)
        #expect(node.drain().messages.isEmpty)
        #expect(node.hardState.term == 1)
        for _ in 0..<node.options.electionTimeoutTicks { node.tick() }
        _ = node.drain()
        node.receive(.voteRequest(last: at(9, 9), transfer: false), from: 3, term: 9)
        #expect(node.drain().kinds(to: 3) == [.voteResponse(granted: true)])
    }

    @Test("a leader refuses votes and pre-votes as long as a quorum answers it")
    func leaderIsSticky() {
        var node = makeNode()
        node.lead()
        node.receive(.voteRequest(last: at(9, 9), transfer: false), from: 3, term: 9)
        node.receive(.preVoteRequest(last: at(9, 9)), from: 3, term: 9)
        #expect(node.drain().messages.map(\.kind) == [.preVoteResponse(granted: false)])
        #expect(node.status == Status(role: .leader, term: 1, leader: 1))
    }

    @Test("a candidate that the leader has chosen gets past stickiness (Diss. §4.2.3)")
    func transferPassesStickiness() {
        var node = makeNode()
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        node.receive(.voteRequest(last: .zero, transfer: true), from: 3, term: 2)
        #expect(node.drain().kinds(to: 3).contains(.voteResponse(granted: true)))
    }

    @Test("ten minutes alone do not move the term (Diss. §9.6)")
    func noTermInflation() {
        var node = makeNode()
        for _ in 0..<12_000 {
            node.tick()
            _ = node.drain()
        }
        #expect(node.hardState.term == 0)
        #expect(node.status.role == .preCandidate)
    }

    @Test("a pre-vote changes neither term nor vote nor timer of the member that grants it (Diss. §9.6)")
    func preVoteChangesNothing() {
        var node = makeNode()
        let before = node.hardState
        node.receive(.preVoteRequest(last: .zero), from: 2, term: 1)
        node.receive(.preVoteRequest(last: .zero), from: 3, term: 1)
        let ready = node.drain()
        #expect(ready.messages.map(\.kind) == [.preVoteResponse(granted: true), .preVoteResponse(granted: true)])
        #expect(ready.messages.map(\.term) == [1, 1])
        #expect(ready.persist == nil)
        #expect(node.hardState == before)
    }

    @Test("a hung disk does not count terms up")
    func hungDisk() {
        var node = makeNode()
        node.campaign()
        _ = node.takeReady()
        node.receive(.preVoteResponse(granted: true), from: 2, term: 1)
        for _ in 0..<500 {
            node.tick()
            for message in node.takeReady().messages {
                guard case .preVoteRequest = message.kind else { continue }
                node.receive(.preVoteResponse(granted: true), from: message.to, term: message.term)
            }
        }
        #expect(node.hardState.term == 1)
    }

    @Test("a member that lost its link to the leader grants pre-votes and votes, and is sticky again when it hears it")
    func lostLink() {
        var node = makeNode()
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        node.connectionClosed(to: 2, refused: false)
        node.receive(.preVoteRequest(last: .zero), from: 3, term: 2)
        #expect(node.drain().kinds(to: 3) == [.preVoteResponse(granted: true)])
        node.receive(.heartbeat(commit: 0, round: 2), from: 2, term: 1)
        node.receive(.preVoteRequest(last: .zero), from: 3, term: 2)
        #expect(node.drain().kinds(to: 3) == [.preVoteResponse(granted: false)])
    }

    @Test("a closed connection to someone else means nothing")
    func otherLink() {
        var node = makeNode()
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        node.connectionClosed(to: 3, refused: true)
        for _ in 0..<(node.options.electionTimeoutTicks - 1) { node.tick() }
        #expect(node.status.role == .follower)
        node.receive(.preVoteRequest(last: .zero), from: 3, term: 2)
        #expect(node.drain().kinds(to: 3) == [.preVoteResponse(granted: false)])
    }

    @Test(
        "after a refused reconnection pre-votes are asked for within a quarter of the election timeout",
        arguments: 1...20)
    func refusedReconnection(seed: UInt64) {
        var options = Options()
        options.electionTimeoutTicks = 40
        var node = makeNode(options: options, seed: seed)
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: 1)
        node.tick()
        node.connectionClosed(to: 2, refused: true)
        #expect(node.status.role == .follower)
        for _ in 0..<10 { node.tick() }
        #expect(node.status.role == .preCandidate)
    }

    @Test("election timeouts spread over a whole election timeout and follow from the seed (Raft §5.2)")
    func timeoutsSpread() {
        func ticks(seed: UInt64, id: NodeID = 1) -> Int {
            var node = makeNode(id, seed: seed)
            var count = 0
            while node.status.role == .follower {
                node.tick()
                count += 1
            }
            return count
        }
        let all = (0..<300).map { ticks(seed: $0) }
        #expect(Set(all) == Set(10..<20))
        #expect(all == (0..<300).map { ticks(seed: $0) })
        // Neighbours with the same seed must not time out together.
        #expect((0..<300).count { ticks(seed: $0, id: 1) == ticks(seed: $0, id: 2) } < 60)
    }

    @Test("a wiped member without a configuration gives no vote under its old name (KIP-853)")
    func wipedMember() {
        var node = makeNode(voters: [])
        node.receive(.preVoteRequest(last: .zero), from: 2, term: 1)
        node.receive(.voteRequest(last: .zero, transfer: false), from: 2, term: 1)
        #expect(node.drain().messages.map(\.kind) == [.preVoteResponse(granted: false), .voteResponse(granted: false)])
        node.campaign()
        for _ in 0..<100 { node.tick() }
        #expect(node.drain().messages.isEmpty)
    }

    @Test("a learner does not campaign by itself, even when told to")
    func learner() {
        var node = makeNode(4, learners: [4])
        #expect(node.status.role == .learner)
        node.receive(.heartbeat(commit: 0, round: 1), from: 1, term: 1)
        node.receive(.timeoutNow, from: 1, term: 1)
        node.campaign()
        for _ in 0..<100 { node.tick() }
        #expect(node.status == Status(role: .learner, term: 1, leader: nil))
    }

    @Test("a learner that refuses for its longer log, and hears no leader, stands; after its first entry it hands over")
    func neededLearner() {
        let known = HardState(term: 3, vote: nil)
        func asked(_ node: RaftNode, holding last: LogPosition) -> (RaftNode, [Message.Kind]) {
            var node = node
            node.receive(.preVoteRequest(last: last), from: 2, term: 4)
            for _ in 0..<5 { node.tick() }
            let answers = node.drain().kinds(to: 2)
            return (node, answers)
        }
        let learner = makeNode(4, learners: [4], hardState: known, entries: makeEntries(1...2, term: 3))
        var (node, answers) = asked(learner, holding: at(9, 2))
        #expect(answers == [.preVoteResponse(granted: false), .preVoteRequest(last: at(2, 3))])
        // Who was asked in vain waits to be asked again.
        for _ in 0..<100 { node.tick() }
        #expect(node.status == Status(role: .learner, term: 3, leader: nil))
        #expect(node.drain().messages.isEmpty)

        (node, _) = asked(node, holding: at(9, 2))
        // Its own vote does not count: one of three voters is not enough.
        node.receive(.preVoteResponse(granted: true), from: 2, term: 4)
        #expect(node.status.role == .preCandidate)
        node.receive(.preVoteResponse(granted: true), from: 3, term: 4)
        _ = node.drain()
        node.receive(.voteResponse(granted: true), from: 2, term: 4)
        #expect(node.status.role == .candidate)
        node.receive(.voteResponse(granted: true), from: 3, term: 4)
        _ = node.drain()
        #expect(node.status.role == .leader)
        node.receive(.appendAccepted(match: 3), from: 2, term: 4)
        #expect(node.status.role == .leader)
        node.receive(.appendAccepted(match: 3), from: 3, term: 4)
        #expect(node.status == Status(role: .learner, term: 4, leader: nil))
        #expect(node.drain().kinds(to: 2).contains(.timeoutNow))

        // A candidate that has everything gets the vote.
        #expect(asked(learner, holding: at(2, 3)).1 == [.preVoteResponse(granted: true)])
        // Who hears a leader, has lost its log, has another disk, or is no member does not stand.
        var led = learner
        led.receive(.heartbeat(commit: 0, round: 1), from: 1, term: 3)
        for other in [
            led,
            makeNode(4, learners: [4], hardState: known, entries: makeEntries(1...2, term: 3), isRecovering: true),
            makeNode(
                4, learners: [4], hardState: known, entries: makeEntries(1...2, term: 3), disk: DiskID(high: 9, low: 1)
            ), makeNode(4, hardState: known, entries: makeEntries(1...2, term: 3)),
        ] {
            let (other, answers) = asked(other, holding: at(9, 2))
            #expect(answers == [.preVoteResponse(granted: false)])
            #expect(other.status.role == .learner)
        }

        // A leader that is heard meanwhile, or another who may be elected, makes it needless.
        for kind in [Message.Kind.heartbeat(commit: 0, round: 1), .voteRequest(last: at(9, 3), transfer: false)] {
            var node = learner
            node.receive(.preVoteRequest(last: at(9, 2)), from: 2, term: 4)
            node.receive(kind, from: 3, term: 4)
            for _ in 0..<100 { node.tick() }
            #expect(node.status.role == .learner)
        }
    }

    @Test("a learner does not stand while another disk may vote under its name")
    func learnerOfAnotherDisk() {
        let before = Cluster.configuration(voters: [1, 2, 3])
        let between = Cluster.configuration(voters: [1, 2])
        var after = Cluster.configuration(voters: [1, 2], learners: [3])
        after.members[2].disk = DiskID(high: 9, low: 3)
        let entries = makeEntries([before, after])
        for isCommitted in [false, true] {
            var node = makeNode(
                3, voters: [], hardState: HardState(term: 3, vote: nil), entries: entries + makeEntries(3...3, term: 3),
                applied: isCommitted ? 2 : 1, disk: DiskID(high: 9, low: 3))
            node.receive(.preVoteRequest(last: at(9, 2)), from: 2, term: 4)
            for _ in 0..<5 { node.tick() }
            #expect(node.status.role == (isCommitted ? .preCandidate : .learner))
        }
        // Nor need it, since the disk before it leaves before it joins.
        var node = makeNode(
            3, voters: [], hardState: HardState(term: 3, vote: nil),
            entries: makeEntries([before, Cluster.configuration(voters: [1, 2], outgoing: [1, 2, 3]), between, after]),
            disk: DiskID(high: 9, low: 3))
        node.receive(.preVoteRequest(last: at(1, 1)), from: 2, term: 4)
        for _ in 0..<5 { node.tick() }
        #expect(node.status.role == .preCandidate)
    }

    /// After a loss of power a member may know of nothing that is committed, and need not hear of it before somebody leads.
    @Test("who leaves stands when asked, however little it knows to be committed")
    func neededWhileLeaving() {
        let joining = Cluster.configuration(voters: [1, 2], learners: [3])
        let member = Cluster.configuration(voters: [1, 2, 3], outgoing: [1, 2])
        let joint = Cluster.configuration(voters: [1, 2], outgoing: [1, 2, 3])
        let after = Cluster.configuration(voters: [1, 2])
        func node(_ configurations: [Configuration], applied: UInt64) -> RaftNode {
            makeNode(
                3, voters: [1, 2], hardState: HardState(term: 3, vote: nil), entries: makeEntries(configurations),
                applied: LogIndex(applied))
        }
        func stands(_ node: RaftNode) -> Bool {
            var node = node
            for _ in 0..<100 { node.tick() }
            #expect(node.status.role == .learner, "it does not stand by itself")
            node.receive(.preVoteRequest(last: at(1, 1)), from: 2, term: 4)
            for _ in 0..<5 { node.tick() }
            return node.status.role == .preCandidate
        }
        for applied in UInt64(0)...4 {
            #expect(stands(node([joining, member, joint, after], applied: applied)) == (applied < 4))
        }
        // It never voted, and joined or left as a learner.
        #expect(stands(node([joining, after], applied: 0)))
        // Another change after its removal says that this is committed.
        #expect(!stands(node([joint, after, after], applied: 0)))
    }

    @Test("who hears while it asks for votes that its removal is committed gives up when they are granted")
    func removedWhileCanvassing() {
        let before = Cluster.configuration(voters: [1, 2, 3])
        let joint = Cluster.configuration(voters: [1, 2], outgoing: [1, 2, 3])
        let after = Cluster.configuration(voters: [1, 2])
        let entries = makeEntries([before, joint, after])
        var node = makeNode(
            3, voters: [], hardState: HardState(term: 3, vote: nil), entries: entries, applied: 1)
        node.receive(.preVoteRequest(last: at(2, 1)), from: 2, term: 4)
        for _ in 0..<5 { node.tick() }
        #expect(node.status.role == .preCandidate)
        node.receive(.installSnapshot(position: at(3, 1), configuration: after), from: 1, term: 2)
        for peer in [NodeID(1), 2] { node.receive(.preVoteResponse(granted: true), from: peer, term: 4) }
        #expect(node.status == Status(role: .learner, term: 3, leader: nil))
    }

    @Test("who comes again with an empty disk has no say by configurations that mean the disk before it (KIP-853)")
    func anotherDiskUnderTheName() {
        let named = Cluster.configuration(voters: [1])
        var bootstrap = Cluster.configuration(voters: [1, 2, 3])
        for place in bootstrap.members.indices { bootstrap.members[place].disk = .unknown }
        for configuration in [named, bootstrap] {
            // The log comes again, and the leader falls silent in the middle.
            var node = makeNode(1, voters: [], hardState: .initial, disk: DiskID(high: 9, low: 1))
            let entry = Entry(term: 1, index: 1, kind: .configuration, payload: configuration.encoded())
            node.receive(.append(previous: .zero, entries: [entry], commit: 0), from: 4, term: 5)
            _ = node.drain()
            #expect(node.configuration == configuration)
            #expect(node.status.role == .learner)
            node.receive(.timeoutNow, from: 4, term: 5)
            for _ in 0..<100 { node.tick() }
            #expect(node.status.role == .learner && node.status.term == 5, "it campaigns")
            node.receive(.preVoteRequest(last: at(9, 5)), from: 2, term: 6)
            #expect(node.drain().kinds(to: 2) == [.preVoteResponse(granted: false)])
            node.receive(.voteRequest(last: at(9, 5), transfer: false), from: 2, term: 6)
            #expect(node.drain().kinds(to: 2) == [.voteResponse(granted: false)])
        }
        // Neither after a restart in the middle.
        let first = Entry(term: 1, index: 1, kind: .configuration, payload: bootstrap.encoded())
        var again = makeNode(
            1, voters: [], hardState: HardState(term: 5, vote: nil), entries: [first], disk: DiskID(high: 9, low: 1),
            hasJoined: true)
        for _ in 0..<100 { again.tick() }
        #expect(again.status.role == .learner && again.status.term == 5, "it campaigns")
        // The disk that is meant, and one that began with the first configuration in its log.
        for (configuration, disk) in [(named, DiskID(high: 0, low: 1)), (bootstrap, DiskID(high: 9, low: 1))] {
            let entry = Entry(term: 1, index: 1, kind: .configuration, payload: configuration.encoded())
            var node = makeNode(1, voters: [], hardState: HardState(term: 1, vote: nil), entries: [entry], disk: disk)
            for _ in 0..<100 { node.tick() }
            #expect(node.status.role != .learner && node.status.role != .follower)
        }
    }

    @Test("a leader that no quorum answers steps down after exactly one election timeout (Diss. §6.2)")
    func checkQuorum() {
        var node = makeNode(voters: [1, 2, 3, 4, 5])
        node.lead()
        for _ in 0..<9 {
            node.tick()
            node.receive(.heartbeatResponse(round: 0), from: 2, term: 1)
        }
        #expect(node.status.role == .leader)
        node.tick()
        #expect(node.status == Status(role: .follower, term: 1, leader: nil))
    }

    @Test("answers of a removed member with a later term do not depose a leader")
    func removedMember() {
        var node = makeNode()
        node.lead()
        node.receive(.heartbeatResponse(round: 0), from: 9, term: 50)
        node.receive(.appendRejected(rejected: 1, hint: .zero), from: 9, term: 50)
        node.receive(.appendAccepted(match: 1), from: 9, term: 50)
        node.receive(.voteResponse(granted: false), from: 9, term: 50)
        node.receive(.preVoteResponse(granted: false), from: 9, term: 50)
        node.receive(.voteRequest(last: at(99, 49), transfer: false), from: 9, term: 50)
        #expect(node.status == Status(role: .leader, term: 1, leader: 1))
    }

    @Test("garbage terms, foreign receivers and a member's own messages have no effect")
    func garbage() {
        var node = makeNode()
        node.receive(.heartbeat(commit: 0, round: 1), from: 2, term: Term(.max))
        node.receive(.heartbeat(commit: 0, round: 1), from: 1, term: 5)
        node.step(Message(from: 2, to: 3, term: 5, kind: .heartbeat(commit: 0, round: 1)))
        #expect(node.status == Status(role: .follower, term: 0, leader: nil))
        #expect(node.drain().messages.isEmpty)
    }

    @Test("a deposed leader learns the present term from the answer to its heartbeat or append")
    func deposedLeaderLearns() {
        var node = makeNode(hardState: HardState(term: 5, vote: nil))
        node.receive(.heartbeat(commit: 0, round: 7), from: 2, term: 4)
        node.receive(.append(previous: .zero, entries: [], commit: 0), from: 3, term: 4)
        let messages = node.drain().messages
        #expect(messages.map(\.term) == [5, 5])
        #expect(messages.map(\.to) == [2, 3])
    }

    struct Topology: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var count: UInt64
        /// Links that are cut, from and to; both ways unless named twice differently.
        var cut: [(UInt64, UInt64)]
    }

    /// Who hears whom, so that some member can reach a majority both ways.
    static let topologies: [Topology] = [
        Topology(testDescription: "bridge of 3", count: 3, cut: [(1, 2), (2, 1)]),
        Topology(testDescription: "leader heard by nobody of 3", count: 3, cut: [(1, 2), (1, 3)]),
        Topology(testDescription: "leader hears nobody of 3", count: 3, cut: [(2, 1), (3, 1)]),
        Topology(testDescription: "one way of 3", count: 3, cut: [(1, 2)]),
        Topology(
            testDescription: "leader with one link of 5", count: 5,
            cut: [(1, 2), (2, 1), (1, 3), (3, 1), (1, 4), (4, 1)]),
        Topology(
            testDescription: "star around 5", count: 5,
            cut: [
                (1, 2), (2, 1), (1, 3), (3, 1), (1, 4), (4, 1), (2, 3), (3, 2), (2, 4), (4, 2), (3, 4), (4, 3),
            ]),
        Topology(
            testDescription: "ring of 5", count: 5,
            cut: [(1, 3), (3, 1), (1, 4), (4, 1), (2, 4), (4, 2), (2, 5), (5, 2), (3, 5), (5, 3)]),
        Topology(testDescription: "one-way ring of 3", count: 3, cut: [(1, 2), (2, 3)]),
    ]

    @Test(
        "with links cut both or one way, exactly one leader works within a bound, and stays (Cloudflare, November 2020)",
        arguments: topologies)
    func partialPartitions(topology: Topology) {
        for seed in UInt64(1)...5 {
            var cluster = Cluster(voters: Array(1...topology.count), seed: seed)
            cluster.elect(1)
            for (from, to) in topology.cut { cluster.cut.insert(Cluster.Link(from: NodeID(from), to: NodeID(to))) }
            func live(_ ticks: Int) {
                for _ in 0..<ticks {
                    for id in cluster.ids { cluster.tick(id) }
                    cluster.settle()
                }
            }
            live(150)
            let term = cluster.ids.map { cluster.node($0).hardState.term }.max()
            live(200)
            #expect(cluster.leaders.count == 1, "seed \(seed)")
            #expect(cluster.ids.map { cluster.node($0).hardState.term }.max() == term, "seed \(seed)")
            guard let leader = cluster.leaders.first, case .accepted(let index, _) = cluster.propose(leader, "x") else {
                Issue.record("no leader takes a proposal, seed \(seed)")
                return
            }
            cluster.settle()
            live(10)
            #expect(cluster.node(leader).commitIndex >= index, "seed \(seed)")
        }
    }
}
