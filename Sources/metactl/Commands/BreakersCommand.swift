import ArgumentParser
import MetadataClient

struct BreakersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "breakers", abstract: "Shows the circuit breakers of the nodes, and closes or opens one by hand.",
        subcommands: [List.self, Reset.self, Open.self])

    struct List: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows the circuit breakers of every node.",
            discussion: """
                store: reads from the node's database. proposals: writes while the node leads. coordinator: what it reads \
                to plan moves. peer-ID: the connection to that node. Needs no quorum.
                """)

        @OptionGroup var global: GlobalOptions

        func run() async throws { try await global.breakers(after: nil, node: nil) }
    }

    struct Reset: PrintingCommand {
        static let configuration = CommandConfiguration(abstract: "Closes a circuit breaker: calls go through again.")

        @OptionGroup var target: BreakerTarget
        @OptionGroup var global: GlobalOptions

        func run() async throws { try await global.breakers(after: .reset(target.name), node: target.node) }
    }

    struct Open: PrintingCommand {
        static let configuration = CommandConfiguration(
            abstract: "Opens a circuit breaker for one pause: calls are refused until then.")

        @OptionGroup var target: BreakerTarget
        @OptionGroup var global: GlobalOptions

        func run() async throws { try await global.breakers(after: .open(target.name), node: target.node) }
    }
}

/// Which circuit breaker is meant.
struct BreakerTarget: ParsableArguments {
    @Argument(help: "Its name, as list shows it.") var name: String
    @Option(help: "The node whose breaker it is.") var node: UInt64
}

extension GlobalOptions {
    /// Prints the breakers after what is to be done; all nodes' when none is named.
    fileprivate func breakers(after control: NodeBreakers.Control?, node: UInt64?) async throws {
        let found = try await withClient { client in
            await client.breakers(after: control, timeout: nodeTimeout) { node == nil || $0 == node }
        }
        if let node {
            guard let meant = found.first(where: { $0.nodeID == node }) else {
                throw CommandFailure.unavailable(code: "node_unreachable", "node \(node) does not answer")
            }
            _ = try meant.breakers.get()
        }
        try console.print(BreakersReport(found.filter { node == nil || $0.nodeID == node }))
        guard found.contains(where: { $0.nodeID != nil }) else {
            throw CommandFailure.unavailable(code: "node_unreachable", "no node answers")
        }
    }
}
