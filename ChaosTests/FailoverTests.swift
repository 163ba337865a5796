import Foundation
import MetadataClient
import Testing

/// How long nobody can write when the leader can do nothing any more and nobody tells: no connection closes. A few rounds show
/// that it works; `CHAOS_ROUNDS=100 cluster/test --filter FailoverTests` measures, on a machine that does nothing else.
@Suite("Failover without a word", .serialized)
struct FailoverTests {
    @Test(
        "the leader is cut off by packet filters, nothing closes: others lead on, no read is stale, it is soon back",
        .enabled(if: NamespaceNetwork.obstacle == nil, "\(NamespaceNetwork.obstacle ?? "")"), .timeLimit(.minutes(30)))
    func isolatedInNamespaces() async throws { try await isolated(in: NamespaceNetwork()) }

    @Test(
        "the leader is cut off from its clients too, and they find the others",
        .enabled(if: NamespaceNetwork.obstacle == nil, "\(NamespaceNetwork.obstacle ?? "")"), .timeLimit(.minutes(30)))
    func isolatedWithClients() async throws { try await isolated(in: NamespaceNetwork(), withClients: true) }

    @Test("the leader is cut off by proxies that pass nothing on", .timeLimit(.minutes(30)))
    func isolatedBehindProxies() async throws { try await isolated(in: ProxyNetwork()) }

    private func isolated(in network: any ClusterNetwork, withClients: Bool = false) async throws {
        let cluster = try await LocalCluster.started(network: network)
        try await underLoad(cluster) { load, monitor in
            let fresh = FreshnessWatch(load)
            fresh.start(await cluster.nodes.map { ($0.id, $0.clientPort) })
            defer { fresh.stop() }
            var strikes = 0
            var refused = 0
            let members = withClients ? [NamespaceNetwork.clients, 1, 2, 3] : [1, 2, 3]
            let rounds = LeaderFaultRounds(
                load: load, monitor: monitor,
                begin: { leader in
                    refused = fresh.refused(by: leader)
                    try await network.set(.silent, on: Partition.isolated(leader).links(of: members))
                },
                end: { leader in
                    try await network.set(.open, on: Link.all(members))
                    let now = try await network.strikes().values.reduce(0, +)
                    #expect(now > strikes, "nothing was held up")
                    strikes = now
                    // Of a node that hears nobody an answer may still be waited for.
                    if !withClients {
                        #expect(fresh.refused(by: leader) > refused, "node \(leader) answered all reads meanwhile")
                    }
                })
            let result = try await rounds.run()
            let name = "isolated leader (\(network.name)\(withClients ? ", clients too" : ""))"
            // A client whose leader is silent waits for `attemptTimeout` before it asks the others.
            let patience: Duration = withClients ? .seconds(1) : .zero
            report(name, result, load, p50: .milliseconds(700) + patience, p99: .milliseconds(1_500) + patience)
            for id in 1...3 { #expect(fresh.answered(by: id) > 0, "node \(id) never answered a linearizable read") }
            #expect(fresh.violations.isEmpty, "\(fresh.violations.prefix(3))")
        }
    }

    @Test("the leader's disk hangs: somebody else leads within two election timeouts", .timeLimit(.minutes(30)))
    func hungDisk() async throws {
        let cluster = try LocalCluster()
        guard let faults = try FaultLibrary.compiled(in: cluster.folder) else {
            return print("no C compiler: the disk cannot be made to hang")
        }
        for id in 1...3 {
            try await cluster.format(id)
            try await cluster.start(id, environment: faults.environment(id))
        }
        try await cluster.waitUntilHealthy()
        try await underLoad(cluster) { load, monitor in
            var hung = 0
            let rounds = LeaderFaultRounds(
                load: load, monitor: monitor,
                begin: { leader in
                    hung = try faults.count(.hung, on: leader)
                    try faults.set(.hangSyncs, to: 1, on: leader)
                },
                end: { leader in
                    #expect(try faults.count(.hung, on: leader) > hung, "no sync of node \(leader) hung")
                    try faults.set(.hangSyncs, to: 0, on: leader)
                })
            let result = try await rounds.run()
            report("hung disk of the leader", result, load, p50: .milliseconds(600), p99: .milliseconds(600))
        }
    }

    // MARK: Helpers

    /// What holds on any machine, and the targets when it was measured.
    private func report(
        _ name: String, _ result: LeaderFaultRounds.Result, _ load: CounterLoad, p50: Duration, p99: Duration
    ) {
        let (pauses, returns) = (Distribution(result.pauses), Distribution(result.returns))
        print("\(name): no write for: \(pauses)\n\(name): back after: \(returns)\nfailed writes: \(load.failures)")
        #expect(pauses.max < .seconds(10))
        #expect(returns.max < .seconds(10))
        guard LeaderFaultRounds.isMeasured else { return }
        #expect(pauses.percentile(50) < p50)
        #expect(pauses.percentile(99) < p99)
        // A second, and what the transfer takes; the questions themselves take some too.
        #expect(returns.percentile(99) < .milliseconds(1_200))
    }

    private func underLoad(
        _ cluster: LocalCluster, _ body: (CounterLoad, MetadataClient) async throws -> Void
    ) async throws {
        let (client, monitor) = (await cluster.client(), await cluster.client())
        let load = CounterLoad(client: client)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await load.run() }
                defer { load.stop() }
                try await body(load, monitor)
            }
            let nodes = try await cluster.waitUntilHealthy()
            #expect(Set(nodes.map(\.digest)).count == 1)
        } catch {
            for id in 1...3 {
                print("node \(id) printed at last:\n\(try await cluster.logText(of: id).suffix(3_000))")
            }
            await client.close()
            await monitor.close()
            await cluster.stop()
            throw error
        }
        await client.close()
        await monitor.close()
        await cluster.stop()
    }
}
