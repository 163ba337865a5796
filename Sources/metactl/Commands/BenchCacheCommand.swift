import ArgumentParser
import Foundation
import MetadataClient
import MetadataModel

struct BenchCacheCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache", abstract: "Measures the client library's cache: reading everything, then lookups.",
        discussion: """
            Needs topics to look up, or makes up --partitions of them. Lookups are of partitions and topics chosen by chance; \
            no I/O.
            """)

    @Option(help: "How long to measure each kind of lookup.") var duration = DurationArgument(.seconds(2))
    @Option(help: "How many threads look up at a time.") var threads = 1
    @Option(help: "Make up so many partitions, 100 a topic with three replicas each, instead of reading a cluster's.")
    var partitions: Int?
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        guard (1...64).contains(threads) else { throw ValidationError("--threads must be 1 to 64") }
        guard partitions.map({ (1...Limits.partitionsMax).contains($0) }) ?? true else {
            throw ValidationError("--partitions must be 1 to \(Limits.partitionsMax)")
        }
    }

    func run() async throws {
        let memory = BenchCacheCommand.residentBytes
        let begun = ContinuousClock.now
        let report: CacheBenchmarkReport
        if let partitions {
            let cache = MetadataCache(showing: BenchCacheCommand.image(partitions: partitions))
            report = await measured(cache, reading: begun.duration(to: .now), memory)
        } else {
            report = try await global.withClient { client in
                let cache = MetadataCache(client: client)
                try await cache.ready()
                guard cache.image.partitionCount > 0 else {
                    throw CommandFailure.notFound(code: "no_partitions", "the cluster has no partition to look up")
                }
                return await measured(cache, reading: begun.duration(to: .now), memory)
            }
        }
        try global.console.print(report)
    }

    private func measured(
        _ cache: MetadataCache, reading: Duration, _ memoryBefore: Int?
    ) async -> CacheBenchmarkReport {
        let image = cache.image
        let memory = BenchCacheCommand.residentBytes
        var keys: [PartitionKey] = []
        image.forEachPartition { keys.append($0.key) }
        let topics = image.topics.map(\.name)
        return CacheBenchmarkReport(
            partitions: keys.count, topics: topics.count, threads: threads,
            readMs: Numbers.rounded(reading.inMilliseconds),
            memoryBytes: memory.flatMap { now in memoryBefore.map { now - $0 } },
            lookups: [
                await measured("leader", keys) { cache.leader(of: $0) != nil },
                await measured("partition", keys) { cache.partition($0) != nil },
                await measured("topic", topics) { cache.topic(named: $0) != nil },
            ])
    }

    /// A cluster of a thousand brokers.
    private static func image(partitions: Int) -> MetadataImage {
        let brokers = 1_000
        let perTopic = 100
        var random = SystemRandomNumberGenerator()
        let topics = (0..<(partitions + perTopic - 1) / perTopic).map { number in
            Topic(
                id: TopicID(high: random.next(), low: random.next()), name: "topic-\(number)",
                partitionCount: Int32(min(perTopic, partitions - number * perTopic)), replicationFactor: 3,
                version: Version(1))
        }
        return MetadataImage(
            version: Version(2),
            brokers: (0..<brokers).map { id in
                Broker(
                    id: BrokerID(Int32(id)), epoch: BrokerEpoch(1), incarnation: .random(),
                    endpoints: [Endpoint(name: "PLAINTEXT", host: "broker-\(id)", port: 9_092)], rack: "",
                    state: .active,
                    version: Version(1))
            },
            topics: topics,
            partitions: topics.lazy.enumerated().flatMap { number, topic in
                (0..<Int(topic.partitionCount)).lazy.map { index in
                    let first = number * perTopic + index
                    let replicas = (0..<3).map { BrokerID(Int32((first + $0 * 7) % brokers)) }
                    return Partition(
                        key: PartitionKey(topic: topic.id, index: PartitionIndex(Int32(index))), leader: replicas[0],
                        leaderEpoch: 0, partitionEpoch: 0, replicas: replicas, isr: replicas, version: Version(2))
                }
            })
    }

    /// What the process has in memory; nil where the system does not tell it.
    private static var residentBytes: Int? {
        // Files of /proc have no size, so they are read as a stream.
        guard let data = FileManager.default.contents(atPath: "/proc/self/statm") else { return nil }
        let fields = String(decoding: data, as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
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
    /// By which the process has grown with it; `null` where the system does not tell.
    @OrNull var memoryBytes: Int?
    var lookups: [Lookup]

    var table: String {
        var table = Table(["LOOKUP", "PER SECOND", "FOUND"])
        for lookup in lookups {
            table.add([lookup.lookup, "\(Int(lookup.perSecond))", "\(lookup.found)/\(lookup.count)"])
        }
        return
            "\(partitions) partitions of \(topics) topics read in \(Numbers.milliseconds(readMs)), "
            + "\(memoryBytes.map { "\($0 >> 20) MiB" } ?? "-"), \(threads) threads\n"
            + table.text
    }
}
