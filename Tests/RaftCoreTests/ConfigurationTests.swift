import Testing

@testable import RaftCore

@Suite struct ConfigurationTests {
    private let joint = Cluster.configuration(voters: [1, 2, 4], outgoing: [1, 2, 3], learners: [5])

    private func refusal(_ outcome: ProposeOutcome) -> String? {
        if case .configurationChangeRefused(let reason) = outcome { return reason }
        return nil
    }

    private func propose(_ configuration: Configuration, to node: inout RaftNode) -> ProposeOutcome {
        let outcome = node.propose([configuration.encoded()], kind: .configuration)
        node.checkInvariants()
        return outcome
    }

    @Test("a change is refused until an entry of the leader's term is committed (erratum of Diss. §4.1)")
    func beforeOwnTerm() {
        var node = makeNode()
        node.win()
        _ = node.drain()
        let change = Cluster.configuration(voters: [1, 2, 3], learners: [4])
        #expect(refusal(propose(change, to: &node)) == "no entry of term 1 is committed yet")
        node.acknowledge()
        #expect(propose(change, to: &node) == .accepted(first: 2, term: 1))
    }

    @Test("one change at a time: refused while another is not committed")
    func oneAtATime() {
        var node = makeNode()
        node.lead()
        #expect(
            propose(Cluster.configuration(voters: [1, 2, 3], learners: [4]), to: &node) == .accepted(first: 2, term: 1))
        let next = Cluster.configuration(voters: [1, 2, 3], learners: [4, 5])
        #expect(refusal(propose(next, to: &node)) == "the configuration at 2 is not committed yet, commit is 1")
        _ = node.drain()
        node.acknowledge()
        #expect(propose(next, to: &node) == .accepted(first: 3, term: 1))
    }

    @Test("voters change only through a joint configuration, so that consecutive ones share a majority (Raft §6)")
    func steps() {
        func refused(_ from: Configuration, _ to: Configuration) -> Bool {
            RaftNode.stepRefusal(from: from, to: to) != nil
        }
        let three = Cluster.configuration(voters: [1, 2, 3])
        let four = Cluster.configuration(voters: [1, 2, 3, 4])
        let entering = Cluster.configuration(voters: [1, 2, 3, 4], outgoing: [1, 2, 3])
        #expect(refused(three, four))
        #expect(!refused(three, entering))
        #expect(!refused(entering, four))
        #expect(refused(entering, three))
        #expect(refused(entering, Cluster.configuration(voters: [1, 4], outgoing: [1, 2, 3])))
        #expect(refused(three, Cluster.configuration(voters: [1, 4], outgoing: [1, 2])))
        #expect(!refused(three, Cluster.configuration(voters: [1, 2, 3], learners: [7])))
        #expect(refused(three, Cluster.configuration(voters: [], learners: [1])))
        #expect(refused(three, Configuration(members: three.members, voters: three.voters, learners: [3])))
    }

    @Test("a configuration is in effect from the moment it is in the log, also for who is replicated to (Raft §6)")
    func effectAtAppend() {
        var node = makeNode()
        node.lead()
        _ = propose(Cluster.configuration(voters: [1, 2, 3], learners: [4]), to: &node)
        #expect(node.progress.map(\.id) == [2, 3, 4])
        #expect(node.drain().kinds(to: 4).count == 1)
    }

    @Test("an uncommitted configuration is no longer in effect when its entry is truncated (canonical/raft 323)")
    func truncated() {
        let entry = Entry(
            term: 1, index: 2, kind: .configuration,
            payload: Cluster.configuration(voters: [1, 2, 3], learners: [4]).encoded())
        var node = makeNode()
        node.receive(.append(previous: .zero, entries: [makeEntry(1, 1), entry], commit: 1), from: 2, term: 1)
        #expect(node.configuration.learners == [4])
        node.receive(.append(previous: at(1, 1), entries: [makeEntry(2, 2)], commit: 1), from: 3, term: 2)
        #expect(node.configuration == Cluster.configuration(voters: [1, 2, 3]))
    }

    @Test(
        "a leader that is removed leads until that is committed, does not count itself, and steps down (Diss. §4.2.2)")
    func leaderRemovesItself() {
        var node = makeNode()
        node.lead()
        _ = propose(Cluster.configuration(voters: [2, 3], outgoing: [1, 2, 3]), to: &node)
        _ = node.drain()
        node.acknowledge()
        _ = propose(Cluster.configuration(voters: [2, 3]), to: &node)
        _ = node.drain()
        node.receive(.appendAccepted(match: 3), from: 2, term: 1)
        #expect(node.commitIndex == 2)
        #expect(node.status.role == .leader)
        node.receive(.appendAccepted(match: 3), from: 3, term: 1)
        #expect(node.commitIndex == 3)
        #expect(node.status.leader == nil)
        #expect(node.drain().messages.contains { $0.kind == .timeoutNow })
        for _ in 0..<100 { node.tick() }
        #expect(node.drain().messages.isEmpty)
    }

    @Test("a read that waits for members which leave is confirmed by those that stay")
    func readWhileOthersLeave() {
        var node = makeNode()
        node.lead()
        _ = propose(Cluster.configuration(voters: [1], outgoing: [1, 2, 3]), to: &node)
        _ = node.drain()
        node.acknowledge()
        #expect(node.read(id: 7) == true)
        #expect(node.drain().reads.isEmpty, "who leaves still counts")
        _ = propose(Cluster.configuration(voters: [1]), to: &node)
        #expect(node.drain().reads == [ConfirmedRead(id: 7, index: 2)])
        #expect(node.read(id: 8) == true)
        #expect(node.drain().reads.map(\.id) == [8])
    }

    @Test("a joint configuration needs a majority of both sides, learners count for nothing (Raft §6)")
    func quorums() {
        func majority(_ ids: [NodeID]) -> Bool { joint.hasMajority(where: ids.contains) }
        #expect(majority([1, 2]))
        #expect(!majority([1, 3]))
        #expect(!majority([2, 4]))
        #expect(!majority([1, 5]))
        #expect(majority([1, 3, 4]))
        #expect(!Configuration.empty.hasMajority { _ in true })
        let match: [NodeID: LogIndex] = [1: 9, 2: 3, 3: 5, 4: 7, 5: 99]
        #expect(joint.quorumIndex { match[$0] ?? 0 } == 5)
        #expect(Cluster.configuration(voters: [1, 2, 3, 4]).quorumIndex { match[$0] ?? 0 } == 5)
        #expect(Configuration.empty.quorumIndex { _ in 9 } == 0)
        for ids in [[1, 2], [1, 3], [2, 4], [1, 3, 4], [3]] as [[NodeID]] {
            #expect(joint.isQuorum(ids) == majority(ids))
        }
    }

    @Test("proposing bytes that are no configuration, or several at once, is refused with the reason")
    func garbage() {
        var node = makeNode()
        node.lead()
        #expect(
            refusal(node.propose([[7]], kind: .configuration))
                == "the configuration does not decode: unsupportedVersion(7)")
        let bytes = Cluster.configuration(voters: [1, 2, 3]).encoded()
        #expect(refusal(node.propose([bytes, bytes], kind: .configuration)) != nil)
        #expect(node.lastIndex == 1)
    }

    // Coding

    @Test("the bytes of a configuration are these")
    func goldenBytes() {
        let configuration = Configuration(
            members: [
                Member(id: 1, disk: DiskID(high: 0xA, low: 0xB), peerAddress: "a:1", clientAddress: "b"),
                Member(id: 258, disk: .unknown, peerAddress: "", clientAddress: "é"),
            ], voters: [1], outgoing: [1], learners: [258])
        let golden: [UInt8] = [
            1, 0, 2,
            0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xA, 0, 0, 0, 0, 0, 0, 0, 0xB, 3,
            0, 3, 0x61, 0x3A, 0x31, 0, 1, 0x62,
            0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4,
            0, 0, 0, 2, 0xC3, 0xA9,
        ]
        #expect(configuration.encoded() == golden)
        #expect(Configuration.empty.encoded() == [1, 0, 0])
    }

    @Test("a learner that is to be promoted needs version 2, whose bytes are these")
    func goldenBytesOfPromotion() throws {
        let configuration = Configuration(
            members: [
                Member(id: 1, disk: .unknown, peerAddress: "", clientAddress: ""),
                Member(id: 4, disk: .unknown, peerAddress: "", clientAddress: ""),
                Member(id: 5, disk: .unknown, peerAddress: "", clientAddress: ""),
            ], voters: [1], learners: [4, 5], promotions: [Promotion(learner: 5, replaces: 1), Promotion(learner: 4)])
        let disk = [UInt8](repeating: 0, count: 16)
        var golden: [UInt8] = [2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1] + disk + [1, 0, 0, 0, 0]
        golden += [0, 0, 0, 0, 0, 0, 0, 4] + disk + [12, 0, 0, 0, 0]
        golden += [0, 0, 0, 0, 0, 0, 0, 5] + disk + [28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
        #expect(configuration.encoded() == golden)
        #expect(try Configuration(decoding: golden) == configuration)
        for count in 0..<golden.count {
            #expect(throws: ConfigurationDecodingError.truncated) {
                try Configuration(decoding: Array(golden[..<count]))
            }
        }
        for roles in [8, 9, 20, 32] as [UInt8] {
            var odd = golden
            odd[27] = roles
            #expect(throws: ConfigurationDecodingError.invalidRoles(roles), "roles \(roles)") {
                try Configuration(decoding: odd)
            }
        }
        var self5 = golden
        self5[self5.count - 5] = 5
        #expect(throws: ConfigurationDecodingError.invalidReplacement(5)) { try Configuration(decoding: self5) }
    }

    @Test("a configuration written before there were promotions is read as it was")
    func oldBytes() throws {
        let old: [UInt8] = [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7] + [UInt8](repeating: 0, count: 16) + [4, 0, 0, 0, 0]
        let configuration = try Configuration(decoding: old)
        #expect(configuration.learners == [7] && configuration.promotions.isEmpty)
        #expect(configuration.encoded() == old)
    }

    @Test("a leader forgets what the old disk of an id held, once that has left")
    func progressOfAnotherDisk() {
        var node = makeNode()
        node.lead()
        #expect(node.progress.first { $0.id == 3 }?.match == 1)
        let gone = Cluster.configuration(voters: [1, 2])
        var back = Cluster.configuration(voters: [1, 2], learners: [3])
        back.members[2].disk = DiskID(high: 9, low: 9)
        var index: LogIndex = 2
        for next in [Cluster.configuration(voters: [1, 2], outgoing: [1, 2, 3]), gone, back] {
            #expect(propose(next, to: &node) == .accepted(first: index, term: 1))
            _ = node.drain()
            node.receive(.appendAccepted(match: index), from: 2, term: 1)
            index = index.next
        }
        #expect(node.progress.first { $0.id == 3 }?.match == .zero)
        #expect(node.progress.first { $0.id == 2 }?.match == 4)
    }

    @Test("the configuration before the last is committed, whatever is known; the first one of a cluster always")
    func committedIndex() {
        let first = Cluster.configuration(voters: [1])
        var founder = ConfigurationHistory(base: .zero, configuration: .empty)
        #expect(founder.committedIndex(committed: .zero) == .zero)
        founder.append(first, at: 1)
        #expect(founder.committedIndex(committed: .zero) == 1)
        founder.append(first, at: 5)
        #expect(founder.committedIndex(committed: .zero) == 1)
        #expect(founder.committedIndex(committed: 5) == 5)
        founder.append(first, at: 9)
        #expect(founder.committedIndex(committed: 3) == 5)
        founder.compact(to: 7)
        #expect(founder.committedIndex(committed: 7) == 7)
        founder.compact(to: 12)
        #expect(founder.committedIndex(committed: 12) == 12)
    }

    @Test("another disk under a member's id joins only once that member has left (KIP-853)")
    func anotherDisk() throws {
        let three = Cluster.configuration(voters: [1, 2, 3])
        var swapped = three
        swapped.members[2].disk = DiskID(high: 9, low: 9)
        #expect(RaftNode.stepRefusal(from: three, to: swapped) != nil)
        var unknown = three
        unknown.members[2].disk = .unknown
        #expect(RaftNode.stepRefusal(from: unknown, to: three) == nil, "a disk may be named")
        let learning = Configuration(members: swapped.members, voters: [1, 2], learners: [3])
        #expect(RaftNode.stepRefusal(from: Cluster.configuration(voters: [1, 2], learners: [3]), to: learning) != nil)
        #expect(RaftNode.stepRefusal(from: Cluster.configuration(voters: [1, 2]), to: learning) == nil)
        // As earlier builds wrote it, in one step.
        let back = Configuration(members: swapped.members, voters: [1, 2], outgoing: [1, 2, 3], learners: [3])
        #expect(RaftNode.stepRefusal(from: three, to: back) != nil)
        #expect(back.allVoters == [1, 2])
        #expect(back.quorumIndex { $0 == 3 ? 9 : $0 == 1 ? 7 : 5 } == 5, "what the new disk holds is not counted")
        #expect(RaftNode.stepRefusal(from: back, to: back.settled) == nil)
        let counting = Configuration(members: swapped.members, voters: [1, 2], outgoing: [1, 2, 3])
        #expect(RaftNode.stepRefusal(from: back, to: counting) != nil)
        let two = Cluster.configuration(voters: [1, 2])
        let stuck = Configuration(members: two.members, voters: [1], outgoing: [1, 2], learners: [2])
        #expect(RaftNode.stepRefusal(from: two, to: stuck) != nil, "it could never be committed")
    }

    @Test("a removed member is sent the configuration without it, and then nothing more")
    func farewell() {
        var node = makeNode()
        node.lead()
        let joint = Cluster.configuration(voters: [1, 2], outgoing: [1, 2, 3])
        _ = propose(joint, to: &node)
        _ = node.drain()
        node.acknowledge()
        let final = Cluster.configuration(voters: [1, 2])
        _ = propose(final, to: &node)
        let entries = node.drain().kinds(to: 3).flatMap { kind in
            if case .append(_, let entries, _) = kind { entries } else { [Entry]() }
        }
        #expect(entries.map(\.payload) == [final.encoded()])
        node.acknowledge()
        _ = node.propose([[7]])
        #expect(node.drain().kinds(to: 3).isEmpty)
    }

    @Test("what is written is read back")
    func roundTrip() throws {
        for configuration in [joint, .empty, Cluster.configuration(voters: Array(1...64))] {
            #expect(try Configuration(decoding: configuration.encoded()) == configuration)
        }
    }

    @Test("bytes that are cut anywhere are refused")
    func cut() {
        let bytes = joint.encoded()
        for count in 0..<bytes.count {
            #expect(throws: ConfigurationDecodingError.truncated) {
                try Configuration(decoding: Array(bytes[..<count]))
            }
        }
        #expect(throws: ConfigurationDecodingError.trailingBytes(1)) { try Configuration(decoding: bytes + [0]) }
    }

    @Test("a flipped bit anywhere is refused or gives another sound configuration, never a crash")
    func flippedBits() {
        let bytes = joint.encoded()
        for offset in bytes.indices {
            for bit in 0..<8 {
                var flipped = bytes
                flipped[offset] ^= 1 << bit
                guard let configuration = try? Configuration(decoding: flipped) else { continue }
                #expect(configuration.problem() == nil)
                #expect(configuration.encoded() == flipped)
            }
        }
    }

    @Test("random bytes are refused or decode to what gives the same bytes")
    func fuzz() {
        var random = SeededGenerator(seed: 42)
        for _ in 0..<3_000 {
            let header: [UInt8] = [1, 0, UInt8(random.below(3))]
            let bytes = header + (0..<random.below(70)).map { _ in UInt8(random.below(5)) }
            guard let configuration = try? Configuration(decoding: bytes) else { continue }
            #expect(configuration.encoded() == bytes)
        }
    }

    @Test("each limit of the format is enforced")
    func limits() {
        #expect(throws: ConfigurationDecodingError.tooManyMembers(65)) { try Configuration(decoding: [1, 0, 65]) }
        #expect(throws: ConfigurationDecodingError.unsupportedVersion(3)) { try Configuration(decoding: [3, 0, 0]) }
        #expect(throws: ConfigurationDecodingError.needlessVersion(2)) { try Configuration(decoding: [2, 0, 0]) }
        let member: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1] + Array(repeating: 0, count: 16)
        #expect(throws: ConfigurationDecodingError.invalidRoles(0)) {
            try Configuration(decoding: [1, 0, 1] + member + [0])
        }
        #expect(throws: ConfigurationDecodingError.invalidRoles(5)) {
            try Configuration(decoding: [1, 0, 1] + member + [5])
        }
        #expect(throws: ConfigurationDecodingError.invalidRoles(8)) {
            try Configuration(decoding: [1, 0, 1] + member + [8])
        }
        #expect(throws: ConfigurationDecodingError.addressTooLong(513)) {
            try Configuration(decoding: [1, 0, 1] + member + [1, 2, 1])
        }
        #expect(throws: ConfigurationDecodingError.invalidAddress) {
            try Configuration(decoding: [1, 0, 1] + member + [1, 0, 1, 0xFF, 0, 0])
        }
        #expect(throws: ConfigurationDecodingError.membersOutOfOrder) {
            try Configuration(decoding: [1, 0, 2] + member + [1, 0, 0, 0, 0] + member + [1, 0, 0, 0, 0])
        }
        #expect(Cluster.configuration(voters: Array(1...65)).problem() == "65 members are more than 64")
    }
}
