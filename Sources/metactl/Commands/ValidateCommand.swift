import ArgumentParser
import Foundation
import MetadataClient

struct ValidateCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Tries each feature of a running cluster, a line for each, and takes away what it made.",
        discussion: """
            It makes a topic and a broker of its own, under names that nobody uses, and moves leadership to another node and \
            back unless --quick is given. Ends with 3 when a check fails.
            """)

    @Flag(help: "Leave leadership where it is.") var quick = false
    @Option(help: ArgumentHelp("Also write the result to this file, as JSON.", valueName: "file")) var json: String?
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let console = global.console
        let validation = try await global.withClient { client in
            var validator = Validator(
                client: client, timeout: global.timeout,
                clientOf: { endpoint in try global.makeClient(endpoints: [endpoint]) },
                report: { try console.printLine($0) })
            try await validator.run(isQuick: quick)
            return validator.validation
        }
        if let json { try Data((JSON.document(validation) + "\n").utf8).write(to: URL(fileURLWithPath: json)) }
        guard validation.failures.isEmpty else {
            throw CommandFailure.unavailable(
                code: "validation_failed",
                "\(validation.failures.count) of \(validation.checks.count) checks failed: "
                    + validation.failures.map(\.name).joined(separator: "; "))
        }
    }
}
