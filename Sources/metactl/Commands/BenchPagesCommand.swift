import ArgumentParser
import MetadataClient

struct BenchPagesCommand: PrintingCommand {
    static let configuration = CommandConfiguration(
        commandName: "pages",
        abstract: "How long the health pages of each node take, one request after the other over one connection.",
        discussion: "Run `bench write` beside it to see what they take under load.")

    @Option(help: ArgumentHelp("Requests for each page.", valueName: "number")) var requests = 2_000
    @Option(help: ArgumentHelp("Time between two requests; none by default.", valueName: "duration"))
    var pause: DurationArgument?
    @OptionGroup var global: GlobalOptions

    static let paths = HealthPages.paths + ["/performance"]

    func validate() throws {
        guard (1...10_000_000).contains(requests) else { throw ValidationError("--requests must be 1 to 10000000") }
    }

    func run() async throws {
        let survey = try await global.withClient { client in
            await HealthSurvey.take(client, timeout: global.nodeTimeout, withPages: false)
        }
        var report = PagesReport(requests: requests, pages: [])
        for status in survey.answering.sorted(by: { $0.nodeID < $1.nodeID }) where !status.healthURL.isEmpty {
            for path in Self.paths {
                report.pages.append(try await measure(path, of: status))
            }
        }
        guard !report.pages.isEmpty else {
            throw CommandFailure.unavailable(code: "node_unreachable", "no node that answers has health pages")
        }
        try global.console.print(report)
    }

    private func measure(_ path: String, of node: NodeStatusReport) async throws -> PagesReport.Page {
        let client = try PageClient(base: node.healthURL, path: path)
        // The first answers pay for what is made once.
        for _ in 0..<min(requests, 20) { _ = try client.ask() }
        var latencies = Latencies()
        var statuses: [Int: Int] = [:]
        for _ in 0..<requests {
            let begun = ContinuousClock.now
            statuses[try client.ask(), default: 0] += 1
            latencies.record(begun.duration(to: .now))
            if let pause { try await Task.sleep(for: pause.duration) }
        }
        return PagesReport.Page(
            node: node.nodeID, path: path, statuses: statuses.reduce(into: [:]) { $0["\($1.key)"] = $1.value },
            p50Ms: Numbers.rounded(latencies.milliseconds(atPercentile: 50)),
            p99Ms: Numbers.rounded(latencies.milliseconds(atPercentile: 99)),
            maxMs: Numbers.rounded(latencies.maxMilliseconds))
    }
}

/// The result of `bench pages`.
struct PagesReport: Report, Equatable {
    struct Page: Encodable, Equatable {
        var node: UInt64
        var path: String
        /// How many answers had each status.
        var statuses: [String: Int]
        var p50Ms: Double
        var p99Ms: Double
        var maxMs: Double
    }

    var benchmark = "pages"
    /// For each page.
    var requests: Int
    var pages: [Page]

    init(requests: Int, pages: [Page]) {
        self.requests = requests
        self.pages = pages
    }

    var table: String {
        var table = Table(["NODE", "PAGE", "STATUS", "P50", "P99", "MAX"])
        for page in pages {
            let statuses = page.statuses.sorted { $0.key < $1.key }.map { "\($0.key)x\($0.value)" }
            table.add([
                "\(page.node)", page.path, statuses.joined(separator: ","), Numbers.milliseconds(page.p50Ms),
                Numbers.milliseconds(page.p99Ms), Numbers.milliseconds(page.maxMs),
            ])
        }
        return table.text
    }
}
