import ArgumentParser
import MetadataClient
import MetadataModel

struct BenchCacheCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache", abstract: "Measures the client library's cache: reading everything, then lookups.",
        discussion: "Needs topics to look up. Lookups are of partitions and topics chosen by chance; no I/O.")

    @Option(help: "How long to measure each kind of lookup.") var duration = DurationArgument(.seconds(2))
    @Option(help: "How many threads look up at a time.") var threads = 1
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        guard (1...64).contains(threads) else { throw ValidationError("--threads must be 1 to 64") }
    }

    func run() async throws {
        let report = try await global.withClient { client in
            let clock = ContinuousClock()
            let begun = clock.now
            let cache = MetadataCache(client: client)
            try await cache.ready()
            let reading = begun.duration(to: clock.now)
            let image = cache.image
            var keys: [PartitionKey] = []
            image.forEachPartition { keys.append($0.key) }
            let topics = image.topics.map(\.name)
            guard !keys.isEmpty else {
                throw CommandFailure.notFound(code: "no_partitions", "the cluster has no partition to look up")
            }
            return CacheBenchmarkReport(
                partitions: keys.count, topics: topics.count, threads: threads,
                readMs: Numbers.rounded(reading.inMilliseconds),
                lookups: [
                    await measured("leader", keys) { cache.leader(of: $0) != nil },
                    await measured("partition", keys) { cache.partition($0) != nil },
                    await measured("topic", topics) { cache.topic(named: $0) != nil },
                ])
        }
        try global.console.print(report)
    }

    private func measured<Key: Sendable>(
        _ name: String, _ keys: [Key], _ body: @escaping @Sendable (Key) -> Bool
    ) async -> CacheBenchmarkReport.Lookup {
        let clock = ContinuousClock()
        let keys = keys.shuffled()
        let begun = clock.now
        let end = begun.advanced(by: duration.duration)
        let (count, found) = await withTaskGroup(of: (Int, Int).self) { group in
            for thread in 0..<threads {
                group.addTask {
                    var (count, found, place) = (0, 0, thread * keys.count / threads)
                    while clock.now < end {
                        for _ in 0..<BenchCacheCommand.lookupsPerClock {
                            if body(keys[place]) { found += 1 }
                            place = place + 1 == keys.count ? 0 : place + 1
                        }
                        count += BenchCacheCommand.lookupsPerClock
                    }
                    return (count, found)
                }
            }
            return await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
        }
        let rate = Double(count) / begun.duration(to: clock.now).inSeconds
        return CacheBenchmarkReport.Lookup(lookup: name, perSecond: rate.rounded(), found: found, count: count)
    }

    private static let lookupsPerClock = 1_000
}

/// The result of `bench cache`.
struct CacheBenchmarkReport: Report, Equatable {
    struct Lookup: Encodable, Equatable {
        /// `leader`, `partition` or `topic`.
        var lookup: String
        var perSecond: Double
        /// Lookups that found something; offline partitions have no leader.
        var found: Int
        var count: Int
    }

    var benchmark = "cache"
    var partitions: Int
    var topics: Int
    var threads: Int
    /// From the first request to the first image.
    var readMs: Double
    var lookups: [Lookup]

    var table: String {
        var table = Table(["LOOKUP", "PER SECOND", "FOUND"])
        for lookup in lookups {
            table.add([lookup.lookup, "\(Int(lookup.perSecond))", "\(lookup.found)/\(lookup.count)"])
        }
        return
            "\(partitions) partitions of \(topics) topics read in \(Numbers.milliseconds(readMs)), \(threads) threads\n"
            + table.text
    }
}
