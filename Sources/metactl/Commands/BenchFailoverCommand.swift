import ArgumentParser
import MetadataClient

struct BenchFailoverCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover",
        abstract: "Ends the leader while writers run; measures how long no write succeeds.",
        discussion: """
            Each round waits until all nodes are healthy, kills the process of the leader (SIGKILL; with --graceful it is asked \
            to stop, as for a restart), observes the longest time between \
            two successful writes of any writer, and starts the node again: with --start-command, or with \
            "\(NodeProcesses.nodeScript) <id> start" when that script exists here, or not at all when something supervises it.
            """)

    @Option(help: "How often to end the leader.") var rounds = 10
    @Flag(help: "Ask the leader to stop (SIGTERM) instead of killing it.") var graceful = false
    @Option(help: "The folder that holds node<id>.pid of each node.") var pidDir = "cluster/run"
    @Option(help: "A shell command that kills node {node}, instead of a process id.") var killCommand: String?
    @Option(help: "A shell command that starts node {node} again.") var startCommand: String?
    @Option(help: "How long writes flow before each kill.") var settle = DurationArgument(.seconds(1))
    @Option(help: "How long to observe after each kill, at least.") var observe = DurationArgument(.seconds(3))
    @Option(help: "How long the cluster may take to recover and to be whole again.")
    var recovery = DurationArgument(.seconds(60))
    @OptionGroup var load: LoadOptions
    @OptionGroup var global: GlobalOptions

    /// Writers when none are given: enough to see the gap to the millisecond, too few to load the machine.
    private static let clientsDefault = 16
    private static let roundsMax = 1_000

    func validate() throws {
        guard (1...BenchFailoverCommand.roundsMax).contains(rounds) else {
            throw ValidationError("--rounds must be 1 to \(BenchFailoverCommand.roundsMax)")
        }
        if graceful, killCommand != nil { throw ValidationError("--graceful and --kill-command exclude each other") }
    }

    func run() async throws {
        let workload = load.workload
        let writers = load.clients ?? BenchFailoverCommand.clientsDefault
        let connections = min(load.connections, writers)
        let perConnection = (writers + connections - 1) / connections
        let report = try await global.withClient { monitor in
            try await global.withClients(connections, inFlight: perConnection) { clients in
                let meter = GapMeter()
                let lanes = clients.enumerated().map { index, client in
                    BenchLane(
                        first: index, stride: connections, succeeded: { meter.succeeded(at: $0) },
                        operation: client.writing(workload))
                }
                let processes = NodeProcesses(
                    pidDirectory: pidDir, killCommand: killCommand, startCommand: startCommand)
                // Better before the first node is killed than in the middle.
                for node in StatusReport(await monitor.nodeStatuses(timeout: global.nodeTimeout)).nodes {
                    if let id = node.id { try processes.check(id) }
                }
                let runner = FailoverRunner(
                    rounds: rounds, clients: writers, lanes: lanes, meter: meter, monitor: monitor,
                    end: graceful ? .stopped : .killed,
                    kill: { try await graceful ? processes.stop($0) : processes.kill($0) },
                    start: { try await processes.start($0) },
                    settle: settle.duration, observation: observe.duration, recovery: recovery.duration,
                    grace: global.timeout + .seconds(1), console: global.console)
                try await clients[0].prepare(workload)
                let (results, errors) = try await runner.run()
                if !load.keepKeys { try await clients[0].cleanUp(workload) }
                return FailoverReport(
                    clients: writers, connections: connections, valueSize: load.valueSize, rounds: results,
                    errors: errors)
            }
        }
        try global.console.print(report)
    }
}
