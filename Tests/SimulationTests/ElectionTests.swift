import MetadataModel
import MetadataSchema
import RaftCore
import Replica
import Testing

@testable import Simulation

@Suite("Elections in a simulated cluster")
struct ElectionTests {
    /// A broker's timeout is 1,200 ms here: as often as every 20 s with one of 30 s.
    private static let interval: UInt64 = 800_000
    private static let elections = 30

    @Test(
        "elections every two thirds of a timeout do not keep a dead broker alive, nor fence one that lives",
        arguments: UInt64(0)..<4)
    func deadBroker(seed: UInt64) throws {
        let kinds = FaultKinds([.coordinator])
        let cluster = SimulatedCluster(
            seed: seed, options: SimulationOptions(faults: kinds, always: kinds), write: nil)
        try begin(cluster)
        let (dead, died) = (cluster.brokers[0].id, cluster.queue.now)
        cluster.brokers[0].state = .lost
        let electionsBefore = cluster.report.elections
        var fencedAt: UInt64?
        for number in 1...ElectionTests.elections {
            try handOver(cluster)
            while cluster.queue.now < died + UInt64(number) * ElectionTests.interval {
                try cluster.proceed(until: cluster.queue.now + 20_000)
                for broker in try brokers(cluster) {
                    if broker.id != dead {
                        #expect(broker.state == .active, "broker \(broker.id) beats all the time")
                    } else if fencedAt == nil, broker.state == .fenced {
                        fencedAt = cluster.queue.now
                    }
                }
            }
        }
        #expect(cluster.report.elections == electionsBefore + ElectionTests.elections)
        // Six leaderships that last as long as half of the timeout, and the one that it dies in (docs/partitions.md).
        let took = (fencedAt ?? cluster.queue.now) - died
        #expect(took <= 7 * ElectionTests.interval, "seed \(seed): fenced after \(took / 1_000) ms")
        let partitions = try partitions(cluster)
        #expect(partitions.count == 8)
        #expect(partitions.allSatisfy { $0.leader != nil && $0.leader != dead && !$0.isr.contains(dead) })
    }

    /// All brokers are active, and the cluster has agreed on all features. Nobody else asks for anything.
    private func begin(_ cluster: SimulatedCluster) throws {
        for node in cluster.nodes where node.isUsed { try cluster.start(node.id) }
        try cluster.proceed(until: 1_500_000)
        for number in cluster.brokers.indices {
            let broker = cluster.brokers[number]
            cluster.brokers[number].state = .registering
            try ask(
                .registerBroker(
                    .init(id: broker.id, incarnation: broker.incarnationID, endpoints: [], rack: "")), cluster)
            let row = try #require(try brokers(cluster).first { $0.id == broker.id })
            cluster.registered(broker.id, broker.incarnationID, row.epoch)
        }
        cluster.startBrokers()
        try cluster.proceed(until: 6_000_000)
        #expect(try brokers(cluster).allSatisfy { $0.state == .active })
        guard case .summary(let summary) = try furthest(cluster).machine.answer(.summary) else {
            Issue.record("a summary was answered with something else")
            return
        }
        #expect(summary.featureLevel == Limits.featureLevelMax)
        try ask(
            .createTopic(
                .init(name: "orders", id: TopicID(high: 1, low: 1), partitionCount: 8, replicationFactor: 3)),
            cluster)
    }

    private func ask(_ command: Command, _ cluster: SimulatedCluster) throws {
        let leader = try #require(cluster.leaderOfCore)
        let intent = WriteIntent(session: nil, sequence: 0, acknowledgedBelow: 0, command: command.schemaBytes())
        try cluster.forgottenRequest(intent, leader.id)
        try cluster.proceed(until: cluster.queue.now + 200_000)
    }

    private func handOver(_ cluster: SimulatedCluster) throws {
        let leader = try #require(cluster.leaderOfCore)
        let process = try #require(leader.running)
        var isBegun = false
        try cluster.turn(leader.id, process.life) { isBegun = $0.resign() }
        #expect(isBegun)
    }

    private func furthest(_ cluster: SimulatedCluster) throws -> SimulatedNode {
        try #require(cluster.nodes.max { $0.appliedIndex < $1.appliedIndex })
    }

    private func brokers(_ cluster: SimulatedCluster) throws -> [Broker] {
        let answer = try furthest(cluster).machine.answer(.brokers(after: nil, limit: .max))
        guard case .brokers(let page) = answer else { return [] }
        return page.items
    }

    private func partitions(_ cluster: SimulatedCluster) throws -> [Partition] {
        let answer = try furthest(cluster).machine.answer(.clusterPartitions(.all, after: nil, limit: .max))
        guard case .partitions(let page) = answer else { return [] }
        return page.items
    }
}
