import MetadataModel
import Simulation
import Testing

/// The instrument fails when it should: faults that nothing can survive are planted in real clusters, and lies in histories.
@Suite("Planted faults", .serialized)
struct PlantedFaultTests {
    @Test("disks that lie about syncs, and a loss of power: acknowledged writes are missed", .timeLimit(.minutes(2)))
    func ignoredSyncs() async throws {
        var scenario = Scenario(
            "planted: syncs ignored", length: .seconds(5),
            faults: PlannedFault(.ignoreSyncs(.all), at: .milliseconds(500), lasting: .milliseconds(1_200)),
            PlannedFault(.losePower(.all), at: .milliseconds(1_900), lasting: .milliseconds(300)))
        scenario.losesPower = true
        try await finds("acknowledged never lost", in: scenario)
    }

    @Test("stale reads that pass for linearizable ones are found", .timeLimit(.minutes(2)))
    func staleReads() async throws {
        var scenario = Scenario(
            "planted: stale reads", length: .seconds(4),
            faults: PlannedFault(.cut(.isolated(.node(3)), .silent), lasting: .milliseconds(1_500)))
        scenario.workload.readsStale = 3
        try await finds("linearizability", in: scenario)
    }

    private func finds(_ rule: String, in scenario: Scenario) async throws {
        guard let report = try await ScenarioRunner(scenario).run() else { return }
        print(report.summary)
        #expect(
            report.findings.contains { $0.contains(rule) }, "what was found: \(report.findings)")
    }

    // MARK: Histories

    /// A short history as it should be: two writes, a conditional one, a topic, reads, a watch, two nodes.
    private static func sound() -> RoundEvidence {
        let topic = Topic(
            id: TopicID(high: 1, low: 1), name: "p-r0", partitionCount: 1, replicationFactor: 1, version: Version(5))
        func entry(_ value: String, _ version: UInt64) -> ConfigEntry {
            ConfigEntry(
                resource: .topic(topic.id), name: Workload.key, value: value, version: Version(version))
        }
        func event(_ value: String, _ version: UInt64) -> ChangeEvent {
            var changed = topic
            changed.version = Version(version)
            return ChangeEvent(
                version: Version(version), changes: [.configChanged(entry(value, version)), .topicChanged(changed)])
        }
        func call(
            _ action: RecordedCall.Action, _ invoked: UInt64, _ returned: UInt64, _ ending: RecordedCall.Ending
        ) -> RecordedCall {
            RecordedCall(lane: 1, action: action, invoked: invoked, returned: returned, ending: ending)
        }
        let created = ChangeEvent(version: Version(5), changes: [.topicChanged(topic)])
        let events = [created, event("p-r0=a", 6), event("p-r0=b", 7), event("p-r0=c", 8)]
        let node = RoundEvidence.NodeAccount(node: 1, events: events, topics: ["p-r0"], digest: 9, appliedIndex: 8)
        var other = node
        other.node = 2
        return RoundEvidence(
            prefix: "p", base: Version(4), last: Version(8),
            calls: [
                call(.createTopic("p-r0"), 1, 2, .done(Version(5))),
                call(.write("p-r0", value: "p-r0=a"), 3, 4, .done(Version(6))),
                call(.write("p-r0", value: "p-r0=b"), 5, 20, .unknown("no answer")),
                call(.replace("p-r0", expected: "p-r0=b", value: "p-r0=c"), 7, 9, .done(Version(8))),
                call(.read("p-r0"), 10, 11, .value("p-r0=c", Version(8))),
                call(.staleRead("p-r0"), 12, 13, .value("p-r0=a", Version(6))),
                call(.readVersion(.linearizable), 14, 15, .version(Version(8))),
                call(.write("p-r0", value: "p-r0=d"), 16, 17, .failed("refused")),
            ],
            deliveries: [
                HistoryRecorder.Delivery(watch: "p-w0", events: [], through: Version(4), isStart: true),
                HistoryRecorder.Delivery(watch: "p-w0", events: Array(events[..<2]), through: Version(6)),
                HistoryRecorder.Delivery(watch: "p-w0", events: Array(events[2...]), through: Version(8)),
            ], nodes: [node, other])
    }

    @Test("a sound history is not complained about")
    func soundHistory() { #expect(HistoryJudge(Self.sound()).findings().isEmpty) }

    struct Lie: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var rule: String
        var tell: @Sendable (inout RoundEvidence) -> Void

        init(_ what: String, _ rule: String, _ tell: @escaping @Sendable (inout RoundEvidence) -> Void) {
            testDescription = what
            self.rule = rule
            self.tell = tell
        }
    }

    static let lies = [
        Lie("a read of a value that was replaced before", "linearizability") {
            $0.calls[4].ending = .value("p-r0=a", Version(6))
        },
        Lie("a conditional write that should have failed", "linearizability") {
            $0.calls[3].action = .replace("p-r0", expected: "p-r0=a", value: "p-r0=c")
            $0.calls[2].returned = 6
            $0.calls[2].ending = .done(Version(7))
        },
        Lie("an effect that came twice", "one effect") { evidence in
            for place in evidence.nodes.indices {
                guard var again = evidence.nodes[place].events?[1] else { continue }
                again.version = Version(9)
                evidence.nodes[place].events?.append(again)
            }
        },
        Lie("an acknowledgement with another version", "one effect") { $0.calls[1].ending = .done(Version(7)) },
        Lie("an acknowledged value that no node has", "acknowledged never lost") { evidence in
            for place in evidence.nodes.indices { evidence.nodes[place].events?.remove(at: 1) }
        },
        Lie("a write that was refused and is there", "no invention") { $0.calls[3].ending = .failed("refused") },
        Lie("a topic that one node lacks", "acknowledged never lost") { $0.nodes[1].topics = [] },
        Lie("a topic that nobody created", "no invention") { $0.nodes[0].topics.insert("p-x") },
        Lie("a linearizable read of an old version", "read shows what was committed") {
            $0.calls[6].ending = .version(Version(7))
        },
        Lie("a read of a version that never was", "read from the future") {
            $0.calls[6].ending = .version(Version(99))
        },
        Lie("a stale read of a value that nobody wrote", "no invention") {
            $0.calls[5].ending = .value("p-r0=z", Version(6))
        },
        Lie("a watch that lacks a version", "watch: complete") { $0.deliveries[2].events.removeFirst() },
        Lie("a watch that hears of a version twice", "watch: order") {
            $0.deliveries[2].events.insert($0.deliveries[1].events[1], at: 0)
        },
        Lie("a watch that goes back", "watch: order") { $0.deliveries.append($0.deliveries[1]) },
        Lie("a watch that hears half of a version", "watch: atomic") {
            $0.deliveries[2].events[0].changes.removeLast()
        },
        Lie("a watch that stops", "watch: complete") { $0.deliveries.removeLast() },
        Lie("nodes that tell different stories", "watch: complete") { $0.nodes[1].events?.remove(at: 2) },
        Lie("nodes with different digests", "equal digests") { $0.nodes[1].digest = 10 },
    ]

    @Test("each lie in a history is found", arguments: lies)
    func lie(_ lie: Lie) {
        var evidence = Self.sound()
        lie.tell(&evidence)
        let rules = HistoryJudge(evidence).findings().map(\.rule)
        #expect(rules.contains(lie.rule), "found \(rules)")
    }
}
