import Foundation
import MetadataClient
import MetadataModel
import RaftCore

/// Does to a running cluster what was planned, and proves of each fault that it happened.
actor Nemesis {
    let cluster: LocalCluster
    let monitor: ClusterMonitor
    let client: MetadataClient
    /// Nil where the faults that need it are not planned.
    let library: FaultLibrary?
    private let losesPower: Bool
    let brokers: SimulatedBrokers?
    /// Members from the start; the next number is that of the member that comes and goes.
    let members: [Int]
    let clock: RunClock
    private var random: SeededGenerator
    /// What is cut and degraded by the faults that are under way.
    let links: LinkConditions
    private(set) var records: [FaultRecord] = []
    /// Faults that did not happen as planned, or what did not come back from them.
    private(set) var failures: [(planned: PlannedFault, reason: String)] = []

    init(
        _ cluster: LocalCluster, _ monitor: ClusterMonitor, client: MetadataClient, library: FaultLibrary?,
        losesPower: Bool, brokers: SimulatedBrokers?, members: Int, clock: RunClock, seed: UInt64
    ) {
        self.cluster = cluster
        self.monitor = monitor
        self.client = client
        self.library = library
        self.losesPower = losesPower
        self.brokers = brokers
        self.members = Array(1...members)
        self.clock = clock
        links = LinkConditions(cluster.network)
        random = SeededGenerator(seed: seed, stream: 0x4E45)
    }

    /// Returns when all of it is over.
    ///
    /// - Parameter start: the beginning of the round, from which the faults count.
    func run(_ faults: [PlannedFault], from start: UInt64) async {
        await withTaskGroup(of: Void.self) { group in
            for planned in faults {
                group.addTask {
                    // Cut short, the rest of the run is cut short too.
                    try? await self.clock.sleep(until: start + planned.begins.wholeNanoseconds)
                    await self.strike(planned)
                }
            }
        }
    }

    private func strike(_ planned: PlannedFault) async {
        let now = clock.now
        var record = FaultRecord(name: "\(planned.fault)", began: now, ended: now)
        do {
            try await strike(planned.fault, lasting: planned.lasts, &record)
        } catch {
            failures.append((planned, "\(planned.fault): \(error)"))
            if record.evidence.isEmpty { record.evidence = "not shown: \(error)" }
            await recover(record.nodes)
        }
        if record.ended <= record.began { record.ended = clock.now }
        records.append(record)
    }

    /// A fault that broke off leaves no node behind that does not run.
    private func recover(_ nodes: [Int]) async {
        for id in nodes where id <= members.count {
            await cluster.resume(id)
            do {
                try await restart(id)
            } catch {
                print("node \(id) does not start: \(error)")
            }
        }
    }

    /// From here on the fault counts.
    func begins(_ record: inout FaultRecord) { record.began = clock.now }
    func ends(_ record: inout FaultRecord) { record.ended = clock.now }

    /// Lets a fault last. A run that is cut short ends it at once.
    func last(_ time: Duration) async { try? await Task.sleep(for: time) }

    // MARK: Who is meant

    func leader() async throws -> Int {
        if let leader = monitor.latest?.leader?.id, await cluster.processID(of: leader) != nil { return leader }
        return try await cluster.leader()
    }

    /// Behind the leader, in the order of numbers.
    private func followers() async throws -> [Int] {
        let leader = try await self.leader()
        // A member that came later may lead; then all others follow.
        guard let place = members.firstIndex(of: leader) else { return members }
        return Array(members[(place + 1)...] + members[..<place])
    }

    func nodes(_ target: Fault.Target) async throws -> [Int] {
        switch target {
        case .leader: [try await leader()]
        case .follower: Array(try await followers().prefix(1))
        case .followers: try await followers()
        case .minority: Array(try await followers().prefix((members.count - 1) / 2))
        case .all: members
        case .node(let id): [id]
        }
    }

    func partition(_ shape: Fault.Shape) async throws -> Partition {
        let leader = try await self.leader()
        let followers = try await self.followers()
        let minority = (members.count - 1) / 2
        switch shape {
        case .isolated(let target): return .isolated(try await nodes(target)[0])
        case .leaderInMinority:
            return .groups([[leader] + followers.prefix(minority - 1), Array(followers.dropFirst(minority - 1))])
        case .leaderInMajority:
            return .groups([[leader] + followers.dropFirst(minority), Array(followers.prefix(minority))])
        case .oneWayFromLeader: return .oneWay(from: leader, to: followers[0])
        case .oneWayToLeader: return .oneWay(from: followers[0], to: leader)
        case .deaf(let target): return .deaf(try await nodes(target)[0])
        case .mute(let target): return .mute(try await nodes(target)[0])
        case .bridge: return .bridge(followers[0])
        case .ring: return .ring
        }
    }

    func draw(below bound: Int) -> Int { random.below(bound) }

    // MARK: Processes

    /// Starts a node again that has ended, for whatever reason.
    func restart(_ id: Int) async throws {
        guard await cluster.processID(of: id) == nil else { return }
        let environment = try library?.environment(id, losesPower: losesPower)
        try await cluster.start(id, environment: environment ?? [:])
    }

    func processID(of id: Int) async throws -> pid_t {
        guard let process = await cluster.processID(of: id) else {
            throw FaultFailure(description: "node \(id) has no process")
        }
        return process
    }

    func needLibrary() throws -> FaultLibrary {
        guard let library else { throw FaultFailure(description: "the library of faults is not there") }
        return library
    }
}

extension Duration {
    /// Without what is less than a nanosecond; zero for what is negative.
    var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }

    var milliseconds: Int { Int(wholeNanoseconds / 1_000_000) }
}
