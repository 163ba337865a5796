import ArgumentParser
import MetadataClient
import MetadataModel

/// For how long.
struct PeriodOptions: ParsableArguments {
    @Option(help: "How long to measure.") var duration = DurationArgument(.seconds(10))
    @Option(help: "How long to run before that, unmeasured.") var warmup = DurationArgument(.seconds(1))
    @Option(help: "Holds node<id>.pid of nodes on this machine, whose processor time is then counted.")
    var pidDir: String?
}

struct BenchWriteCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "write",
        abstract: "Durable writes: each is replicated, on the disks of a majority and applied before its answer.")

    @OptionGroup var load: LoadOptions
    @OptionGroup var period: PeriodOptions
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let report = try await runLoad(load, period, global, benchmark: "write", consistency: nil) { client, workload in
            client.writing(workload)
        }
        try global.console.print(report)
        try report.checkAnythingWorked()
    }
}

struct BenchReadCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "read", abstract: "Point reads: one configuration key, or one partition of --topic.")

    enum Consistency: String, ExpressibleByArgument, CaseIterable {
        /// Sees everything that was acknowledged before the read began.
        case linearizable
        /// Whatever the node has.
        case stale
    }

    @OptionGroup var load: LoadOptions
    @OptionGroup var period: PeriodOptions
    @Option(help: "linearizable, or stale: whatever the asked node has.") var consistency = Consistency.linearizable
    @Option(help: "With stale: refuse when the node has heard nothing from a leader for so long.")
    var maxLag = DurationArgument(.seconds(5))
    @Option(help: "Read partitions of this topic instead of configuration keys.") var topic: String?
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let level: ReadConsistency
        switch consistency {
        case .linearizable: level = .linearizable
        case .stale: level = .stale(maxLagMilliseconds: UInt64(maxLag.duration.inMilliseconds))
        }
        let partitions = try await partitionQuery()
        let report = try await runLoad(load, period, global, benchmark: "read", consistency: consistency.rawValue) {
            client, workload in
            { number, done in
                client.query(partitions?(number) ?? workload.query(number), consistency: level) { result in
                    done(BenchAnswer(reading: result))
                }
            }
        }
        try global.console.print(report)
        try report.checkAnythingWorked()
    }

    /// Asks for one partition of the topic after the other; nil without a topic.
    private func partitionQuery() async throws -> (@Sendable (Int) -> Query)? {
        guard let topic else { return nil }
        let found = try await global.withClient { client in try await client.existingTopic(.name(topic)) }
        let count = Int(max(1, found.partitionCount))
        return { number in .partition(.id(found.id), PartitionIndex(Int32(number % count))) }
    }
}

extension BenchAnswer {
    /// A read that finds nothing measures the wrong thing: it counts as an error.
    init(reading result: Result<QueryResult, MetadataError>) {
        if case .success(.notFound(let refusal)) = result {
            self = .failure(refusal.reason.rawValue)
        } else {
            self.init(result)
        }
    }
}

extension BenchReport {
    func checkAnythingWorked() throws {
        guard requests == 0 else { return }
        throw CommandFailure.unavailable(
            code: "no_success", "none of \(errors) requests that were answered succeeded: \(errorsByCode.keys.sorted())"
        )
    }
}

/// Prepares the keys, runs the closed loop, removes the keys.
private func runLoad(
    _ load: LoadOptions, _ period: PeriodOptions, _ global: GlobalOptions, benchmark: String, consistency: String?,
    operation: (MetadataClient, BenchWorkload) -> BenchOperation
) async throws -> BenchReport {
    let workload = load.workload
    let inFlight = load.clients ?? LoadOptions.clientsDefault
    let connections = min(load.connections, inFlight)
    let perConnection = (inFlight + connections - 1) / connections
    // Better before the load than after it.
    let servers = try period.pidDir.map { try ProcessorMeter(pidDirectory: $0) }
    return try await global.withClients(connections, inFlight: perConnection) { clients in
        try await clients[0].prepare(workload)
        let lanes = clients.enumerated().map { index, client in
            BenchLane(first: index, stride: connections, operation: operation(client, workload))
        }
        let runner = BenchRunner(
            lanes: lanes, clients: inFlight, warmup: period.warmup.duration, duration: period.duration.duration,
            grace: global.timeout + .seconds(1), servers: servers, console: global.console)
        let measurement = try await runner.run()
        if !load.keepKeys { try await clients[0].cleanUp(workload) }
        return BenchReport(
            benchmark: benchmark, consistency: consistency, clients: inFlight, connections: connections,
            valueSize: load.valueSize, keys: load.keys, measurement: measurement)
    }
}
