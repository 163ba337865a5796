import Foundation
import MetadataClient
import MetadataModel
import Testing

/// The network of packet filters itself: what it cuts is cut, what it counts was struck, and the machine sees none of it.
@Suite(
    "Network namespaces", .serialized,
    .enabled(if: NamespaceNetwork.obstacle == nil, "\(NamespaceNetwork.obstacle ?? "")"))
struct NamespaceTests {
    @Test(
        "links are cut one by one, packets are counted, clients reach all nodes, nothing is left",
        .timeLimit(.minutes(2)))
    func cuts() async throws {
        let before = try interfaces()
        let network = try NamespaceNetwork()
        let cluster = try await LocalCluster.started(network: network)
        let leader = try await cluster.leader()
        let (cut, other) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        #expect(try interfaces() == before, "the machine has other interfaces than before")

        // One way: the other way round packets pass, though TCP soon has nothing to say on either.
        let way = Link(from: leader, to: cut)
        try await network.set(.silent, on: [way])
        try await waitFor("packets dropped") { try await network.strikes()[way] ?? 0 > 3 }
        #expect(Set(try await network.strikes().filter { $0.value > 0 }.keys) == [way], "other links were struck")
        try await waitFor("node \(cut) without a word of the leader") {
            await cluster.statuses().contains { $0.nodeID == UInt64(cut) && ($0.leader == nil || $0.term > 0) }
        }
        #expect(await cluster.statuses().count == 3, "clients do not reach all nodes")
        try await network.set(.open, on: [way])
        try await cluster.waitUntilHealthy()
        let dropped = try await network.strikes()
        #expect(dropped[way] ?? 0 > 3, "what was counted was forgotten with its rule")

        // Refused: both ends hear of it at once.
        let losses = try await lost(cluster, leader) + lost(cluster, other)
        let pair = [Link(from: leader, to: other), Link(from: other, to: leader)]
        try await network.set(.refused, on: pair)
        try await waitFor("a broken connection") {
            try await lost(cluster, leader) + lost(cluster, other) > losses
        }
        try await network.set(.open, on: pair)
        try await cluster.waitUntilHealthy()

        // Lossy and slow links carry on.
        try await network.set(LinkCondition(lossPerMille: 50), on: Link.all([1, 2, 3]))
        let client = await cluster.client()
        for number in 1...100 {
            try await client.alterConfigs(.cluster, changes: [ConfigChange(name: "user.lossy", value: "\(number)")])
        }
        try await waitFor("packets lost") {
            let now = try await network.strikes()
            return Link.all([1, 2, 3]).filter { now[$0] ?? 0 > dropped[$0] ?? 0 }.count > 2
        }
        try await network.set(LinkCondition(bytesPerSecond: 1_000_000), on: Link.all([1, 2, 3]))
        try await client.alterConfigs(.cluster, changes: [ConfigChange(name: "user.slow", value: "1")])
        await #expect(throws: LocalCluster.HarnessFailure.self) {
            try await network.set(LinkCondition(delay: .milliseconds(10)), on: [way])
        }
        await client.close()
        await cluster.stop()
        #expect(try interfaces() == before)
    }

    /// Those that say most about packets; all of them where time is no matter.
    private static let scenarios = Scenarios.all.filter { scenario in
        let isAble = scenario.faults.allSatisfy { fault in
            guard case .degrade(let condition) = fault else { return true }
            return NamespaceNetwork.isAble(condition)
        }
        let some: Set = [
            "leader isolated", "one way from the leader to a follower", "leader hears nobody", "chain of three",
            "lossy links", "halves, the leader in the smaller",
        ]
        return scenario.needsCuttableNetwork && isAble
            && (LeaderFaultRounds.isMeasured || some.contains(scenario.name))
    }

    @Test("the scenarios of cut links hold when packets are dropped", .timeLimit(.minutes(3)), arguments: scenarios)
    func scenario(_ scenario: Scenario) async throws {
        guard let report = try await ScenarioRunner(scenario, network: NamespaceNetwork()).run() else { return }
        print(report.summary)
        #expect(report.findings.isEmpty, "\(report.findings.prefix(3))")
    }

    /// Of the machine, as the tests see it.
    private func interfaces() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/sys/class/net").sorted()
    }

    private func lost(_ cluster: LocalCluster, _ id: Int) async throws -> Int {
        try await cluster.logText(of: id).ranges(of: "peer connection lost").count
    }

    private func waitFor(_ what: String, _ isSo: () async throws -> Bool) async throws {
        for _ in 1...300 {
            if try await isSo() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw LocalCluster.HarnessFailure(description: "not within 15 s: \(what)")
    }
}
