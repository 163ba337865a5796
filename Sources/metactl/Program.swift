import ArgumentParser
import Foundation
import MetadataClient

/// The process: parses, runs, prints a failure, ends with the status that fits.
///
/// The parser's own `main()` would end usage errors with 64 and print every error in its own form; `metactl` promises 2,
/// and JSON where JSON was asked for.
@main
enum Program {
    /// Not `async`, which would end the main thread: valgrind, which counts our instructions, does not survive that. The main
    /// actor never runs.
    static func main() {
        Task.detached { exit(await run(arguments: Array(CommandLine.arguments.dropFirst())).rawValue) }
        while true { pause() }
    }

    static func run(arguments: [String]) async -> ExitStatus {
        var console = Console(format: wantsJSON(arguments) ? .json : .table)
        do {
            var command = try Metactl.parseAsRoot(arguments)
            if let printing = command as? any PrintingCommand {
                console = printing.global.console
            }
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return .done
        } catch let failure as CommandFailure {
            return report(failure, on: console)
        } catch let error as MetadataError {
            return report(CommandFailure(error), on: console)
        } catch is OutputClosed {
            // The reader of our output has seen enough: `metactl watch | head`.
            return .done
        } catch {
            return reportParserError(error, on: console)
        }
    }

    /// Help and completion scripts arrive as errors that mean success; everything else of the parser is usage.
    private static func reportParserError(_ error: any Error, on console: Console) -> ExitStatus {
        let code = Metactl.exitCode(for: error)
        if code == .success {
            return write(Metactl.fullMessage(for: error), to: .standardOutput) ? .done : .unavailable
        }
        if code == .validationFailure {
            guard console.format == .json else {
                return write(Metactl.fullMessage(for: error), to: .standardError) ? .usage : .unavailable
            }
            return report(.usage(Metactl.message(for: error)), on: console)
        }
        return report(.unavailable(code: "local_failure", "\(error)"), on: console)
    }

    private static func report(_ failure: CommandFailure, on console: Console) -> ExitStatus {
        do {
            try console.fail(failure)
        } catch {
            // Standard error is gone: the status is all that is left to tell.
            return failure.status
        }
        return failure.status
    }

    private static func write(_ text: String, to file: FileHandle) -> Bool {
        do {
            try Console.write(text, to: file)
            return true
        } catch {
            return false
        }
    }

    /// What the arguments ask for, as far as it can be told before they are parsed: a usage error is JSON too then.
    static func wantsJSON(_ arguments: [String]) -> Bool {
        if arguments.contains("--output=json") { return true }
        return zip(arguments, arguments.dropFirst()).contains { ($0 == "--output" || $0 == "-o") && $1 == "json" }
    }
}
