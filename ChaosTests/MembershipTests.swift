import Foundation
import MetadataClient
import MetadataModel
import Testing

/// Real processes whose membership changes while clients write, changed with `metactl` as operators do it.
@Suite("Membership of running nodes", .serialized)
struct MembershipTests {
    private static let settings = ["raft.election_timeout=600ms"]

    @Test("one node grows to three to five and back to one, leaders removed, nothing lost", .timeLimit(.minutes(3)))
    func growAndShrink() async throws {
        try await withCluster(nodes: 5, initial: 1) { cluster, client, writers in
            for pair in [[2, 3], [4, 5]] {
                for id in pair { try await join(id, cluster) }
                try await waitUntil("node \(pair[0]) says why it is not ready") {
                    let page = try await cluster.get(pair[0], "/health/ready")
                    return page.status == 503 && page.body.contains("waits to be added")
                }
                for id in pair {
                    let added = try await members(cluster, ["add", address(of: id, cluster)])
                    #expect(added.contains { $0.id == id })
                }
                try await waitUntil("nodes 1 to \(pair[1]) vote") {
                    let list = try await members(cluster, ["list"])
                    return list.filter { $0.role == "voter" }.map(\.id) == Array(1...pair[1])
                }
                try await writeOn(writers, 20)
            }
            try await cluster.waitUntilHealthy(nodes: 5)
            var rest = Set(1...5)
            while rest.count > 1 {
                let leader = try await cluster.leader()
                let left = try await members(cluster, ["remove", "\(leader)"])
                rest.remove(leader)
                #expect(Set(left.map(\.id)) == rest)
                try await waitUntil("node \(leader) knows that it is no member") {
                    let ready = try await cluster.get(leader, "/health/ready")
                    return ready.status == 503 && ready.body.contains("not a member")
                }
                try await writeOn(writers, 20)
                #expect(try await cluster.terminate(leader) == 0)
            }
            let last = try await cluster.metactl(["members", "remove", "\(rest.first ?? 0)"])
            #expect(last.status == 1 && last.errors.contains("last_voter"), "\(last.errors)")
            try await judge(writers, cluster, client, nodes: 1)
        }
    }

    @Test("a wiped node is replaced under its own id by one command, which can be repeated", .timeLimit(.minutes(2)))
    func wipedNode() async throws {
        try await withCluster(nodes: 3, initial: 3, settings: LocalCluster.patient) { cluster, client, writers in
            let leader = try await cluster.leader()
            let victim = leader % 3 + 1
            try await cluster.kill(victim)
            try await writeOn(writers, 20)
            try await cluster.prepareToJoin(victim)
            try await cluster.start(victim)
            try await waitUntil("node \(victim) answers") {
                await cluster.statuses().contains { $0.nodeID == victim }
            }
            let target = await address(of: victim, cluster)
            let addition = try await cluster.metactl(["members", "add", target])
            #expect(addition.status == 1 && addition.errors.contains("another_disk"), "\(addition.errors)")
            // Heard within an election timeout it would count as alive, and its replacement be refused.
            try await waitUntil("the old disk of node \(victim) is no longer heard") {
                try await members(cluster, ["list"]).contains { $0.id == victim && !$0.heard }
            }
            for _ in 0..<2 {
                let list = try await members(
                    cluster, ["replace", "\(victim)", target, "--wait", "--timeout", "20s"])
                #expect(list.map(\.role) == ["voter", "voter", "voter"])
            }
            try await writeOn(writers, 20)
            try #require(try await cluster.leader() == leader, "the leader was disturbed")
            try await judge(writers, cluster, client, nodes: 3)
        }
    }

    @Test("a node that moved to other ports rejoins, is told to the others, and can lead", .timeLimit(.minutes(2)))
    func movedNode() async throws {
        try await withCluster(nodes: 3, initial: 3) { cluster, client, writers in
            let leader = try await cluster.leader()
            let mover = leader % 3 + 1
            try await cluster.kill(mover)
            try await cluster.move(mover)
            try await cluster.start(mover)
            // Before anybody tells the cluster: the node calls, and says where it is.
            try await waitUntil("node \(mover) follows from its new address") {
                await cluster.statuses().contains { $0.nodeID == mover && $0.healthy && $0.leader != nil }
            }
            let target = await address(of: mover, cluster)
            let list = try await members(cluster, ["add", target])
            #expect(list.first { $0.id == mover }?.clientAddress == target)
            #expect(list.map(\.role) == ["voter", "voter", "voter"])
            try await writeOn(writers, 20)
            _ = try await members(cluster, ["transfer-leadership", "--to", "\(mover)"])
            #expect(try await cluster.leader() == mover)
            try await writeOn(writers, 20)
            try await judge(writers, cluster, client, nodes: 3)
        }
    }

    @Test(
        "a node behind a proxy is followed to where it says it is found, not to where it listens",
        .timeLimit(.minutes(2)))
    func advertisedAddress() async throws {
        let network = ProxyNetwork()
        try await withCluster(nodes: 3, initial: 3, network: network) { cluster, client, writers in
            let leader = try await cluster.leader()
            let mover = leader % 3 + 1
            try await cluster.kill(mover)
            let before = await cluster.peerAddress(of: mover)
            try await cluster.findElsewhere(mover)
            let now = await cluster.peerAddress(of: mover)
            #expect(now != before)
            try await cluster.start(mover)
            try await waitUntil("the others reach node \(mover) through its new proxy") {
                let own = await cluster.statuses().first { $0.nodeID == mover }
                let connections = try await network.connections(to: mover)
                return own?.healthy == true && connections > 0
            }
            let list = try await members(cluster, ["add", address(of: mover, cluster)])
            #expect(list.first { $0.id == mover }?.peerAddress == now)
            try await writeOn(writers, 20)
            _ = try await members(cluster, ["transfer-leadership", "--to", "\(mover)"])
            try await writeOn(writers, 20)
            try await judge(writers, cluster, client, nodes: 3)
        }
    }

    @Test(
        "leadership goes to no learner, to nobody silent, and to nobody whose disk lags; the leader leads on",
        .timeLimit(.minutes(2)))
    func transferRefused() async throws {
        try await withCluster(nodes: 4, initial: 3, settings: LocalCluster.patient) { cluster, client, writers in
            try await join(4, cluster)
            _ = try await members(cluster, ["add", address(of: 4, cluster), "--learner"])
            let leader = try await cluster.leader()
            let learner = try await cluster.metactl(["members", "transfer-leadership", "--to", "4"])
            #expect(learner.status == 1 && learner.errors.contains("not_a_voter"), "\(learner.errors)")

            let silent = leader % 3 + 1
            await cluster.pause(silent)
            try await waitUntil("node \(silent) is silent") {
                try await members(cluster, ["list"]).contains { $0.id == silent && !$0.heard }
            }
            let refused = try await cluster.metactl(["members", "transfer-leadership", "--to", "\(silent)"])
            #expect(refused.status == 1 && refused.errors.contains("member_silent"), "\(refused.errors)")
            await cluster.resume(silent)

            if let faults = try FaultLibrary.compiled(in: cluster.folder) {
                // It hears and answers, and its log stands still: it never holds what it would need to lead.
                _ = try await cluster.terminate(silent)
                try await cluster.start(silent, environment: faults.environment(silent))
                try await waitUntil("node \(silent) is back") {
                    await cluster.statuses().contains { $0.nodeID == silent && $0.healthy }
                }
                try faults.set(.hangSyncs, to: 1, on: silent)
                try await writeOn(writers, 20)
                let late = try await cluster.metactl(["members", "transfer-leadership", "--to", "\(silent)"])
                #expect(late.status == 1 && late.errors.contains("transfer_failed"), "\(late.errors)")
                try await writeOn(writers, 20)
                try faults.set(.hangSyncs, to: 0, on: silent)
            }
            try #require(try await cluster.leader() == leader, "leadership moved")
            try await writeOn(writers, 20)
            try await judge(writers, cluster, client, nodes: 4)
        }
    }

    @Test("a lost node is replaced by one under an id of its own", .timeLimit(.minutes(2)))
    func replacedByAnother() async throws {
        try await withCluster(nodes: 4, initial: 3) { cluster, client, writers in
            let victim = try await cluster.leader() % 3 + 1
            try await cluster.kill(victim)
            try await join(4, cluster)
            let target = await address(of: 4, cluster)
            let list = try await members(cluster, ["replace", "\(victim)", target, "--wait", "--timeout", "20s"])
            #expect(Set(list.map(\.id)) == Set(1...4).subtracting([victim]))
            #expect(list.map(\.role) == ["voter", "voter", "voter"])
            try await writeOn(writers, 20)
            try await judge(writers, cluster, client, nodes: 3)
        }
    }

    // MARK: Helpers

    private func join(_ id: Int, _ cluster: LocalCluster) async throws {
        try await cluster.format(id)
        try await cluster.start(id)
        try await waitUntil("node \(id) answers") { await cluster.statuses().contains { $0.nodeID == id } }
    }

    private struct Item: Decodable {
        var id: Int
        var role: String
        var heard: Bool
        var clientAddress: String
        var peerAddress: String
    }

    private struct ListAnswer: Decodable { var members: [Item] }
    private struct ChangeAnswer: Decodable { var members: ListAnswer }

    /// Runs `metactl members`, which has to end well, and returns the members that it prints.
    private func members(_ cluster: LocalCluster, _ arguments: [String]) async throws -> [Item] {
        let result = try await cluster.metactl(["members"] + arguments)
        guard result.status == 0 else {
            throw LocalCluster.HarnessFailure(
                description: "metactl members \(arguments) ended with \(result.status): \(result.errors)")
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let data = Data(result.output.utf8)
        if arguments == ["list"] { return try decoder.decode(ListAnswer.self, from: data).members }
        return try decoder.decode(ChangeAnswer.self, from: data).members.members
    }

    private func address(of id: Int, _ cluster: LocalCluster) async -> String {
        "127.0.0.1:\(await cluster.nodes[id - 1].clientPort)"
    }

    private func waitUntil(_ what: String, _ isSo: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while try await !isSo() {
            guard ContinuousClock.now < deadline else {
                throw LocalCluster.HarnessFailure(description: "not within 30 s: \(what)")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func writeOn(_ writers: [TopicWriter], _ count: Int) async throws {
        let goal = writers.map(\.acknowledgedCount).reduce(0, +) + count
        try await waitUntil("\(count) writes") { writers.map(\.acknowledgedCount).reduce(0, +) >= goal }
    }

    /// A cluster of the first members, an active broker, and two writers that never pause.
    private func withCluster(
        nodes: Int, initial: Int, network: any ClusterNetwork = DirectNetwork(), settings: [String] = Self.settings,
        _ body: (LocalCluster, MetadataClient, [TopicWriter]) async throws -> Void
    ) async throws {
        let cluster = try LocalCluster(
            settings: settings, network: network, nodes: nodes, initial: initial)
        for id in 1...initial {
            try await cluster.format(id)
            try await cluster.start(id)
        }
        try await cluster.waitUntilHealthy(nodes: initial)
        let client = await cluster.client()
        let broker = BrokerSession(
            client: client, id: BrokerID(1), endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9_092)],
            heartbeatInterval: .seconds(1))
        let writers = (1...2).map { TopicWriter(client: client, prefix: "writer\($0)") }
        do {
            for await event in broker.events {
                if case .unfenced = event { break }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in writers { group.addTask { await writer.run() } }
                defer { for writer in writers { _ = writer.stop() } }
                try await body(cluster, client, writers)
            }
        } catch {
            for id in 1...nodes {
                let log = (try? await cluster.logText(of: id)) ?? ""
                print("node \(id) printed at last:\n\(log.suffix(3_000))")
            }
            await broker.close()
            await client.close()
            await cluster.stop()
            throw error
        }
        await broker.close()
        await client.close()
        await cluster.stop()
    }

    /// Equal digests at one version on all that are left; every acknowledged topic is there, none that was denied.
    private func judge(
        _ writers: [TopicWriter], _ cluster: LocalCluster, _ client: MetadataClient, nodes: Int
    ) async throws {
        let books = writers.map { $0.stop() }
        let left = try await cluster.waitUntilHealthy(nodes: nodes)
        #expect(Set(left.map(\.digest)).count == 1)
        let names = Set(try await client.topics().map(\.name))
        for book in books {
            #expect(!book.acknowledged.isEmpty)
            #expect(book.refusals.isEmpty, "a retry was taken for a new request: \(book.refusals.prefix(3))")
            #expect(book.acknowledged.subtracting(names).isEmpty, "acknowledged and lost")
            #expect(book.failed.isDisjoint(with: names), "reported as not done, and done")
            print(
                "\(book.acknowledged.count) acknowledged, \(book.unknown.count) unknown; writes were unavailable for "
                    + "\(book.longestGap) at the longest")
        }
    }
}
