import ArgumentParser
import Foundation
import MetadataClient
import MetadataModel

struct DemoBrokerCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo-broker",
        abstract: "Plays a broker: registers, sends heartbeats, watches, and prints what happens.",
        discussion:
            "Runs until SIGTERM or SIGINT; then it gives its registration up and ends with 0. It stores no data.")

    @Option(help: "The broker's id.") var id: BrokerID
    @Option(help: "The host that clients of the broker would connect to.") var host = "127.0.0.1"
    @Option(help: "The port that clients of the broker would connect to.") var port: UInt16
    @Option(help: "The rack: replicas of a partition are spread over racks.") var rack = ""
    @Option(help: "How often to send heartbeats.") var heartbeatInterval = DurationArgument(.seconds(1))
    @OptionGroup var global: GlobalOptions

    /// After trouble with the watch: long enough not to fill a log, short enough to look alive.
    private static let pause: Duration = .seconds(1)

    func validate() throws {
        guard port > 0 else { throw ValidationError("--port must be 1 to 65535") }
    }

    func run() async throws {
        let signals = Signals.stream([SIGTERM, SIGINT])
        try await global.withClient { client in
            let session = BrokerSession(
                client: client, id: id, endpoints: [Endpoint(name: "PLAINTEXT", host: host, port: port)], rack: rack,
                heartbeatInterval: heartbeatInterval.duration)
            let result = await play(session, client, signals)
            await session.close()
            try result.get()
        }
    }

    /// Until a signal comes or the cluster refuses the broker.
    private func play(
        _ session: BrokerSession, _ client: MetadataClient, _ signals: AsyncStream<String>
    ) async -> Result<Void, any Error> {
        await withTaskGroup(of: Result<Void, any Error>?.self) { group in
            group.addTask { await ending { try await waitForSignal(signals) } }
            group.addTask { await ending { try await printEvents(of: session) } }
            group.addTask { await ending { try await printChanges(client, session) } }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? .success(())
        }
    }

    private func ending(_ body: () async throws -> Void) async -> Result<Void, any Error> {
        do {
            try await body()
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    private func waitForSignal(_ signals: AsyncStream<String>) async throws {
        for await name in signals {
            try global.console.printLine(BrokerEventReport(broker: id, event: "stopping", reason: name))
            return
        }
    }

    private func printEvents(of session: BrokerSession) async throws {
        for await event in session.events {
            try global.console.printLine(BrokerEventReport(event, broker: id))
            if case .failed(let error) = event { throw error }
        }
    }

    /// Follows the changes that concern the broker and tells the session how far it is, for as long as the task lives.
    private func printChanges(_ client: MetadataClient, _ session: BrokerSession) async throws {
        var version: Version?
        while !Task.isCancelled {
            do {
                let start: Version
                if let version { start = version } else { start = try await client.summary().version }
                version = start
                for try await event in client.watch(after: start, filter: WatchFilter(brokers: [id])) {
                    switch event {
                    case .changes(let changes):
                        version = changes.version
                        for change in changes.changes {
                            try global.console.printLine(
                                BrokerEventReport(change, version: changes.version, broker: id))
                        }
                        session.caughtUp(to: changes.version)
                    case .progress(let through):
                        version = through
                        session.caughtUp(to: through)
                    case .restart:
                        // A broker with state would read it again; this one only needs the version.
                        version = nil
                    }
                }
            } catch let error as MetadataError {
                guard !Task.isCancelled else { return }
                try global.console.printLine(BrokerEventReport(broker: id, event: "trouble", reason: error.detail))
            }
            guard !Task.isCancelled else { return }
            try await Task.sleep(for: DemoBrokerCommand.pause)
        }
    }
}
