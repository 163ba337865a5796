import ArgumentParser
import MetadataClient
import MetadataModel

struct BenchWatchCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "How soon a change is delivered to very many watchers.",
        discussion: """
            Each watcher follows all changes. A key of the cluster's configuration is changed --rate times a second; the time of a \
            change runs from the call that makes it until the last watcher has it.
            """)

    @Option(help: "Watchers, spread over the connections.") var watchers = 1_000
    @Option(
        help: """
            Clients of the library that they share; each has a connection and an event loop of its own. A node takes 256 watches \
            over one connection.
            """)
    var connections = 10
    @Option(help: "Changes a second.") var rate = 10.0
    @Option(help: "How long to measure.") var duration = DurationArgument(.seconds(10))
    @OptionGroup var global: GlobalOptions

    static let watchersMax = 100_000
    static let connectionsMax = 1_000
    private static let key = "user.bench-watch"
    /// What the first change may take until it has come to all of them, and the last one.
    private static let patience = Duration.seconds(60)

    func validate() throws {
        guard (1...Self.watchersMax).contains(watchers) else {
            throw ValidationError("--watchers must be 1 to \(Self.watchersMax)")
        }
        guard (1...Self.connectionsMax).contains(connections) else {
            throw ValidationError("--connections must be 1 to \(Self.connectionsMax)")
        }
        guard rate > 0, rate <= 1_000 else { throw ValidationError("--rate must be above 0, and 1000 at most") }
    }

    func run() async throws {
        let report = try await global.withClient { writer in
            try await global.withClients(connections, inFlight: 1) { clients in
                try await measured(writer, clients)
            }
        }
        try global.console.print(report)
    }

    private func measured(_ writer: MetadataClient, _ clients: [MetadataClient]) async throws -> WatchBenchmarkReport {
        let meter = WatchMeter(watchers: watchers)
        let begun = try await writer.summary().version
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<watchers {
                let watch = clients[number % clients.count].watch(after: begun)
                group.addTask { try await Self.follow(watch, meter) }
            }
            defer { group.cancelAll() }
            // Whoever has seen one change is there for the next.
            let first = try await writer.alterConfigs(.cluster, changes: [change(0)])
            _ = try await whenSeenByAll(first, meter)
            var calls: [(version: Version, begun: ContinuousClock.Instant)] = []
            let start = ContinuousClock.now
            let period = Duration.seconds(1) / rate
            while ContinuousClock.now - start < duration.duration {
                let now = ContinuousClock.now
                calls.append((try await writer.alterConfigs(.cluster, changes: [change(calls.count + 1)]), now))
                try await Task.sleep(until: start + period * calls.count)
            }
            var latencies = Latencies()
            for call in calls {
                latencies.record(try await whenSeenByAll(call.version, meter) - call.begun)
            }
            try await writer.alterConfigs(.cluster, changes: [ConfigChange(name: Self.key, value: nil)])
            return WatchBenchmarkReport(
                watchers: watchers, connections: clients.count, changes: calls.count,
                seconds: Numbers.rounded((ContinuousClock.now - start).inSeconds), latencies)
        }
    }

    private func change(_ number: Int) -> ConfigChange { ConfigChange(name: Self.key, value: "\(number)") }

    private static func follow(_ watch: MetadataWatch, _ meter: WatchMeter) async throws {
        for try await event in watch {
            switch event {
            case .changes(let changes): meter.saw(changes.version)
            case .progress: continue
            case .restart(let oldest):
                throw CommandFailure(
                    status: .refused, code: "version_too_old", category: "invalid_input",
                    detail: "a watcher fell behind: changes are known from version \(oldest) on")
            }
        }
    }

    private func whenSeenByAll(_ version: Version, _ meter: WatchMeter) async throws -> ContinuousClock.Instant {
        let deadline = ContinuousClock.now + Self.patience
        while ContinuousClock.now < deadline {
            if let instant = meter.seenByAll(version) { return instant }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw CommandFailure.unavailable(
            code: "not_delivered",
            "version \(version) has come to \(meter.count(version)) of \(watchers) watchers in \(Self.patience)")
    }
}

/// The result of `bench watch`.
struct WatchBenchmarkReport: Report, Equatable {
    var benchmark = "watch"
    var watchers: Int
    var connections: Int
    var changes: Int
    var seconds: Double
    /// From the call that makes a change until the last watcher has it.
    var p50Ms: Double
    var p99Ms: Double
    var maxMs: Double

    init(watchers: Int, connections: Int, changes: Int, seconds: Double, _ latencies: Latencies) {
        self.watchers = watchers
        self.connections = connections
        self.changes = changes
        self.seconds = seconds
        p50Ms = Numbers.rounded(latencies.milliseconds(atPercentile: 50))
        p99Ms = Numbers.rounded(latencies.milliseconds(atPercentile: 99))
        maxMs = Numbers.rounded(latencies.maxMilliseconds)
    }

    var table: String {
        """
        watch: \(changes) changes in \(seconds) s, \(watchers) watchers over \(connections) connections
        to all of them: median \(Numbers.milliseconds(p50Ms))   p99 \(Numbers.milliseconds(p99Ms))   max \
        \(Numbers.milliseconds(maxMs))
        """
    }
}
