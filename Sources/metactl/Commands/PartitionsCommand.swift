import ArgumentParser
import MetadataClient
import MetadataModel

struct PartitionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "partitions", abstract: "Lists and describes partitions, moves their leadership and replicas.",
        subcommands: [List.self, Describe.self, SetLeader.self, ElectLeader.self, Reassign.self])

    struct List: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists partitions of all topics, by topic id and number.")

        @Flag(help: "Only those without a leader.") var offline = false
        @Flag(help: "Only those whose ISR lacks a replica.") var underReplicated = false
        @Flag(help: "Only those with a reassignment under way.") var reassigning = false
        @Option(help: "At most so many.") var limit: Int = 1_000
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard [offline, underReplicated, reassigning].count(where: \.self) <= 1 else {
                throw ValidationError("give one of --offline, --under-replicated and --reassigning")
            }
            guard limit > 0 else { throw ValidationError("--limit must be 1 or more") }
        }

        private var filter: PartitionFilter {
            if offline { return .offline }
            if underReplicated { return .underReplicated }
            return reassigning ? .reassigning : .all
        }

        func run() async throws {
            let report = try await global.withClient { client in
                var found: [Partition] = []
                var hasMore = true
                while hasMore, found.count < limit {
                    let page = try await client.partitions(
                        filter, after: found.last?.key, limit: min(limit - found.count, Limits.pageItemsMax))
                    found += page.items
                    hasMore = page.hasMore && !page.items.isEmpty
                }
                return ClusterPartitionsReport(
                    found, topics: try await client.topicNames(of: found.map(\.key)), hasMore: hasMore)
            }
            try global.console.print(report)
        }
    }

    struct Describe: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a topic's partitions, or one of them.")

        @Argument(help: "The topic's name, or id: and its 32 digits.") var topic: TopicArgument
        @Argument(help: "The partition's number. Default: all.") var index: PartitionIndex?
        @OptionGroup var reading: ReadOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                let level = reading.level
                let found = try await client.existingTopic(topic.reference, consistency: level)
                guard let index else {
                    return PartitionListReport(
                        try await client.partitions(of: .id(found.id), consistency: level), topic: found.name)
                }
                guard let partition = try await client.partition(of: .id(found.id), index, consistency: level) else {
                    throw CommandFailure.notFound(
                        code: Refusal.Reason.partitionNotFound.rawValue,
                        "topic \"\(found.name)\" has no partition \(index): it has \(found.partitionCount)")
                }
                return PartitionListReport([partition], topic: found.name)
            }
            try global.console.print(report)
        }
    }

    struct SetLeader: PrintingCommand {
        static let configuration = CommandConfiguration(
            commandName: "set-leader", abstract: "Makes a member of the ISR the leader of a partition.")

        @Argument(help: "The topic's name, or id: and its 32 digits.") var topic: TopicArgument
        @Argument(help: "The partition's number.") var index: PartitionIndex
        @Argument(help: "The broker that shall lead.") var leader: BrokerID
        @Option(help: ArgumentHelp("Refuse unless the partition still has this epoch.", valueName: "epoch"))
        var ifPartitionEpoch: Int32?
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let version = try await global.withClient { client in
                try await client.changePartitionLeader(
                    topic.reference, partition: index, leader: leader, ifPartitionEpoch: ifPartitionEpoch)
            }
            try global.console.print(
                ChangedReport(
                    message: "broker \(leader) leads partition \(index) of topic \(Names.topic(topic.reference))",
                    version: version.rawValue))
        }
    }

    struct ElectLeader: PrintingCommand {
        static let configuration = CommandConfiguration(
            commandName: "elect-leader", abstract: "Has the leaders of partitions elected (KIP-460).",
            discussion: """
                preferred: the first of the replicas leads again, where it is in sync. unclean: a partition without a \
                leader gets any active replica; what only others have is lost. Prints what became of each partition, and \
                ends with 1 when one was refused. Many partitions take several commands: when one fails behind others it prints \
                what those have done, and ends with 4.
                """)

        @Argument(help: "The topic's name, or id: and its 32 digits. Default: all topics (see --all).")
        var topic: TopicArgument?
        @Argument(help: "The partition's number. Default: all of the topic.") var index: PartitionIndex?
        @Option(help: "preferred or unclean.") var election: Command.ElectLeaders.Election = .preferred
        @Flag(help: "Partitions of all topics that need it.") var all = false
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard all != (topic != nil) else { throw ValidationError("give a topic, or --all") }
        }

        func run() async throws {
            let (report, failure) = try await global.withClient { client in
                let keys = try await partitions(client)
                var results: [PartitionResult] = []
                var failure: CommandFailure?
                for start in stride(from: 0, to: keys.count, by: Limits.partitionsPerCommandMax) {
                    let chunk = Array(keys[start..<min(start + Limits.partitionsPerCommandMax, keys.count)])
                    do {
                        results += try await client.electLeaders(election, of: chunk)
                    } catch  where !results.isEmpty {
                        failure = CommandFailure(
                            after: "\(results.count) of \(keys.count) partitions are done", error)
                        break
                    }
                }
                return (await client.report(keys, results), failure)
            }
            try global.console.printEach(report, failure)
        }

        private func partitions(_ client: MetadataClient) async throws -> [PartitionKey] {
            guard let topic else { return try await partitionsInNeed(client) }
            let found = try await client.existingTopic(topic.reference)
            if let index { return [PartitionKey(topic: found.id, index: index)] }
            return (0..<found.partitionCount).map { PartitionKey(topic: found.id, index: PartitionIndex($0)) }
        }

        /// Of all topics: those which the election would change.
        private func partitionsInNeed(_ client: MetadataClient) async throws -> [PartitionKey] {
            var found: [PartitionKey] = []
            var last: PartitionKey?
            while true {
                let page = try await client.partitions(election == .unclean ? .offline : .all, after: last)
                for partition in page.items {
                    guard let preferred = partition.replicas.first else { continue }
                    let isInNeed =
                        switch election {
                        case .preferred: partition.leader != preferred && partition.isr.contains(preferred)
                        case .unclean: true
                        }
                    if isInNeed { found.append(partition.key) }
                }
                guard page.hasMore, let key = page.items.last?.key else { return found }
                last = key
            }
        }
    }

    struct Reassign: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Moves the replicas of a partition to other brokers, or cancels that (KIP-455).",
            discussion: """
                The new replicas are added, and those that are not named leave when all new ones are in sync; watch it \
                with partitions list --reassigning. A second reassignment replaces the first; --cancel goes back to the \
                replicas before it.
                """)

        @Argument(help: "The topic's name, or id: and its 32 digits.") var topic: TopicArgument
        @Argument(help: "The partition's number.") var index: PartitionIndex
        @Option(help: ArgumentHelp("The replicas, the preferred leader first.", valueName: "1,2,3"))
        var replicas: AssignmentArgument?
        @Flag(help: "Cancel the reassignment that is under way.") var cancel = false
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard cancel != (replicas != nil) else { throw ValidationError("give --replicas or --cancel") }
            guard replicas.map({ $0.replicas.count == 1 }) ?? true else {
                throw ValidationError("--replicas are those of one partition: 1,2,3")
            }
        }

        func run() async throws {
            let report = try await global.withClient { client in
                let key = PartitionKey(topic: try await client.existingTopic(topic.reference).id, index: index)
                let reassignment = Command.Reassignment(partition: key, replicas: replicas?.replicas.first)
                return await client.report([key], try await client.reassignPartitions([reassignment]))
            }
            try global.console.printEach(report)
        }
    }
}

extension Command.ElectLeaders.Election: ExpressibleByArgument {}

extension MetadataClient {
    /// The names of the topics that still exist.
    func topicNames(of keys: [PartitionKey]) async throws -> [TopicID: String] {
        let wanted = Set(keys.map(\.topic))
        var names: [TopicID: String] = [:]
        guard wanted.count <= MetadataClient.topicsAskedOneByOne else {
            for topic in try await topics() where wanted.contains(topic.id) { names[topic.id] = topic.name }
            return names
        }
        for id in wanted { names[id] = try await topic(.id(id))?.name }
        return names
    }

    /// Beyond this many a list of all topics costs less.
    private static let topicsAskedOneByOne = 50

    /// What was done. The names of the topics are a courtesy: their ids stand for them when they cannot be had.
    fileprivate func report(_ keys: [PartitionKey], _ results: [PartitionResult]) async -> PartitionResultsReport {
        let names: [TopicID: String]
        do {
            names = try await topicNames(of: keys)
        } catch {
            names = [:]
        }
        return PartitionResultsReport(
            zip(keys, results).map { ($0, names[$0.topic] ?? Names.topicID($0.topic), $1) })
    }
}

extension Console {
    /// Prints what became of each partition; one that was refused makes the command fail, if nothing worse does.
    fileprivate func printEach(_ report: PartitionResultsReport, _ failure: CommandFailure? = nil) throws {
        try print(report)
        if let failure { throw failure }
        guard report.refusedCount > 0 else { return }
        throw CommandFailure(
            status: .refused, code: "partitions_refused", category: "refused",
            detail: "\(report.refusedCount) of \(report.results.count) partitions were refused")
    }
}
