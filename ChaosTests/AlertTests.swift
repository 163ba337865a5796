import Foundation
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A real Prometheus and a real Alertmanager with the configuration that is shipped, on a real cluster with real faults.
@Suite("Alerts", .serialized)
struct AlertTests {
    private static let provoked = [
        "MetadataQuorumHasNoLeader", "MetadataNodeDown", "MetadataNodeWithoutLeader", "MetadataCrashLoop",
        "MetadataBreakerKeepsOpening", "MetadataErrorRate", "MetadataDiskLow",
    ]
    private static let prometheus = ProcessInfo.processInfo.environment["PROMETHEUS"]
    private static let alertmanager = ProcessInfo.processInfo.environment["ALERTMANAGER"]

    @Test(
        "alerts fire within half a minute of the fault, are told in Slack, and clear when it is over",
        .enabled(if: prometheus != nil, "set PROMETHEUS to the path of prometheus; cluster/test does"),
        .timeLimit(.minutes(5)))
    func fireAndClear() async throws {
        try await ScriptedCluster.with { scripts in
            // One failure opens a breaker, so that a node that is away for a second is enough.
            try scripts.run("sed -i 's/failure_threshold: 5/failure_threshold: 1/' cluster/node?.yaml")
            let up = try scripts.run("cluster/up")
            try #require(up.status == 0, "\(up.output)")
            let slack = try await SlackChannels.opened()
            // Without it, as where its templates are not installed, what it sends is not looked at.
            let alertmanager =
                Self.alertmanager == nil ? nil : try startAlertmanager(in: scripts, webhook: slack.webhook)
            let shipped = try Prometheus.start(in: scripts, folder: "cluster/prometheus", port: 9_190)
            // The same rules in less time: windows of minutes become 20 seconds, waits of minutes 2, a look every second. As
            // they are shipped they would not forget a fault before minutes are over.
            try scripts.run(
                """
                cp -r cluster/prometheus hasty
                sed -i -E 's/\\[[0-9]+m\\]/[20s]/; s/for: [0-9]+m/for: 2s/' hasty/alerts.rules.yaml
                sed -i -E 's/(interval|timeout): [0-9]+s/\\1: 1s/' hasty/prometheus.yaml
                """)
            let hasty = try Prometheus.start(in: scripts, folder: "hasty", port: 9_191)
            try await scripts.wait(for: "a look at all nodes") {
                let seen = try await [shipped.value("sum(up)"), hasty.value("sum(up)")]
                return seen == [3, 3]
            }
            for prometheus in [shipped, hasty] {
                #expect(try await prometheus.firing().isDisjoint(with: Self.provoked))
            }

            // Somebody writes something new all the time, through whatever node is there.
            let output = scripts.root.appendingPathComponent("load.log")
            let load = try scripts.start(
                "while :; do metactl configs alter --config user.key-$((RANDOM % 200))=$RANDOM --timeout 300ms; done",
                output: output)

            for _ in 1...4 {
                let number = try scripts.process(of: 2)
                try scripts.run("kill -9 \(number)")
                try await scripts.wait(for: "node 2 to be back") {
                    try !["-", number].contains(scripts.process(of: 2))
                }
                // So that Prometheus sees each of them.
                try await Task.sleep(for: .milliseconds(1_500))
            }
            try await hasty.wait(toFire: "MetadataCrashLoop", "MetadataBreakerKeepsOpening")

            // The leader may be any of them; without these two there is none.
            try scripts.run("cluster/node 2 kill; cluster/node 3 kill")
            try await shipped.wait(
                toFire: "MetadataQuorumHasNoLeader", "MetadataNodeDown", "MetadataNodeWithoutLeader")
            // Alertmanager waits 10 s for what else there is to say.
            try await scripts.wait(for: "a page in Slack") {
                alertmanager == nil || slack.has("FIRING MetadataQuorumHasNoLeader (local)", in: "#streambus-on-call")
            }
            #expect(!slack.has("MetadataNodeWithoutLeader", in: "#streambus"), "a consequence is not told")

            try scripts.run("cluster/node 2 start; cluster/node 3 start")
            try await shipped.waitToClear("MetadataQuorumHasNoLeader", "MetadataNodeDown", "MetadataNodeWithoutLeader")
            // A window, and what the tools and the machine take.
            try await hasty.waitToClear(
                "MetadataCrashLoop", "MetadataBreakerKeepsOpening", "MetadataQuorumHasNoLeader")

            // All disks are full, as far as the nodes know: no disk has so much room.
            let full = ["METAD_STORAGE_DISK_LOW_BYTES": "100000GiB", "METAD_STORAGE_DISK_HIGH_BYTES": "100000GiB"]
            for node in 1...3 { try scripts.run("cluster/node \(node) restart", environment: full) }
            try await shipped.wait(toFire: "MetadataDiskLow")
            try await hasty.wait(toFire: "MetadataErrorRate")
            for node in 1...3 { try scripts.run("cluster/node \(node) restart") }
            try await shipped.waitToClear("MetadataDiskLow")
            try await hasty.waitToClear("MetadataErrorRate")
            try await scripts.wait(for: "the end of the page in Slack", within: .seconds(90)) {
                alertmanager == nil || slack.has("RESOLVED MetadataQuorumHasNoLeader (local)", in: "#streambus-on-call")
            }
            load.send(SIGTERM)
            load.wait()
            alertmanager?.send(SIGTERM)
            alertmanager?.wait()
            try await slack.close()
            shipped.stop()
            hasty.stop()
            #expect(try scripts.run("cluster/down").status == 0)
        }
    }
}

/// A command of docs/operations/monitor.md, with the program at the place that a variable names.
private func command(of program: String, at variable: String) throws -> String {
    let page = try String(
        contentsOf: ScriptedCluster.repository.appendingPathComponent("docs/operations/monitor.md"), encoding: .utf8)
    let block = try #require(page.split(separator: "```sh\n").first { $0.hasPrefix(program + " ") })
    let arguments = block.prefix { $0 != "`" }.dropFirst(program.count)
    return "exec \(ProcessInfo.processInfo.environment[variable] ?? program)" + arguments
}

/// With the address of a webhook of ours, and everything else as it is shipped.
private func startAlertmanager(in scripts: ScriptedCluster, webhook: String) throws -> ScriptProcess {
    try scripts.run(
        """
        printf %s \(webhook) >slack_url
        sed -i "s#/etc/alertmanager/slack_url#$PWD/slack_url#" cluster/prometheus/alertmanager.yaml
        """)
    return try scripts.start(
        scripts.translated(command(of: "prometheus-alertmanager", at: "ALERTMANAGER")),
        output: scripts.root.appendingPathComponent("alertmanager.log"))
}

/// A Prometheus server and what it thinks.
private final class Prometheus {
    private let process: ScriptProcess
    private let address: String

    private init(process: ScriptProcess, address: String) {
        self.process = process
        self.address = address
    }

    /// Starts the command of docs/operations/monitor.md, with another folder and port.
    static func start(in scripts: ScriptedCluster, folder: String, port: Int) throws -> Prometheus {
        let command = try command(of: "prometheus", at: "PROMETHEUS")
            .replacing("cluster/prometheus", with: folder).replacing("9190", with: "\(port)")
            .replacing("cluster/run", with: folder)
        let output = scripts.root.appendingPathComponent("\(folder).log".replacing("/", with: "-"))
        let process = try scripts.start(scripts.translated(command), output: output)
        return Prometheus(process: process, address: "http://127.0.0.1:\(scripts.port(port))/api/v1/")
    }

    /// The first sample of a query; nil while the server does not answer, or without one.
    func value(_ query: String) async throws -> Double? {
        struct Answer: Decodable {
            struct Result: Decodable {
                struct Sample: Decodable {
                    var value: [Number]
                }
                var result: [Sample]
            }
            var data: Result
        }
        /// The time is a number, the value a text.
        enum Number: Decodable {
            case number(Double)
            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                self = .number(
                    try (try? container.decode(Double.self)) ?? Double(container.decode(String.self)) ?? .nan)
            }
        }
        guard let data = await get("query?query=" + query) else { return nil }
        guard
            case .number(let number)? = try JSONDecoder().decode(Answer.self, from: data).data.result.first?.value.last
        else { return nil }
        return number
    }

    /// The names of the alerts that somebody would be told of.
    func firing() async throws -> Set<String> {
        struct Answer: Decodable {
            struct Alerts: Decodable {
                struct Alert: Decodable {
                    var labels: [String: String]
                    var state: String
                }
                var alerts: [Alert]
            }
            var data: Alerts
        }
        guard let data = await get("alerts") else { return [] }
        let alerts = try JSONDecoder().decode(Answer.self, from: data).data.alerts
        return Set(alerts.filter { $0.state == "firing" }.compactMap { $0.labels["alertname"] })
    }

    /// Nil while it does not answer, or says that it is starting.
    private func get(_ path: String) async -> Data? {
        guard let url = URL(string: address + path), let (data, response) = try? await URLSession.shared.data(from: url)
        else { return nil }
        return (response as? HTTPURLResponse)?.statusCode == 200 ? data : nil
    }

    func wait(toFire names: String...) async throws {
        try await wait("these to fire: \(names)") { Set(names).isSubset(of: $0) }
    }

    func waitToClear(_ names: String...) async throws {
        try await wait("these to clear: \(names)") { $0.isDisjoint(with: names) }
    }

    /// Half a minute is what is promised.
    private func wait(_ what: String, until holds: (Set<String>) -> Bool) async throws {
        let begin = ContinuousClock.now
        while true {
            let firing = try await firing()
            if holds(firing) { break }
            guard ContinuousClock.now - begin < .seconds(30) else {
                throw LocalCluster.HarnessFailure(description: "waited 30 s for \(what); there are \(firing)")
            }
            try await Task.sleep(for: .milliseconds(250))
        }
        print("waited \(ContinuousClock.now - begin) for \(what)")
    }

    func stop() {
        process.send(SIGTERM)
        process.wait()
    }
}
