import ArgumentParser

/// The root of the commands.
struct Metactl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metactl",
        abstract: "Looks at and changes a StreamBus Metadata cluster.",
        discussion: """
            Exit status: 0 done, 1 refused by the cluster, 2 usage, 3 cluster unavailable, 4 outcome unknown (the change may \
            have happened). Errors are one line on standard error, or one JSON object with --output json.
            """,
        subcommands: [
            StatusCommand.self, HealthCommand.self, ValidateCommand.self, BrokersCommand.self, TopicsCommand.self,
            PartitionsCommand.self, ConfigsCommand.self, MembersCommand.self, RebalanceCommand.self,
            BreakersCommand.self, FeatureLevelCommand.self, WatchCommand.self,
            RaftLogCommand.self, BenchCommand.self, DemoBrokerCommand.self, SimulateBrokersCommand.self,
            RecoverCommand.self, LogLevelCommand.self, ReloadCommand.self,
        ])
}
