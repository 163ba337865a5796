import MetadataModel
import NIOCore
import Synchronization
import Testing
import Wire

@testable import MetadataClient

/// The client against scripted nodes on the loopback. Nothing here waits for time to pass but for events.
@Suite("MetadataClient", .timeLimit(.minutes(1)))
struct MetadataClientTests {
    /// Runs the body with a client, and closes both ends after it.
    private func with(
        _ cluster: FakeCluster, options change: (inout MetadataClient.Options) -> Void = { _ in },
        _ body: (MetadataClient) async throws -> Void
    ) async throws {
        let client = MetadataClient(cluster.options(change))
        do {
            try await body(client)
        } catch {
            await client.close()
            try await cluster.stop()
            throw error
        }
        await client.close()
        try await cluster.stop()
    }

    @Test("a write finds the leader from whichever node is asked first")
    func redirects() async throws {
        for leader in 1...3 {
            let cluster = try await FakeCluster.start(leader: leader)
            try await with(cluster) { client in
                let version = try await client.deleteTopic(.name("t"))
                #expect(version == Version(1))
                #expect(cluster.state.withLock { $0.arrived.map(\.node) } == [leader])
            }
        }
    }

    @Test("one endpoint is enough to find a leader that it names")
    func oneEndpoint() async throws {
        let cluster = try await FakeCluster.start(leader: 3)
        try await with(cluster, options: { $0.endpoints = [cluster.endpoint(1)] }) { client in
            try await client.deleteTopic(.name("t"))
            #expect(cluster.state.withLock { $0.arrived.map(\.node) } == [3])
        }
    }

    @Test("a write that was carried out before its connection dropped is done once, and answered (pitfall 31)")
    func dropAfterExecution() async throws {
        let drops = Mutex(3)
        let cluster = try await FakeCluster.start { node, request, cluster in
            guard case .write(let write) = request, write.session != nil,
                cluster.state.withLock({ $0.leader == node })
            else { return nil }
            let isDropped = drops.withLock { left in
                defer { left = max(0, left - 1) }
                return left > 0
            }
            guard isDropped else { return nil }
            // It is carried out, the leader dies with the answer, another takes over.
            _ = cluster.execute(write, at: node)
            cluster.elect(node % 3 + 1)
            return .hangUp
        }
        try await with(cluster) { client in
            let version = try await client.deleteTopic(.name("t"))
            #expect(version == Version(1))
            let (done, arrived) = cluster.state.withLock { ($0.done, $0.arrived) }
            #expect(done.count == 1)
            #expect(arrived.count == 4)
            #expect(Set(arrived.map(\.ticket)).count == 1)
            #expect(Set(arrived.map(\.node)).count == 3)
        }
    }

    @Test("many writes under way survive the death of the leader, each done once")
    func manyWritesFailover() async throws {
        let seen = Mutex(0)
        let cluster = try await FakeCluster.start { node, request, cluster in
            guard case .write(let write) = request, write.session != nil, node == 1 else { return nil }
            let count = seen.withLock { seen in
                seen += 1
                return seen
            }
            if count < 200 { return nil }
            if count % 2 == 0 { _ = cluster.execute(write, at: node) }
            if count == 300 {
                cluster.elect(2)
                cluster.hangUp(1)
            }
            return .silence
        }
        try await with(cluster, options: { $0.timeout = .seconds(20) }) { client in
            try await withThrowingTaskGroup(of: Version.self) { group in
                for number in 0..<500 { group.addTask { try await client.deleteTopic(.name("t\(number)")) } }
                var versions: Set<Version> = []
                for try await version in group { versions.insert(version) }
                #expect(versions.count == 500)
            }
            let done = cluster.state.withLock { $0.done }
            #expect(done.count == 500)
            #expect(Set(done).count == 500)
        }
    }

    @Test("a node that answers garbage is dropped, and the call is served by the next leader")
    func garbage() async throws {
        let cluster = try await FakeCluster.start { node, request, cluster in
            guard node == 1, case .write(let write) = request, write.session != nil else { return nil }
            cluster.elect(2)
            return .garbage
        }
        try await with(cluster) { client in
            let version = try await client.deleteTopic(.name("t"))
            #expect(version == Version(1))
            #expect(cluster.state.withLock { $0.arrived.map(\.node) } == [2])
        }
    }

    @Test("a node that hangs does not hold a call up: another leader is found (pitfall 40)")
    func hanging() async throws {
        let isHung = Atomic<Bool>(false)
        let cluster = try await FakeCluster.start { node, request, cluster in
            guard node == 1 else { return nil }
            if case .write(let write) = request, write.session != nil {
                isHung.store(true, ordering: .relaxed)
                cluster.elect(3)
            }
            return isHung.load(ordering: .relaxed) ? .silence : nil
        }
        try await with(cluster, options: { $0.attemptTimeout = .milliseconds(100) }) { client in
            let version = try await client.deleteTopic(.name("t"))
            #expect(version == Version(1))
            #expect(cluster.state.withLock { $0.arrived.map(\.node) } == [3])
        }
    }

    @Test("nobody there: the call ends at its deadline as unavailable, definitely")
    func nobody() async throws {
        let cluster = try await FakeCluster.start(nodes: 1)
        let options = cluster.options { $0.timeout = .milliseconds(200) }
        try await cluster.stop()
        let client = MetadataClient(options)
        let error = await #expect(throws: MetadataError.self) { try await client.deleteTopic(.name("t")) }
        #expect(error?.code == .unavailable)
        #expect(error?.outcome == .definite)
        #expect(error?.category == .transient)
        #expect(error?.operation == "deleteTopic")
        await client.close()
    }

    @Test("a write that nobody answers ends as indefinite, never as refused or done (pitfall 32)")
    func silence() async throws {
        let cluster = try await FakeCluster.start { _, request, _ in
            // The first is answered, so that the second is sent whatever the load of this machine.
            if case .write(let write) = request, write.session != nil, write.sequence > 1 { .silence } else { nil }
        }
        try await with(cluster) { client in
            try await client.deleteTopic(.name("t"))
            let error = await #expect(throws: MetadataError.self) {
                try await client.deleteTopic(.name("t"), timeout: .seconds(1))
            }
            #expect(error?.code == .timedOut)
            #expect(error?.outcome == .indefinite)
            #expect(error?.refusal == nil)
        }
    }

    @Test("a refusal carries its reason")
    func refusal() async throws {
        let cluster = try await FakeCluster.start { _, request, _ in
            guard case .write(let write) = request, write.session != nil else { return nil }
            return .answer(.write(.refused(Refusal(.topicNotFound, "no topic t"))))
        }
        try await with(cluster) { client in
            let error = await #expect(throws: MetadataError.self) { try await client.deleteTopic(.name("t")) }
            #expect(error?.code == .refused)
            #expect(error?.refusal == Refusal(.topicNotFound, "no topic t"))
            #expect(error?.category == .invalidInput)
        }
    }

    @Test("a cancelled task does not wait for its answer")
    func cancellation() async throws {
        let arrived = AsyncStream.makeStream(of: Void.self)
        let cluster = try await FakeCluster.start { _, request, _ in
            guard case .read = request else { return nil }
            arrived.continuation.yield()
            return .silence
        }
        try await with(cluster, options: { $0.timeout = .seconds(50) }) { client in
            let task = Task { try await client.summary() }
            for await _ in arrived.stream { break }
            task.cancel()
            let error = await #expect(throws: MetadataError.self) { try await task.value }
            #expect(error?.code == .cancelled)
        }
    }

    @Test("lists are read to their last page")
    func pages() async throws {
        let cluster = try await FakeCluster.start { _, request, _ in
            guard case .read(let read) = request, case .topics(let after, let limit) = read.query else { return nil }
            let all = (0..<2_500).map { "t\(10_000 + $0)" }
            let rest = all.filter { $0 > after ?? "" }
            let items = rest.prefix(limit).map {
                Topic(id: TopicID(high: 1, low: 1), name: $0, partitionCount: 1, replicationFactor: 1, version: .zero)
            }
            return .answer(
                .read(.topics(Page(items: items, hasMore: rest.count > items.count)), appliedIndex: 1))
        }
        try await with(cluster) { client in
            let topics = try await client.topics()
            #expect(topics.map(\.name) == (0..<2_500).map { "t\(10_000 + $0)" })
        }
    }

    @Test("the callback form answers each call once, in thousands")
    func callbacks() async throws {
        let cluster = try await FakeCluster.start()
        try await with(cluster, options: { $0.timeout = .seconds(30) }) { client in
            let answers = AsyncStream.makeStream(of: Bool.self)
            for number in 0..<3_000 {
                client.submit(.deleteTopic(topic: .name("t\(number)"), ifVersion: nil)) { result in
                    answers.continuation.yield((try? result.get()) != nil)
                }
            }
            var count = 0
            for await isDone in answers.stream {
                #expect(isDone)
                count += 1
                if count == 3_000 { break }
            }
            #expect(cluster.state.withLock { $0.done.count } == 3_000)
        }
    }

    @Test("every node is asked how it is, also those that only members named, also those that are down")
    func statuses() async throws {
        let cluster = try await FakeCluster.start(leader: 2)
        let endpoints = (1...3).map(cluster.endpoint)
        try await with(cluster, options: { $0.endpoints = [endpoints[0]] }) { client in
            let all = await client.nodeStatuses(timeout: .seconds(5))
            #expect(all.map(\.endpoint) == endpoints)
            #expect(try all.map { try $0.status.get().role } == ["follower", "leader", "follower"])
            try await cluster.kill(3)
            let rest = await client.nodeStatuses(timeout: .seconds(5))
            #expect(rest.map(\.endpoint) == endpoints)
            #expect(throws: MetadataError.self) { try rest[2].status.get() }
        }
    }

    @Test("a watch loses nothing and repeats nothing while its connections keep breaking (pitfall 39)")
    func watchResumes() async throws {
        let events = (1...400).map {
            ChangeEvent(version: Version(UInt64($0 * 3)), changes: [.brokerRemoved(BrokerID(Int32($0)))])
        }
        // Each connection delivers seven events and closes.
        let cluster = try await FakeCluster.start { _, request, _ in
            guard case .watch(let after, _) = request else { return nil }
            let rest = events.filter { $0.version > after }
            guard !rest.isEmpty else { return .answer(.watchProgress(through: Version(9_999))) }
            let batch = Array(rest.prefix(7))
            return .answersThenHangUp(batch.map { .watchEvents([$0], through: $0.version) })
        }
        let hurried: (inout MetadataClient.Options) -> Void = { options in
            options.retry.backoffBase = .milliseconds(1)
            options.retry.backoffCap = .milliseconds(2)
        }
        try await with(cluster, options: hurried) { client in
            var seen: [ChangeEvent] = []
            for try await event in client.watch(after: .zero) {
                if case .changes(let change) = event { seen.append(change) }
                if event == .progress(Version(9_999)) { break }
            }
            #expect(seen == events)
            #expect(cluster.state.withLock { $0.connections } > 400 / 7)
        }
    }

    @Test("a consumer that is slower than the stream loses nothing, and the client holds a bounded number of events")
    func slowConsumer() async throws {
        let total = WatchBuffer.eventsMax * 4
        let events = (1...total).map {
            ChangeEvent(version: Version(UInt64($0)), changes: [.brokerRemoved(BrokerID(Int32($0)))])
        }
        let asked = Mutex<[Version]>([])
        let stopped = AsyncStream.makeStream(of: Void.self)
        let cluster = try await FakeCluster.start { _, request, _ in
            if case .cancelWatch = request { stopped.continuation.yield() }
            guard case .watch(let after, _) = request else { return nil }
            asked.withLock { $0.append(after) }
            let rest = events.filter { $0.version > after }
            return .answers(
                stride(from: 0, to: rest.count, by: 100).map { start in
                    let batch = Array(rest[start..<min(start + 100, rest.count)])
                    return .watchEvents(batch, through: batch[batch.count - 1].version)
                })
        }
        try await with(cluster) { client in
            let watch = client.watch(after: .zero)
            // Nobody reads until the client has had enough.
            for await _ in stopped.stream { break }
            var seen: [ChangeEvent] = []
            for try await event in watch {
                guard case .changes(let change) = event else { continue }
                seen.append(change)
                if seen.count == total { break }
            }
            #expect(seen == events)
            #expect(asked.withLock { $0 }.first == .zero)
            #expect(asked.withLock { $0.count } > 1, "the stream was never resumed")
        }
    }

    @Test("a watch whose versions the cluster no longer knows ends with a restart")
    func watchTooOld() async throws {
        let cluster = try await FakeCluster.start { _, request, _ in
            if case .watch = request { .answer(.watchTooOld(oldest: Version(77))) } else { nil }
        }
        try await with(cluster) { client in
            var seen: [WatchEvent] = []
            for try await event in client.watch(after: Version(3)) { seen.append(event) }
            #expect(seen == [.restart(oldest: Version(77))])
        }
    }

    @Test("a broker session registers, leads, is thrown out, registers again and says goodbye")
    func brokerSession() async throws {
        let farewells = Atomic<Int>(0)
        let cluster = try await FakeCluster.start { node, request, cluster in
            switch request {
            case .write(let write) where write.session != nil:
                guard case .done(.changed(let version)) = cluster.execute(write, at: node) else { return nil }
                return .answer(.write(.done(.registered(BrokerEpoch(version.rawValue), version))))
            case .heartbeat(let heartbeat):
                if heartbeat.wantsFence { _ = farewells.wrappingAdd(1, ordering: .relaxed) }
                guard heartbeat.epoch == BrokerEpoch(1), cluster.state.withLock({ $0.term }) == 1 else {
                    guard heartbeat.epoch == BrokerEpoch(2) else {
                        let failure = ServiceFailure(code: .unknownBroker, detail: "who?", isDefinite: true)
                        return .answer(.failure(failure))
                    }
                    return nil
                }
                // The next heartbeat finds a cluster that has forgotten the broker.
                cluster.state.withLock { $0.term = 2 }
                let answer = HeartbeatAnswer(state: .active, leaseMilliseconds: 60_000, version: .zero)
                return .answer(.heartbeat(answer))
            case .hello, .write, .read, .watch, .cancelWatch, .nodeStatus, .members, .changeMembers,
                .transferLeadership, .control, .breakers, .controlBreaker:
                return nil
            }
        }
        try await with(cluster) { client in
            let session = BrokerSession(
                client: client, id: BrokerID(1), endpoints: [], heartbeatInterval: .milliseconds(50))
            var seen: [BrokerSessionEvent] = []
            for await event in session.events {
                seen.append(event)
                if seen.count == 5 { break }
            }
            #expect(
                seen == [
                    .registered(BrokerEpoch(1)), .unfenced, .fenced(.unknownToCluster), .reregistered(BrokerEpoch(2)),
                    .unfenced,
                ])
            #expect(session.mayLead)
            #expect(session.epoch == BrokerEpoch(2))
            await session.close()
            #expect(!session.mayLead)
            #expect(farewells.load(ordering: .relaxed) == 1)
        }
    }

    @Test("a controlled shutdown goes on until leadership has moved, and then says goodbye (KIP-631)")
    func shutdown() async throws {
        let asked = Atomic<Int>(0)
        let farewells = Atomic<Int>(0)
        let cluster = try await FakeCluster.start { node, request, cluster in
            switch request {
            case .write(let write) where write.session != nil:
                guard case .done(.changed(let version)) = cluster.execute(write, at: node) else { return nil }
                return .answer(.write(.done(.registered(BrokerEpoch(version.rawValue), version))))
            case .heartbeat(let heartbeat) where heartbeat.wantsFence:
                farewells.wrappingAdd(1, ordering: .relaxed)
                return nil
            case .heartbeat(let heartbeat) where heartbeat.wantsShutdown:
                // The first time the move is only begun.
                let isDone = asked.wrappingAdd(1, ordering: .relaxed).oldValue > 0
                return .answer(
                    .heartbeat(
                        HeartbeatAnswer(
                            state: isDone ? .shuttingDown : .active, leaseMilliseconds: 60_000, version: .zero,
                            shouldShutDown: isDone)))
            case .hello, .write, .read, .watch, .cancelWatch, .nodeStatus, .members, .changeMembers, .heartbeat,
                .transferLeadership, .control, .breakers, .controlBreaker:
                return nil
            }
        }
        try await with(cluster) { client in
            let session = BrokerSession(client: client, id: BrokerID(1), endpoints: [])
            var events = session.events.makeAsyncIterator()
            #expect(await events.next() == .registered(BrokerEpoch(1)))
            #expect(await events.next() == .unfenced)
            #expect(await session.shutDown(timeout: .seconds(10)))
            #expect(await events.next() == .shuttingDown)
            #expect(await events.next() == nil)
            #expect(asked.load(ordering: .relaxed) == 2)
            #expect(farewells.load(ordering: .relaxed) == 1)
        }
    }

    @Test("calls after close fail at once")
    func closed() async throws {
        let cluster = try await FakeCluster.start()
        let client = MetadataClient(cluster.options())
        try await client.deleteTopic(.name("t"))
        await client.close()
        let error = await #expect(throws: MetadataError.self) { try await client.summary() }
        #expect(error?.code == .clientClosed)
        var watch = client.watch(after: .zero).makeAsyncIterator()
        let event = try await watch.next()
        #expect(event == nil)
        try await cluster.stop()
    }
}
