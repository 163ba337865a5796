import ArgumentParser
import Coordination
import MetadataModel

struct BenchPlanCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Measures the rebalance planner on clusters that it makes up; needs none.",
        discussion: """
            scattered: replicas lie where chance put them. added, drained: a cluster that is even gets a broker, or loses \
            one. moves are those of the plan, floor is what cannot be avoided.
            """)

    @Option(help: "Brokers.") var brokers = 1_000
    @Option(help: "Racks; 0: none.") var racks = 10
    @Option(help: "Partitions.") var partitions = 1_000_000
    @Option(help: "Replicas of each.") var replicationFactor = 3
    @Option(help: "How often each plan is made; the median counts.") var rounds = 5
    @OptionGroup var global: OutputOptions

    func validate() throws {
        guard (2..<Limits.brokersMax).contains(brokers), (0...brokers).contains(racks),
            (1...Limits.partitionsMax).contains(partitions), (1...min(16, brokers - 1)).contains(replicationFactor),
            (1...1_000).contains(rounds)
        else { throw ValidationError("a cluster of this size is beyond the limits") }
    }

    func run() async throws {
        let benchmark = PlanBenchmark(
            brokers: brokers, racks: racks, partitions: partitions, replicationFactor: replicationFactor)
        let scattered = benchmark.scattered()
        let (first, plan) = measured("scattered", scattered)
        let added = benchmark.changed(scattered, plan) {
            $0.append(.init(id: BrokerID(Int32(brokers)), rack: benchmark.rack(of: 0), role: .open))
        }
        let drained = benchmark.changed(scattered, plan) { $0[0].role = .draining }
        try global.console.print(
            PlanBenchmarkReport(
                brokers: brokers, racks: racks, partitions: partitions, replicationFactor: replicationFactor,
                rounds: rounds, plans: [first, measured("added", added).0, measured("drained", drained).0]))
    }

    private func measured(_ name: String, _ layout: ClusterLayout) -> (PlanBenchmarkReport.Plan, RebalancePlan) {
        let clock = ContinuousClock()
        var times: [Double] = []
        var plan = RebalancePlanner.plan(layout)
        for _ in 0..<rounds {
            let time = clock.measure { plan = RebalancePlanner.plan(layout) }
            times.append(time.inMilliseconds)
        }
        let spread = PlanBenchmarkReport.Plan(
            plan: name, medianMs: Numbers.rounded(Numbers.median(times)), moves: plan.replicaMoves,
            floor: PlanBenchmarkReport.floor(layout, plan), leaderChanges: plan.leaderChanges,
            replicasMin: plan.openLoads(layout).map(\.replicas).min() ?? 0,
            replicasMax: plan.openLoads(layout).map(\.replicas).max() ?? 0,
            leadersMin: plan.openLoads(layout).map(\.leaders).min() ?? 0,
            leadersMax: plan.openLoads(layout).map(\.leaders).max() ?? 0)
        return (spread, plan)
    }
}

/// The result of `bench plan`.
struct PlanBenchmarkReport: Report, Equatable {
    struct Plan: Encodable, Equatable {
        var plan: String
        var medianMs: Double
        /// Replicas that the plan moves.
        var moves: Int
        /// Replicas that every even plan moves: all on brokers that drain, and what others hold beyond their share.
        var floor: Int
        var leaderChanges: Int
        var replicasMin: Int
        var replicasMax: Int
        var leadersMin: Int
        var leadersMax: Int

        private enum CodingKeys: String, CodingKey {
            case plan, moves, floor, leaderChanges, replicasMin, replicasMax, leadersMin, leadersMax
            case medianMs = "median_ms"
        }
    }

    var benchmark = "plan"
    var brokers: Int
    var racks: Int
    var partitions: Int
    var replicationFactor: Int
    var rounds: Int
    var plans: [Plan]

    var table: String {
        var table = Table(["PLAN", "MEDIAN", "MOVES", "FLOOR", "LEADER-CHANGES", "REPLICAS", "LEADERS"])
        for plan in plans {
            table.add([
                plan.plan, Numbers.milliseconds(plan.medianMs), "\(plan.moves)", "\(plan.floor)",
                "\(plan.leaderChanges)", "\(plan.replicasMin)-\(plan.replicasMax)",
                "\(plan.leadersMin)-\(plan.leadersMax)",
            ])
        }
        return
            "\(brokers) brokers in \(racks) racks, \(partitions) partitions x \(replicationFactor), \(rounds) rounds\n"
            + table.text
    }

    /// For brokers of one capacity: what those above their share have too many, or those below it too few.
    static func floor(_ layout: ClusterLayout, _ plan: RebalancePlan) -> Int {
        let open = layout.brokers.count { $0.role == .open }
        let share = layout.replicaCount / max(open, 1)
        let most = layout.replicaCount % max(open, 1) == 0 ? share : share + 1
        var (surplus, deficit) = (0, 0)
        for (broker, load) in zip(layout.brokers, plan.before.loads) {
            let isOpen = broker.role == .open
            surplus += max(0, load.replicas - (isOpen ? most : 0))
            deficit += isOpen ? max(0, share - load.replicas) : 0
        }
        return max(surplus, deficit)
    }
}

extension RebalancePlan {
    fileprivate func openLoads(_ layout: ClusterLayout) -> [BrokerLoad] {
        zip(layout.brokers, after.loads).filter { $0.0.role == .open }.map(\.1)
    }
}
