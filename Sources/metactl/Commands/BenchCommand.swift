import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures a cluster: throughput, latency, time to fail over.",
        discussion: """
            A closed loop: each answer sends the next request, so latency is what a caller sees and throughput is what \
            --clients callers get. The load shares the machine with whatever else runs there; keys user.bench-… of the \
            cluster's configuration are written and removed at the end.
            """,
        subcommands: [
            BenchWriteCommand.self, BenchReadCommand.self, BenchFailoverCommand.self, BenchPlanCommand.self,
            BenchCacheCommand.self, BenchLayersCommand.self, BenchEntriesCommand.self, BenchPagesCommand.self,
            BenchWatchCommand.self,
        ])
}
