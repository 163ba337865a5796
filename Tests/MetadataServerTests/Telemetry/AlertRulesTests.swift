import Foundation
import Testing

/// What `cluster/prometheus` ships, held against the metrics of a node and checked by Prometheus's own tools.
@Suite("Alert rules and dashboard")
struct AlertRulesTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    private static let folder = root.appendingPathComponent("cluster/prometheus")
    private static let rules = folder.appendingPathComponent("alerts.rules.yaml")

    private func text(_ path: String) throws -> String {
        try String(contentsOf: Self.root.appendingPathComponent(path), encoding: .utf8)
    }

    /// The names of our metrics in a text. The samples of a histogram go by the histogram's name.
    private func metrics(_ text: String) -> Set<String> {
        Set(
            text.matches(
                of: /\b((?:raft|metad|metadata|cluster|process|log|metrics|circuitbreaker)_[a-z_]+?)(?:_bucket|_sum)?\b/
            ).map { String($0.1) })
    }

    private func knownMetrics() throws -> Set<String> {
        let sources = Self.root.appendingPathComponent("Sources").resolvingSymlinksInPath()
        var known: Set<String> = []
        for folder in ["Telemetry", "MetadataServer"] {
            let path = sources.appendingPathComponent(folder).path
            for file in try FileManager.default.subpathsOfDirectory(atPath: path) where file.hasSuffix(".swift") {
                let code = try String(contentsOfFile: path + "/" + file, encoding: .utf8)
                known.formUnion(code.matches(of: /"([a-z][a-z_]+)"/).map { String($0.1) })
            }
        }
        known.formUnion(known.filter { $0.hasSuffix("_seconds") }.map { $0 + "_count" })
        return known
    }

    /// The rules without comments and texts for people.
    private func expressions() throws -> String {
        try String(contentsOf: Self.rules, encoding: .utf8).split(separator: "\n")
            .filter { !$0.contains("summary:") && !$0.contains("#") }.joined(separator: "\n")
    }

    /// Every query of the dashboard.
    private func queries() throws -> [String] {
        struct Dashboard: Decodable {
            struct Panel: Decodable {
                struct Target: Decodable {
                    var expr: String
                }
                var id: Int
                var title: String
                var targets: [Target]?
            }
            var panels: [Panel]
        }
        let data = try Data(contentsOf: Self.folder.appendingPathComponent("dashboard.json"))
        let panels = try JSONDecoder().decode(Dashboard.self, from: data).panels
        #expect(Set(panels.map(\.id)).count == panels.count, "Grafana needs a number for each panel")
        return panels.flatMap { $0.targets ?? [] }.map(\.expr)
    }

    @Test("every metric that an alert, the dashboard or the page about monitoring names is one that a node has")
    func names() throws {
        let known = try knownMetrics()
        let alerts = metrics(try expressions())
        #expect(alerts.count > 10)
        #expect(alerts.subtracting(known) == [])

        let shown = metrics(try queries().joined(separator: "\n"))
        #expect(shown.count > 25)
        #expect(shown.subtracting(known) == [])

        let page = try text("docs/operations/monitor.md")
        let rows = metrics(page.split(separator: "\n").filter { $0.hasPrefix("| `") }.joined(separator: "\n"))
        #expect(rows.count > 10)
        #expect(rows.subtracting(known) == [])
    }

    @Test("the page about alerts says of each rule what it means, what to look at and what to do, in their order")
    func sections() throws {
        let rules = try String(contentsOf: Self.rules, encoding: .utf8)
        let alerts = rules.matches(of: /alert: (\w+)/).map { String($0.1) }
        #expect(alerts.count > 5)
        let sections = try text("docs/operations/alerts.md").components(separatedBy: "\n## ").dropFirst()
        let named = sections.filter { $0.hasPrefix("Metadata") }
        #expect(named.map { String($0.prefix { $0 != "\n" }) } == alerts)
        for section in named {
            for part in ["**It means**", "**Look at**", "**Do**"] {
                #expect(section.contains("\n" + part), "\(section.prefix(40)) lacks \(part)")
            }
        }
    }

    @Test("the page about monitoring names beside each metric the alerts that use it")
    func alertColumn() throws {
        let rules = try expressions().components(separatedBy: "- alert: ").dropFirst()
        var used: [String: [String]] = [:]
        for rule in rules {
            let name = String(rule.prefix { $0 != "\n" })
            for metric in metrics(rule).subtracting(["metad"]) {
                let plain = metric.hasSuffix("_seconds_count") ? String(metric.dropLast("_count".count)) : metric
                if used[plain]?.contains(name) != true { used[plain, default: []].append(name) }
            }
        }
        #expect(used.count > 15)
        var wrong: [String] = []
        let lists = try text("docs/operations/monitor.md").components(separatedBy: "\n## ").first {
            $0.hasPrefix("Metrics")
        }
        for line in try #require(lists).split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.components(separatedBy: " | ")
            let named = cells[0].matches(of: /`([a-z_]+)/).flatMap { used[String($0.1)] ?? [] }
            let shown = cells.last?.matches(of: /`(\w+)`/).map { String($0.1) } ?? []
            if Set(named) != Set(shown) { wrong.append("\(cells[0]): it is \(named)") }
        }
        #expect(wrong == [])
    }

    @Test("every alert has a test of the rules in which it fires")
    func tested() throws {
        let rules = try String(contentsOf: Self.rules, encoding: .utf8)
        let tests = try text("cluster/prometheus/alerts.test.yaml")
        let fired = Set(tests.matches(of: /- alertname: (\w+)/).map { String($0.1) })
        #expect(Set(rules.matches(of: /alert: (\w+)/).map { String($0.1) }) == fired)
    }

    @Test(
        "promtool accepts the configuration, and each alert fires, is silent and clears as its test says",
        .enabled(if: PromtoolCheck.path != nil, "set PROMTOOL to the path of promtool; cluster/test does"))
    func promtool() throws {
        let promtool = try #require(PromtoolCheck.path)
        let checks = [["check", "config", "prometheus.yaml"], ["test", "rules", "alerts.test.yaml"]]
        for arguments in checks {
            let (status, said) = try run(promtool, arguments, in: Self.folder)
            #expect(status == 0, "\(said)")
        }
    }

    @Test(
        "the queries of the dashboard are PromQL",
        .enabled(if: PromtoolCheck.path != nil, "set PROMTOOL to the path of promtool; cluster/test does"))
    func dashboard() throws {
        var file = "groups:\n  - name: dashboard\n    rules:\n"
        for (number, query) in try queries().enumerated() {
            let plain = query.replacing("$__rate_interval", with: "1m").replacing("$cluster", with: "local")
            file += "      - record: panel:query\(number)\n        expr: '\(plain)'\n"
        }
        let place = FileManager.default.temporaryDirectory.appendingPathComponent("dashboard-\(UUID().uuidString).yaml")
        try file.write(to: place, atomically: true, encoding: .utf8)
        defer { unlink(place.path) }
        let (status, said) = try run(try #require(PromtoolCheck.path), ["check", "rules", place.path], in: Self.folder)
        #expect(status == 0, "\(said)")
    }

    private static let amtool = ProcessInfo.processInfo.environment["AMTOOL"]

    @Test(
        "amtool accepts the configuration of Alertmanager, and pages reach who is on call",
        .enabled(if: amtool != nil, "set AMTOOL to the path of amtool; cluster/test does"))
    func alertmanager() throws {
        let amtool = try #require(Self.amtool)
        let check = try run(amtool, ["check-config", "alertmanager.yaml"], in: Self.folder)
        #expect(check.status == 0, "\(check.said)")
        for (severity, receiver) in [("page", "on-call"), ("warn", "channel")] {
            let arguments = ["config", "routes", "test", "--config.file=alertmanager.yaml", "severity=\(severity)"]
            let (status, said) = try run(amtool, arguments, in: Self.folder)
            #expect(status == 0 && said.contains(receiver), "\(said)")
        }
    }

    private func run(_ program: String, _ arguments: [String], in folder: URL) throws -> (status: Int32, said: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.currentDirectoryURL = folder
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: said, as: UTF8.self))
    }
}
