import Foundation
import MetadataClient
import MetadataModel
import NIOCore
import NIOPosix
import Synchronization
import Testing
import Wire

@testable import MetadataServer

/// What a node leaves behind when it stops, and what becomes of requests that were under way.
@Suite("The life of a node", .serialized)
struct NodeLifeTests {
    /// Quick elections, so that a life is short.
    private static let quick = [
        "raft.tick": "5ms", "raft.heartbeat_interval": "10ms", "raft.election_timeout": "50ms",
        "storage.reserve_bytes": "0",
    ]

    private struct Held: Equatable {
        /// What the descriptors are, without numbers.
        var files: [String]
        var threads: Int
    }

    private func held() throws -> Held {
        let manager = FileManager.default
        let files = try manager.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { name -> String? in
            // The one that lists the folder is gone by now.
            guard let target = try? manager.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + name) else {
                return nil
            }
            return target.hasPrefix("socket:") ? "socket" : target
        }
        return Held(files: files.sorted(), threads: try manager.contentsOfDirectory(atPath: "/proc/self/task").count)
    }

    @Test(
        "a hundred lives with writes under way leave no file, socket, thread or task behind, and lose no write",
        .enabled(if: FileManager.default.fileExists(atPath: "/proc/self/fd")), .timeLimit(.minutes(5)))
    func cycles() async throws {
        let nodes = try NodesInProcess(1, settings: Self.quick)
        let client = nodes.client()
        func live(_ cycle: Int) async throws {
            try await nodes.start(1)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for key in 0..<8 {
                    group.addTask {
                        _ = try await client.alterConfigs(
                            .cluster, changes: [ConfigChange(name: "user.k\(key)", value: "\(cycle)")])
                    }
                }
                // One is answered, the others are wherever they are.
                _ = try await group.next()
                try await nodes.stop(1)
                try await nodes.start(1)
                try await group.waitForAll()
            }
            try await nodes.stop(1)
        }
        // Threads and files that the process makes once.
        for cycle in 0..<3 { try await live(cycle) }
        let before = try held()
        for cycle in 3..<53 { try await live(cycle) }
        var after = try held()
        // Threads of the system's pool come and go.
        for _ in 0..<200 where after.files != before.files || after.threads > before.threads + 4 {
            try await Task.sleep(for: .milliseconds(50))
            after = try held()
        }
        #expect(after.files == before.files)
        #expect(after.threads <= before.threads + 4, "\(before.threads) threads before, \(after.threads) after")
        // A task that did not end would know its node.
        var living = await nodes.living
        for _ in 0..<200 where living > 0 {
            try await Task.sleep(for: .milliseconds(50))
            living = await nodes.living
        }
        #expect(living == 0)
        try await nodes.start(1)
        let values = try await client.configs(of: .cluster).filter { $0.name.hasPrefix("user.k") }.map(\.value)
        #expect(values == Array(repeating: "52", count: 8))
        await client.close()
        try await nodes.stopAll()
    }

    @Test(
        "the start of a rebalance that waits is no probe, is not made when its client goes, and holds up no stop",
        .timeLimit(.minutes(2)))
    func waitingStarts() async throws {
        let breaker = "resilience.circuit_breaker."
        // Once it was open, one write comes after the other.
        let oneProbe = [
            breaker + "max_requests_half_open": "1", breaker + "success_threshold": "1000",
            breaker + "timeout": "100ms",
        ]
        let nodes = try NodesInProcess(1, settings: Self.quick.merging(oneProbe) { $1 })
        try await nodes.start(1)
        let client = nodes.client()
        try await nodes.waitUntilEven(client, count: 1)
        func wait(for count: Int) async throws {
            for _ in 0..<400 where await nodes.waitingStarts(1) != count {
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(await nodes.waitingStarts(1) == count)
        }
        for _ in 0..<400 where try await client.summary().featureLevel < Limits.featureLevelOfRebalances {
            try await Task.sleep(for: .milliseconds(50))
        }
        // What is paused goes on for ever.
        let pause = ConfigChange(name: Rebalance.pauseConfigName, value: "a test")
        _ = try await client.alterConfigs(.cluster, changes: [pause])
        let first = try await client.startRebalance()

        _ = await client.breakers(after: .open("proposals"), timeout: .seconds(5))
        try await Task.sleep(for: .milliseconds(150))
        let gone = nodes.client()
        let orphan = Task { try await gone.startRebalance(timeout: .seconds(25)) }
        try await wait(for: 1)
        // The start was let through as the only probe.
        _ = try await client.alterConfigs(.cluster, changes: [ConfigChange(name: "user.a", value: "1")])
        await gone.close()
        await #expect(throws: MetadataError.self) { try await orphan.value }
        try await wait(for: 0)
        try await client.cancelRebalance(first)
        // Longer than a turn takes to be passed on.
        try await Task.sleep(for: .milliseconds(300))
        #expect(try await client.rebalance()?.id == first, "a rebalance began that nobody waited for")

        try await client.startRebalance()
        let late = Task { try await client.startRebalance(timeout: .seconds(25)) }
        try await wait(for: 1)
        let began = ContinuousClock.now
        try await nodes.stop(1)
        #expect(ContinuousClock.now - began < .seconds(3), "the stop waited for a start that waits")
        await client.close()
        await #expect(throws: MetadataError.self) { try await late.value }
    }

    @Test(
        "a client that goes while its write is under way takes no probe of the breaker with it", .timeLimit(.minutes(2))
    )
    func abandonedProbe() async throws {
        let breaker = "resilience.circuit_breaker."
        let oneProbe = [
            breaker + "max_requests_half_open": "1", breaker + "timeout": "100ms", "raft.election_timeout": "2s",
        ]
        let nodes = try NodesInProcess(2, settings: Self.quick.merging(oneProbe) { $1 })
        for id in 1...2 { try await nodes.start(id) }
        let client = nodes.client()
        try await nodes.waitUntilEven(client, count: 2)
        let leaders = try await client.nodeStatuses().compactMap { try $0.status.get().leader }
        let leader = Int(try #require(leaders.first).nodeID)
        // Until it steps down, for an election timeout, what is written there comes to nothing.
        try await nodes.stop(3 - leader)
        _ = await client.breakers(after: .open("proposals"), timeout: .seconds(1)) { Int($0) == leader }
        try await Task.sleep(for: .milliseconds(150))
        let write = ClientRequest.write(
            WriteRequest(session: nil, sequence: 0, acknowledgedBelow: 0, command: [], timeoutMilliseconds: 200))
        for _ in 0..<2 {
            let gone = try await RawClient.connected(port: nodes.ports[leader - 1].client)
            try gone.send([write, write], firstID: 10)
            // The first is the probe and has no answer.
            try await gone.waitForAnswers(1)
            #expect(gone.answers.keys.sorted() == [11])
            guard case .failure(let failure)? = gone.answers[11]?.first else {
                Issue.record("\(gone.answers)")
                break
            }
            #expect(failure.openBreaker == "proposals", "\(failure)")
            try await gone.close()
            try await Task.sleep(for: .milliseconds(50))
        }
        await client.close()
        try await nodes.stopAll()
    }

    @Test("every request that a node has read when it is told to stop is answered, once", .timeLimit(.minutes(2)))
    func answeredOnce() async throws {
        let nodes = try NodesInProcess(1, settings: Self.quick)
        for _ in 0..<10 {
            try await nodes.start(1)
            let client = nodes.client()
            try await nodes.waitUntilEven(client, count: 1)
            await client.close()
            let raw = try await RawClient.connected(port: nodes.ports[0].client)
            // No command at all: it goes through the log and is refused when it is applied.
            let write = WriteRequest(
                session: nil, sequence: 0, acknowledgedBelow: 0, command: [], timeoutMilliseconds: 0)
            let read = ReadRequest(query: .summary, consistency: .linearizable, timeoutMilliseconds: 0)
            let requests: [ClientRequest] = (0..<100).map { $0.isMultiple(of: 3) ? .read(read) : .write(write) }
            try raw.send(requests, firstID: 10)
            // All of them fit into the node's first read, so with the first answer it has them all.
            try await raw.waitForAnswers(1)
            try await nodes.stop(1)
            try await raw.waitForEnd()
            let answers = raw.answers
            #expect(answers.keys.sorted() == (10..<110).map { UInt64($0) })
            #expect(answers.values.allSatisfy { $0.count == 1 })
            for (id, responses) in answers {
                for case .failure(let failure) in responses where failure.code != .shuttingDown {
                    Issue.record("request \(id): \(failure)")
                }
            }
        }
        try await nodes.stopAll()
    }
}

/// A connection that counts what it is told.
private final class RawClient: Sendable {
    private struct State {
        var answers: [UInt64: [ClientResponse]] = [:]
        var isEnded = false
    }

    private final class Box: Sendable {
        let value = Mutex(State())
    }

    private let channel: any Channel
    private let state: Box

    private init(_ channel: any Channel, _ state: Box) {
        self.channel = channel
        self.state = state
    }

    static func connected(port: Int) async throws -> RawClient {
        let box = Box()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler(box)) }
            }
            .connect(host: "127.0.0.1", port: port).get()
        var buffer = ByteBuffer()
        ConnectionPreamble.write(for: .client, into: &buffer)
        try ClientRequestFrame(id: 1, request: .hello(ClientHello(clusterID: "", clientName: "raw"))).encode(
            into: &buffer)
        try await channel.writeAndFlush(buffer).get()
        return RawClient(channel, box)
    }

    var answers: [UInt64: [ClientResponse]] { state.value.withLock { $0.answers.filter { $0.key != 1 } } }

    func send(_ requests: [ClientRequest], firstID: UInt64) throws {
        var buffer = ByteBuffer()
        for (place, request) in requests.enumerated() {
            try ClientRequestFrame(id: firstID + UInt64(place), request: request).encode(into: &buffer)
        }
        channel.writeAndFlush(buffer, promise: nil)
    }

    func close() async throws { try await channel.close() }

    func waitForAnswers(_ count: Int) async throws { try await wait { _ in self.answers.count >= count } }

    func waitForEnd() async throws { try await wait(\.isEnded) }

    private func wait(_ condition: (State) -> Bool) async throws {
        for _ in 0..<3_000 {
            if condition(state.value.withLock(\.self)) { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw NodesInProcess.Failure(description: "waited in vain; \(answers.count) answers")
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let box: Box
        private var decoder = FrameDecoder(kind: .client, side: .dialler)

        init(_ box: Box) { self.box = box }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            decoder.append(&bytes)
            do {
                while let body = try decoder.next() {
                    let frame = try ClientResponseFrame(decoding: body)
                    box.value.withLock { $0.answers[frame.id, default: []].append(frame.response) }
                }
            } catch {
                context.close(promise: nil)
            }
        }

        func channelInactive(context: ChannelHandlerContext) { box.value.withLock { $0.isEnded = true } }
    }
}
