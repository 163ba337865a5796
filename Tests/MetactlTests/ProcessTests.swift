import Dispatch
import Foundation
import MetadataModel
import Testing

/// Runs the program itself against a node of its own.
@Suite("The program")
struct ProcessTests {
    struct Run: Sendable {
        var status: Int32
        var output: String
        var errors: String

        /// The one JSON document on standard output.
        func json() throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        }
    }

    /// The program stands beside the tests.
    private static let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        .appending(path: "metactl")

    private func metactl(_ line: String, _ node: TestNode) async throws -> Run {
        let process = Process()
        process.executableURL = ProcessTests.program
        process.arguments = line.split(separator: " ").map(String.init) + ["--endpoints", node.endpoint]
        let folder = FileManager.default.temporaryDirectory.appending(path: "metactl-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let (output, errors) = (folder.appending(path: "output"), folder.appending(path: "errors"))
        for file in [output, errors] { try Data().write(to: file) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        let status: Int32 = try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do {
                try process.run()
            } catch {
                process.terminationHandler = nil
                continuation.resume(throwing: error)
            }
        }
        let run = Run(
            status: status, output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
        try FileManager.default.removeItem(at: folder)
        return run
    }

    @Test("a node is told how much to log and to read its settings again, by its id and by its address")
    func nodeControl() async throws {
        try await TestNode.run { node in
            let level = try await metactl("log-level 1 debug --component raft", node)
            #expect(level.status == 0 && level.output == "debug of raft\n", "\(level.errors)")
            let reload = try await metactl("reload \(node.endpoint) -o json", node)
            #expect(try reload.json()["message"] as? String == "nothing changed")
            let unknown = try await metactl("log-level 1 debug --component raft2", node)
            #expect(unknown.status == 1 && unknown.errors == "metactl: refused: not_done: debug of raft2\n")
            let stranger = try await metactl("reload 9", node)
            #expect(stranger.status == 3 && stranger.errors.contains("node 9 is not known"))
        }
    }

    @Test("a topic is created, described, altered and deleted, on brokers that were registered and unfenced")
    func topicLife() async throws {
        try await TestNode.run { node in
            for id in 1...2 {
                let registered = try await metactl(
                    "brokers register --id \(id) --host h\(id) --port 9092 --rack r\(id)", node)
                #expect(registered.status == 0)
                #expect(try await metactl("brokers unfence \(id)", node).status == 0)
            }
            let created = try await metactl(
                "topics create orders --partitions 2 --replication-factor 2 --config retention.ms=1000 -o json", node)
            #expect(created.status == 0, "\(created.errors)")
            let topic = try #require(try created.json()["topic"] as? [String: Any])
            #expect(topic["name"] as? String == "orders")
            #expect(topic["partition_count"] as? Int == 2)

            let again = try await metactl("topics create orders --partitions 2 --replication-factor 2", node)
            #expect(again.status == 1)
            #expect(again.output.isEmpty)
            #expect(again.errors.hasPrefix("metactl: refused: topic_exists: "))
            #expect(again.errors.split(separator: "\n").count == 1)

            #expect(try await metactl("topics alter orders --config retention.ms=5 --partitions 3", node).status == 0)
            let described = try await metactl("topics describe orders -o json", node).json()
            #expect((described["partitions"] as? [[String: Any]])?.count == 3)
            #expect((described["configs"] as? [[String: Any]])?.first?["value"] as? String == "5")

            let partition = try await metactl("partitions describe orders 1 -o json", node).json()
            let first = try #require((partition["partitions"] as? [[String: Any]])?.first)
            let leader = try #require(first["leader"] as? Int)
            #expect(try await metactl("partitions set-leader orders 1 \(3 - leader)", node).status == 0)
            let moved = try await metactl("partitions describe orders 1 -o json", node).json()
            #expect((moved["partitions"] as? [[String: Any]])?.first?["leader"] as? Int == 3 - leader)

            #expect(try await metactl("partitions describe orders 9", node).status == 1)
            #expect(try await metactl("topics delete orders --if-version 1", node).status == 1)
            #expect(try await metactl("topics delete orders", node).status == 0)
            let gone = try await metactl("topics describe orders -o json", node)
            #expect(gone.status == 1)
            #expect(gone.errors.hasPrefix(#"{"error":{"category":"refused","code":"topic_not_found","#))
            #expect(try await metactl("topics list -o json", node).json()["topics"] as? [String] == [])
        }
    }

    @Test("a failure behind the first of several commands shows what is done, and ends with 4")
    func failsHalfway() async throws {
        try await TestNode.run(.losesLeaderByElection) { node in
            #expect(try await metactl("brokers register --id 1 --host h --port 9092", node).status == 0)
            #expect(try await metactl("brokers unfence 1", node).status == 0)
            let count = Limits.partitionsPerCommandMax + 1
            let created = try await metactl("topics create orders --partitions \(count) --replication-factor 1", node)
            #expect(created.status == 0, "\(created.errors)")
            let elected = try await metactl("partitions elect-leader orders -o json --timeout 500ms", node)
            #expect(elected.status == 4)
            let results = try #require(try elected.json()["results"] as? [[String: Any]])
            #expect(results.count == Limits.partitionsPerCommandMax)
            #expect(results.first?["leader"] as? Int == 1)
            #expect(
                elected.errors.contains("\(Limits.partitionsPerCommandMax) of \(count) partitions are done; then: "))
            // Nothing was changed by one that fails at once.
            #expect(try await metactl("partitions elect-leader orders --timeout 500ms", node).status == 3)
        }
    }

    @Test("replicas are moved, leaders elected, brokers drained, shut down and forced out")
    func partitionLife() async throws {
        try await TestNode.run { node in
            for id in 1...3 {
                let line = "brokers register --id \(id) --host h --port 9092 --capacity \(id * 100) --tag disk=nvme"
                #expect(try await metactl(line, node).status == 0)
                #expect(try await metactl("brokers unfence \(id)", node).status == 0)
            }
            #expect(try await metactl("topics create orders --assignment 1,2:2,1", node).status == 0)
            let moved = try await metactl("partitions reassign orders 0 --replicas 1,3", node)
            #expect(moved.status == 0, "\(moved.errors)")
            let moving = try await metactl("partitions list --reassigning -o json", node).json()
            let partition = try #require((moving["partitions"] as? [[String: Any]])?.first)
            #expect(partition["topic"] as? String == "orders" && partition["adding"] as? [Int] == [3])
            #expect(try await metactl("partitions reassign orders 0 --cancel", node).status == 0)
            let nothing = try await metactl("partitions reassign orders 0 --cancel", node)
            #expect(nothing.status == 1)
            #expect(nothing.output.contains("no_reassignment_in_progress: "))
            #expect(nothing.errors == "metactl: refused: partitions_refused: 1 of 1 partitions were refused\n")

            let stopping = try await metactl("brokers shutdown 2", node)
            #expect(stopping.output.hasPrefix("broker 2 leads nothing any more and may stop"))
            let short = try await metactl("partitions list --under-replicated", node)
            #expect(short.output.split(separator: "\n").count == 3)
            #expect(try await metactl("brokers fence 2", node).status == 0)
            #expect(try await metactl("brokers drain 2", node).status == 0)
            let listed = try await metactl("brokers list -o json", node).json()
            let second = try #require((listed["brokers"] as? [[String: Any]])?.dropFirst().first)
            #expect(second["draining"] as? Bool == true && second["capacity"] as? Int == 200)
            #expect(try await metactl("brokers cancel-drain 2", node).status == 0)
            #expect(try await metactl("brokers unregister 2", node).status == 1)
            #expect(try await metactl("brokers unregister 2 --force", node).status == 0)
            #expect(try await metactl("brokers fence 1", node).status == 0)
            let offline = try await metactl("partitions list --offline", node)
            #expect(offline.output.split(separator: "\n").count == 3)
            let unclean = try await metactl("partitions elect-leader --all --election unclean", node)
            #expect(unclean.status == 1)
            #expect(unclean.output.contains("eligible_leaders_not_available"))
            #expect(try await metactl("brokers unfence 1", node).status == 0)
            #expect(try await metactl("partitions elect-leader orders", node).status == 0)
            #expect(try await metactl("partitions list --offline --reassigning", node).status == 2)
            #expect(try await metactl("partitions reassign orders 0", node).status == 2)
        }
    }

    @Test("fencing and shutdown of a broker with many partitions are waited for, or say what is left")
    func steps() async throws {
        try await TestNode.run { node in
            #expect(try await metactl("feature-level --raise", node).status == 0)
            for id in 1...2 {
                #expect(try await metactl("brokers register --id \(id) --host h --port 9092", node).status == 0)
                #expect(try await metactl("brokers unfence \(id)", node).status == 0)
            }
            let count = Limits.partitionsAtOnceMax + 1
            let assignment = Array(repeating: "1,2", count: count).joined(separator: ":")
            #expect(try await metactl("topics create orders --assignment \(assignment)", node).status == 0)

            // This node has no coordinator that goes on: each command is a step.
            let begun = try await metactl("brokers shutdown 1 --no-wait -o json", node)
            #expect(begun.status == 0, "\(begun.errors)")
            let first = try begun.json()
            #expect(first["message"] as? String == "began to move leadership off broker 1")
            #expect(first["done"] is NSNull && first["remaining"] is NSNull && first["waited_seconds"] is NSNull)
            let done = try await metactl("brokers shutdown 1", node)
            #expect(done.status == 0, "\(done.errors)")
            #expect(done.output.hasPrefix("broker 1 leads nothing any more and may stop at version "))

            let late = try await metactl("brokers fence 2 --timeout 1s -o json", node)
            #expect(late.status == 4)
            let rest = try late.json()
            #expect(rest["done"] as? Bool == false && rest["remaining"] as? Int == count)
            #expect(rest["message"] as? String == "began to fence broker 2")
            #expect(late.errors.contains(#""code":"not_done_yet""#))
            #expect(late.errors.contains("\(count) partitions still rely on broker 2 after "))
            // It led them alone: they are offline until it is back.
            let fenced = try await metactl("brokers fence 2", node)
            #expect(fenced.status == 0 && fenced.output.hasPrefix("fenced broker 2 at version "))
            let back = try await metactl("brokers unfence 2 -o json", node)
            #expect(back.status == 0, "\(back.errors)")
            let last = try back.json()
            #expect(last["done"] as? Bool == true && last["remaining"] as? Int == 0)
            #expect(try await metactl("brokers fence 1", node).status == 0)
            let out = try await metactl("brokers unregister 1 --force", node)
            #expect(out.status == 0 && out.output.hasPrefix("unregistered broker 1 at version "), "\(out.errors)")
        }
    }

    @Test("a plan shows moves and loads, and changes nothing")
    func rebalancePlan() async throws {
        try await TestNode.run { node in
            for id in 1...3 {
                #expect(try await metactl("brokers register --id \(id) --host h --port 9092", node).status == 0)
                #expect(try await metactl("brokers unfence \(id)", node).status == 0)
            }
            #expect(try await metactl("topics create orders --assignment 1,2:1,2:1,2:1,2", node).status == 0)
            let plan = try await metactl("rebalance plan -o json", node)
            #expect(plan.status == 0, "\(plan.errors)")
            let json = try plan.json()
            #expect(json["replica_moves"] as? Int == 2)
            #expect((json["moves"] as? [[String: Any]])?.first?["topic"] as? String == "orders")
            let brokers = try #require(json["brokers"] as? [[String: Any]])
            #expect(brokers.compactMap { $0["replicas_after"] as? Int } == [3, 3, 2])
            #expect(brokers.compactMap { $0["leaders_after"] as? Int }.sorted() == [1, 1, 2])
            let table = try await metactl("rebalance plan --limit 1", node)
            #expect(table.output.hasPrefix("STRATEGY balanced   PARTITIONS 4   REPLICA-MOVES 2   "))
            #expect(table.output.contains(": see --limit\n") && table.output.contains("++"))
            #expect(try await metactl("brokers drain 1", node).status == 0)
            let sticky = try await metactl("rebalance plan --strategy sticky -o json", node).json()
            #expect(sticky["replica_moves"] as? Int == 4)
            let stuck = try await metactl("rebalance plan --exclude 3", node)
            #expect(stuck.output.contains("BLOCKED orders 0 stays on broker 1: every broker that may be given"))
            #expect(try await metactl("rebalance plan --exclude 9", node).status == 1)
            let moving = try await metactl("partitions list --reassigning", node)
            #expect(moving.output.split(separator: "\n").count == 1)
        }
    }

    @Test("watch prints what happened since a version and ends after --count changes")
    func watch() async throws {
        try await TestNode.run { node in
            #expect(try await metactl("configs alter --config user.a=1", node).status == 0)
            #expect(try await metactl("brokers register --id 1 --host h --port 1", node).status == 0)
            #expect(try await metactl("configs alter --config user.a=2", node).status == 0)
            let run = try await metactl("watch --from 0 --count 3", node)
            #expect(run.status == 0)
            let kinds = run.output.split(separator: "\n").map {
                $0.split(separator: " ", omittingEmptySubsequences: true)[1]
            }
            #expect(kinds == ["config_changed", "broker_changed", "config_changed"])
            let filtered = try await metactl("watch --from 0 --count 1 --broker 1 -o json", node)
            #expect(try filtered.json()["change"] as? String == "broker_changed")
        }
    }

    @Test("status of a healthy node ends with 0, without a leader with 3, and prints the node both times")
    func status() async throws {
        try await TestNode.run { node in
            let run = try await metactl("status -o json", node)
            #expect(run.status == 0)
            let status = try run.json()
            #expect(status["leader"] as? Int == 1)
            #expect(status["cluster_id"] as? String == "test")
            #expect((status["nodes"] as? [[String: Any]])?.first?["healthy"] as? Bool == true)
        }
        try await TestNode.run(.hasNoLeader) { node in
            let run = try await metactl("status", node)
            #expect(run.status == 3)
            #expect(run.output.contains("1     candidate"))
            #expect(run.errors.hasPrefix("metactl: unavailable: no_leader: "))
        }
    }

    @Test(
        "a write that was sent and never answered ends with 4: its outcome is unknown (an ambiguous outcome is no failure)"
    )
    func unknownOutcome() async throws {
        try await TestNode.run(.swallowsWrites) { node in
            let run = try await metactl("configs alter --config user.a=1 --timeout 500ms -o json", node)
            #expect(run.status == 4)
            #expect(run.errors.contains(#""outcome":"indefinite""#))
            #expect(run.output.isEmpty)
        }
    }

    @Test("a write without a leader ends with 3: it was certainly not carried out")
    func noLeader() async throws {
        try await TestNode.run(.hasNoLeader) { node in
            let run = try await metactl("configs alter --config user.a=1 --timeout 500ms", node)
            #expect(run.status == 3)
            let read = try await metactl("topics list --timeout 500ms", node)
            #expect(read.status == 3)
        }
    }

    @Test("bench watch waits until each change has come to each watcher, and leaves no key behind")
    func benchWatch() async throws {
        try await TestNode.run { node in
            let run = try await metactl(
                "bench watch --watchers 60 --connections 3 --rate 20 --duration 1s -o json", node)
            #expect(run.status == 0, "\(run.errors)")
            let report = try run.json()
            #expect(report["watchers"] as? Int == 60)
            #expect(report["connections"] as? Int == 3)
            #expect(try #require(report["changes"] as? Int) >= 5)
            #expect(try #require(report["max_ms"] as? Double) > 0)
            #expect(try await metactl("configs describe -o json", node).json()["configs"] as? [String] == [])
        }
    }

    @Test("bench measures writes and reads, and leaves no key behind")
    func bench() async throws {
        try await TestNode.run { node in
            let options = "--clients 8 --connections 2 --duration 300ms --warmup 50ms --keys 20 -o json"
            for kind in ["write", "read"] {
                let run = try await metactl("bench \(kind) \(options)", node)
                #expect(run.status == 0, "\(run.errors)")
                let report = try run.json()
                #expect(report["errors"] as? Int == 0, "\(run.output)")
                #expect(try #require(report["throughput"] as? Double) > 0)
                #expect(try #require(report["p50_ms"] as? Double) > 0)
            }
            #expect(try await metactl("configs describe -o json", node).json()["configs"] as? [String] == [])
        }
    }

    @Test("a demo broker registers, says when it may lead, and ends with 0 at SIGTERM")
    func demoBroker() async throws {
        try await TestNode.run { node in
            let process = Process()
            process.executableURL = ProcessTests.program
            process.arguments = [
                "demo-broker", "--id", "4", "--port", "9092", "--endpoints", node.endpoint, "--output", "json",
            ]
            let pipe = Pipe()
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = pipe
            let ended = AsyncStream<Int32>.makeStream()
            process.terminationHandler = { ended.continuation.yield($0.terminationStatus) }
            try process.run()
            let printed = await read(pipe.fileHandleForReading, until: #""event":"unfenced""#)
            #expect(printed.contains(#""event":"registered""#))
            process.terminate()
            let rest = await read(pipe.fileHandleForReading, until: nil)
            #expect(rest.contains(#""event":"stopping","reason":"SIGTERM""#))
            var ends = ended.stream.makeAsyncIterator()
            #expect(await ends.next() == 0)
            #expect(try await metactl("brokers describe 4", node).status == 0)
        }
    }

    @Test("a reader that leaves early is no failure, as in metactl watch | head")
    func closedOutput() async throws {
        try await TestNode.run { node in
            let process = Process()
            process.executableURL = ProcessTests.program
            process.arguments = ["status", "--endpoints", node.endpoint]
            let pipe = Pipe()
            try pipe.fileHandleForReading.close()
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = pipe
            let ended = AsyncStream<(Process.TerminationReason, Int32)>.makeStream()
            process.terminationHandler = { ended.continuation.yield(($0.terminationReason, $0.terminationStatus)) }
            try process.run()
            var ends = ended.stream.makeAsyncIterator()
            let end = try #require(await ends.next())
            #expect(end.0 == .exit)
            #expect(end.1 == 0)
        }
    }

    /// What arrives until `text` has come, or until the end.
    private func read(_ file: FileHandle, until text: String?) async -> String {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                var printed = ""
                while true {
                    let data = file.availableData
                    printed += String(decoding: data, as: UTF8.self)
                    if data.isEmpty || text.map(printed.contains) == true { break }
                }
                continuation.resume(returning: printed)
            }
        }
    }
}
