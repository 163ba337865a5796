import ArgumentParser
import MetadataClient
import MetadataModel

struct TopicsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topics", abstract: "Creates, lists, describes, changes and deletes topics.",
        subcommands: [Create.self, List.self, Describe.self, Alter.self, Delete.self])

    struct Create: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Creates a topic.")

        @Argument(help: "The topic's name.") var name: String
        @Option(help: "How many partitions.") var partitions: Int32 = 1
        @Option(help: "How many replicas each partition has.") var replicationFactor: Int16 = 1
        @Option(
            name: .customLong("config"),
            help: ArgumentHelp("A configuration key; may be repeated.", valueName: "key=value"))
        var configs: [ConfigAssignment] = []
        @Option(
            help: ArgumentHelp(
                "Replicas of each partition instead of automatic placement: 1,2,3:2,3,1. Sets the other two options.",
                valueName: "1,2,3:2,3,1"))
        var assignment: AssignmentArgument?
        @Flag(help: "Check and answer as if, and change nothing.") var validateOnly = false
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let replicas = assignment?.replicas ?? []
            let topic = try await global.withClient { client in
                try await client.createTopic(
                    name: name, partitions: replicas.isEmpty ? partitions : Int32(replicas.count),
                    replicationFactor: replicas.first.map { Int16(clamping: $0.count) } ?? replicationFactor,
                    configs: configs.map(\.change), assignment: replicas, validateOnly: validateOnly)
            }
            try global.console.print(TopicCreatedReport(topic: TopicReport(topic), validateOnly: validateOnly))
        }
    }

    struct List: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Lists all topics by name.")

        @OptionGroup var reading: ReadOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let topics = try await global.withClient { client in try await client.topics(consistency: reading.level) }
            try global.console.print(TopicListReport(topics))
        }
    }

    struct Describe: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows one topic with its partitions and its configuration.")

        @Argument(help: "The topic's name, or id: and its 32 digits.") var topic: TopicArgument
        @OptionGroup var reading: ReadOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                let level = reading.level
                let found = try await client.existingTopic(topic.reference, consistency: level)
                // By id from here on: a topic that is deleted and made again in between is another topic.
                let partitions = try await client.partitions(of: .id(found.id), consistency: level)
                return TopicDetailReport(
                    found, partitions: partitions,
                    configs: try await client.configs(of: .topic(.id(found.id)), consistency: level))
            }
            try global.console.print(report)
        }
    }

    struct Alter: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Changes a topic's configuration or raises its number of partitions.",
            discussion: "Both at once are two changes, the configuration first.")

        @Argument(help: "The topic's name, or id: and its 32 digits.") var topic: TopicArgument
        @OptionGroup var changes: ConfigChangeOptions
        @Option(help: "The new number of partitions, more than there are.") var partitions: Int32?
        @OptionGroup var guarding: VersionOptions
        @Flag(help: "Check and answer as if, and change nothing.") var validateOnly = false
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard partitions != nil || !changes.isEmpty else {
                throw ValidationError("nothing to change: give --config, --delete-config or --partitions")
            }
            guard guarding.ifVersion == nil || partitions == nil || changes.isEmpty else {
                throw ValidationError("--if-version guards one change: give either configuration or --partitions")
            }
        }

        func run() async throws {
            let name = Names.topic(topic.reference)
            let prefix = validateOnly ? "valid: " : ""
            try await global.withClient { client in
                if !changes.isEmpty {
                    let version = try await client.alterConfigs(
                        .topic(topic.reference), changes: changes.all, ifVersion: guarding.ifVersion,
                        validateOnly: validateOnly)
                    try global.console.printLine(
                        ChangedReport(
                            message: "\(prefix)altered configuration of topic \(name)", version: version.rawValue))
                }
                if let partitions {
                    let version = try await client.createPartitions(
                        topic.reference, totalCount: partitions, ifVersion: guarding.ifVersion,
                        validateOnly: validateOnly)
                    try global.console.printLine(
                        ChangedReport(
                            message: "\(prefix)raised topic \(name) to \(partitions) partitions",
                            version: version.rawValue))
                }
            }
        }
    }

    struct Delete: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes a topic with all its partitions.")

        @Argument(help: "The topic's name, or id: and its 32 digits.") var topic: TopicArgument
        @OptionGroup var guarding: VersionOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let version = try await global.withClient { client in
                try await client.deleteTopic(topic.reference, ifVersion: guarding.ifVersion)
            }
            try global.console.print(
                ChangedReport(message: "deleted topic \(Names.topic(topic.reference))", version: version.rawValue))
        }
    }
}

/// Compare and set.
struct VersionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Refuse unless the topic still has this version.", valueName: "version"))
    var ifVersion: Version?
}

/// Keys to set and keys to remove.
struct ConfigChangeOptions: ParsableArguments {
    @Option(name: .customLong("config"), help: ArgumentHelp("Set a key; may be repeated.", valueName: "key=value"))
    var assignments: [ConfigAssignment] = []
    @Option(name: .customLong("delete-config"), help: ArgumentHelp("Remove a key; may be repeated.", valueName: "key"))
    var deletions: [String] = []

    var isEmpty: Bool { assignments.isEmpty && deletions.isEmpty }
    var all: [ConfigChange] { assignments.map(\.change) + deletions.map { ConfigChange(name: $0, value: nil) } }
}

extension MetadataClient {
    /// The topic, or a failure that says it is not there.
    func existingTopic(
        _ reference: TopicReference, consistency: ReadConsistency = .linearizable
    ) async throws -> Topic {
        guard let topic = try await topic(reference, consistency: consistency) else {
            throw CommandFailure.notFound(
                code: Refusal.Reason.topicNotFound.rawValue, "topic \"\(Names.topic(reference))\" does not exist")
        }
        return topic
    }
}
