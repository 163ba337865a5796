import ArgumentParser
import MetadataClient
import MetadataModel

struct PartitionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "partitions", abstract: "Describes partitions and moves their leadership.",
        subcommands: [Describe.self, SetLeader.self])

    struct Describe: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a topic's partitions, or one of them.")

        @Argument(help: "The topic's name, or id: and its 32 digits.") var topic: TopicArgument
        @Argument(help: "The partition's number. Default: all.") var index: PartitionIndex?
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await global.withClient { client in
                let found = try await client.existingTopic(topic.reference)
                guard let index else {
                    return PartitionListReport(try await client.partitions(of: .id(found.id)), topic: found.name)
                }
                guard let partition = try await client.partition(of: .id(found.id), index) else {
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
}
