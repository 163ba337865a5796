import RaftCore
import Replica
import Testing

@Suite("Membership")
struct MembershipTests {
    private typealias Harness = MembershipHarness

    @Test("one grows to three to five and back to one, the leader among those that leave")
    func growAndShrink() throws {
        let cluster = Harness(voters: [1])
        for pair in [[2, 3], [4, 5]] as [[UInt64]] {
            for id in pair {
                cluster.join(id)
                let leader = try #require(cluster.elect())
                let request = cluster.change(.add(Harness.member(id), isPromoted: true), at: leader)
                #expect(cluster.run { $0.replies[request] == .done })
            }
            let voters = (1...pair[1]).map { NodeID($0) }
            #expect(cluster.run { $0.configuration(1).voters == voters && !$0.configuration(1).isJoint })
        }
        for _ in 0..<4 {
            let leader = try #require(cluster.elect())
            let before = cluster.places[leader]?.replica.core.configuration.voters ?? []
            let request = cluster.change(.remove(leader), at: leader)
            #expect(cluster.run { $0.replies[request] == .done }, "the leader answers before it steps down")
            cluster.stop(leader.rawValue)
            let next = try #require(cluster.elect())
            #expect(next != leader)
            #expect(cluster.places[next]?.replica.core.configuration.voters == before.filter { $0 != leader })
        }
    }

    @Test("no change before an entry of the own term is committed (erratum of Diss. §4.1)")
    func beforeOwnTerm() throws {
        let cluster = Harness(voters: [1, 2, 3])
        cluster.loses = { if case .append = $0.kind { true } else { false } }
        cluster.run(milliseconds: 2_000) { $0.leader != nil }
        let leader = try #require(cluster.leader)
        let request = cluster.change(.remove(leader == 3 ? 2 : 3), at: leader)
        #expect(cluster.refusal(request) == .leaderNotReady)
    }

    @Test("one change at a time; the same one asked for again is waited for, not refused")
    func oneAtATime() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let leader = try #require(cluster.elect())
        cluster.loses = { _ in true }
        let removal = cluster.change(.remove(leader), at: leader)
        let again = cluster.change(.remove(leader), at: leader)
        let other = cluster.change(.add(Harness.member(4), isPromoted: true), at: leader)
        #expect(cluster.refusal(other) == .changeUnderWay)
        #expect(cluster.replies[removal] == nil && cluster.replies[again] == nil)
        cluster.loses = { _ in false }
        #expect(cluster.run { $0.replies[removal] == .done && $0.replies[again] == .done })
    }

    @Test("who is no member cannot be removed, whether it ever was one or not")
    func unknownMember() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let leader = try #require(cluster.elect())
        #expect(cluster.refusal(cluster.change(.remove(9), at: leader)) == .unknownMember)
        let gone = leader == 3 ? 2 : 3 as NodeID
        let removal = cluster.change(.remove(gone), at: leader)
        #expect(cluster.run { $0.replies[removal] == .done })
        #expect(cluster.refusal(cluster.change(.remove(gone), at: leader)) == .unknownMember)
        let follower = try #require([1, 2, 3].map { NodeID($0) }.first { $0 != leader && $0 != gone })
        let elsewhere = cluster.change(.remove(gone), at: follower)
        #expect(cluster.replies[elsewhere] == .notLeader(leader))
    }

    @Test("an uncommitted change is out of effect when its entry is truncated, and nobody is told that it was made")
    func truncated() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let old = try #require(cluster.elect())
        cluster.loses = { $0.from == old || $0.to == old }
        let request = cluster.change(.add(Harness.member(4), isPromoted: true), at: old)
        #expect(cluster.configuration(old.rawValue).learners == [4])
        #expect(cluster.run { $0.places.contains { $0.key != old && $0.value.replica.isLeader } })
        cluster.loses = { _ in false }
        #expect(cluster.run { $0.configuration(old.rawValue).learners.isEmpty })
        guard case .leadershipLost = cluster.replies[request] else {
            return #expect(Bool(false), "answered \(String(describing: cluster.replies[request]))")
        }
        #expect(cluster.reported[old]?.map(\.learners) == [[4], []], "links follow the change and its end")
    }

    @Test("whoever leads next finishes the change that stands in the log (Raft §6)", arguments: [1, 2, 3] as [UInt64])
    func leaderDiesInTheMiddle(victim: UInt64) throws {
        let cluster = Harness(voters: [1, 2, 3, 4, 5])
        let old = try #require(cluster.elect())
        let victim = victim == old.rawValue ? 4 : victim
        var joint: Set<NodeID> = []
        // The joint configuration gets to everybody; no answer comes back.
        cluster.loses = { message in
            if case .append(_, let entries, _) = message.kind, entries.contains(where: { $0.kind == .configuration }) {
                joint.insert(message.to)
                return false
            }
            return message.to == old
        }
        _ = cluster.change(.remove(NodeID(victim)), at: old)
        cluster.deliver()
        #expect(joint.count == 4)
        #expect(cluster.configuration(old.rawValue).isJoint)
        cluster.stop(old.rawValue)
        cluster.loses = { _ in false }
        #expect(
            cluster.run { state in
                state.leader.map { !state.configuration($0.rawValue).isJoint } ?? false
            }, "the joint configuration was not left")
        let next = try #require(cluster.leader)
        #expect(cluster.configuration(next.rawValue).member(NodeID(victim)) == nil)
    }

    @Test("a removed member is not let in, campaigns no more and disturbs nobody (pitfall: a removed node votes)")
    func removedMember() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let leader = try #require(cluster.elect())
        let gone = leader == 3 ? 2 : 3 as UInt64
        // It is down while it is removed, and learns nothing.
        cluster.stop(gone)
        let request = cluster.change(.remove(NodeID(gone)), at: leader)
        #expect(cluster.run { $0.replies[request] == .done })
        cluster.wake(gone)
        let term = cluster.places[leader]?.replica.status.term
        cluster.run(milliseconds: 5_000) { _ in false }
        #expect(cluster.places[leader]?.replica.status.term == term)
        #expect(cluster.places[leader]?.replica.isLeader == true)
        let places = (try #require(cluster.places[NodeID(gone)]), try #require(cluster.places[leader]))
        #expect(cluster.admission(of: places.0, at: places.1) == .notAMember)
        #expect(
            cluster.admission(of: places.1, at: places.0) == .newcomer
                || cluster.configuration(gone).member(leader) != nil)
    }

    @Test(
        "a member calls members and strangers that know more; who is none calls those that called it"
    )
    func whomToCall() throws {
        let cluster = Harness(voters: [1, 2, 3])
        func caller(_ id: UInt64, disk: UInt64? = nil, at index: UInt64, from address: String = "elsewhere:1")
            -> PeerCaller
        {
            PeerCaller(
                id: NodeID(id), disk: Harness.disk(disk ?? id), configurationIndex: LogIndex(index),
                peerAddress: address)
        }
        func called(by id: NodeID, _ callers: PeerCaller...) throws -> [NodeID] {
            try #require(cluster.places[id]).replica.peersToCall(callers).map(\.id)
        }
        #expect(try called(by: 1) == [2, 3])
        #expect(try called(by: 1, caller(9, at: 1)) == [2, 3], "a stranger that knows no more than this one")
        #expect(try called(by: 1, caller(9, at: 2)) == [9, 2, 3])
        #expect(try called(by: 1, caller(9, at: 2, from: "")) == [2, 3], "nobody knows where it is")
        // A member is called where the configuration has it.
        let member = try #require(cluster.places[1]).replica.peersToCall([caller(2, at: 1)])
        #expect(member == [Harness.member(2), Harness.member(3)])
        cluster.join(4)
        #expect(try called(by: 4) == [])
        #expect(try called(by: 4, caller(1, at: 1)) == [1])
    }

    @Test("a member that was away while all others changed lets in those who know more")
    func longAway() throws {
        let cluster = Harness(voters: [1, 2, 3])
        _ = try #require(cluster.elect())
        cluster.stop(3)
        _ = try #require(cluster.elect())
        for id in [4, 5] as [UInt64] {
            cluster.join(id)
            let leader = try #require(cluster.elect())
            let request = cluster.change(.add(Harness.member(id), isPromoted: true), at: leader)
            #expect(cluster.run { $0.replies[request] == .done })
        }
        #expect(cluster.run { $0.configuration(4).voters.count == 5 && !$0.configuration(4).isJoint })
        for id in [1, 2] as [UInt64] {
            let leader = try #require(cluster.elect())
            cluster.wake(3)
            let request = cluster.change(.remove(NodeID(id)), at: leader)
            #expect(cluster.run { $0.replies[request] == .done })
            cluster.stop(id)
            cluster.stop(3)
            _ = cluster.elect()
        }
        cluster.wake(3)
        #expect(cluster.run { $0.configuration(3).voters == [3, 4, 5] })
    }

    @Test("a leader that was cut off lets in who joined meanwhile, however far its own log goes")
    func uncommittedChange() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let old = try #require(cluster.elect())
        cluster.loses = { $0.from == old || $0.to == old }
        for _ in 0..<100 { cluster.write(at: old) }
        _ = cluster.change(.add(Harness.member(9), isPromoted: true), at: old)
        #expect(cluster.configuration(old.rawValue).learners == [9])
        cluster.stop(old.rawValue)
        cluster.loses = { _ in false }

        let next = try #require(cluster.elect())
        let other = try #require([1, 2, 3].first { $0 != old && $0 != next })
        cluster.join(4)
        let request = cluster.change(.replace(other, with: Harness.member(4)), at: next)
        #expect(cluster.run { $0.replies[request] == .done })
        let members = [old, next, 4].sorted()
        let real = Configuration(voters: members.map { Harness.member($0.rawValue) })
        #expect(cluster.run { $0.configuration(4) == real })
        let place = (try #require(cluster.places[4]), try #require(cluster.places[old]))
        #expect(place.0.replica.core.configurationIndex < place.1.replica.core.configurationIndex)

        // Two of the three, and the one that comes back does not know the other.
        cluster.stop(next.rawValue, other.rawValue)
        cluster.wake(old.rawValue)
        #expect(cluster.run { $0.leader == 4 && $0.configuration(old.rawValue).member(4) != nil })
    }

    @Test("a wiped disk under its old id is another voter (KIP-853): not let in, then joins once the old one has left")
    func wipedDisk() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let leader = try #require(cluster.elect())
        let wiped = leader == 3 ? 2 : 3 as UInt64
        cluster.join(wiped, disk: 33)
        cluster.run(milliseconds: 2_000) { _ in false }
        #expect(cluster.places[NodeID(wiped)]?.replica.core.lastIndex == .zero, "a stranger was sent the log")
        let addition = cluster.change(.add(Harness.member(wiped, disk: 33), isPromoted: true), at: leader)
        #expect(cluster.refusal(addition) == .anotherDisk)
        let request = cluster.change(.replace(NodeID(wiped), with: Harness.member(wiped, disk: 33)), at: leader)
        let same = cluster.change(.replace(NodeID(wiped), with: Harness.member(wiped, disk: 33)), at: leader)
        let another = cluster.change(.remove(NodeID(wiped)), at: leader)
        #expect(cluster.refusal(another) == .changeUnderWay)
        #expect(cluster.run { $0.replies[request] == .done && $0.replies[same] == .done })
        #expect(cluster.configuration(leader.rawValue).learners == [NodeID(wiped)], "it has nothing yet to vote with")
        #expect(cluster.run { $0.configuration(wiped).voters == [1, 2, 3] && !$0.configuration(wiped).isJoint })
        let again = cluster.change(.replace(NodeID(wiped), with: Harness.member(wiped, disk: 33)), at: leader)
        #expect(cluster.run(milliseconds: 100) { $0.replies[again] == .done }, "done already")
    }

    @Test(
        "a replacement whose leader goes between its halves is made when it is asked for again",
        arguments: [true, false])
    func replacedInHalves(isAskedAtOnce: Bool) throws {
        let cluster = Harness(voters: [1, 2, 3, 4, 5])
        let leader = try #require(cluster.elect())
        let wiped = leader == 5 ? 4 : 5 as UInt64
        cluster.join(wiped, disk: 33)
        cluster.run(milliseconds: 2_000) { _ in false }
        // The joint configuration gets through, the end of it does not.
        cluster.loses = { message in
            guard case .append(_, let entries, _) = message.kind else { return false }
            return entries.contains { entry in
                entry.kind == .configuration
                    && (try? Configuration(decoding: entry.payload).member(NodeID(wiped)) == nil) == true
            }
        }
        let replacement = MembershipChange.replace(NodeID(wiped), with: Harness.member(wiped, disk: 33))
        let request = cluster.change(replacement, at: leader)
        cluster.deliver()
        #expect(cluster.replies[request] == nil)
        #expect(cluster.configuration(leader.rawValue).member(NodeID(wiped)) == nil)
        cluster.stop(leader.rawValue)

        if !isAskedAtOnce { cluster.loses = { _ in false } }
        var next = try #require(cluster.elect())
        if !isAskedAtOnce {
            #expect(cluster.run { $0.configuration(next.rawValue).member(NodeID(wiped)) == nil })
            cluster.wake(leader.rawValue)
            cluster.run(milliseconds: 2_000) { _ in false }
            #expect(cluster.replies[request] == .leadershipLost(next))
            // Nor does it remember what it was asked for when it leads again.
            let transfer = cluster.transfer(to: leader.rawValue, at: next)
            #expect(cluster.run { $0.replies[transfer] == .done })
            cluster.run(milliseconds: 2_000) { _ in false }
            next = leader
            #expect(cluster.configuration(next.rawValue).members.count == 4)
        }
        let again = cluster.change(replacement, at: next)
        let transfer = cluster.transfer(to: nil, at: next)
        #expect(cluster.refusal(transfer) == (isAskedAtOnce ? .changeUnderWay : nil))
        cluster.loses = { _ in false }
        #expect(cluster.run { $0.replies[again] == .done })
        cluster.wake(leader.rawValue)
        #expect(cluster.run { $0.configuration(wiped).voters == [1, 2, 3, 4, 5] && !$0.configuration(wiped).isJoint })
    }

    @Test("another node takes the place of a lost one, also when the leader changes meanwhile")
    func replacedByAnother() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let leader = try #require(cluster.elect())
        let lost = leader == 3 ? 2 : 3 as UInt64
        cluster.stop(lost)
        cluster.join(4)
        let request = cluster.change(.replace(NodeID(lost), with: Harness.member(4)), at: leader)
        #expect(cluster.run { $0.replies[request] == .done })
        let other = try #require([1, 2, 3].first { $0 != lost && $0 != leader.rawValue })
        let transfer = cluster.transfer(to: other, at: leader)
        #expect(cluster.run { $0.replies[transfer] == .done })
        #expect(
            cluster.run {
                $0.configuration(4).voters.contains(4) && $0.configuration(4).member(NodeID(lost)) == nil
                    && !$0.configuration(4).isJoint
            })
    }

    @Test("membership is read from the log alone: a restart knows who is to be promoted (pitfall: two places)")
    func onlyInTheLog() throws {
        let cluster = Harness(voters: [1])
        cluster.join(2)
        cluster.stop(2)
        let request = cluster.change(.add(Harness.member(2), isPromoted: true), at: try #require(cluster.elect()))
        #expect(cluster.run { $0.replies[request] == .done })
        let before = cluster.configuration(1)
        cluster.restart(1)
        #expect(cluster.configuration(1) == before)
        cluster.wake(2)
        #expect(cluster.run { $0.configuration(2).voters == [1, 2] && !$0.configuration(2).isJoint })
    }

    @Test("a learner that is not to be promoted stays one until somebody promotes it")
    func permanentLearner() throws {
        let cluster = Harness(voters: [1])
        cluster.join(2)
        let request = cluster.change(.add(Harness.member(2), isPromoted: false), at: try #require(cluster.elect()))
        #expect(cluster.run { $0.replies[request] == .done })
        cluster.run(milliseconds: 5_000) { _ in false }
        #expect(cluster.configuration(1).learners == [2])
        let promotion = cluster.change(.promote(2), at: NodeID(1))
        #expect(cluster.run { $0.replies[promotion] == .done })
        #expect(cluster.configuration(1).voters == [1, 2])
    }

    @Test("a moved member keeps id and vote; the others are told where it is (rqlite 409, ZOOKEEPER-4728)")
    func moved() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let leader = try #require(cluster.elect())
        let member = Harness.member(leader == 3 ? 2 : 3, at: "elsewhere")
        let request = cluster.change(.add(member, isPromoted: true), at: leader)
        #expect(cluster.run { $0.replies[request] == .done })
        for id in 1...3 as ClosedRange<UInt64> {
            #expect(cluster.run { $0.reported[NodeID(id)]?.last?.member(member.id) == member })
        }
        #expect(cluster.configuration(1).voters == [1, 2, 3])
    }

    @Test("a removal that would leave no quorum alive is refused; forced it waits for the one that is away")
    func quorumAtRisk() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let leader = try #require(cluster.elect())
        let others = [1, 2, 3].filter { $0 != leader.rawValue } as [UInt64]
        cluster.stop(others[0])
        cluster.run(milliseconds: 1_000) { _ in false }
        let refused = cluster.change(.remove(NodeID(others[1])), at: leader)
        #expect(cluster.refusal(refused) == .quorumAtRisk)
        let forced = cluster.change(.remove(NodeID(others[1])), at: leader, isForced: true)
        cluster.run(milliseconds: 1_000) { _ in false }
        #expect(cluster.replies[forced] != .done)
        cluster.wake(others[0])
        #expect(
            cluster.run { state in
                state.leader.map { !state.configuration($0.rawValue).isJoint } ?? false
            })
        #expect(cluster.configuration(leader.rawValue).voters.count == 2)
    }

    // Transfer

    @Test("leadership goes to whom it is asked for, and the answer comes when that one leads")
    func transfer() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let leader = try #require(cluster.elect())
        let target = leader == 3 ? 2 : 3 as UInt64
        let request = cluster.transfer(to: target, at: leader)
        #expect(cluster.replies[request] == nil)
        #expect(cluster.run(milliseconds: 200) { $0.replies[request] == .done })
        #expect(cluster.leader == NodeID(target))
        let already = cluster.transfer(to: target, at: NodeID(target))
        #expect(cluster.replies[already] == .done)
        let elsewhere = cluster.transfer(to: nil, at: leader)
        #expect(cluster.replies[elsewhere] == .notLeader(NodeID(target)))
    }

    @Test("a transfer to a learner, a stranger or a silent member is refused; one that fails is given up")
    func transferRefused() throws {
        let cluster = Harness(voters: [1, 2, 3])
        let leader = try #require(cluster.elect())
        cluster.join(4)
        let addition = cluster.change(.add(Harness.member(4), isPromoted: false), at: leader)
        #expect(cluster.run { $0.replies[addition] == .done })
        #expect(cluster.refusal(cluster.transfer(to: 4, at: leader)) == .notAVoter)
        #expect(cluster.refusal(cluster.transfer(to: 9, at: leader)) == .unknownMember)
        let target = leader == 3 ? 2 : 3 as UInt64
        // It is heard, but lags: the last entry does not get there.
        cluster.loses = { if case .append = $0.kind { $0.to == NodeID(target) } else { false } }
        cluster.write(at: leader)
        let failed = cluster.transfer(to: target, at: leader)
        #expect(cluster.run(milliseconds: 2_000) { $0.refusal(failed) == .transferFailed })
        #expect(cluster.leader == leader)
        cluster.loses = { _ in false }
        cluster.stop(target)
        cluster.run(milliseconds: 1_000) { _ in false }
        #expect(cluster.refusal(cluster.transfer(to: target, at: leader)) == .memberSilent)
    }
}
