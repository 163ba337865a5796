import Foundation
import MetadataClient
import MetadataModel
import RaftCore
import Telemetry

/// Tries each feature of a running cluster, and takes away what it made. It changes nothing that belongs to somebody else: its topic
/// and its broker have names of their own, and the broker is draining while others are there, so that nobody is placed on it.
struct Validator {
    private let client: MetadataClient
    /// A client that knows one node alone, to begin with.
    private let clientOf: (MetadataClient.Endpoint) throws -> MetadataClient
    private let timeout: Duration
    private let report: (Validation.Check) throws -> Void
    private let topic: String
    private let brokerID: BrokerID
    private(set) var validation = Validation()
    private var session: BrokerSession?
    private var madeTopic = false

    init(
        client: MetadataClient, timeout: Duration,
        clientOf: @escaping (MetadataClient.Endpoint) throws -> MetadataClient,
        report: @escaping (Validation.Check) throws -> Void
    ) {
        self.client = client
        self.timeout = timeout
        self.clientOf = clientOf
        self.report = report
        let number = Int32.random(in: 0..<100_000_000)
        topic = "validate-\(number)"
        brokerID = BrokerID(Int32.max - number)
    }

    /// - Parameter isQuick: leadership stays where it is.
    mutating func run(isQuick: Bool) async throws {
        let nodes = try await self.nodes()
        for node in nodes {
            try await check("health pages of node \(node.nodeID)") { try await $0.health(of: node) }
            try await check("metrics of node \(node.nodeID)") { try await $0.metrics(of: node) }
        }
        try await check("a broker registers and sends heartbeats") { try await $0.registerBroker() }
        try await check("a topic is created and described") { try await $0.createTopic() }
        try await check("a watch tells of a change") { try await $0.watchChange() }
        for node in nodes {
            try await check("writing and reading through node \(node.nodeID)") { validator in
                try await validator.writeAndRead(through: node)
            }
        }
        try await check("leadership moves to another node and back") { validator in
            if isQuick { throw ValidationSkipped(reason: "--quick") }
            return try await validator.transferLeadership()
        }
        try await check("the states of all nodes are equal") { try await $0.compareDigests() }
        try await check("what was made is gone again") { try await $0.cleanUp() }
    }

    private mutating func check(
        _ name: String, _ body: (inout Validator) async throws -> String
    ) async throws {
        let begun = ContinuousClock.now
        var result = Validation.Result.ok
        var detail: String
        do {
            detail = try await body(&self)
        } catch let error as ValidationSkipped {
            (result, detail) = (.skipped, error.reason)
        } catch let error as MetadataError {
            (result, detail) = (.failed, "\(error.code.rawValue): \(error.detail)")
        } catch {
            (result, detail) = (.failed, describe(error))
        }
        let time = begun.duration(to: .now) / .milliseconds(1)
        let check = Validation.Check(
            name: name, result: result, milliseconds: (time * 100).rounded() / 100, detail: detail)
        validation.checks.append(check)
        try report(check)
    }

    // MARK: The checks

    private mutating func nodes() async throws -> [NodeStatusReport] {
        var found: [NodeStatusReport] = []
        try await check("every member answers") { validator in
            let survey = await HealthSurvey.take(validator.client, timeout: validator.timeout)
            found = survey.answering.sorted { $0.nodeID < $1.nodeID }
            let silent = survey.nodes.filter { $0.status == nil }
            guard silent.isEmpty, !found.isEmpty else {
                throw ValidationFailure(
                    "no answer from \(silent.map { $0.id.map { "node \($0)" } ?? $0.address }.joined(separator: ", "))")
            }
            guard let leader = survey.leader else { throw ValidationFailure("no node knows a leader") }
            return "\(found.count) nodes, node \(leader.nodeID) leads"
        }
        return found
    }

    private func health(of node: NodeStatusReport) async throws -> String {
        guard !node.healthURL.isEmpty else { throw ValidationSkipped(reason: "they are switched off") }
        let pages = await HealthPages.fetch(from: node.healthURL, timeout: timeout)
        for path in HealthPages.paths {
            guard let answer = pages.answers[path], answer.problem == nil else {
                throw ValidationFailure("\(path): \(pages.answers[path]?.problem ?? "no answer")")
            }
            guard answer.status == 200 else {
                let reasons = pages.page?.reasons.joined(separator: "; ") ?? ""
                throw ValidationFailure("\(path) answers \(answer.status ?? 0) \(reasons)")
            }
        }
        return "\(pages.page?.checks.count ?? 0) checks, \(pages.page?.status ?? "none")"
    }

    private func metrics(of node: NodeStatusReport) async throws -> String {
        guard !node.metricsURL.isEmpty else { throw ValidationSkipped(reason: "they are switched off") }
        guard let endpoint = HTTPEndpoint(node.metricsURL) else {
            throw ValidationFailure("\(node.metricsURL) is not http://host:port/path")
        }
        let answer = try await HTTPExchange.get(endpoint, timeout: timeout)
        guard answer.status == 200 else { throw ValidationFailure("\(endpoint) answers \(answer.status)") }
        return "\(try ExpositionCheck.series(in: String(decoding: answer.body, as: UTF8.self))) series"
    }

    private mutating func registerBroker() async throws -> String {
        let others = try await client.brokers()
        guard !others.contains(where: { $0.id == brokerID }) else {
            throw ValidationFailure("broker \(brokerID) is there already; try again")
        }
        let hasOthers = others.contains { $0.state == .active && !$0.isDraining }
        let session = BrokerSession(
            client: client, id: brokerID, endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 1)],
            heartbeatInterval: .milliseconds(500), staysFenced: true)
        self.session = session
        let (client, id) = (client, brokerID)
        return try await within(timeout) {
            for await event in session.events {
                switch event {
                case .registered(let epoch):
                    if hasOthers { try await client.drainBroker(id, epoch: epoch) }
                    session.stayFenced(false)
                case .unfenced: return "broker \(id)"
                case .failed(let error): throw error
                case .reregistered, .fenced, .shuttingDown: continue
                }
            }
            throw ValidationFailure("its session ended")
        }
    }

    private mutating func createTopic() async throws -> String {
        let others = try await client.brokers().filter { $0.state == .active && !$0.isDraining }
        guard let place = others.first?.id else { throw ValidationFailure("no broker is active") }
        madeTopic = true
        let made = try await client.createTopic(
            name: topic, partitions: 0, replicationFactor: 0, assignment: [[place], [place]])
        let found = try await client.topic(.name(topic))
        guard found == made, found?.partitionCount == 2 else { throw ValidationFailure("made \(made), found another") }
        return "\(topic) on broker \(place)"
    }

    private func watchChange() async throws -> String {
        let (client, topic) = (client, topic)
        let start = try await client.summary().version
        _ = try await client.alterConfigs(
            .topic(.name(topic)), changes: [ConfigChange(name: "user.validate", value: "watched")])
        return try await within(timeout) {
            for try await event in client.watch(after: start, filter: WatchFilter(topicPrefixes: [topic])) {
                guard case .changes(let changes) = event else { continue }
                for case .configChanged(let entry) in changes.changes where entry.value == "watched" {
                    return "at version \(changes.version)"
                }
            }
            throw ValidationFailure("the watch ended")
        }
    }

    private func writeAndRead(through node: NodeStatusReport) async throws -> String {
        guard let endpoint = EndpointList(argument: address(of: node))?.items.first else {
            throw ValidationFailure("its address is \(address(of: node))")
        }
        let client = try clientOf(endpoint)
        let value = "node\(node.nodeID)"
        do {
            let version = try await client.alterConfigs(
                .topic(.name(topic)), changes: [ConfigChange(name: "user.validate", value: value)])
            for consistency in [ReadConsistency.linearizable, .atLeast(version)] {
                let found = try await client.configs(of: .topic(.name(topic)), consistency: consistency)
                guard found.contains(where: { $0.name == "user.validate" && $0.value == value }) else {
                    throw ValidationFailure("a read (\(consistency)) does not show what was written before it")
                }
            }
            await client.close()
            return "version \(version)"
        } catch {
            await client.close()
            throw error
        }
    }

    private func address(of node: NodeStatusReport) -> String {
        node.members.first { $0.nodeID == node.nodeID }?.clientAddress ?? node.clientAddress
    }

    private func transferLeadership() async throws -> String {
        let survey = await HealthSurvey.take(client, timeout: timeout)
        guard let leader = survey.leader?.nodeID else { throw ValidationFailure("no node knows a leader") }
        let voters = survey.voters
        guard let other = survey.answering.map(\.nodeID).first(where: { $0 != leader && voters.contains($0) }) else {
            throw ValidationSkipped(reason: "there is no other voter")
        }
        for target in [other, leader] {
            if let refusal = try await client.transferLeadership(to: NodeID(target), timeout: timeout) {
                throw ValidationFailure("to node \(target): \(refusal)")
            }
        }
        _ = try await client.alterConfigs(
            .topic(.name(topic)), changes: [ConfigChange(name: "user.validate", value: "moved")])
        return "node \(leader), \(other), \(leader)"
    }

    /// Nodes apply at their own pace, so they are asked until they are equally far.
    private func compareDigests() async throws -> String {
        let (client, pause) = (client, timeout)
        return try await within(timeout) {
            while true {
                let survey = await HealthSurvey.take(client, timeout: pause, withPages: false)
                let statuses = survey.answering
                if Set(statuses.map(\.appliedIndex)).count == 1, statuses.count == survey.nodes.count {
                    guard Set(statuses.map(\.digest)).count == 1 else {
                        throw ValidationFailure("they differ at entry \(statuses[0].appliedIndex)")
                    }
                    return "digest \(Names.hex(statuses[0].digest)) at entry \(statuses[0].appliedIndex)"
                }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    private mutating func cleanUp() async throws -> String {
        if madeTopic {
            if try await client.topic(named: topic) != nil { try await client.deleteTopic(.name(topic)) }
            madeTopic = false
        }
        if let session {
            await session.close()
            self.session = nil
            if try await client.brokers().contains(where: { $0.id == brokerID }) {
                try await client.unregisterBroker(brokerID, force: true)
            }
        }
        let topics = try await client.topics().map(\.name)
        let brokers = try await client.brokers().map(\.id)
        guard !topics.contains(topic), !brokers.contains(brokerID) else {
            throw ValidationFailure("\(topic) or broker \(brokerID) is still there")
        }
        return ""
    }
}

/// Runs `body`, but not for longer than this.
func within<Value: Sendable>(
    _ timeout: Duration, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask(operation: body)
        group.addTask {
            try await Task.sleep(for: timeout)
            throw ValidationFailure("not within \(timeout / .seconds(1)) s")
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw ValidationFailure("nothing came of it") }
        return first
    }
}
