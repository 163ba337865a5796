import Foundation
import Logging
import MetadataModel
import MetadataServer
import NIOCore
import RaftCore
import Synchronization
import Telemetry
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@Suite("HTTP servers")
struct HTTPServersTests {
    /// A health that the test can change while the servers run.
    private final class Source: HealthSource {
        private let health: Mutex<NodeHealth>

        init(_ health: NodeHealth) { self.health = Mutex(health) }

        func snapshot() -> NodeHealth { health.withLock { $0 } }

        func change(_ body: @Sendable (inout NodeHealth) -> Void) { health.withLock { body(&$0) } }
    }

    /// A performance that stays.
    private struct Fixed: PerformanceSource {
        var measured: Performance

        func performance() -> Performance { measured }
    }

    private static let performance: Fixed = {
        var measured = Performance()
        measured.queues = ["log": 3]
        measured.inflightRequests = 2
        measured.clientConnections = 1
        measured.clientConnectionsMax = 10
        measured.caches = ["reader_pages": Performance.Cache(bytes: 4_096, hits: 3, misses: 1)]
        return Fixed(measured: measured)
    }()

    private struct Answer {
        var status: Int
        var contentType: String?
        var body: String
        var allow: String?
    }

    private static let moment = Timestamp(seconds: 1_700_000_000, microseconds: 0)

    private static func check(
        _ component: HealthComponent, _ result: CheckResult = .pass, latency: Duration? = nil
    ) -> NodeHealth.Check {
        NodeHealth.Check(
            component: component, result: result, since: moment, checkedAt: moment.advanced(by: .seconds(5)),
            latency: latency)
    }

    private static let leader = NodeHealth(
        nodeID: NodeID(2), clusterID: "test",
        checks: [
            check(.leader, .pass("this node leads")), check(.quorum, .warn("silent: 3")),
            check(.apply, latency: .microseconds(1_250)),
        ],
        raft: NodeHealth.Raft(
            role: .leader, term: Term(4), leader: NodeID(2), commitIndex: LogIndex(90), appliedIndex: LogIndex(89),
            lastLogIndex: LogIndex(91), voters: 3, votersHeard: 2,
            peers: [
                NodeHealth.Peer(id: NodeID(3), matchIndex: LogIndex(40), lagEntries: 51, isActive: false),
                NodeHealth.Peer(id: NodeID(1), matchIndex: LogIndex(91), lagEntries: 0, isActive: true),
            ], sinceLastCommit: .milliseconds(1_250)),
        store: NodeHealth.Store(version: 88, databaseBytes: 4_096, logBytes: 1_024, freeBytes: 1 << 30),
        brokers: NodeHealth.Brokers(
            registered: 3, active: 2, sinceLastHeartbeat: .milliseconds(700), longestSilence: .seconds(9),
            sinceLeaseCheck: .milliseconds(20)),
        coordinator: NodeHealth.Coordinator(
            isRunning: true, activity: "idle",
            rebalance: Rebalance(
                id: Version(7), origin: .request, strategy: .balanced, excluded: [], startedMilliseconds: 1_000,
                state: .ended(.finished, milliseconds: 3_500, detail: ""))))

    private static func configuration(_ overrides: [String: String] = [:]) async throws -> NodeConfiguration {
        try await NodeConfiguration.load(
            file: nil, environment: [:],
            overrides: [
                "node.id": "2", "node.data_dir": "/nowhere", "cluster.id": "test", "health.http.port": "0",
                "metrics.port": "0",
            ].merging(overrides) { _, new in new })
    }

    /// Asks servers that run.
    private struct Asker {
        let addresses: [HTTPServers.Listener: NetworkAddress]

        func callAsFunction(
            _ listener: HTTPServers.Listener, _ path: String, method: String = "GET"
        ) async throws -> Answer {
            let address = try #require(addresses[listener])
            var request = URLRequest(url: try #require(URL(string: "http://\(address)\(path)")))
            request.httpMethod = method
            let (data, response) = try await URLSession.shared.data(for: request)
            let http = try #require(response as? HTTPURLResponse)
            #expect(http.value(forHTTPHeaderField: "Cache-Control") == "no-store")
            return Answer(
                status: http.statusCode, contentType: http.value(forHTTPHeaderField: "Content-Type"),
                body: String(decoding: data, as: UTF8.self), allow: http.value(forHTTPHeaderField: "Allow"))
        }
    }

    /// Runs the servers on ports that the system chooses, and the body with a way to ask them.
    private func withServers(
        _ source: Source, registry: MetricsRegistry = MetricsRegistry(), overrides: [String: String] = [:],
        _ body: (_ get: Asker) async throws -> Void
    ) async throws {
        let (opened, continuation) = AsyncStream.makeStream(of: (HTTPServers.Listener, NetworkAddress).self)
        let servers = HTTPServers(
            configuration: try await Self.configuration(overrides), health: source, performance: Self.performance,
            registry: registry,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            onListening: { continuation.yield(($0, $1)) })
        let running = Task {
            defer { continuation.finish() }
            try await servers.run()
        }
        defer { running.cancel() }
        var addresses: [HTTPServers.Listener: NetworkAddress] = [:]
        for await (listener, address) in opened {
            addresses[listener] = address
            if addresses.count == HTTPServers.Listener.allCases.count { break }
        }
        try await body(Asker(addresses: addresses))
    }

    @Test("a leader with a silent follower is ready, warns, and says who is silent")
    func whole() async throws {
        try await withServers(Source(Self.leader)) { get in
            let answer = try await get(.health, "/health")
            #expect(answer.status == 200)
            #expect(answer.contentType == "application/health+json")
            #expect(
                answer.body == """
                    {"status":"warn","service_id":"metad-2","description":"node 2 of the metadata quorum test",\
                    "node_id":2,"cluster_id":"test","live":true,"ready":true,"reasons":[],\
                    "checks":{"raft:leader":[{"component_type":"component","status":"pass",\
                    "since":"2023-11-14T22:13:20.000000Z","time":"2023-11-14T22:13:25.000000Z",\
                    "output":"this node leads"}],\
                    "raft:quorum":[{"component_type":"component","status":"warn",\
                    "since":"2023-11-14T22:13:20.000000Z","time":"2023-11-14T22:13:25.000000Z","output":"silent: 3"}],\
                    "store:apply":[{"component_type":"datastore","status":"pass",\
                    "since":"2023-11-14T22:13:20.000000Z","time":"2023-11-14T22:13:25.000000Z",\
                    "observed_value":1.25,"observed_unit":"ms"}]},\
                    "raft":{"node_id":2,"role":"leader","term":4,"leader":2,"commit_index":90,"applied_index":89,\
                    "last_log_index":91,"quorum":{"voters":3,"needed":2,"heard":2},\
                    "milliseconds_since_last_commit":1250,\
                    "peers":[{"id":1,"match_index":91,"lag_entries":0,"active":true,"voter":true},\
                    {"id":3,"match_index":40,"lag_entries":51,"active":false,"voter":true}]},\
                    "store":{"version":88,"database_bytes":4096,"log_bytes":1024,"free_bytes":1073741824,\
                    "suspended_reason":null},\
                    "brokers":{"registered":3,"active":2,"milliseconds_since_last_heartbeat":700,\
                    "longest_silence_milliseconds":9000,"milliseconds_since_lease_check":20},\
                    "coordinator":{"running":true,"activity":"idle","moves_under_way":0,"replicas_stuck":0,\
                    "rebalance":{"id":7,"strategy":"balanced","state":"finished","milliseconds":2500}}}
                    """)
        }
    }

    @Test("a page that can only be read says so to who writes, and a page that is not there says that")
    func onlyReading() async throws {
        try await withServers(Source(Self.leader)) { ask in
            for (listener, path) in [(HTTPServers.Listener.health, "/health/live"), (.metrics, "/metrics")] {
                for method in ["POST", "PUT", "DELETE", "PATCH"] {
                    let answer = try await ask(listener, path, method: method)
                    #expect(answer.status == 405, "\(method) \(path)")
                    #expect(answer.allow == "GET, HEAD")
                    #expect(answer.contentType == "application/problem+json")
                }
                #expect(try await ask(listener, path, method: "HEAD").status == 200)
                let answer = try await ask(listener, "/nothing?a=b", method: "POST")
                #expect(answer.status == 404)
                #expect(answer.contentType == "application/problem+json")
                #expect(answer.body.contains(#""operation":"POST /nothing""#))
                #expect(answer.body.contains(path), "it says which pages there are")
            }
        }
    }

    @Test("an error is told as problem details (RFC 9457), with the members by which all our errors are told")
    func problems() async throws {
        try await withServers(Source(Self.leader)) { ask in
            for (path, method, status, code) in [
                ("/nothing", "GET", 404, "not_found"), ("/metrics", "POST", 405, "method_not_allowed"),
            ] {
                let answer = try await ask(.metrics, path, method: method)
                #expect(answer.status == status)
                #expect(answer.contentType == "application/problem+json")
                let object = try JSONSerialization.jsonObject(with: Data(answer.body.utf8))
                let problem = try #require(object as? [String: Any])
                #expect(problem["status"] as? Int == status)
                #expect(problem["type"] as? String == "about:blank")
                #expect(problem["code"] as? String == code)
                #expect(problem["category"] as? String == "invalid_input")
                #expect(problem["outcome"] as? String == "definite")
                #expect(problem["operation"] as? String == "\(method) \(path)")
                for key in ["title", "detail", "timestamp"] { #expect(problem[key] is String, "\(key)") }
            }
        }
    }

    @Test("a node that is not ready answers 503 with its reasons, and still lives")
    func notReady() async throws {
        let source = Source(Self.leader)
        try await withServers(source) { get in
            #expect(try await get(.health, "/health/ready").status == 200)
            source.change {
                $0.checks[0].result = .fail("no leader is known")
                $0.raft.leader = nil
                $0.raft.sinceLastCommit = nil
                $0.raft.votersHeard = nil
            }
            let ready = try await get(.health, "/health/ready")
            #expect(ready.status == 503)
            #expect(ready.body == #"{"status":"fail","reasons":["no leader is known"]}"#)
            #expect(try await get(.health, "/health").status == 503)
            let raft = try await get(.health, "/health/raft")
            #expect(raft.status == 503)
            #expect(raft.contentType == "application/json")
            for member in [#""leader":null,"#, #""heard":null}"#, #""milliseconds_since_last_commit":null,"#] {
                #expect(raft.body.contains(member))
            }
            let live = try await get(.health, "/health/live")
            #expect(live.status == 200)
            #expect(live.body == #"{"status":"pass","reasons":[]}"#)
            // What was decided elsewhere counts whatever the parts do.
            source.change {
                $0.checks[0].result = .pass
                $0.refusals = ["the node is stopping"]
            }
            #expect(try await get(.health, "/health/ready").body.contains("the node is stopping"))
            #expect(try await get(.health, "/health/raft").status == 200)
        }
    }

    @Test("a node that has failed is neither live nor ready")
    func failed() async throws {
        let source = Source(Self.leader)
        source.change { $0.failures = ["fsync failed"] }
        try await withServers(source) { get in
            let live = try await get(.health, "/health/live")
            #expect(live.status == 503)
            #expect(try await get(.health, "/health/ready").body.contains("fsync failed"))
        }
    }

    @Test("how quickly the node works is on a page of its own")
    func performance() async throws {
        try await withServers(Source(Self.leader)) { get in
            let answer = try await get(.health, "/performance")
            #expect(answer.status == 200)
            #expect(answer.contentType == "application/json")
            #expect(
                answer.body == """
                    {"recent":{"seconds":0.0,"operations":{}},"since_start":{"operations":{}},"queues":{"log":3},\
                    "requests":{"in_flight":2,"open_writes":0,"open_reads":0},\
                    "caches":{"reader_pages":{"bytes":4096,"hits":3,"misses":1,"hit_ratio":0.75}},\
                    "pools":{"client_connections":{"in_use":1,"max":10},"watches":{"in_use":0,"max":null}},\
                    "memory":null}
                    """)
        }
    }

    @Test("metrics are on their own port and path, and nowhere else")
    func metrics() async throws {
        let registry = MetricsRegistry()
        registry.gauge("metad_term", help: "The term.").set(4)
        try await withServers(
            Source(Self.leader), registry: registry, overrides: ["metrics.path": "/internal/metrics"]
        ) { get in
            let answer = try await get(.metrics, "/internal/metrics")
            #expect(answer.status == 200)
            #expect(answer.contentType == "text/plain; version=0.0.4; charset=utf-8")
            #expect(answer.body.contains("\nmetad_term 4\n"))
            #expect(try await get(.metrics, "/metrics").status == 404)
            #expect(try await get(.metrics, "/health").status == 404)
            #expect(try await get(.health, "/internal/metrics").status == 404)
        }
    }

    @Test("a port that is taken is an error that names the setting", .timeLimit(.minutes(1)))
    func taken() async throws {
        let taken = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(taken) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                try #require(bind(taken, generic, length) == 0 && listen(taken, 1) == 0)
                try #require(getsockname(taken, generic, &length) == 0)
            }
            return Int(UInt16(bigEndian: pointer.pointee.sin_port))
        }
        let servers = HTTPServers(
            configuration: try await Self.configuration(["metrics.port": "\(port)"]), health: Source(Self.leader),
            performance: Self.performance, registry: MetricsRegistry(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let error = await #expect(throws: ListenError.self) { try await servers.run() }
        #expect(
            error?.description == "cannot listen on 127.0.0.1:\(port): the address is in use; change metrics.port, or "
                + "stop the program that uses the port")
    }

    @Test("an address that the machine does not have is told from a port that is taken")
    func noSuchAddress() {
        let address = NetworkAddress(host: "192.0.2.1", port: 9_090)
        func told(_ code: CInt) -> String {
            ListenError(
                IOError(errnoCode: code, reason: "bind"), address: address, portKey: "metrics.port",
                hostKey: "metrics.bind_address"
            ).description
        }
        #expect(
            told(EADDRNOTAVAIL)
                == "cannot listen on 192.0.2.1:9090: no interface of this machine has the address; change "
                + "metrics.bind_address")
        #expect(told(EACCES).hasSuffix("need a privilege that this process does not have; change metrics.port"))
        #expect(told(ENOBUFS).hasSuffix("look at metrics.bind_address"))
    }
}
