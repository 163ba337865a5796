import MetadataModel
import Testing

/// What is planned and how it is measured, without a cluster.
@Suite("The nemesis")
struct NemesisTests {
    @Test("a seed gives the same schedule again, another seed another one")
    func sameSeed() {
        func schedule(_ seed: UInt64) -> FaultSchedule {
            FaultSchedule(seed: seed, length: .seconds(300), nodes: 5)
        }
        #expect(schedule(3) == schedule(3))
        #expect(schedule(3) != schedule(4))
        // The first faults of a seed: a change of the generator changes what people have noted down.
        let first = schedule(3).rounds[0].faults.prefix(2).map { "\($0.fault) at \($0.begins)" }
        #expect(
            first == [
                "one way, from a follower to the leader, silent at 2.456 seconds",
                "the leader isolated, on and off every 300 ms at 3.676 seconds",
            ])
    }

    @Test("in some hours every kind of fault strikes, within its round, and none beside one that it excludes")
    func everyKind() {
        for nodes in [3, 5] {
            let schedule = FaultSchedule(seed: 1, length: .seconds(4 * 3_600), nodes: nodes)
            #expect(Set(schedule.rounds.flatMap { $0.faults.map(\.fault) }) == Set(FaultSchedule.kinds(nodes)))
            for round in schedule.rounds {
                for (number, fault) in round.faults.enumerated() {
                    #expect(fault.begins + fault.lasts < round.length)
                    for other in round.faults[..<number] where other.overlaps(fault) {
                        #expect(!other.fault.excludes(fault.fault))
                    }
                }
            }
        }
    }

    @Test("a calm lasts as long as it is asked to, and growth is what is left when caches are full")
    func calm() throws {
        let schedule = FaultSchedule(calmFor: .seconds(3_600))
        #expect(schedule.rounds.allSatisfy(\.faults.isEmpty) && schedule.rounds.count == 90)
        #expect(schedule.rounds.map(\.length).reduce(.zero, +) == .seconds(3_600))
        var report = RunReport(scenario: "calm", seed: 1, network: "direct", nodes: 1)
        report.length = 1_000
        for at in UInt64(0)..<1_000 {
            let files = at < 200 ? Int(at) : 200 + Int(at) / 500
            report.samples.append(
                ClusterMonitor.Sample(at: at, nodes: [ClusterMonitor.NodeSample(id: 1, files: files)]))
        }
        let files = try #require(report.growth(of: 1) { $0.files })
        #expect(files.early == 200 && files.late == 201)
        #expect(report.growth(of: 2) { $0.files }?.late == nil)
    }

    @Test("of a few rounds each time to agree is told, of many the median and the longest")
    func agreement() {
        var report = RunReport(scenario: "calm", seed: 1, network: "direct", nodes: 1)
        report.recoveries = [9, 5].map { .milliseconds($0) }
        #expect(report.agreement == "9 ms, 5 ms")
        report.recoveries += [7, 6, 8].map { .milliseconds($0) }
        #expect(report.agreement == "7 ms, at most 9 ms, in 5 rounds")
    }

    @Test("shapes cut what their names say")
    func shapes() {
        func cut(_ partition: Partition, _ members: ClosedRange<Int>) -> String {
            partition.links(of: Array(members)).sorted().map(\.description).joined(separator: " ")
        }
        #expect(cut(.isolated(2), 1...3) == "1>2 2>1 2>3 3>2")
        #expect(cut(.groups([[1, 2], [3]]), 1...4) == "1>3 1>4 2>3 2>4 3>1 3>2 3>4 4>1 4>2 4>3")
        #expect(cut(.oneWay(from: 1, to: 3), 1...3) == "1>3")
        #expect(cut(.deaf(1), 1...3) == "2>1 3>1")
        #expect(cut(.mute(1), 1...3) == "1>2 1>3")
        #expect(cut(.bridge(3), 1...5) == "1>4 1>5 2>4 2>5 4>1 4>2 5>1 5>2")
        #expect(cut(.ring, 1...3) == "1>3 3>1")
        #expect(cut(.ring, 1...5) == "1>3 1>4 2>4 2>5 3>1 3>5 4>1 4>2 5>2 5>3")
    }

    @Test("faults that overlap on a link add up, and leave nothing behind when both end at once")
    func overlappingFaults() async throws {
        let network = SlowNetwork()
        let conditions = LinkConditions(network)
        let links = Link.all([1, 2, 3])
        let one = await conditions.nextNumber()
        let other = await conditions.nextNumber()
        try await conditions.set(Dictionary(uniqueKeysWithValues: links.map { ($0, .silent) }), of: one)
        try await conditions.set([links[0]: .refused, links[1]: LinkCondition(delay: .seconds(1))], of: other)
        #expect(await network.conditions[links[0]]?.passage == .refused)
        #expect(await network.conditions[links[1]] == LinkCondition(passage: .silent, delay: .seconds(1)))
        #expect(await network.conditions[links[2]] == .silent)
        await network.meanwhile { try await conditions.set([:], of: other) }
        try await conditions.set([:], of: one)
        try await network.begun?.value
        #expect(await network.conditions.values.allSatisfy { $0 == .open })
    }

    @Test("unavailability is the longest time without an answer, from the fault to its end and what it outlasts")
    func gaps() {
        let second: UInt64 = 1_000_000_000
        func call(_ at: Double, _ action: RecordedCall.Action, _ ending: RecordedCall.Ending) -> RecordedCall {
            let time = UInt64(at * Double(second))
            return RecordedCall(lane: 1, action: action, invoked: time, returned: time, ending: ending)
        }
        func write(_ at: Double) -> RecordedCall { call(at, .write("r", value: "\(at)"), .done(.zero)) }
        let calls = [
            write(0.5), write(2.5), call(3, .write("r", value: "x"), .unknown("")), write(5), write(9),
            call(6, .read("r"), .value(nil, .zero)), call(6.5, .read("r"), .failed("")),
        ]
        var record = FaultRecord(name: "", began: second, ended: 2 * second)
        Availability(calls, end: 10 * second).measure(&record)
        // From 2.5 to 5; the write at 9 is behind the time that counts, 6, and so is the second before it.
        #expect(record.writesUnavailable == .milliseconds(2_500))
        #expect(record.readsUnavailable == .seconds(5))
    }
}

/// Takes so long for a change that another one comes meanwhile.
private actor SlowNetwork: ClusterNetwork {
    nonisolated let name = "slow"
    private(set) var conditions: [Link: LinkCondition] = [:]
    private var other: (@Sendable () async throws -> Void)?
    private(set) var begun: Task<Void, any Error>?

    func meanwhile(_ other: @escaping @Sendable () async throws -> Void) { self.other = other }

    nonisolated func place(_ id: Int, ports: NodePorts) throws -> NodePlace {
        throw LocalCluster.HarnessFailure(description: "nobody is here")
    }

    func set(_ condition: LinkCondition, on links: [Link]) async throws {
        if let other {
            self.other = nil
            begun = Task { try await other() }
            try await Task.sleep(for: .milliseconds(50))
        }
        for link in links { conditions[link] = condition }
    }

    nonisolated func strikes() -> [Link: Int] { [:] }

    nonisolated func close() {}
}
