import Foundation
import MetadataClient
import MetadataModel
import Testing

// What tests with writers have in common.

/// A running cluster with a client and a broker, so that topics can be created; its nodes' logs are printed on failure.
func withWritableCluster(
    settings: [String] = [], folder: URL? = nil, _ body: (LocalCluster, MetadataClient) async throws -> Void
) async throws {
    try await withBroker(of: LocalCluster.started(settings: settings, folder: folder), body)
}

/// The same, with the library of faults before the C library of each node.
///
/// - Parameter losesPower: whether power can be lost; the library needs descriptors of its own for that.
func withFaults(
    settings: [String] = [], losesPower: Bool = true,
    _ body: (LocalCluster, MetadataClient, FaultLibrary) async throws -> Void
) async throws {
    let cluster = try LocalCluster(settings: settings)
    guard let faults = try FaultLibrary.compiled(in: cluster.folder) else {
        await cluster.stop()
        return print("no C compiler: nodes cannot be given faults")
    }
    for id in 1...3 {
        try await cluster.format(id)
        try await cluster.start(id, environment: faults.environment(id, losesPower: losesPower))
    }
    try await cluster.waitUntilHealthy()
    try await withBroker(of: cluster) { try await body($0, $1, faults) }
}

private func withBroker(
    of cluster: LocalCluster, _ body: (LocalCluster, MetadataClient) async throws -> Void
) async throws {
    let client = await cluster.client()
    let broker = BrokerSession(
        client: client, id: BrokerID(1), endpoints: [Endpoint(name: "PLAINTEXT", host: "127.0.0.1", port: 9_092)],
        heartbeatInterval: .seconds(1))
    do {
        for await event in broker.events {
            if case .unfenced = event { break }
        }
        try await body(cluster, client)
    } catch {
        for id in 1...3 {
            print("node \(id) printed at last:\n\(try await cluster.logText(of: id).suffix(3_000))")
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

func withRunning(_ writers: [TopicWriter], _ body: () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in writers { group.addTask { await writer.run() } }
        do {
            try await body()
        } catch {
            for writer in writers { _ = writer.stop() }
            throw error
        }
        for writer in writers { _ = writer.stop() }
        try await group.waitForAll()
    }
}

func waitForWrites(_ writers: [TopicWriter], beyond count: Int) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while writers.map(\.acknowledgedCount).reduce(0, +) < count {
        guard ContinuousClock.now < deadline else {
            throw LocalCluster.HarnessFailure(description: "no \(count) writes within 30 s")
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// All three nodes answer again; they need not agree while clients write.
func waitUntilBack(_ cluster: LocalCluster) async throws -> [NodeStatusReport] {
    for _ in 0..<600 {
        let seen = await cluster.statuses()
        if seen.count == 3, seen.allSatisfy(\.healthy) { return seen }
        try await Task.sleep(for: .milliseconds(50))
    }
    throw LocalCluster.HarnessFailure(description: "a restarted node did not come back")
}

/// Equal digests at one version on all nodes; every acknowledged topic is there, none that was denied.
func judge(_ writers: [TopicWriter], _ cluster: LocalCluster, _ client: MetadataClient) async throws {
    let nodes = try await cluster.waitUntilHealthy()
    #expect(Set(nodes.map(\.digest)).count == 1)
    #expect(Set(nodes.map(\.version)).count == 1)
    let names = Set(try await client.topics().map(\.name))
    for writer in writers {
        let book = writer.stop()
        #expect(!book.acknowledged.isEmpty)
        #expect(book.refusals.isEmpty, "a retry was taken for a new request: \(book.refusals.prefix(3))")
        #expect(book.acknowledged.subtracting(names).isEmpty, "acknowledged and lost")
        #expect(book.failed.isDisjoint(with: names), "reported as not done, and done")
        print(
            "\(book.acknowledged.count) acknowledged, \(book.unknown.count) unknown, longest gap \(book.longestGap)"
        )
    }
}
