import Testing

@testable import RaftCore

/// What a change of members leads to, and what it is refused for.
@Suite struct MembershipPlannerTests {
    private func member(_ id: UInt64, disk: UInt64? = nil, at host: String? = nil) -> Member {
        let host = host ?? "node\(id)"
        return Member(
            id: NodeID(id), disk: DiskID(high: 0, low: disk ?? id), peerAddress: "\(host):1", clientAddress: "\(host):2"
        )
    }

    /// The first step of a change; those that follow are checked here.
    private func plan(
        _ change: MembershipChange, in configuration: Configuration, heard: Set<NodeID> = [1, 2, 3, 4, 5],
        unfit: Set<NodeID> = [], caughtUp: Set<NodeID> = [], isForced: Bool = false
    ) -> Result<Configuration, MembershipRefusal> {
        func planner(_ configuration: Configuration) -> MembershipPlanner {
            MembershipPlanner(
                configuration: configuration, leader: 1, heard: heard, unfit: unfit, caughtUp: caughtUp,
                isForced: isForced)
        }
        do throws(MembershipRefusal) {
            let plan = try planner(configuration).plan(change)
            let next = plan.next
            #expect(next.problem() == nil)
            #expect(RaftNode.stepRefusal(from: configuration, to: next) == nil, "planned what the core refuses")
            #expect(RaftNode.stepRefusal(from: next, to: next.settled) == nil)
            if let joining = plan.joining {
                let last = try planner(next.settled).join(joining)
                #expect(last.problem() == nil)
                #expect(RaftNode.stepRefusal(from: next.settled, to: last) == nil, "planned what the core refuses")
                #expect(last.fulfils(change))
                #expect(last.promotion(of: joining.member.id) == joining.promotion)
            } else {
                #expect(next.settled.fulfils(change))
            }
            return .success(next)
        } catch {
            return .failure(error)
        }
    }

    private func reason(_ result: Result<Configuration, MembershipRefusal>) -> MembershipRefusal.Reason? {
        if case .failure(let refusal) = result { return refusal.reason }
        return nil
    }

    private let three = Cluster.configuration(voters: [1, 2, 3])

    @Test("a new member begins as a learner; whether it will be promoted is in the configuration")
    func add() throws {
        let promoted = try plan(.add(member(4), isPromoted: true), in: three).get()
        #expect(promoted.voters == three.voters)
        #expect(promoted.learners == [4])
        #expect(promoted.promotions == [Promotion(learner: 4)])
        let permanent = try plan(.add(member(4), isPromoted: false), in: three).get()
        #expect(permanent.promotions.isEmpty)
        #expect(try plan(.add(member(4), isPromoted: false), in: promoted).get() == permanent)
    }

    @Test("a member that moved keeps its id, its disk and its vote (rqlite 409, ZOOKEEPER-4728)")
    func moved() throws {
        let next = try plan(.add(member(2, at: "elsewhere"), isPromoted: true), in: three).get()
        #expect(next.voters == three.voters)
        #expect(next.outgoing.isEmpty && next.learners.isEmpty)
        #expect(next.member(2)?.peerAddress == "elsewhere:1")
    }

    @Test("the same id on another disk is refused as an addition (KIP-853)")
    func anotherDisk() {
        #expect(reason(plan(.add(member(2, disk: 9), isPromoted: true), in: three)) == .anotherDisk)
        #expect(
            reason(plan(.add(member(2, disk: 9), isPromoted: true), in: three, isForced: true)) == .anotherDisk,
            "no force makes one disk another")
    }

    @Test("descriptions that make no sense, or collide, are refused")
    func invalid() {
        for odd in [
            member(0), member(4, disk: 2), member(4, at: "node2"),
            Member(id: 4, disk: DiskID(high: 0, low: 4), peerAddress: "", clientAddress: "a:2"),
            Member(id: 4, disk: .unknown, peerAddress: "a:1", clientAddress: "a:2"),
            Member(id: 4, disk: DiskID(high: 0, low: 4), peerAddress: "a:1", clientAddress: "a:1"),
            member(4, at: String(repeating: "x", count: 600)),
        ] {
            #expect(reason(plan(.add(odd, isPromoted: true), in: three)) == .invalidMember, "\(odd)")
        }
        let full = Cluster.configuration(voters: Array(1...64))
        #expect(reason(plan(.add(member(65), isPromoted: true), in: full)) == .tooManyMembers)
    }

    @Test("a voter leaves through a joint configuration, the leader too; a learner in one step")
    func remove() throws {
        let joint = try plan(.remove(1), in: three).get()
        #expect(joint.voters == [2, 3] && joint.outgoing == [1, 2, 3])
        #expect(joint.settled == Cluster.configuration(voters: [2, 3]))
        let learner = Cluster.configuration(voters: [1, 2, 3], learners: [4])
        #expect(try plan(.remove(4), in: learner).get() == three)
        #expect(reason(plan(.remove(9), in: three)) == .unknownMember)
        #expect(reason(plan(.remove(1), in: Cluster.configuration(voters: [1]), isForced: true)) == .lastVoter)
    }

    @Test("a member that is being repaired is heard and does not vote: no quorum is counted on it")
    func unfit() {
        let result = plan(.remove(2), in: three, unfit: [3])
        guard case .failure(let refusal) = result else { return #expect(Bool(false), "\(result) was not refused") }
        #expect(refusal.reason == .quorumAtRisk)
        #expect(
            refusal.detail
                == "2 of the voters 1, 3 are needed, and only 1 was heard within an election timeout, "
                + "not counting 3, damaged or being repaired")
        #expect(reason(plan(.remove(3), in: three, unfit: [3])) == nil, "it may go itself")
        #expect(reason(plan(.replace(3, with: member(3, disk: 9)), in: three, unfit: [3])) == .memberAlive)
    }

    @Test("a change that leaves no quorum among those that are alive is refused with the numbers, unless forced")
    func quorumAtRisk() {
        let result = plan(.remove(2), in: three, heard: [1, 2])
        guard case .failure(let refusal) = result else { return #expect(Bool(false), "\(result) was not refused") }
        #expect(refusal.reason == .quorumAtRisk)
        #expect(
            refusal.detail == "2 of the voters 1, 3 are needed, and only 1 was heard within an election timeout")
        #expect(reason(plan(.remove(2), in: three, heard: [1, 2], isForced: true)) == nil)
        #expect(reason(plan(.remove(3), in: three, heard: [1, 2])) == nil, "the dead may go")
        let two = Cluster.configuration(voters: [1, 2], learners: [3])
        #expect(reason(plan(.promote(3), in: two, heard: [1], caughtUp: [3])) == .notCaughtUp)
        #expect(reason(plan(.promote(3), in: two, heard: [1, 3], caughtUp: [3])) == nil)
    }

    @Test("a learner that is behind or silent gets its vote only by force")
    func promote() throws {
        let learner = Cluster.configuration(voters: [1, 2, 3], learners: [4])
        #expect(reason(plan(.promote(4), in: learner)) == .notCaughtUp)
        let joint = try plan(.promote(4), in: learner, caughtUp: [4]).get()
        #expect(joint.voters == [1, 2, 3, 4] && joint.outgoing == [1, 2, 3] && joint.learners.isEmpty)
        #expect(try plan(.promote(4), in: learner, isForced: true).get() == joint)
        #expect(reason(plan(.promote(9), in: learner)) == .unknownMember)
    }

    @Test("a voter that is to be promoted is one already, and nothing changes", arguments: [false, true])
    func promoteVoter(isForced: Bool) throws {
        #expect(try plan(.promote(2), in: three, heard: [1, 3], isForced: isForced).get() == three)
    }

    @Test("a wiped disk under its old id leaves, and then begins as a learner (KIP-853)")
    func wiped() throws {
        let new = member(3, disk: 33)
        #expect(reason(plan(.replace(3, with: new), in: three)) == .memberAlive, "it was heard a moment ago")
        #expect(try plan(.replace(3, with: new), in: three, heard: [1, 2]).get() == plan(.remove(3), in: three).get())
        let gone = Cluster.configuration(voters: [1, 2])
        let joined = try plan(.replace(3, with: new), in: gone, heard: [1, 2]).get()
        #expect(joined.voters == [1, 2] && joined.promotions == [Promotion(learner: 3)])
        #expect(joined.member(3) == new, "the leader that removed the old disk is gone, and it is asked for again")
        var learning = Cluster.configuration(voters: [1, 2], learners: [3])
        for promotions in [[], [Promotion(learner: 3)], [Promotion(learner: 3, replaces: 2)]] {
            learning.promotions = promotions
            #expect(try plan(.replace(3, with: new), in: learning, heard: [1, 2]).get() == gone)
        }
        let two = Cluster.configuration(voters: [1, 2])
        #expect(
            reason(plan(.replace(2, with: member(2, disk: 22)), in: two, heard: [1], isForced: true)) == .quorumAtRisk,
            "without the lost vote nothing can be committed")
        #expect(reason(plan(.replace(1, with: member(1, disk: 11)), in: three, isForced: true)) == .memberAlive)
    }

    @Test("another node in the place of a lost one: the old vote ends when the new one begins")
    func replacedByAnother() throws {
        let waiting = try plan(.replace(3, with: member(4)), in: three, heard: [1, 2, 4]).get()
        #expect(waiting.voters == three.voters)
        #expect(waiting.promotions == [Promotion(learner: 4, replaces: 3)])
        let planner = MembershipPlanner(configuration: waiting, leader: 1, heard: [1, 2, 4])
        let joint = try #require(planner.promoting([4]))
        #expect(joint.voters == [1, 2, 4] && joint.outgoing == [1, 2, 3] && joint.promotions.isEmpty)
        #expect(joint.settled == Cluster.configuration(voters: [1, 2, 4]))
        #expect(planner.promoting([]) == nil)
        // Asked for again after it was done.
        #expect(joint.settled.fulfils(.replace(3, with: member(4))))
        let learners = Cluster.configuration(voters: [1, 2, 3], learners: [5])
        #expect(try plan(.replace(5, with: member(6)), in: learners).get().learners == [6])
    }

    @Test("whom a learner was to replace may leave on other ways: then it joins beside the others")
    func replacedLeft() throws {
        let waiting = try plan(.replace(3, with: member(4)), in: three, heard: [1, 2, 4]).get()
        let settled = try plan(.remove(3), in: waiting, heard: [1, 2, 4]).get().settled
        #expect(settled.promotions == [Promotion(learner: 4)])
        #expect(settled.voters == [1, 2])
    }

    @Test("promotions wait while the votes would put the quorum at risk")
    func promotionWaits() {
        var one = Cluster.configuration(voters: [1], learners: [2, 3])
        one.promotions = [Promotion(learner: 2), Promotion(learner: 3)]
        let planner = MembershipPlanner(configuration: one, leader: 1, heard: [1])
        #expect(planner.promoting([2, 3]) == nil)
        let both = MembershipPlanner(configuration: one, leader: 1, heard: [1, 2, 3]).promoting([2, 3])
        #expect(both?.voters == [1, 2, 3], "all that are due go in one step")
    }
}

@Suite struct CatchUpTests {
    private func peer(match: UInt64, isActive: Bool = true) -> [PeerProgress] {
        [
            PeerProgress(
                id: 4, match: LogIndex(match), next: LogIndex(match + 1), state: .replicate, isActive: isActive)
        ]
    }

    @Test("a learner is steady once its rounds were short for the whole window (Diss. §4.2.1)")
    func window() {
        var catchUp = CatchUp()
        for step in 0..<10 as Range<UInt64> {
            catchUp.observe(peer(match: 100 + step), lastIndex: LogIndex(100 + step), now: step * 100, roundMax: 300)
            #expect(catchUp.steady(now: step * 100, window: 1_000).isEmpty, "after \(step * 100) ms")
        }
        catchUp.observe(peer(match: 200), lastIndex: 200, now: 1_000, roundMax: 300)
        #expect(catchUp.steady(now: 1_000, window: 1_000) == [4])
        catchUp.observe([], lastIndex: 200, now: 1_020, roundMax: 300)
        #expect(catchUp.steady(now: 1_020, window: 0).isEmpty, "forgotten with its promotion")
    }

    @Test("a long round or a silence starts the window anew")
    func interrupted() {
        var catchUp = CatchUp()
        catchUp.observe(peer(match: 10), lastIndex: 10, now: 0, roundMax: 300)
        catchUp.observe(peer(match: 10), lastIndex: 500, now: 100, roundMax: 300)
        // 400 ms for what the log held 400 ms ago: too slow.
        catchUp.observe(peer(match: 490), lastIndex: 900, now: 500, roundMax: 300)
        #expect(catchUp.steady(now: 500, window: 0).isEmpty)
        catchUp.observe(peer(match: 900), lastIndex: 900, now: 600, roundMax: 300)
        catchUp.observe(peer(match: 900, isActive: false), lastIndex: 900, now: 700, roundMax: 300)
        #expect(catchUp.steady(now: 700, window: 0).isEmpty, "nobody hears it")
    }
}
