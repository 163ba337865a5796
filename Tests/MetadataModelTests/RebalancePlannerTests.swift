import Coordination
import MetadataModel
import Testing

@Suite("the rebalance planner")
struct RebalancePlannerTests {
    // MARK: Rules that every plan keeps

    @Test("a plan keeps the rules of racks, roles and replicas, and is the same each time", arguments: UInt64(1)...30)
    func rules(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<10 {
            let cluster = Cluster.random(&generator)
            for strategy in BalanceStrategy.allCases {
                let plan = RebalancePlanner.plan(cluster.layout, strategy: strategy)
                let after = cluster.applying(plan)
                let comment = "seed \(seed), \(strategy): \(cluster)"
                #expect(after.violations(of: cluster, plan, strategy) == [], "\(comment)")
                #expect(RebalancePlanner.plan(cluster.layout, strategy: strategy).changes == plan.changes)
                if strategy == .balanced || strategy == .sticky {
                    let again = RebalancePlanner.plan(after.layout, strategy: strategy)
                    #expect(again.replicaMoves == 0, "\(comment): what was just balanced moves again: \(after)")
                }
            }
        }
    }

    @Test(
        "no small cluster is spread more evenly, or with fewer moves, by trying everything", arguments: UInt64(1)...40)
    func bruteForce(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let cluster = Cluster.random(&generator, brokers: 2...4, partitions: 1...5, factors: 1...2, roles: false)
        let plan = RebalancePlanner.plan(cluster.layout)
        let best = cluster.bestByTrying()
        let mine = cluster.applying(plan).unevenness
        #expect(mine <= best.unevenness + 1e-9, "seed \(seed): \(cluster)")
        #expect(plan.replicaMoves <= best.moves + 1, "seed \(seed): \(plan.replicaMoves) and \(best.moves), \(cluster)")
    }

    // MARK: Quality

    @Test(
        "a broker that is added gets its share for hardly more moves than there must be",
        arguments: [(brokers: 10, racks: 0), (30, 3), (50, 5), (60, 2)])
    func addedBroker(shape: (brokers: Int, racks: Int)) {
        var cluster = Cluster.even(brokers: shape.brokers, racks: shape.racks, partitions: 6_000, factor: 3)
        #expect(RebalancePlanner.plan(cluster.layout).replicaMoves == 0, "it is even as it is")
        let rack = shape.racks == 0 ? "" : "r0"
        cluster.brokers.append(.init(id: BrokerID(Int32(shape.brokers)), rack: rack, role: .open))
        let plan = RebalancePlanner.plan(cluster.layout)
        let after = cluster.applying(plan)
        let shares = cluster.idealShares(racksHoldAll: shape.racks > 0 && shape.racks <= 3)
        var lowerBound = 0.0
        for (before, share) in zip(cluster.counts, shares) {
            lowerBound += max(0, (share - 1e-6).rounded(.down) - Double(before))
        }
        for (count, share) in zip(after.counts, shares) { #expect(abs(Double(count) - share) <= 1) }
        #expect(Double(plan.replicaMoves) <= 1.05 * lowerBound, "\(plan.replicaMoves) moves, \(lowerBound) are needed")
        let leaders = plan.after.loads.map(\.leaders)
        #expect((leaders.max() ?? 0) - (leaders.min() ?? 0) <= 1, "\(leaders)")
    }

    @Test("a broker that drains gives everything away, and nothing else moves more than it has to")
    func drain() {
        var cluster = Cluster.even(brokers: 12, racks: 4, partitions: 1_200, factor: 3)
        cluster.brokers[5].role = .draining
        let held = cluster.counts[5]
        for strategy in [BalanceStrategy.balanced, .sticky] {
            let plan = RebalancePlanner.plan(cluster.layout, strategy: strategy)
            #expect(plan.after.loads[5].replicas == 0 && plan.blocked.isEmpty)
            #expect(plan.replicaMoves <= held + held / 20, "\(strategy): \(plan.replicaMoves) moves for \(held)")
        }
    }

    @Test("replicas follow capacity")
    func capacity() {
        var cluster = Cluster.even(brokers: 4, racks: 0, partitions: 1_000, factor: 2)
        cluster.brokers[0].capacity = 200
        let plan = RebalancePlanner.plan(cluster.layout)
        #expect(plan.after.loads.map(\.replicas) == [800, 400, 400, 400])
        #expect(plan.after.loads.map(\.leaders) == [400, 200, 200, 200])
    }

    // MARK: Reasons and strategies

    @Test("a replica that cannot leave says why (pitfall: a decommission that hangs and says nothing)")
    func blocked() {
        let brokers = [("a", ClusterLayout.Role.draining), ("b", .open), ("b", .open)]
        var cluster = Cluster(brokers: brokers, partitions: [[0, 1]])
        var plan = RebalancePlanner.plan(cluster.layout)
        #expect(
            plan.blocked.isEmpty && plan.changes.map(\.replicas) == [.init(1, 2)]
                || plan.changes.map(\.replicas) == [.init(2, 1)],
            "with one rack left its brokers share partitions")
        cluster = Cluster(brokers: brokers, partitions: [[0, 1, 2]])
        plan = RebalancePlanner.plan(cluster.layout)
        #expect(plan.blocked.map(\.broker) == [BrokerID(0)])
        #expect(plan.blocked.map(\.reason) == ["every broker that may be given replicas holds one already"])
    }

    @Test("round-robin and range lay everything out anew, evenly")
    func anew() {
        let cluster = Cluster.even(brokers: 6, racks: 3, partitions: 60, factor: 3)
        let dealt = RebalancePlanner.plan(cluster.layout, strategy: .roundRobin)
        #expect(dealt.after.loads.allSatisfy { $0.leaders == 10 && $0.replicas == 30 })
        let ranged = cluster.applying(RebalancePlanner.plan(cluster.layout, strategy: .range))
        // Brokers take turns by rack: 0, 1, 2, then 3, 4, 5.
        #expect(ranged.partitions.map { $0[0] } == (0..<60).map { Int32($0 / 10) })
    }
}

/// Brokers and partitions in a form that tests can read.
private struct Cluster: CustomStringConvertible {
    var brokers: [ClusterLayout.Broker]
    var partitions: [[Int32]]

    init(brokers: [ClusterLayout.Broker], partitions: [[Int32]]) {
        self.brokers = brokers
        self.partitions = partitions
    }

    init(brokers: [(String, ClusterLayout.Role)], partitions: [[Int32]]) {
        self.init(
            brokers: brokers.enumerated().map { .init(id: BrokerID(Int32($0)), rack: $1.0, role: $1.1) },
            partitions: partitions)
    }

    /// As topics are placed: even, and with racks apart.
    static func even(brokers: Int, racks: Int, partitions: Int, factor: Int) -> Cluster {
        let members = (0..<brokers).map { number in
            ClusterLayout.Broker(
                id: BrokerID(Int32(number)), rack: racks == 0 ? "" : "r\(number % racks)", role: .open)
        }
        let placed = Placement.place(
            partitions: partitions, replicationFactor: racks == 0 ? factor : min(factor, racks),
            candidates: members.map { .init(id: $0.id, rack: $0.rack, replicas: 0, leaders: 0) }, seed: 7)
        return Cluster(brokers: members, partitions: placed.map { $0.map(\.rawValue) })
    }

    static func random(
        _ generator: inout SeededGenerator, brokers: ClosedRange<Int> = 1...12, partitions: ClosedRange<Int> = 0...60,
        factors: ClosedRange<Int> = 1...4, roles: Bool = true
    ) -> Cluster {
        let count = Int.random(in: brokers, using: &generator)
        let racks = Int.random(in: 0...4, using: &generator)
        let members = (0..<count).map { number -> ClusterLayout.Broker in
            let roll = Int.random(in: 0..<10, using: &generator)
            let rack = racks == 0 ? "" : "r\(Int.random(in: 0..<racks, using: &generator))"
            return ClusterLayout.Broker(
                id: BrokerID(Int32(number)), rack: rack,
                capacity: roles && roll == 9 ? 250 : 100,
                role: !roles || roll > 2 ? .open : roll == 0 ? .closed : .draining)
        }
        let partitions = (0..<Int.random(in: partitions, using: &generator)).map { _ -> [Int32] in
            let factor = min(Int.random(in: factors, using: &generator), count)
            return Array((0..<Int32(count)).shuffled(using: &generator).prefix(factor))
        }
        return Cluster(brokers: members, partitions: partitions)
    }

    var layout: ClusterLayout {
        var layout = ClusterLayout(brokers: brokers)
        for (number, replicas) in partitions.enumerated() {
            layout.append(replicas: replicas.map { BrokerID($0) }, beginsTopic: number == 0)
        }
        return layout
    }

    func applying(_ plan: RebalancePlan) -> Cluster {
        var copy = self
        for change in plan.changes { copy.partitions[change.partition] = change.replicas.map(\.rawValue) }
        return copy
    }

    var counts: [Int] {
        var counts = [Int](repeating: 0, count: brokers.count)
        for replica in partitions.joined() { counts[Int(replica)] += 1 }
        return counts
    }

    var description: String {
        let text = brokers.map { "\($0.id)/\($0.rack)/\($0.role)/\($0.capacity)" }.joined(separator: " ")
        return "\(text) \(partitions)"
    }

    /// What is wrong with a plan's outcome.
    func violations(of before: Cluster, _ plan: RebalancePlan, _ strategy: BalanceStrategy) -> [String] {
        var found: [String] = []
        func check(_ holds: Bool, _ violation: String) { if !holds { found.append(violation) } }
        let isOpen = brokers.map { $0.role == .open }
        func rack(_ replica: Int32) -> String {
            let rack = brokers[Int(replica)].rack
            return rack.isEmpty ? "broker \(replica)" : rack
        }
        let live = Set(brokers.indices.filter { isOpen[$0] }.map { rack(Int32($0)) })
        let blocked = Set(plan.blocked.map { [Int32($0.partition), $0.broker.rawValue] })
        var moves = 0
        for (number, replicas) in partitions.enumerated() {
            let old = before.partitions[number]
            check(replicas.count == old.count, "\(number): another replication factor")
            check(Set(replicas).count == replicas.count, "\(number): a broker twice")
            let new = replicas.filter { !old.contains($0) }
            moves += new.count
            check(new.allSatisfy { isOpen[Int($0)] }, "\(number): a replica comes to a broker that takes none")
            guard strategy == .balanced || strategy == .sticky else { continue }
            check(
                replicas.allSatisfy {
                    brokers[Int($0)].role != .draining || blocked.contains([Int32(number), $0])
                }, "\(number): a replica stays on a draining broker and does not say why")
            check(
                old.allSatisfy { brokers[Int($0)].role != .closed || replicas.contains($0) },
                "\(number): a replica leaves a broker that keeps what it has")
            for replica in replicas where isOpen[Int(replica)] {
                let others = replicas.filter { $0 != replica }.map(rack)
                guard others.contains(rack(replica)) else { continue }
                let isFree = live.contains { !others.contains($0) }
                check(!isFree, "\(number): two replicas in rack \(rack(replica)) and another has none")
            }
        }
        check(moves == plan.replicaMoves, "\(plan.replicaMoves) moves are told, there are \(moves)")
        check(plan.after.loads.map(\.replicas) == counts, "the spread after it is not what is told")
        return found
    }

    /// The sum of squares of what brokers hold: the smaller the more even, for equal capacities.
    var unevenness: Double { counts.reduce(0) { $0 + Double($1 * $1) } }

    /// The most even outcome that keeps the rules of racks, and the fewest moves to one of those.
    func bestByTrying() -> (unevenness: Double, moves: Int) {
        let choices = partitions.map { old in
            subsets(of: old.count).filter { Cluster(brokers: brokers, partitions: [$0]).keepsRacksApart }
        }
        var best: (unevenness: Double, moves: Int)?
        var chosen: [[Int32]] = []
        func descend() {
            guard chosen.count < choices.count else {
                let outcome = Cluster(brokers: brokers, partitions: chosen).unevenness
                let moves = zip(chosen, partitions).reduce(0) { sum, pair in
                    sum + pair.0.count { !pair.1.contains($0) }
                }
                if best.map({ (outcome, moves) < ($0.unevenness, $0.moves) }) ?? true { best = (outcome, moves) }
                return
            }
            for choice in choices[chosen.count] {
                chosen.append(choice)
                descend()
                chosen.removeLast()
            }
        }
        descend()
        return best ?? (0, 0)
    }

    private func subsets(of size: Int) -> [[Int32]] {
        (0..<(1 << brokers.count)).map { bits in (0..<Int32(brokers.count)).filter { bits >> Int($0) & 1 == 1 } }
            .filter { $0.count == size }
    }

    private var keepsRacksApart: Bool {
        let plan = RebalancePlanner.plan(ClusterLayout(brokers: brokers))
        return violations(of: self, plan, .sticky).allSatisfy { !$0.contains("two replicas in rack") }
    }

    /// What each broker is to hold, computed plainly: by capacity; where every rack has to hold every partition, by rack
    /// first.
    func idealShares(racksHoldAll: Bool) -> [Double] {
        let total = Double(partitions.joined().count)
        guard racksHoldAll else { return brokers.map { _ in total / Double(brokers.count) } }
        let racks = Set(brokers.map(\.rack)).count
        return brokers.map { broker in
            total / Double(racks) / Double(brokers.count { $0.rack == broker.rack })
        }
    }
}
