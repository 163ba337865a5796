import RaftCore
import Testing

@testable import Simulation

/// The rule by which faults are planned: every set of voters that may have to decide keeps a majority whose disks are sound.
@Suite("What faults leave")
struct PlanTests {
    private let members = (1...3).map { number in
        Member(
            id: NodeID(UInt64(number)), disk: DiskID(high: 1, low: UInt64(number)), peerAddress: "p\(number)",
            clientAddress: "c\(number)")
    }

    private func canDecide(
        _ configuration: Configuration, after change: MembershipChange? = nil, without damaged: NodeID...
    ) -> Bool {
        ConfigurationsInPlay(first: configuration).canDecide(after: [change].compactMap(\.self)) {
            !damaged.contains($0.id)
        }
    }

    @Test("promotions that may come, both halves of a joint configuration and what is asked for count")
    func sets() {
        let all = Configuration(voters: members)
        #expect(canDecide(all, without: three))
        #expect(!canDecide(all, without: two, three))
        // Node 3 may be promoted at any moment; until then the two others are needed, and from then on two of three.
        let joining = Configuration(
            members: members, voters: [one, two], learners: [three], promotions: [Promotion(learner: three)])
        #expect(canDecide(joining, without: three))
        #expect(!canDecide(joining, without: two))
        let replacing = Configuration(
            members: members, voters: [one, two], learners: [three],
            promotions: [Promotion(learner: three, replaces: two)])
        #expect(!canDecide(replacing, without: three))
        let joint = Configuration(members: members, voters: [one], outgoing: [one, two, three])
        #expect(canDecide(joint, without: two))
        #expect(!canDecide(joint, without: one))
        #expect(!canDecide(all, after: .remove(two), without: three))
        // Another disk under the same name is another voter, and its vote is gone until that one has earned its own.
        var other = members[2]
        other.disk = DiskID(high: 2, low: 3)
        #expect(canDecide(all, after: .replace(three, with: other), without: three))
        #expect(!canDecide(all, after: .replace(three, with: other), without: two))
        let plan = ConfigurationsInPlay(first: all)
        #expect(plan.canDecide(after: []) { $0.disk != other.disk && $0.id != two })
        #expect(!plan.canDecide(after: [.add(other, isPromoted: true)]) { $0.disk == other.disk || $0.id == two })
    }

    @Test("what was ever written counts until what is committed shows that it cannot come into force any more")
    func superseded() {
        func entry(_ index: UInt64, _ term: UInt64, _ voters: Int...) -> Entry {
            Entry(
                term: Term(term), index: LogIndex(index), kind: .configuration,
                payload: Configuration(voters: voters.map { members[$0 - 1] }).encoded())
        }
        var plan = ConfigurationsInPlay(first: Configuration(voters: members))
        #expect(plan.writes(entry(5, 1, 1, 2)) == true)
        #expect(plan.writes(entry(5, 1, 1, 2)) == false, "on another member it is the same")
        #expect(plan.writes(entry(5, 2, 2, 3)) == true)
        #expect(plan.writes(entry(9, 1, 1)) == true)
        #expect(plan.all.count == 4)
        // Up to 4 anything is left open.
        #expect(!plan.commits(through: LogPosition(index: LogIndex(4), term: Term(1))) { _ in Term(1) })
        // With the entry of term 2 the one beside it is over, and the later one of term 1 behind it, too.
        #expect(plan.commits(through: LogPosition(index: LogIndex(5), term: Term(2))) { _ in Term(2) })
        #expect(plan.all.map(\.voters) == [[two, three]])
        #expect(plan.writes(entry(9, 1, 1)) == false, "nor does it come back")
    }

    /// Random clusters with the shipped planner of changes. Leaders come and go with any log that Raft lets lead, entries get lost
    /// and turn up again, disks break as far as the rule allows. However it goes on, whoever may have to decide can.
    @Test("whatever becomes of a cluster, a majority of each set of voters in force is sound", arguments: 0..<150)
    func property(_ seed: Int) {
        var world = PlannedWorld(seed: UInt64(seed))
        for step in 0..<1_000 {
            world.step()
            #expect(world.stuck == nil, "step \(step), seed \(seed)")
            guard world.stuck == nil else { return }
        }
        #expect(world.damages > 0 && world.changes > 3, "\(world.damages) damages, \(world.changes) changes")
    }
}

/// A cluster as far as its configurations and disks go.
private struct PlannedWorld {
    private struct Branch: Hashable {
        var entries: [Item]
    }

    private struct Item: Hashable {
        var term: UInt64
        var configuration: Configuration?
    }

    private var random: SeededGenerator
    private let first: Configuration
    /// All logs that anybody may still have.
    private var branches: [Branch] = [Branch(entries: [])]
    private var committed = 0
    private var leader = Branch(entries: [])
    private var term: UInt64 = 1
    private var plan: ConfigurationsInPlay
    private var order: MembershipChange?
    /// Whose first half the leader has written.
    private var replacement: (change: MembershipChange, joining: MembershipPlan.Joining)?
    /// The disk of each machine, and the damaged ones.
    private var disks: [UInt64] = Array(repeating: 1, count: 6)
    private var damaged: [ConfigurationsInPlay.Voter] = []
    private(set) var damages = 0
    private(set) var changes = 0

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed, stream: 0x91A4)
        first = Configuration(voters: (1...(1 + random.below(4))).map { PlannedWorld.member($0, disk: 1) })
        plan = ConfigurationsInPlay(first: first)
    }

    private static func member(_ number: Int, disk: UInt64) -> Member {
        Member(
            id: NodeID(UInt64(number)), disk: DiskID(high: disk, low: UInt64(number)), peerAddress: "p\(number)",
            clientAddress: "c\(number)")
    }

    private func isSound(_ voter: ConfigurationsInPlay.Voter) -> Bool {
        voter.disk.high == disks[Int(voter.id.rawValue) - 1] && !damaged.contains(voter)
    }

    private func configuration(of branch: Branch) -> Configuration {
        branch.entries.last { $0.configuration != nil }?.configuration ?? first
    }

    /// Voters without a majority of sound disks, who may have to decide as Raft has it.
    var stuck: [NodeID]? {
        for branch in branches {
            for end in committed...max(committed, branch.entries.count) where end <= branch.entries.count {
                let configuration = configuration(of: Branch(entries: Array(branch.entries.prefix(end))))
                for voters in [configuration.voters, configuration.outgoing] where !voters.isEmpty {
                    let sound = voters.count { id in
                        isSound(.init(id: id, disk: configuration.member(id)?.disk ?? .unknown))
                    }
                    if sound <= voters.count / 2 { return voters }
                }
            }
        }
        return nil
    }

    mutating func step() {
        switch random.below(12) {
        case 0, 1: ask()
        case 2, 3: carryOut()
        case 4, 5: commit()
        case 6: promote()
        case 7: leaveJoint()
        case 8: elect()
        case 9, 10: damage()
        default: heal()
        }
    }

    // MARK: Changes

    private mutating func ask() {
        if order != nil {
            if random.below(3) == 0 { order = nil }
            return
        }
        let number = 1 + random.below(disks.count)
        let member = PlannedWorld.member(number, disk: disks[number - 1])
        let other = NodeID(UInt64(1 + random.below(disks.count)))
        let wanted: MembershipChange =
            switch random.below(6) {
            case 0, 1: .add(member, isPromoted: random.below(4) > 0)
            case 2: .promote(other)
            case 3: .remove(other)
            case 4: .replace(other, with: member)
            default: .replace(member.id, with: member)
            }
        if plan.canDecide(after: pending + [wanted], isSound) { order = wanted }
    }

    private func planner(_ configuration: Configuration) -> MembershipPlanner {
        let all = Set((1...disks.count).map { NodeID(UInt64($0)) })
        // Neither the leader nor who was heard stands in the way of anything.
        return MembershipPlanner(
            configuration: configuration, leader: NodeID(99), heard: all, caughtUp: all, isForced: true)
    }

    /// Only behind one that is committed, and nothing else, is a change begun (erratum of Diss. §4.1).
    private var settled: Configuration? {
        let pending = leader.entries.dropFirst(committed).contains { $0.configuration != nil }
        let configuration = configuration(of: leader)
        return pending || configuration.isJoint || leader.entries.last?.term != term ? nil : configuration
    }

    private mutating func carryOut() {
        guard let configuration = settled else { return }
        if let replacement {
            self.replacement = nil
            write(try? planner(configuration).join(replacement.joining))
            return
        }
        // What is so already is answered without a plan, as a leader does.
        guard let order, !configuration.fulfils(order), let plan = try? planner(configuration).plan(order)
        else { return }
        write(plan.next)
        replacement = plan.joining.map { (order, $0) }
        if random.below(2) == 0 { self.order = nil }
    }

    /// What is not in any log yet and may get there.
    private var pending: [MembershipChange] { [order, replacement?.change].compactMap(\.self) }

    private mutating func promote() {
        guard let configuration = settled, let learner = configuration.promotions.first?.learner,
            let next = planner(configuration).promoting([learner])
        else { return }
        write(next)
    }

    private mutating func leaveJoint() {
        guard committed == leader.entries.count, leader.entries.last?.term == term, configuration(of: leader).isJoint
        else { return }
        write(configuration(of: leader).settled)
    }

    private mutating func write(_ configuration: Configuration?) {
        leader.entries.append(Item(term: term, configuration: configuration))
        branches.append(leader)
        guard let configuration else { return }
        changes += 1
        _ = plan.writes(
            Entry(
                term: Term(term), index: LogIndex(UInt64(leader.entries.count)), kind: .configuration,
                payload: configuration.encoded()))
    }

    // MARK: Leaders

    private mutating func commit() {
        guard leader.entries.count > committed, leader.entries.last?.term == term else { return }
        committed = leader.entries.count
        let log = leader.entries
        // Leader Completeness: whoever leads from now on has these.
        branches.removeAll { Array($0.entries.prefix(log.count)) != log }
        _ = plan.commits(through: LogPosition(index: LogIndex(UInt64(log.count)), term: Term(term))) { index in
            index.rawValue == 0 ? .zero : Term(log[Int(index.rawValue) - 1].term)
        }
    }

    /// Any log that has what is committed may lead, also one that has not been heard of for long.
    private mutating func elect() {
        term += 1
        leader = branches[random.below(branches.count)]
        replacement = nil
        write(nil)
    }

    // MARK: Disks

    private mutating func damage() {
        let number = 1 + random.below(disks.count)
        let victim = PlannedWorld.member(number, disk: disks[number - 1])
        let voter = ConfigurationsInPlay.Voter(id: victim.id, disk: victim.disk)
        guard isSound(voter), plan.canDecide(after: pending, { isSound($0) && $0 != voter }) else { return }
        damages += 1
        if random.below(2) == 0 { damaged.append(voter) } else { disks[number - 1] += 1 }
    }

    private mutating func heal() {
        damaged.removeAll { _ in random.below(2) == 0 }
    }
}
