import Foundation
import MetadataClient
import MetadataModel
import RaftCore

/// Runs a scenario on real processes: a load, the faults, a calm, and then the verdict of the checkers, round by round.
struct ScenarioRunner {
    /// How long the nodes may take to agree again when everything is over.
    private static let recoveryMax = Duration.seconds(60)

    let scenario: Scenario
    let seed: UInt64
    private let network: any ClusterNetwork
    private let clock = RunClock()

    /// - Parameter network: where the nodes are; nil: as the faults need it.
    init(_ scenario: Scenario, seed: UInt64 = 1, network: (any ClusterNetwork)? = nil) {
        self.scenario = scenario
        self.seed = seed
        self.network = network ?? (scenario.needsCuttableNetwork ? ProxyNetwork() : DirectNetwork())
    }

    /// What came of it; nil where the machine lacks something that the faults need.
    func run() async throws -> RunReport? {
        let cluster = try LocalCluster(
            settings: settings, network: network, nodes: scenario.nodes + (scenario.hasNewcomer ? 1 : 0),
            initial: scenario.nodes)
        var report = RunReport(scenario: scenario.name, seed: seed, network: network.name, nodes: scenario.nodes)
        let library = try scenario.needsLibrary ? FaultLibrary.compiled(in: cluster.folder) : nil
        guard library != nil || !scenario.needsLibrary else {
            await cluster.stop()
            print("no C compiler: \(scenario.name) cannot run here")
            return nil
        }
        do {
            try await run(cluster, library, &report)
        } catch {
            report.findings.append("the run ended early: \(error)")
        }
        if !report.findings.isEmpty {
            for id in 1...scenario.nodes {
                print("node \(id) printed at last:\n\(try await cluster.logText(of: id).suffix(4_000))")
            }
        }
        await cluster.stop()
        return report
    }

    private var settings: [String] {
        scenario.settings
            + (scenario.hasBrokers
                ? ["resilience.timeouts.heartbeat_interval=500ms", "resilience.timeouts.heartbeat_timeout=2s"] : [])
    }

    private func run(_ cluster: LocalCluster, _ library: FaultLibrary?, _ report: inout RunReport) async throws {
        for id in 1...scenario.nodes {
            try await cluster.format(id)
            let environment = try library?.environment(id, losesPower: scenario.losesPower)
            try await cluster.start(id, environment: environment ?? [:])
        }
        try await cluster.waitUntilHealthy(nodes: scenario.nodes)
        var clients: [MetadataClient] = []
        for _ in 0..<scenario.workload.clients { clients.append(await cluster.client()) }
        let client = await cluster.client()
        let broker = BrokerSession(
            client: client, id: BrokerID(1_000),
            endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9_092)], heartbeatInterval: .seconds(1))
        let endpoints = await cluster.endpoints
        let arguments = ["--count", "6", "--heartbeat-interval", "300ms"]
        let brokers =
            try scenario.hasBrokers
            ? SimulatedBrokers(arguments, endpoints: endpoints, folder: cluster.folder) : nil
        let monitor = await ClusterMonitor(cluster, clock: clock)
        monitor.start()
        let nemesis = Nemesis(
            cluster, monitor, client: client, library: library, losesPower: scenario.losesPower, brokers: brokers,
            members: scenario.nodes, clock: clock,
            seed: seed)
        do {
            for await event in broker.events {
                if case .unfenced = event { break }
            }
            for (number, round) in scenario.rounds.enumerated() {
                try await run(round, number, cluster, clients, monitor, nemesis, &report)
                if scenario.rounds.count > 1 {
                    print("round \(number + 1) of \(scenario.rounds.count): \(report.findings.count) findings so far")
                }
                // What is wrong only gets worse, and the logs are near.
                guard report.findings.isEmpty else { break }
            }
        } catch {
            report.findings.append("the run ended early: \(error)")
        }
        await monitor.stop()
        report.samples = monitor.samples
        report.findings += monitor.violations.map { "\($0)" }
        brokers?.end()
        await broker.close()
        for client in clients + [client] { await client.close() }
        report.length = clock.now
    }

    private func run(
        _ round: FaultSchedule.Round, _ number: Int, _ cluster: LocalCluster, _ clients: [MetadataClient],
        _ monitor: ClusterMonitor, _ nemesis: Nemesis, _ report: inout RunReport
    ) async throws {
        var nodes: [(id: Int, endpoint: MetadataClient.Endpoint)] = []
        for id in 1...scenario.nodes { nodes.append((id, await cluster.endpoint(of: id))) }
        let prefix = "round\(number)"
        let workload = try await Workload(
            prefix: prefix, seed: seed &+ UInt64(number), clients: clients, nodes: nodes, options: scenario.workload,
            clock: clock)
        do {
            try await run(round, number, workload, nodes, cluster, monitor, nemesis, &report)
        } catch {
            await workload.stop()
            await workload.endWatches(at: .zero)
            throw error
        }
        await removeTopics(prefix: prefix, clients[0])
    }

    private func run(
        _ round: FaultSchedule.Round, _ number: Int, _ workload: Workload,
        _ nodes: [(id: Int, endpoint: MetadataClient.Endpoint)], _ cluster: LocalCluster, _ monitor: ClusterMonitor,
        _ nemesis: Nemesis, _ report: inout RunReport
    ) async throws {
        let start = clock.now
        let termBefore = await monitor.look().term
        let known = (records: await nemesis.records.count, failures: await nemesis.failures.count)
        workload.start()
        await nemesis.run(round.faults, from: start)
        try await clock.sleep(until: max(clock.now + 2_000_000_000, start + round.length.wholeNanoseconds))
        await workload.stop()
        let end = clock.now
        let calls = workload.recorder.allCalls
        report.add(calls)
        var records = Array(await nemesis.records[known.records...])
        let availability = Availability(calls, end: end)
        for place in records.indices { availability.measure(&records[place]) }
        report.faults += records
        for failure in await nemesis.failures[known.failures...] {
            // Two faults at a time may keep each other from happening; the page says so.
            let isAlone = round.faults.count { $0.overlaps(failure.planned) } == 1
            if isAlone {
                report.findings.append(failure.reason)
            } else {
                print("under another fault: \(failure.reason)")
            }
        }
        let healthy = try await cluster.waitUntilHealthy(nodes: scenario.nodes, within: Self.recoveryMax)
        report.recoveries.append(.nanoseconds(Int64(clock.now - end)))
        let last = healthy.map(\.version).max() ?? .zero
        await workload.endWatches(at: last)
        let evidence = try await collect(workload, calls, last, healthy, nodes)
        report.findings += HistoryJudge(evidence).findings().map { "round \(number + 1): \($0)" }
        let termAfter = await monitor.look().term
        report.findings += Self.judge(scenario.bounds, records, calls, elections: Int(termAfter) - Int(termBefore))
    }

    private func collect(
        _ workload: Workload, _ calls: [RecordedCall], _ last: Version, _ statuses: [NodeStatusReport],
        _ nodes: [(id: Int, endpoint: MetadataClient.Endpoint)]
    ) async throws -> RoundEvidence {
        var accounts: [RoundEvidence.NodeAccount] = []
        for status in statuses {
            guard let node = nodes.first(where: { UInt64($0.id) == status.nodeID }) else { continue }
            let base = workload.base
            accounts.append(
                try await onOwnThread {
                    try RoundEvidence.NodeAccount(status, at: node.endpoint, after: base, through: last)
                })
        }
        return RoundEvidence(
            prefix: workload.prefix, base: workload.base, last: last, calls: calls,
            deliveries: workload.recorder.allDeliveries, nodes: accounts)
    }

    /// What the next round need not carry along.
    private func removeTopics(prefix: String, _ client: MetadataClient) async {
        guard scenario.rounds.count > 1 else { return }
        do {
            for topic in try await client.topics() where topic.name.hasPrefix(prefix + "-") {
                try await client.deleteTopic(.name(topic.name))
            }
        } catch {
            // Left behind, they take room and harm nothing.
            print("the topics of \(prefix) stay: \(error)")
        }
    }

    // MARK: Bounds

    private static func judge(
        _ bounds: Scenario.Bounds, _ records: [FaultRecord], _ calls: [RecordedCall], elections: Int
    ) -> [String] {
        var found: [String] = []
        for record in records {
            if let bound = bounds.writesUnavailable, let gap = record.writesUnavailable, gap > bound {
                found.append("\(record.name): no write for \(gap.milliseconds) ms, allowed are \(bound.milliseconds)")
            }
            if let bound = bounds.readsUnavailable, let gap = record.readsUnavailable, gap > bound {
                found.append("\(record.name): no read for \(gap.milliseconds) ms, allowed are \(bound.milliseconds)")
            }
        }
        if bounds.keepsLeader, elections > 0 { found.append("the term went up by \(elections): an election") }
        if bounds.sparesRequests {
            // What goes to one node is answered by that node or not at all.
            let failed = calls.filter { !$0.isAnswered && $0.lane < 1_000 }
            if let first = failed.first { found.append("\(failed.count) requests failed, the first: \(first.ending)") }
        }
        let answered = calls.count { $0.isAnswered }
        if answered < 100 { found.append("only \(answered) calls were answered: nothing was tested") }
        return found
    }
}
