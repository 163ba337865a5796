import ArgumentParser
import Coordination
import MetadataClient
import MetadataModel

struct RebalanceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebalance", abstract: "Plans how replicas are spread over the brokers, and has it done.",
        subcommands: [Plan.self, Run.self, Status.self, Cancel.self, Pause.self, Resume.self])

    struct Plan: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows which replicas would move where, and the load of each broker before and after.",
            discussion: """
                Changes nothing. balanced: as few moves as even out replicas and leaders by capacity. sticky: only what \
                must move, off draining brokers and out of racks that hold two replicas of a partition. round-robin and \
                range lay everything out anew. Brokers that are not active keep what they have and are given nothing. A \
                row can be carried out with partitions reassign.
                """)

        @OptionGroup var planning: PlanningOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in try await planning.plan(client) }
            try global.console.print(report)
        }
    }

    struct Run: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Starts a rebalance: the leader plans it and carries it out.",
            discussion: """
                Shows what is to move, as plan does, and returns; see rebalance status. While another rebalance is under way \
                it waits for its turn, until a second before --timeout or for as long as the nodes allow, and is then \
                refused. A change of the leader does not disturb it.
                """)

        @OptionGroup var planning: PlanningOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                let plan = try await planning.plan(client)
                if let other = try await client.rebalance(), other.isRunning {
                    try global.console.progress("rebalance \(other.id) is under way: waiting for its end")
                }
                let id = try await client.startRebalance(planning.strategy, excluding: planning.exclude)
                return RebalanceRunReport(rebalance: id.rawValue, plan: plan)
            }
            try global.console.print(report)
        }
    }

    struct Status: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows the latest rebalance, what is under way, and what cannot move and why.")

        @Option(help: "Print so many partitions at most; JSON has them all.") var limit = 40
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard limit >= 0 else { throw ValidationError("--limit must be 0 or more") }
        }

        func run() async throws {
            let report = try await global.withClient { client in
                let rebalance = try await client.rebalance()
                let coordinator = await client.coordinator(timeout: global.nodeTimeout)
                let underWay = try await client.allPartitions(.reassigning)
                let keys = underWay.map(\.key) + (coordinator?.stuck.map(\.partition) ?? [])
                var remaining: RebalancePlanReport?
                if let rebalance, rebalance.isRunning {
                    let registered = Set(try await client.brokers().map(\.id))
                    remaining = try await client.planReport(
                        rebalance.strategy, excluding: rebalance.excluded.filter(registered.contains), rowsMax: limit)
                }
                let pause = try await client.configs(of: .cluster).first { $0.name == Rebalance.pauseConfigName }
                return RebalanceStatusReport(
                    rebalance, coordinator, pause: pause?.value, underWay: underWay,
                    names: try await client.topicNames(of: keys),
                    remaining: remaining, rowsMax: limit)
            }
            try global.console.print(report)
        }
    }

    struct Cancel: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cancels the rebalance that is under way: nothing more is begun.",
            discussion: "Moves that were begun go on to their end; partitions reassign --cancel takes one back.")

        @Option(help: ArgumentHelp("Refuse unless it is this one that is under way.", valueName: "id"))
        var id: UInt64?
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let version = try await global.withClient { client in
                try await client.cancelRebalance(id.map { Version($0) })
            }
            try global.console.print(ChangedReport(message: "cancelled the rebalance", version: version.rawValue))
        }
    }
}

extension RebalanceCommand {
    struct Pause: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Has the leader begin no move of a replica until resume: rebalances, drains, automatic starts.",
            discussion: """
                Moves that were begun go on to their end, preferred leaders are elected as before. Outlives a change of the \
                leader. rebalance status shows the reason.
                """)

        @Option(help: ArgumentHelp("Why, for those who look at it later.", valueName: "text"))
        var reason = "no reason given"
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard !reason.isEmpty else { throw ValidationError("--reason must not be empty") }
        }

        func run() async throws {
            try await global.setPause(reason, message: "paused the moving of replicas")
        }
    }

    struct Resume: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Takes a pause back.")

        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await global.setPause(nil, message: "replicas are moved again")
        }
    }
}

extension GlobalOptions {
    /// Nil takes it back.
    fileprivate func setPause(_ reason: String?, message: String) async throws {
        let version = try await withClient { client in
            try await client.alterConfigs(
                .cluster, changes: [ConfigChange(name: Rebalance.pauseConfigName, value: reason)], ifVersion: nil)
        }
        try console.print(ChangedReport(message: message, version: version.rawValue))
    }
}

/// What to plan.
struct PlanningOptions: ParsableArguments {
    @Option(help: "balanced, sticky, round-robin or range.") var strategy: BalanceStrategy = .balanced
    @Option(help: "A broker that is given nothing; may be repeated.") var exclude: [BrokerID] = []
    @Option(help: "Print so many partitions at most; JSON has them all.") var limit = 40

    func validate() throws {
        guard limit >= 0 else { throw ValidationError("--limit must be 0 or more") }
    }

    func plan(_ client: MetadataClient) async throws -> RebalancePlanReport {
        try await client.planReport(strategy, excluding: exclude, rowsMax: limit)
    }
}

extension MetadataClient {
    /// Made here, from what the cluster says: the leader makes its own.
    func planReport(
        _ strategy: BalanceStrategy, excluding excluded: [BrokerID], rowsMax: Int
    ) async throws -> RebalancePlanReport {
        let survey = try await ClusterSurvey(self, excluded: Set(excluded))
        let plan = RebalancePlanner.plan(survey.layout, strategy: strategy)
        let moving = plan.changes.map { survey.keys[$0.partition] }
        let stuck = plan.blocked.map { survey.keys[$0.partition] }
        return RebalancePlanReport(
            plan, of: survey, strategy: strategy, names: try await topicNames(of: moving + stuck), rowsMax: rowsMax)
    }

    /// What the coordinator of the latest leader says; nil when no leader answers.
    func coordinator(timeout: Duration?) async -> CoordinatorStatus? {
        var latest: NodeStatusReport?
        for answer in await nodeStatuses(timeout: timeout) {
            guard case .success(let status) = answer.status, status.coordinator != nil else { continue }
            if status.term >= latest?.term ?? 0 { latest = status }
        }
        return latest?.coordinator
    }

    func allPartitions(_ filter: PartitionFilter) async throws -> [Partition] {
        var found: [Partition] = []
        while true {
            let page = try await partitions(filter, after: found.last?.key)
            found += page.items
            guard page.hasMore, !page.items.isEmpty else { return found }
        }
    }
}

extension BalanceStrategy: ExpressibleByArgument {}
