import Foundation
import MetadataModel
import Synchronization
import Testing
import Wire

@testable import MetadataClient

/// Every code that the library throws is reached here over the wire, from what a node says or does.
@Suite("Error codes over the wire")
struct ErrorCodeTests {
    /// A way to one error: what the nodes do, how the client is made, what it is asked.
    private struct Way: Sendable, CustomTestStringConvertible {
        var code: MetadataError.Code
        var outcome: MetadataError.Outcome = .definite
        var options: @Sendable (inout MetadataClient.Options) -> Void = { _ in }
        var script: FakeCluster.Script = { _, _, _ in nil }
        var call: @Sendable (MetadataClient) async throws -> Void = { try await $0.deleteTopic(.name("t")) }

        var testDescription: String { code.rawValue }
    }

    private static func failing(
        _ code: ServiceFailure.Code, isDefinite: Bool = true, retryAfter: UInt32 = 0, openBreaker: String = ""
    ) -> FakeCluster.Script {
        { _, request, _ in
            guard case .write(let write) = request, write.session != nil else { return nil }
            return .answer(
                .failure(
                    ServiceFailure(
                        code: code, detail: "as the node says", isDefinite: isDefinite,
                        retryAfterMilliseconds: retryAfter, openBreaker: openBreaker,
                        context: FailureContext(
                            category: code.category, operation: "delete_topic", cause: "the cause",
                            facts: [.init("node_id", "1")], timestampMilliseconds: 1_700_000_000_000))))
        }
    }

    private static func greeting(_ code: ServiceFailure.Code) -> FakeCluster.Script {
        { _, request, _ in
            guard case .hello = request else { return nil }
            return .answer(.failure(ServiceFailure(code: code, detail: "no", isDefinite: true)))
        }
    }

    private static let once: @Sendable (inout MetadataClient.Options) -> Void = { $0.retry.attemptsMax = 1 }

    private static let ways: [Way] = [
        Way(
            code: .refused,
            script: { _, request, _ in
                guard case .write(let write) = request, write.session != nil else { return nil }
                return .answer(.write(.refused(Refusal(.topicNotFound, "no topic t"))))
            }),
        Way(
            code: .unavailable, options: { $0.leaderWait = .milliseconds(200) },
            script: { _, _, cluster in
                cluster.state.withLock { $0.leader = nil }
                return nil
            }),
        Way(
            code: .timedOut, outcome: .indefinite,
            script: { _, request, _ in
                if case .write(let write) = request, write.session != nil, write.sequence > 1 { .silence } else { nil }
            },
            call: {
                try await $0.deleteTopic(.name("t"))
                try await $0.deleteTopic(.name("t"), timeout: .seconds(1))
            }),
        Way(code: .overloaded, options: once, script: failing(.overloaded, retryAfter: 10)),
        Way(
            code: .clientOverloaded,
            options: {
                $0.inFlightMax = 1
                $0.queuedMax = 0
            }, script: { _, request, _ in if case .write = request { .silence } else { nil } },
            call: { client in
                let tasks = (0..<2).map { _ in
                    Task { await Self.error { try await client.deleteTopic(.name("t"), timeout: .seconds(1)) } }
                }
                var errors: [MetadataError?] = []
                for task in tasks { errors.append(await task.value) }
                // Whichever comes second finds no room; the other one waits in vain.
                throw try #require(errors.compactMap(\.self).first { $0.code == .clientOverloaded })
            }),
        Way(code: .circuitOpen, script: failing(.overloaded, retryAfter: 25_000, openBreaker: "proposals")),
        Way(
            code: .sessionLost, outcome: .indefinite,
            script: { _, request, cluster in
                guard case .write(let write) = request, let session = write.session else { return nil }
                let ticket = Call.Ticket(session: session, sequence: write.sequence)
                let isFirst = cluster.state.withLock { state in
                    defer { state.arrived.append((1, ticket)) }
                    return state.arrived.isEmpty
                }
                return isFirst ? .hangUp : .answer(.write(.refused(Refusal(.sessionExpired, "unknown session"))))
            }),
        Way(code: .wrongCluster, script: greeting(.wrongCluster)),
        Way(code: .unsupportedProtocol, script: greeting(.unsupportedProtocol)),
        Way(code: .invalidRequest, script: failing(.invalidRequest)),
        Way(code: .storageFailed, options: once, script: failing(.storageFailed)),
        Way(
            code: .unknownBroker,
            script: { _, request, _ in
                guard case .heartbeat = request else { return nil }
                return .answer(.failure(ServiceFailure(code: .unknownBroker, detail: "who?", isDefinite: true)))
            },
            call: { client in
                _ = try await client.heartbeat(
                    BrokerHeartbeat(
                        broker: BrokerID(1), epoch: BrokerEpoch(1), caughtUpVersion: .zero, wantsFence: false))
            }),
        Way(code: .diskFull, script: failing(.diskFull)),
        Way(code: .protocolViolation, call: { _ = try await $0.brokers() }),
        Way(
            code: .cancelled, outcome: .indefinite,
            script: { _, request, cluster in
                guard case .write(let write) = request, write.session != nil else { return nil }
                cluster.state.withLock { $0.version = 1 }
                return .silence
            },
            call: { client in
                let task = Task { _ = try await client.deleteTopic(.name("t"), timeout: .seconds(50)) }
                for _ in 0..<2_000 {
                    // The write has arrived when the version says so; see the script.
                    if try await client.summary().version == Version(1) { break }
                    try await Task.sleep(for: .milliseconds(5))
                }
                task.cancel()
                try await task.value
            }),
        Way(
            code: .clientClosed,
            call: { client in
                await client.close()
                try await client.deleteTopic(.name("t"))
            }),
    ]

    private static func error(_ body: () async throws -> Void) async -> MetadataError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? MetadataError
        }
    }

    @Test("a code is thrown with its category and outcome, the operation and the time", arguments: ways)
    private func reached(way: Way) async throws {
        let cluster = try await FakeCluster.start(nodes: 1, script: way.script)
        let client = MetadataClient(cluster.options(way.options))
        let began = Date()
        let error = await Self.error { try await way.call(client) }
        await client.close()
        try await cluster.stop()
        let thrown = try #require(error)
        #expect(thrown.code == way.code)
        #expect(thrown.outcome == way.outcome)
        #expect(!thrown.operation.isEmpty && !thrown.detail.isEmpty)
        #expect(thrown.timestamp >= began)
        if thrown.code != .refused {
            #expect(try Self.documentedCategory(thrown.code.rawValue) == thrown.category.rawValue)
        }
        if thrown.code == .circuitOpen { #expect(thrown.retryAfter == .seconds(25)) }
        guard [.overloaded, .circuitOpen, .invalidRequest, .storageFailed, .diskFull].contains(thrown.code) else {
            return
        }
        #expect(thrown.cause == "the cause")
        #expect(
            thrown.metadata == [
                "node_id": "1", "node_operation": "delete_topic", "node_time": "1700000000000",
            ])
    }

    @Test("there is a way to every code")
    func complete() {
        #expect(Set(Self.ways.map(\.code)) == Set(MetadataError.Code.allCases))
    }

    @Test("every refusal arrives with its reason and the category that the documentation gives it")
    func refusals() async throws {
        // These two are the library's own business: it ends as something else.
        let reasons = Refusal.Reason.allCases.filter { $0 != .sessionExpired && $0 != .sequenceOutOfWindow }
        let next = Mutex(reasons)
        let cluster = try await FakeCluster.start(nodes: 1) { _, request, _ in
            guard case .write(let write) = request, write.session != nil else { return nil }
            let reason = next.withLock { $0.removeFirst() }
            return .answer(.write(.refused(Refusal(reason, "because"))))
        }
        let client = MetadataClient(cluster.options())
        for reason in reasons {
            let error = await Self.error { try await client.deleteTopic(.name("t")) }
            #expect(error?.code == .refused)
            #expect(error?.outcome == .definite)
            #expect(error?.refusal == Refusal(reason, "because"))
            #expect(try Self.documentedCategory(reason.rawValue) == error?.category.rawValue, "\(reason)")
        }
        await client.close()
        try await cluster.stop()
    }

    /// The second column of the first row of `docs/errors.md` whose first is this code and whose second is a category.
    private static func documentedCategory(_ code: String) throws -> String? {
        let page = URL(filePath: #filePath).appending(path: "../../../docs/errors.md").standardized
        for line in try String(contentsOf: page, encoding: .utf8).split(separator: "\n")
        where line.hasPrefix("| `\(code)` |") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            if cells.count > 1, MetadataError.Category(rawValue: cells[1]) != nil { return cells[1] }
        }
        return nil
    }
}
