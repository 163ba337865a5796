import Coordination
import MetadataModel
import Synchronization
import Testing

@testable import metactl

@Suite("Benchmarks")
struct BenchTests {
    @Test("the planner's benchmark finds even plans with hardly more moves than there must be")
    func plan() {
        let benchmark = PlanBenchmark(brokers: 20, racks: 5, partitions: 2_000, replicationFactor: 3)
        let scattered = benchmark.scattered()
        let plan = RebalancePlanner.plan(scattered)
        let floor = PlanBenchmarkReport.floor(scattered, plan)
        #expect(floor > 0 && plan.replicaMoves >= floor)
        let changes: [(inout [ClusterLayout.Broker]) -> Void] = [
            { $0.append(.init(id: BrokerID(20), rack: benchmark.rack(of: 0), role: .open)) },
            { $0[3].role = .draining },
        ]
        for change in changes {
            let changed = benchmark.changed(scattered, plan, change)
            let next = RebalancePlanner.plan(changed)
            let needed = PlanBenchmarkReport.floor(changed, next)
            #expect(
                needed > 250 && Double(next.replicaMoves) <= 1.05 * Double(needed), "\(next.replicaMoves), \(needed)")
            #expect(next.after.imbalance < 0.01 && next.after.leaderImbalance < 0.01)
        }
    }

    /// Requests that wait until the test answers them.
    private final class Requests: Sendable {
        private let open = Mutex<[(number: Int, done: @Sendable (BenchAnswer) -> Void)]>([])

        var operation: BenchOperation {
            { number, done in self.open.withLock { $0.append((number, done)) } }
        }

        var numbers: [Int] { open.withLock { $0.map(\.number) } }

        func answerFirst(_ answer: BenchAnswer) {
            let first = open.withLock { $0.removeFirst() }
            first.done(answer)
        }
    }

    private func collect(_ lane: BenchLane) -> (UInt64, [String: Int]) {
        var latencies = Latencies()
        var errors: [String: Int] = [:]
        lane.collect(into: &latencies, errors: &errors)
        return (latencies.count, errors)
    }

    @Test("an answer sends the next request, at the lane's stride")
    func closedLoop() {
        let requests = Requests()
        let lane = BenchLane(first: 1, stride: 4, operation: requests.operation)
        lane.start(2)
        #expect(requests.numbers == [1, 5])
        requests.answerFirst(.success)
        #expect(requests.numbers == [5, 9])
        #expect(lane.inFlight == 2)
        #expect(collect(lane) == (1, [:]))
        #expect(collect(lane) == (0, [:]))
    }

    @Test("a failed request is counted by its code and sent again only when the runner says so")
    func parked() {
        let requests = Requests()
        let lane = BenchLane(first: 0, stride: 1, operation: requests.operation)
        lane.start(1)
        requests.answerFirst(.failure("unavailable"))
        #expect(requests.numbers == [])
        #expect(lane.inFlight == 0)
        lane.resumeParked()
        lane.resumeParked()
        #expect(requests.numbers == [1])
        #expect(collect(lane) == (0, ["unavailable": 1]))
    }

    @Test("a client that fails every request at once does not turn the loop into a recursion")
    func immediateFailure() {
        let sent = Atomic<Int>(0)
        let lane = BenchLane(first: 0, stride: 1) { _, done in
            sent.wrappingAdd(1, ordering: .relaxed)
            done(.failure("unavailable"))
        }
        lane.start(3)
        #expect(sent.load(ordering: .relaxed) == 3)
        lane.resumeParked()
        #expect(sent.load(ordering: .relaxed) == 6)
    }

    @Test("a stopped lane sends nothing more and still takes the answers that are out")
    func stopped() {
        let requests = Requests()
        let lane = BenchLane(first: 0, stride: 1, operation: requests.operation)
        lane.start(2)
        lane.stop()
        requests.answerFirst(.success)
        #expect(lane.inFlight == 1)
        #expect(requests.numbers == [1])
        lane.start(1)
        #expect(requests.numbers == [1])
    }

    @Test("the gap is the longest time between two successes that ends after the kill, also when it began before")
    func gap() {
        let meter = GapMeter()
        let start = ContinuousClock.now
        func at(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }
        meter.succeeded(at: at(0))
        // A longer gap that was over before the kill does not count.
        meter.succeeded(at: at(900))
        meter.begin(at: at(950))
        meter.succeeded(at: at(960))
        meter.succeeded(at: at(1_300))
        // Reported late by another thread: it splits no gap that was counted, and moves nothing back.
        meter.succeeded(at: at(1_200))
        meter.succeeded(at: at(1_310))
        #expect(meter.longest(at: at(1_400)) == .milliseconds(340))
        #expect(meter.successes == 3)
        #expect(meter.longest(at: at(2_000)) == .milliseconds(690), "a gap that is still open counts")
        meter.begin(at: at(2_000))
        meter.succeeded(at: at(2_100))
        #expect(meter.longest(at: at(2_100)) == .milliseconds(790), "it began before and ended after")
    }

    @Test("two writes of a key that follow each other have different values", arguments: [1, 61, 100, 256])
    func workloadValues(keys: Int) {
        let workload = BenchWorkload(keys: keys, valueSize: 8)
        for number in 0..<(keys * 3) {
            #expect(workload.value(number) != workload.value(number + keys))
            #expect(workload.value(number).utf8.count == 8)
        }
    }

    @Test("each read asks for exactly the key of its number, by the order of names")
    func workloadReads() {
        let workload = BenchWorkload(keys: 120, valueSize: 1)
        #expect(workload.names == workload.names.sorted())
        for number in [0, 1, 9, 10, 99, 100, 119, 120] {
            guard case .configs(.cluster, let after?, 1) = workload.query(number) else {
                Issue.record("not a read of one key: \(workload.query(number))")
                continue
            }
            #expect(workload.names.first { $0 > after } == workload.names[number % 120])
        }
    }

    @Test("all keys are written in commands that stay within the model's limits")
    func workloadCreation() {
        let workload = BenchWorkload(keys: Limits.configsPerResourceMax, valueSize: Limits.configValueBytesMax)
        var names: [String] = []
        for command in workload.creation {
            guard case .alterConfigs(let alter) = command else { continue }
            #expect(alter.changes.count <= Limits.configChangesPerCommandMax)
            #expect(alter.changes.reduce(0) { $0 + ($1.value?.utf8.count ?? 0) } <= Limits.commandBytesMax / 2)
            names += alter.changes.map(\.name)
        }
        #expect(names == workload.names)
    }

    @Test("more keys than a resource holds are spread over topics")
    func workloadTopics() throws {
        let workload = BenchWorkload(keys: 1_000, valueSize: 8)
        #expect(workload.topics.count == 4)
        #expect(workload.keyCount == 1_000)
        var written: Set<String> = []
        for number in 0..<1_000 {
            guard case .alterConfigs(let alter) = workload.command(number),
                case .topic(.id(let topic)) = alter.resource,
                case .configs(let read, let after?, 1) = workload.query(number)
            else {
                Issue.record("not a key of a topic: \(workload.command(number))")
                continue
            }
            #expect(read == alter.resource)
            #expect(workload.names.first { $0 > after } == alter.changes.first?.name)
            written.insert("\(topic)/\(alter.changes[0].name)")
            #expect(workload.value(number) != workload.value(number + 1_000))
        }
        #expect(written.count == 1_000)
        var created: [TopicID] = []
        var prepared = 0
        for command in workload.creation {
            switch command {
            case .createTopic(let topic):
                created.append(topic.id)
                #expect(topic.name == BenchWorkload.topicName(topic.id))
            case .alterConfigs(let alter): prepared += alter.changes.count
            default: Issue.record("not expected: \(command)")
            }
        }
        #expect(created == workload.topics)
        #expect(prepared == 1_000)
        #expect(workload.removal == workload.topics.map { .deleteTopic(topic: .id($0), ifVersion: nil) })
    }

    @Test("processor time is read behind a name that may hold anything")
    func processorTicks() {
        let status = "42 (a ) 1 (b) S 1 42 42 0 -1 4194560 5 0 0 0 700 33 0 0 20 0 4 0 100 1 2"
        #expect(ProcessorMeter.ticks(inStatus: status) == 733)
        #expect(ProcessorMeter.ticks(inStatus: "42 (a) S 1") == nil)
        #expect(throws: CommandFailure.self) { try ProcessorMeter(pidDirectory: "/nonexistent") }
    }

    @Test("the median is the middle, percentiles are by nearest rank")
    func statistics() {
        #expect(Numbers.median([]) == 0)
        #expect(Numbers.median([3, 1, 2]) == 2)
        #expect(Numbers.median([4, 1, 2, 3]) == 2.5)
        #expect(Numbers.percentile([], 99) == 0)
        #expect(Numbers.percentile((1...100).map(Double.init), 99) == 99)
        #expect(Numbers.percentile([5, 1, 3], 99) == 5)
        #expect(Numbers.percentile([5, 1, 3], 0) == 1)
    }

    @Test("latencies keep three digits, and no latency is beyond the histogram")
    func latencies() {
        var latencies = Latencies()
        #expect(latencies.maxMilliseconds == 0)
        for milliseconds in 1...1_000 { latencies.record(.milliseconds(milliseconds)) }
        latencies.record(.seconds(100_000))
        #expect(latencies.count == 1_001)
        #expect(abs(latencies.milliseconds(atPercentile: 50) - 501) < 1)
        #expect(abs(latencies.maxMilliseconds - 600_000) < 600)
    }

    @Test("a change is seen by all when the last watcher was told, whatever the order in which they say so")
    func watchMeter() {
        let meter = WatchMeter(watchers: 2)
        let begun = ContinuousClock.now
        #expect(meter.seenByAll(Version(7)) == nil)
        meter.saw(Version(7), at: begun + .milliseconds(5))
        #expect(meter.count(Version(7)) == 1)
        #expect(meter.seenByAll(Version(7)) == nil)
        meter.saw(Version(8), at: begun + .milliseconds(9))
        meter.saw(Version(7), at: begun + .milliseconds(3))
        #expect(meter.seenByAll(Version(7)) == begun + .milliseconds(5))
        #expect(meter.seenByAll(Version(8)) == nil)
    }

    @Test("the result of a benchmark has the documented keys")
    func report() throws {
        var measurement = BenchMeasurement()
        for _ in 0..<4 { measurement.latencies.record(.milliseconds(2)) }
        measurement.errors = ["timed_out": 2]
        measurement.elapsed = .seconds(2)
        let report = BenchReport(
            benchmark: "write", consistency: nil, clients: 64, connections: 2, valueSize: 256, keys: 100,
            measurement: measurement)
        let line = try JSON.line(report)
        #expect(
            line
                == #"{"benchmark":"write","clients":64,"connections":2,"consistency":null,"duration_seconds":2,"errors":2,"#
                + #""errors_by_code":{"timed_out":2},"keys":100,"max_ms":2,"p50_ms":2,"p90_ms":2,"p999_ms":2,"#
                + #""p99_ms":2,"requests":4,"server_us_per_request":null,"throughput":2,"value_size":256}"#)
        measurement.serverTime = .milliseconds(1)
        let counted = BenchReport(
            benchmark: "write", consistency: nil, clients: 64, connections: 2, valueSize: 256, keys: 100,
            measurement: measurement)
        #expect(counted.serverUs == 250)
    }

    @Test("the result of a failover benchmark counts rounds and failed writes")
    func failoverReport() throws {
        let rounds = [300.0, 100, 200].enumerated().map { index, gap in
            FailoverRound(round: index + 1, killedNode: 1, newLeader: 2, newTerm: 5, gapMs: gap, writes: 7)
        }
        let report = FailoverReport(
            clients: 16, connections: 1, valueSize: 256, rounds: rounds, errors: ["timed_out": 1, "overloaded": 2])
        #expect(report.medianMs == 200)
        #expect(report.maxMs == 300)
        #expect(report.errors == 3)
        #expect(
            try JSON.line(rounds[0])
                == #"{"end":"killed","gap_ms":300,"killed_node":1,"new_leader":2,"new_term":5,"round":1,"writes":7}"#)
    }
}
