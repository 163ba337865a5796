import ArgumentParser
import MetadataClient
import MetadataModel

struct ConfigsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "configs", abstract: "Shows and changes the configuration of the cluster, a broker or a topic.",
        subcommands: [Describe.self, Alter.self])

    struct Describe: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Shows all keys of a resource.")

        @OptionGroup var resource: ResourceOptions
        @OptionGroup var reading: ReadOptions
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let configs = try await global.withClient { client in
                try await client.configs(of: resource.reference, consistency: reading.level)
            }
            try global.console.print(
                ConfigListReport(resource: Names.resource(resource.reference), configs: configs.map(ConfigReport.init)))
        }
    }

    struct Alter: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Sets and removes keys of a resource, all or none.")

        @OptionGroup var resource: ResourceOptions
        @OptionGroup var changes: ConfigChangeOptions
        @Flag(help: "Check and answer as if, and change nothing.") var validateOnly = false
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            guard !changes.isEmpty else { throw ValidationError("nothing to change: give --config or --delete-config") }
        }

        func run() async throws {
            let version = try await global.withClient { client in
                try await client.alterConfigs(
                    resource.reference, changes: changes.all, ifVersion: nil, validateOnly: validateOnly)
            }
            let message =
                "\(validateOnly ? "valid: " : "")altered configuration of \(Names.resource(resource.reference))"
            try global.console.print(ChangedReport(message: message, version: version.rawValue))
        }
    }
}

/// Whose configuration is meant: the cluster's unless a broker or a topic is named.
struct ResourceOptions: ParsableArguments {
    @Option(help: "The configuration of this broker.") var broker: BrokerID?
    @Option(help: "The configuration of this topic: its name, or id: and its 32 digits.") var topic: TopicArgument?

    func validate() throws {
        guard broker == nil || topic == nil else { throw ValidationError("give --broker or --topic, not both") }
    }

    var reference: ResourceReference {
        if let broker { return .broker(broker) }
        if let topic { return .topic(topic.reference) }
        return .cluster
    }
}
