import Foundation
import Testing

@Suite("Alert rules")
struct AlertRulesTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    private static let rules = root.appendingPathComponent("docs/operations/alerts.rules.yaml")

    /// The names of our metrics in a text.
    private func metrics(_ text: String) -> Set<String> {
        Set(
            text.matches(of: /\b(?:raft|metad|metadata|cluster|process|log|metrics)_[a-z_]+\b/).map {
                String($0.output)
            })
    }

    @Test("every metric that an alert or the page about monitoring names is one that a node has")
    func names() throws {
        let sources = Self.root.appendingPathComponent("Sources").resolvingSymlinksInPath()
        var known: Set<String> = []
        for folder in ["Telemetry", "MetadataServer"] {
            let path = sources.appendingPathComponent(folder).path
            for file in try FileManager.default.subpathsOfDirectory(atPath: path) where file.hasSuffix(".swift") {
                let code = try String(contentsOfFile: path + "/" + file, encoding: .utf8)
                known.formUnion(code.matches(of: /"([a-z][a-z_]+)"/).map { String($0.1) })
            }
        }
        let expressions = try String(contentsOf: Self.rules, encoding: .utf8).split(separator: "\n")
            .filter { $0.contains("expr:") }.joined(separator: "\n")
        #expect(metrics(expressions).count > 5)
        #expect(metrics(expressions).subtracting(known) == [])

        let page = try String(
            contentsOf: Self.root.appendingPathComponent("docs/operations/monitor.md"), encoding: .utf8)
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("| `") }.joined(separator: "\n")
        #expect(metrics(rows).count > 10)
        #expect(metrics(rows).subtracting(known) == [])
    }

    @Test("the page about alerts has a row for each rule, in their order")
    func rows() throws {
        let rules = try String(contentsOf: Self.rules, encoding: .utf8)
        let page = try String(
            contentsOf: Self.root.appendingPathComponent("docs/operations/alerts.md"), encoding: .utf8)
        let alerts = rules.matches(of: /alert: (\w+)/).map { String($0.1) }
        #expect(alerts.count > 5)
        #expect(page.matches(of: /(?m)^\| `(\w+)`/).map { String($0.1) } == alerts)
    }

    @Test(
        "promtool accepts the rules",
        .enabled(if: PromtoolCheck.path != nil, "set PROMTOOL to the path of promtool; cluster/test does"))
    func promtool() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(PromtoolCheck.path))
        process.arguments = ["check", "rules", Self.rules.path]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }
}
