import ArgumentParser
import MetadataClient
import MetadataModel

struct WatchCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Prints changes as they happen, a line for each.",
        discussion: """
            Ordered, none twice, none missing; connections that break are resumed. Filters add up: a change is printed when \
            one of them lets it pass. Ends with 1 when the cluster no longer knows all changes since --from, or is not there yet.
            """)

    @Option(
        help: ArgumentHelp("Begin after this version. Default: only what happens from now on.", valueName: "version"))
    var from: Version?
    @Option(help: ArgumentHelp("Changes of topics whose name begins so; may be repeated.", valueName: "prefix"))
    var topicPrefix: [String] = []
    @Option(help: ArgumentHelp("Changes of this broker and its partitions; may be repeated.", valueName: "id"))
    var broker: [BrokerID] = []
    @Option(help: ArgumentHelp("Stop after this many changes.", valueName: "number"))
    var count: Int?
    @Flag(help: "Also print the version up to which nothing more happened.") var progress = false
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count must be 1 or more") }
    }

    func run() async throws {
        try await global.withClient { client in
            // Asked for also when --from is given: a watch would wait for a cluster that is not there, a command must not.
            let current = try await client.summary().version
            // It would wait in silence, perhaps for ever: most likely the version is one of another cluster.
            if let from, from > current {
                throw CommandFailure(
                    status: .refused, code: "version_not_reached", category: "invalid_input",
                    detail: "the cluster is at version \(current); there is no version \(from) yet")
            }
            let filter = WatchFilter(brokers: broker, topicPrefixes: topicPrefix)
            try await follow(client.watch(after: from ?? current, filter: filter))
        }
    }

    private func follow(_ watch: MetadataWatch) async throws {
        let console = global.console
        var printed = 0
        for try await event in watch {
            switch event {
            case .changes(let changes):
                for change in changes.changes {
                    try console.printLine(ChangeReport(change, version: changes.version))
                    printed += 1
                    if printed == count { return }
                }
            case .progress(let version):
                if progress { try console.printLine(ChangeReport.progress(version)) }
            case .restart(let oldest):
                throw CommandFailure(
                    status: .refused, code: "version_too_old", category: "invalid_input",
                    detail:
                        "changes are known from version \(oldest) on: read the state again, then watch from its version"
                )
            }
        }
    }
}
