import Foundation
import Logging
import MetadataClient
import MetadataModel
import Telemetry
import Testing
import Wire

@testable import MetadataServer

@Suite("Traces of a cluster", .serialized)
struct TraceTreeTests {
    @Test(
        "a traced write is one tree: client, the leader's propose, append, replicate and apply, the followers' append and apply",
        .timeLimit(.minutes(2)))
    func tree() async throws {
        let collector = try await Collector.started()
        // What is recorded is the client's choice alone.
        let nodes = try NodesInProcess(
            3,
            settings: ["tracing.endpoint": collector.address, "tracing.sampling": "0", "raft.election_timeout": "1s"])
        for id in 1...3 { try await nodes.start(id) }
        let tracer = SpanTracer()
        let exporter = SpanExporter(
            buffer: tracer.buffer, resource: [("service.instance.id", "client")],
            logger: nodes.logs.logger("client"))
        exporter.send(to: HTTPEndpoint(collector: collector.address))
        let client = nodes.client(tracer: tracer)
        try await nodes.waitUntilEven(client, count: 3)
        // Calls of a client that records nothing leave no trace anywhere.
        tracer.configure(sampling: 0)
        _ = try await client.alterConfigs(.cluster, changes: [ConfigChange(name: "user.a", value: "1")])
        tracer.configure(sampling: 1)
        _ = try await client.alterConfigs(.cluster, changes: [ConfigChange(name: "user.a", value: "2")])
        tracer.configure(sampling: 0)
        try await nodes.waitUntilEven(client, count: 3)
        let leader = try #require(
            await client.nodeStatuses().compactMap { answer in
                if case .success(let status) = answer.status, status.role == "leader" {
                    "\(status.nodeID)"
                } else {
                    nil
                }
            }.first)
        tracer.configure(sampling: 1)
        await exporter.export()
        await client.close()
        try await nodes.stopAll()
        #expect(collector.problems == [])

        let spans = collector.spans
        #expect(Set(spans.map(\.trace)).count == 1, "\(spans)")
        let root = try #require(spans.first { $0.parent == nil })
        #expect(root.name == "alterConfigs" && root.kind == 3 && root.sender == "client")
        func below(_ parent: Collector.Span) -> [Collector.Span] { spans.filter { $0.parent == parent.id } }
        let request = try #require(below(root).first)
        #expect(below(root).count == 1)
        #expect(request.name == "alter_configs" && request.kind == 2 && request.sender == leader)
        let steps = below(request)
        #expect(steps.map(\.name).sorted() == ["raft.append", "raft.propose", "raft.replicate", "state.apply"])
        #expect(Set(steps.map(\.sender)) == [leader])
        func step(_ name: String) throws -> Collector.Span { try #require(steps.first { $0.name == name }) }
        let (propose, append) = (try step("raft.propose"), try step("raft.append"))
        let (replicate, apply) = (try step("raft.replicate"), try step("state.apply"))
        let others = below(replicate)
        let followers = Set(["1", "2", "3"]).subtracting([leader])
        #expect(others.filter { $0.name == "raft.append" }.map(\.sender).sorted() == followers.sorted())
        #expect(others.filter { $0.name == "state.apply" }.map(\.sender).sorted() == followers.sorted())
        #expect(spans.count == 2 + steps.count + 4)
        #expect(spans.allSatisfy { !$0.isError })
        // One after the other, as the protocol has it: a majority has it on disk before it is committed, and then it is applied.
        #expect(root.start <= request.start && request.end <= root.end)
        #expect(propose.end <= append.start && propose.end <= replicate.start)
        let synced = ([append] + others.filter { $0.name == "raft.append" }).map(\.end).sorted()
        #expect(synced[1] <= replicate.end)
        #expect(replicate.end <= apply.end && apply.end <= request.end)
        try await collector.stop()
    }

    @Test("an error names the request, and the node's log has the line of it", .timeLimit(.minutes(2)))
    func correlation() async throws {
        let nodes = try NodesInProcess(1)
        try await nodes.start(1)
        let client = nodes.client()
        try await nodes.waitUntilEven(client, count: 1)
        let answer = try await client.setLogLevel("debug", component: "clients", of: nodes.endpoints[0])
        #expect(answer.isDone, "\(answer.detail)")
        let error = await #expect(throws: MetadataError.self) {
            _ = try await client.heartbeat(
                .init(broker: BrokerID(9), epoch: BrokerEpoch(1), caughtUpVersion: .zero, wantsFence: false))
        }
        let request = try #require(error?.requestID)
        #expect("\(try #require(error))".hasSuffix("(request \(request))"))
        let line = try #require(try nodes.lines().first { $0["request_id"] == request })
        #expect(line["operation"] == "heartbeat" && line["error"] == "unknown_broker" && line["level"] == "debug")
        #expect(Double(line["duration_ms"] ?? "") != nil)
        let audit = try #require(try nodes.lines().first { $0["component"] == "audit" })
        #expect(audit["what"] == "log-level debug of clients" && audit["result"] == "ok")
        #expect(audit["from"]?.contains("127.0.0.1") == true)
        await client.close()
        try await nodes.stopAll()
    }
}
