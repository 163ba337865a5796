import ArgumentParser
import Coordination
import MetadataClient
import MetadataModel

struct RebalanceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebalance", abstract: "Plans how replicas are spread over the brokers.", subcommands: [Plan.self])

    struct Plan: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows which replicas would move where, and the load of each broker before and after.",
            discussion: """
                Changes nothing. balanced: as few moves as even out replicas and leaders by capacity. sticky: only what \
                must move, off draining brokers and out of racks that hold two replicas of a partition. round-robin and \
                range lay everything out anew. Brokers that are not active keep what they have and are given nothing. A \
                row can be carried out with partitions reassign.
                """)

        @Option(help: "balanced, sticky, round-robin or range.") var strategy: BalanceStrategy = .balanced
        @Option(help: "A broker that is given nothing; may be repeated.") var exclude: [BrokerID] = []
        @Option(help: "Print so many partitions at most; JSON has them all.") var limit = 40
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard limit >= 0 else { throw ValidationError("--limit must be 0 or more") }
        }

        func run() async throws {
            let report = try await global.withClient { client in
                let survey = try await ClusterSurvey(client, excluded: Set(exclude))
                let plan = RebalancePlanner.plan(survey.layout, strategy: strategy)
                let moving = plan.changes.map { survey.keys[$0.partition] }
                let stuck = plan.blocked.map { survey.keys[$0.partition] }
                return RebalancePlanReport(
                    plan, of: survey, strategy: strategy, names: try await client.topicNames(of: moving + stuck),
                    rowsMax: limit)
            }
            try global.console.print(report)
        }
    }
}

extension BalanceStrategy: ExpressibleByArgument {}
