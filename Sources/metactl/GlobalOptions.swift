import ArgumentParser
import Foundation
import Logging
import MetadataClient

/// Options of how to print, shared by all commands.
struct OutputOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "How to print: table or json.")
    var output: OutputFormat = .table

    var console: Console { Console(format: output) }
}

/// A command whose failures are printed in the format that its options ask for.
protocol PrintingCommand: AsyncParsableCommand {
    associatedtype Options: GlobalArguments
    var global: Options { get }
}

/// The options that every command has in one form or another.
protocol GlobalArguments {
    var console: Console { get }
}

extension OutputOptions: GlobalArguments {}

/// Options of every command that talks to a cluster.
struct GlobalOptions: ParsableArguments, GlobalArguments {
    @Option(
        help: ArgumentHelp(
            "Nodes to talk to: host:port,host:port,… One is enough; the others are learnt from it.",
            discussion: "Default: METACTL_ENDPOINTS, or else \(EndpointList.local).", valueName: "host:port,…"))
    var endpoints: EndpointList?

    @Option(help: "Refuse to talk to any cluster but this one. Default: accept any.")
    var clusterID: String = ""

    @Option(
        name: .customLong("timeout"),
        help: ArgumentHelp(
            "How long to wait for an answer, retries included: 500ms, 10s, 2m.",
            discussion: "Default: 10s; status waits 3s for each node.", valueName: "duration"))
    var givenTimeout: DurationArgument?

    @OptionGroup var printing: OutputOptions

    @Flag(name: .long, help: "Log what the client does to standard error.")
    var verbose = false

    var console: Console { printing.console }

    /// How long a call may take: long enough for an election and a retry behind it.
    var timeout: Duration { givenTimeout?.duration ?? .seconds(10) }

    /// How long one node may take to say how it is: it needs nobody else for that.
    var nodeTimeout: Duration { givenTimeout?.duration ?? .seconds(3) }

    /// Where the environment names the cluster.
    static let endpointsVariable = "METACTL_ENDPOINTS"

    func resolvedEndpoints(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(CommandFailure) -> EndpointList {
        if let endpoints { return endpoints }
        guard let text = environment[GlobalOptions.endpointsVariable], !text.isEmpty else { return .local }
        guard let endpoints = EndpointList(argument: text) else {
            throw .usage("\(GlobalOptions.endpointsVariable) is \"\(text)\", not a list of host:port")
        }
        return endpoints
    }
}
