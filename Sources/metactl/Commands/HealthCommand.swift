import ArgumentParser
import Foundation
import MetadataClient

struct HealthCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Checks every node and its health pages: what is wrong, since when, what to do.",
        discussion: """
            Each node is asked on its client port, which says where its health pages are. Ends with 3 when something does not \
            work; warnings end with 0, or with 3 too if --strict is given.
            """)

    @Flag(help: "Look again and again, until interrupted.") var watch = false
    @Flag(help: "Look once; this is the default.") var once = false
    @Flag(help: "Warnings count as failures.") var strict = false
    @Flag(help: "The same as --output json.") var json = false
    @Option(help: ArgumentHelp("Time between two looks with --watch.", valueName: "duration"))
    var interval = DurationArgument(.seconds(2))
    @Option(help: ArgumentHelp("Entries that a node may be behind.", valueName: "number"))
    var lagMax: UInt64 = HealthThresholds().lagEntries
    @Option(help: ArgumentHelp("How long a health page may take.", valueName: "duration"))
    var latencyMax = DurationArgument(.seconds(1))
    @OptionGroup var global: GlobalOptions

    mutating func validate() throws {
        if json { global.printing.output = .json }
        if watch, once { throw ValidationError("--watch and --once exclude each other") }
    }

    func run() async throws {
        var thresholds = HealthThresholds()
        thresholds.lagEntries = lagMax
        thresholds.pageMilliseconds = latencyMax.duration / .milliseconds(1)
        if watch { return try await follow(thresholds) }
        let summary = try await look(thresholds, firstSeen: [:])
        try global.console.print(summary)
        if summary.isFailing || strict && summary.status != "pass" {
            let worst = summary.findings.first.map { finding in
                (finding.node.map { "node \($0): " } ?? "") + finding.problem
            }
            throw CommandFailure.unavailable(
                code: "unhealthy",
                "\(summary.findings.count) problems, the first: \(worst ?? "none")")
        }
    }

    /// - Parameter firstSeen: since when findings of earlier looks have been there, by identity.
    private func look(_ thresholds: HealthThresholds, firstSeen: [String: String]) async throws -> HealthSummary {
        // A client of its own each time: what was learnt of the nodes before would hide what is the case now.
        let survey = try await global.withClient { client in
            await HealthSurvey.take(client, timeout: global.nodeTimeout)
        }
        var findings = survey.findings(thresholds)
        for place in findings.indices where findings[place].since == nil {
            findings[place].since = firstSeen[findings[place].identity]
        }
        return HealthSummary(survey, findings: findings)
    }

    /// Until a signal, or until nobody reads the output any more.
    private func follow(_ thresholds: HealthThresholds) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await lookAgain(thresholds) }
            group.addTask { for await _ in Signals.stream([SIGINT, SIGTERM]) { return } }
            defer { group.cancelAll() }
            _ = try await group.next()
        }
    }

    private func lookAgain(_ thresholds: HealthThresholds) async throws {
        let console = global.console
        let clearsScreen = console.format == .table && isatty(STDOUT_FILENO) == 1
        var firstSeen: [String: String] = [:]
        while !Task.isCancelled {
            let now = Date().formatted(.iso8601)
            let summary = try await look(thresholds, firstSeen: firstSeen)
            let present = Set(summary.findings.map(\.identity))
            firstSeen = firstSeen.filter { present.contains($0.key) }
            for identity in present where firstSeen[identity] == nil { firstSeen[identity] = now }
            // A terminal shows the latest look alone; a file or a pipe gets them all.
            if clearsScreen { try Console.write("\u{1B}[H\u{1B}[2J", to: .standardOutput) }
            if console.format == .table { try Console.write(now, to: .standardOutput) }
            try console.printLine(summary)
            do { try await Task.sleep(for: interval.duration) } catch { return }
        }
    }
}
