import ArgumentParser
import MetadataClient
import RaftCore

struct LogLevelCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "log-level",
        abstract: "Changes how much a node logs, until it ends or its settings change.",
        discussion:
            "Levels: trace, debug, info, notice, warning, error, critical. A component that does not exist is answered "
            + "with those that do.")

    @Argument(help: ArgumentHelp("The node: its id, or where clients reach it.", valueName: "node"))
    var node: NodeArgument
    @Argument(help: "The level.") var level: String
    @Option(help: "Of which component's lines. Default: all.") var component: String?
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try await global.control(node) { client, endpoint in
            try await client.setLogLevel(level, component: component, of: endpoint)
        }
    }
}

struct ReloadCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Has a node read its settings again, as SIGHUP does.",
        discussion: "It says what it took over and what waits for a restart. A file with a mistake changes nothing.")

    @Argument(help: ArgumentHelp("The node: its id, or where clients reach it.", valueName: "node"))
    var node: NodeArgument
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try await global.control(node) { client, endpoint in try await client.reloadSettings(of: endpoint) }
    }
}

/// One node, by its id or by its address for clients.
enum NodeArgument: ExpressibleByArgument, Hashable, Sendable {
    case id(NodeID)
    case endpoint(MetadataClient.Endpoint)

    init?(argument: String) {
        if let id = NodeID(argument: argument) {
            self = .id(id)
        } else if let endpoint = MetadataClient.Endpoint(argument: argument) {
            self = .endpoint(endpoint)
        } else {
            return nil
        }
    }
}

/// `log-level`, `reload`.
struct ControlReport: Report, Equatable {
    var message: String

    var table: String { message }
}

extension GlobalOptions {
    /// Asks one node about itself and prints what it said.
    fileprivate func control(
        _ node: NodeArgument,
        _ ask: @Sendable (MetadataClient, MetadataClient.Endpoint) async throws -> MetadataClient.ControlAnswer
    ) async throws {
        let endpoint = try await endpoint(of: node)
        var alone = self
        alone.endpoints = EndpointList(items: [endpoint])
        let answer = try await alone.withClient { client in try await ask(client, endpoint) }
        guard answer.isDone else {
            throw CommandFailure(
                status: .refused, code: "not_done", category: "invalid_input", detail: answer.detail)
        }
        try console.print(ControlReport(message: answer.detail))
    }

    private func endpoint(of node: NodeArgument) async throws -> MetadataClient.Endpoint {
        switch node {
        case .endpoint(let endpoint):
            return endpoint
        case .id(let id):
            let answers = try await withClient { client in await client.nodeStatuses(timeout: nodeTimeout) }
            for answer in answers {
                if case .success(let status) = answer.status, status.nodeID == id.rawValue { return answer.endpoint }
            }
            throw CommandFailure.unavailable(code: "node_unreachable", "node \(id) is not known or does not answer")
        }
    }
}
