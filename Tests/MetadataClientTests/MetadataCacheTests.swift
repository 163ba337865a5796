import MetadataModel
import MetadataSchema
import Synchronization
import Testing
import Wire

@testable import MetadataClient

/// Caches and sessions against nodes that answer from the real state machine.
@Suite("MetadataCache", .timeLimit(.minutes(2)))
struct MetadataCacheTests {
    /// The state that all nodes share, and how they show it.
    private final class Nodes: Sendable {
        let model: Mutex<ModelledCluster>

        init(seed: UInt64, feedMax: Int = 10_000) {
            model = Mutex(ModelledCluster(seed: seed, feedMax: feedMax))
        }

        var version: Version { model.withLock { $0.version } }

        func step(_ count: Int) { model.withLock { for _ in 0..<count { $0.step() } } }

        func react(_ request: ClientRequest) -> FakeCluster.Reaction? {
            switch request {
            case .read(let read):
                return .answer(.read(model.withLock { $0.answer(read.query) }, appliedIndex: 1))
            case .watch(let after, _):
                return .answers(
                    model.withLock { model in
                        switch model.answer(.changes(after: after, filter: WatchFilter(), limit: 1_000)) {
                        case .changes(.events(let events, let through)): [.watchEvents(events, through: through)]
                        case .changes(.tooOld(let oldest)): [.watchTooOld(oldest: oldest)]
                        default: []
                        }
                    })
            case .heartbeat(let heartbeat):
                return .answer(
                    model.withLock { model in
                        guard let broker = model.storage.broker(heartbeat.broker), broker.epoch == heartbeat.epoch
                        else {
                            return .failure(ServiceFailure(code: .unknownBroker, detail: "", isDefinite: true))
                        }
                        if broker.state == .fenced, !heartbeat.wantsFence {
                            model.apply(.unfenceBroker(id: broker.id, epoch: broker.epoch))
                        }
                        return .heartbeat(
                            HeartbeatAnswer(state: broker.state, leaseMilliseconds: 60_000, version: model.version))
                    })
            case .write(let write) where write.session != nil:
                do {
                    let command = try Command(schemaBytes: write.command)
                    return .answer(.write(model.withLock { $0.apply(command) }))
                } catch {
                    return .hangUp
                }
            case .hello, .write, .cancelWatch, .nodeStatus, .members, .changeMembers, .transferLeadership, .breakers,
                .controlBreaker, .control:
                return nil
            }
        }
    }

    private func with(_ nodes: Nodes, _ body: (FakeCluster, MetadataClient) async throws -> Void) async throws {
        let cluster = try await FakeCluster.start { _, request, _ in nodes.react(request) }
        let client = MetadataClient(cluster.options())
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(cluster, client))
        } catch {
            result = .failure(error)
        }
        await client.close()
        try await cluster.stop()
        try result.get()
    }

    private func expectSame(_ image: MetadataImage, _ nodes: Nodes, _ comment: Comment) {
        let model = nodes.model.withLock { $0 }
        #expect(image.version == model.version, comment)
        #expect(image.brokers == model.storage.brokers(), comment)
        #expect(image.topics == model.topics.sorted { $0.name < $1.name }, comment)
        var found: [Partition] = []
        image.forEachPartition { found.append($0) }
        #expect(found.sorted { $0.key < $1.key } == model.partitions, comment)
    }

    @Test("a cache equals the cluster's state at each version that it reaches, over broken connections")
    func follows() async throws {
        let nodes = Nodes(seed: 11)
        nodes.step(30)
        try await with(nodes) { cluster, client in
            let cache = MetadataCache(client: client)
            try await cache.ready(timeout: .seconds(30))
            for round in 0..<15 {
                let version = nodes.version
                try await cache.reached(version, timeout: .seconds(30))
                expectSame(cache.image, nodes, "round \(round)")
                // The nodes tell what is new when they are asked again.
                nodes.step(3)
                for node in 1...3 { cluster.hangUp(node) }
            }
            #expect(cache.lag != nil)
        }
    }

    @Test("when the history is gone everything is read again, and what is shown never goes back (pitfall 39)")
    func historyGone() async throws {
        let nodes = Nodes(seed: 12, feedMax: 2)
        nodes.step(20)
        try await with(nodes) { cluster, client in
            let cache = MetadataCache(client: client)
            try await cache.ready(timeout: .seconds(30))
            for round in 0..<5 {
                let before = cache.version
                nodes.step(10)
                for node in 1...3 { cluster.hangUp(node) }
                try await cache.reached(nodes.version, timeout: .seconds(30))
                #expect(cache.version > before)
                expectSame(cache.image, nodes, "round \(round)")
            }
        }
    }

    /// What the body throws.
    private func code(_ body: () async throws -> Void) async -> MetadataError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? MetadataError)?.code
        }
    }

    @Test("waiting for a version ends by time, by cancellation and with the client")
    func waiting() async throws {
        let nodes = Nodes(seed: 13)
        try await with(nodes) { _, client in
            let cache = MetadataCache(client: client)
            try await cache.ready(timeout: .seconds(30))
            let never = Version(1 << 60)
            #expect(await code { try await cache.reached(never, timeout: .milliseconds(1)) } == .timedOut)
            let task = Task { try await cache.reached(never) }
            task.cancel()
            #expect(await code { try await task.value } == .cancelled)
            let left = Task { try await cache.reached(never) }
            await client.close()
            #expect(await code { try await left.value } == .clientClosed)
        }
    }

    @Test(
        "a broker is told to lead what the cluster gave it, reports its ISR, and is told what became of others' doing")
    func brokerFollowsAssignments() async throws {
        let nodes = Nodes(seed: 14)
        let topic = TopicID(high: 1, low: 1)
        let key = PartitionKey(topic: topic, index: PartitionIndex(0))
        let (one, two) = (BrokerID(1), BrokerID(2))
        nodes.model.withLock { model in
            let assignment = [[one, two]]
            model.apply(
                .createTopic(
                    .init(name: "t", id: topic, partitionCount: 0, replicationFactor: 0, assignment: assignment)))
            // A life of the broker before this one has ended.
            model.apply(.fenceBroker(id: one, epoch: model.epoch(1)))
        }
        try await with(nodes) { cluster, client in
            let cache = MetadataCache(client: client)
            let session = BrokerSession(client: client, id: one, endpoints: [], cache: cache)
            var assignments = session.assignments.makeAsyncIterator()
            // The fake nodes tell watches what is new when they are asked again.
            let nudge = Task {
                while !Task.isCancelled {
                    try await Task.sleep(for: .milliseconds(20))
                    for node in 1...3 { cluster.hangUp(node) }
                }
            }
            defer { nudge.cancel() }
            for await event in session.events where event == .unfenced { break }
            guard case .becomeFollower(let followed, "t") = await assignments.next() else {
                Issue.record("not told to follow")
                return
            }
            #expect(followed.key == key && followed.leader == two)
            // The leader takes it in, then steps back in its favour.
            nodes.model.withLock { model in
                model.apply(
                    .alterPartition(
                        .init(
                            broker: two, brokerEpoch: model.epoch(2), partition: key,
                            leaderEpoch: followed.leaderEpoch, partitionEpoch: followed.partitionEpoch,
                            isr: [one, two])))
                model.apply(
                    .changePartitionLeader(.init(topic: .id(topic), partition: PartitionIndex(0), leader: one)))
            }
            var assignment = await assignments.next()
            if case .update(let partition, _)? = assignment {
                #expect(partition.isr == [one, two])
                assignment = await assignments.next()
            }
            guard case .becomeLeader(let led, _)? = assignment else {
                Issue.record("not told to lead, but \(String(describing: assignment))")
                return
            }
            #expect(led.leaderEpoch == followed.leaderEpoch + 1 && led.isr == [one, two])
            nudge.cancel()
            let report = Command.ISRReport(
                partition: key, leaderEpoch: led.leaderEpoch, partitionEpoch: led.partitionEpoch, isr: [one])
            #expect(
                await session.reportISR(report)
                    == .accepted(leaderEpoch: led.leaderEpoch, partitionEpoch: led.partitionEpoch + 1))
            guard case .refused(let refusal) = await session.reportISR(report) else {
                Issue.record("a report under an old partition epoch was accepted")
                return
            }
            #expect(refusal.reason == .stalePartitionEpoch)
            await session.close()
            #expect(await assignments.next() == nil || !session.mayLead)
            guard case .failed = await session.reportISR(report) else {
                Issue.record("a report was taken after the end")
                return
            }
        }
    }
}
