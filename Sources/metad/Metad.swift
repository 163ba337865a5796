import ArgumentParser
import Foundation
import Logging
import MetadataServer
import RaftCore
import ServiceLifecycle
import Telemetry
import UnixSignals

@main
enum Program {
    /// Not `async`, which would end the main thread: valgrind, which counts our instructions, does not survive that. The main
    /// actor never runs.
    static func main() {
        Task.detached {
            await Metad.main()
            exit(0)
        }
        while true { pause() }
    }
}

/// A node of the metadata quorum.
struct Metad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metad", abstract: "A node of a StreamBus metadata quorum.",
        subcommands: [Run.self, Format.self, CheckConfig.self], defaultSubcommand: Run.self)
}

/// Exit codes after sysexits.h, so that a supervisor can tell what is worth a restart.
enum ProcessExit {
    /// The configuration is wrong: restarting does not help.
    static let configuration = ExitCode(78)
    /// Something outside of the program failed; the reason is the last line logged.
    static let failure = ExitCode(70)
}

struct ConfigurationOptions: ParsableArguments {
    @Option(help: "The node's settings (YAML). Environment variables METAD_… and --set go before it.")
    var config: String

    @Option(name: .customLong("set"), help: "One setting, as key=value; may be given several times.")
    var overrides: [String] = []

    func validate() throws {
        for text in overrides where !text.contains("=") {
            throw ValidationError("--set takes key=value, not “\(text)”")
        }
    }

    func load() async throws -> NodeConfiguration {
        do {
            return try await read()
        } catch {
            complain("\(error)")
            throw ProcessExit.configuration
        }
    }

    /// Reads all sources as they are now.
    func read() async throws(ConfigurationProblems) -> NodeConfiguration {
        var values: [String: String] = [:]
        for text in overrides {
            guard let equals = text.firstIndex(of: "=") else { continue }
            values[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        return try await NodeConfiguration.load(file: config, overrides: values)
    }
}

/// One clear line (or several, if there are several problems) where a person looks.
func complain(_ text: String) {
    FileHandle.standardError.write(Data("metad: \(text)\n".utf8))
}

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run the node until it is told to stop.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let configuration = try await options.load()
        let logs: LogPipeline
        do {
            logs = try LogPipeline(
                format: configuration.logging.format, level: configuration.logging.level,
                output: configuration.logging.output, nodeID: "\(configuration.node.id)")
        } catch {
            complain("\(error)")
            throw ProcessExit.configuration
        }
        logs.bootstrap()
        logs.writer.writeOnTrap()
        DescriptorLimit.raise()
        defer { _ = logs.writer.flush() }
        let logger = logs.logger("node")
        // From here on a hangup reads the settings again; before, it ends the process as usual.
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        let reloads = ConfigurationReloads(configuration, logger: logs.logger("configuration")) {
            [options] () async throws(ConfigurationProblems) in try await options.read()
        }
        reloads.onChange { configuration, changed in logs.take(over: configuration, changed, logger: logger) }
        for notice in configuration.notices { logger.notice("\(notice)") }
        let registry = MetricsRegistry()
        registry.bootstrap()
        logs.register(in: registry)
        do {
            let node = try MetadataNode(
                configuration, registry: registry,
                administration: Administration(logs: logs.control, reloads: reloads), logger: logger)
            let servers = HTTPServers(
                configuration: configuration, health: node.health, performance: node.performance, registry: registry,
                logger: logs.logger("http"))
            var services: [ServiceGroupConfiguration.ServiceConfiguration] = servers.services.map {
                .init(service: $0)
            }
            services.append(.init(service: node.spanExport))
            services.append(.init(service: reloads))
            services.append(.init(service: Hangups(signals: hangups, reloads: reloads)))
            services.append(.init(service: node, successTerminationBehavior: .gracefullyShutdownGroup))
            var group = ServiceGroupConfiguration(
                services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logs.logger("lifecycle"))
            group.maximumGracefulShutdownDuration = configuration.resilience.timeouts.shutdown
            try await ServiceGroup(configuration: group).run()
        } catch let error as NodeMustRestart {
            logger.critical("the node starts again", metadata: ["reason": "\(error.reason)"])
            _ = logs.writer.flush()
            // The same process, program and arguments, so that no supervisor has to notice; it comes back only when it fails.
            let failure = replaceProcess()
            complain("\(error); it cannot: \(failure). Start it again")
            throw ProcessExit.failure
        } catch {
            logger.critical("the node ends", metadata: ["error": "\(error)"])
            complain("\(error)")
            if let error = error as? NodeStartError, error.isPermanent { throw ProcessExit.configuration }
            throw ProcessExit.failure
        }
    }
}

/// SIGHUP: the settings have changed, or the log file was moved away.
private struct Hangups: Service {
    let signals: UnixSignalsSequence
    let reloads: ConfigurationReloads

    func run() async throws {
        for await _ in signals.cancelOnGracefulShutdown() { reloads.request(by: "SIGHUP") }
    }
}

extension LogPipeline {
    /// A level that was set by hand stays until the settings say something else than before.
    fileprivate func take(over configuration: NodeConfiguration, _ changed: Set<String>, logger: Logger) {
        if changed.contains("logging.level") { control.set(configuration.logging.level) }
        if changed.contains("logging.format") { control.format = configuration.logging.format }
        do {
            try writer.reopen()
        } catch {
            logger.error("the log goes on in the file it had", metadata: ["error": "\(error)"])
        }
    }
}

/// Begins this program anew in this process. Returns only when that failed, with the reason.
private func replaceProcess() -> String {
    #if os(Linux)
        let program = "/proc/self/exe"
    #else
        let program = CommandLine.arguments[0]
    #endif
    // A process inherits from the one before what it ignores and blocks.
    signal(SIGTERM, SIG_DFL)
    signal(SIGINT, SIG_DFL)
    signal(SIGHUP, SIG_DFL)
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
    var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) }
    arguments.append(nil)
    execv(program, arguments)
    return String(cString: strerror(errno))
}

struct Format: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prepare the data directory of a node: its identity and the first members.")

    @OptionGroup var options: ConfigurationOptions

    @Flag(help: "Succeed without a change when the directory is this node's already.")
    var ifNeeded = false

    func run() async throws {
        let configuration = try await options.load()
        if ifNeeded, isFormatted(configuration) { return }
        var generator = SystemRandomNumberGenerator()
        do {
            try formatNode(configuration, disk: DiskID(high: generator.next(), low: generator.next()))
        } catch {
            complain("\(error)")
            throw ProcessExit.configuration
        }
        print(
            "formatted \(configuration.node.dataDirectory) for node \(configuration.node.id) of cluster "
                + configuration.cluster.id)
    }
}

/// Where a node says that it is. One that listens everywhere does not know.
private func peerPlace(_ node: NodeConfiguration.Node) -> String {
    let address = node.advertisedPeerAddress
    return address.isWildcard ? "the address that the members have of it" : "\(address)"
}

struct CheckConfig: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-config", abstract: "Check the settings and say all that is wrong with them.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let configuration = try await options.load()
        for notice in configuration.notices { print("notice: \(notice)") }
        let node = configuration.node
        print("ok: node \(node.id) of cluster \(configuration.cluster.id)")
        print("clients find it at \(node.advertisedClientAddress), the other nodes at \(peerPlace(node))")
    }
}
