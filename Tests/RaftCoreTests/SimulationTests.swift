import Testing

@testable import RaftCore

/// Random runs over `RaftNode` alone: messages are lost, repeated and reordered, members crash and lose what was not synced,
/// disks are slow, links are cut. `Cluster` checks the invariants of each node and `Oracle` those of Raft after each input.
///
/// To repeat a run, put its seed into `seeds`.
@Suite struct SimulationTests {
    private static let seeds: [UInt64] = Array(1...6)

    @Test("no run of three members breaks a safety rule of Raft (Raft §5, figure 3)", arguments: seeds)
    func threeMembers(seed: UInt64) {
        var run = RandomRun(voters: [1, 2, 3], seed: seed)
        run.run(steps: 1_500)
        run.heal()
        #expect(run.cluster.leaders.count == 1, "seed \(seed)")
        let progressed = run.hasProgress()
        #expect(progressed, "seed \(seed)")
    }

    @Test("no run of five members and a learner breaks a safety rule of Raft (Raft §5, figure 3)", arguments: seeds)
    func fiveMembers(seed: UInt64) {
        var run = RandomRun(voters: [1, 2, 3, 4, 5], learners: [6], seed: seed &+ 1_000)
        run.run(steps: 1_500)
        run.heal()
        #expect(run.cluster.leaders.count == 1, "seed \(seed)")
        let progressed = run.hasProgress()
        #expect(progressed, "seed \(seed)")
    }

    @Test("the runs are not trivial: there are elections, entries, reads, snapshots and truncations")
    func coverage() {
        var totals = RandomRun.Counts()
        for seed in Self.seeds {
            var run = RandomRun(voters: [1, 2, 3], seed: seed)
            run.run(steps: 1_500)
            totals.add(run.counts)
            totals.truncations += run.cluster.truncations
            totals.leaders += run.cluster.oracle.leaderCount
            totals.applied += run.cluster.oracle.appliedCount
        }
        #expect(totals.leaders > 25)
        #expect(totals.applied > 200)
        #expect(totals.reads > 100)
        #expect(totals.installs > 2)
        #expect(totals.crashes > 20)
        #expect(totals.configurations > 10)
        #expect(totals.transfers > 10)
        #expect(totals.truncations > 1)
    }

    @Test("the same seed gives the same run")
    func deterministic() {
        var first = RandomRun(voters: [1, 2, 3], seed: 77)
        var second = RandomRun(voters: [1, 2, 3], seed: 77)
        first.run(steps: 500)
        second.run(steps: 500)
        #expect(
            first.cluster.ids.map { first.cluster.peers[$0]?.node?.text }
                == second.cluster.ids.map { second.cluster.peers[$0]?.node?.text })
        #expect(first.cluster.network == second.cluster.network)
    }
}

/// One random run.
struct RandomRun {
    struct Counts {
        var leaders = 0
        var applied = 0
        var reads = 0
        var installs = 0
        var crashes = 0
        var configurations = 0
        var transfers = 0
        var truncations = 0
        var losses = 0

        mutating func add(_ other: Counts) {
            reads += other.reads
            installs += other.installs
            crashes += other.crashes
            configurations += other.configurations
            transfers += other.transfers
        }
    }

    var cluster: Cluster
    var counts = Counts()
    var changesMembers = true
    private var random: SeededGenerator
    private var proposals = 0
    private var reads: UInt64 = 0

    init(voters: [UInt64], learners: [UInt64] = [], seed: UInt64) {
        var options = Options()
        options.inflightMessagesMax = 3
        options.appendBytesMax = 120
        options.uncommittedBytesMax = 2_000
        options.pendingReadsMax = 50
        cluster = Cluster(voters: voters, learners: learners, options: options, seed: seed)
        random = SeededGenerator(seed: seed, stream: 99)
        for id in cluster.ids { cluster.peers[id]?.isDiskFast = false }
    }

    mutating func run(steps: Int) {
        for step in 0..<steps {
            act()
            cluster.trace.removeAll(keepingCapacity: true)
            if step % 16 == 0 { cluster.oracle.checkLogs(cluster.ids.compactMap { cluster.peers[$0]?.node }) }
        }
        counts.reads = cluster.confirmedReads.values.reduce(0) { $0 + $1.count }
    }

    /// A member finds its log damaged at its start, unless another one has not caught up since its own loss.
    mutating func loseLog() {
        let id = cluster.ids[random.below(cluster.ids.count)]
        guard cluster.ids.allSatisfy({ cluster.peers[$0]?.disk.isRecovering == false }) else { return }
        cluster.crash(id)
        cluster.loseLog(id)
        cluster.restart(id)
        counts.losses += 1
    }

    /// All faults end. Within a bound there has to be one working leader.
    mutating func heal() {
        cluster.cut = []
        for id in cluster.ids {
            cluster.restart(id)
            cluster.peers[id]?.isDiskFast = true
            cluster.sync(id)
        }
        for _ in 0..<150 {
            for id in cluster.ids { cluster.tick(id) }
            cluster.settle()
            sendSnapshots()
            cluster.trace.removeAll()
        }
    }

    /// What is proposed now is applied everywhere, and a read on every member is answered.
    mutating func hasProgress() -> Bool {
        guard let leader = cluster.leaders.first, case .accepted(let index, _) = cluster.propose(leader, "end") else {
            return false
        }
        var before: [NodeID: Int] = [:]
        for id in cluster.ids {
            before[id] = cluster.confirmedReads[id, default: []].count
            reads += 1
            guard cluster.read(id, reads) else { return false }
        }
        for _ in 0..<20 {
            for id in cluster.ids { cluster.tick(id) }
            cluster.settle()
            sendSnapshots()
        }
        return cluster.ids.allSatisfy {
            cluster.node($0).appliedIndex >= index
                && cluster.confirmedReads[$0, default: []].count == before[$0, default: 0] + 1
        }
    }

    // Helpers

    private mutating func act() {
        let id = cluster.ids[random.below(cluster.ids.count)]
        switch random.below(100) {
        case 0..<20: for other in cluster.ids where random.below(8) != 0 { cluster.tick(other) }
        case 20..<60: deliverSome()
        case 60..<75:
            for other in cluster.ids where random.below(2) == 0 { cluster.sync(other, count: 1 + random.below(4)) }
        case 75..<83:
            proposals += 1
            _ = cluster.propose(cluster.leaders.first ?? id, "p\(proposals)")
        case 83..<88:
            reads += 1
            _ = cluster.read(id, reads)
        case 88: fault(id)
        case 89: cluster.cut = []
        case 90..<92: for other in cluster.ids { cluster.restart(other, durable: randomIndex(other)) }
        case 92..<94: sendSnapshots()
        case 94..<96:
            guard let node = cluster.peers[id]?.node, node.appliedIndex > node.base.index else { return }
            let span = Int(node.appliedIndex.rawValue - node.base.index.rawValue)
            for other in cluster.ids where random.below(2) == 0 {
                guard let applied = cluster.peers[other]?.node?.appliedIndex else { continue }
                cluster.compact(other, to: applied)
            }
            cluster.compact(id, to: node.base.index.advanced(by: 1 + random.below(span)))
        case 96: if changesMembers { changeConfiguration() }
        case 97:
            guard let leader = cluster.leaders.first else { return }
            if cluster.on(leader, { $0.transferLeadership(to: id) }) == true { counts.transfers += 1 }
        case 98: closeConnection(of: id)
        default: for other in cluster.ids { cluster.restart(other) }
        }
    }

    private mutating func deliverSome() {
        for _ in 0..<10 where !cluster.network.isEmpty {
            // Mostly in order, sometimes not; some are lost, some arrive twice.
            let window = random.below(4) == 0 ? min(cluster.network.count, 8) : 1
            let offset = random.below(window)
            let message = cluster.network[offset]
            let fate = random.below(40)
            if fate != 0 { cluster.network.remove(at: offset) }
            if fate != 1 { cluster.deliver(message) }
        }
        if cluster.network.count > 200 { cluster.network.removeFirst(100) }
    }

    private mutating func fault(_ id: NodeID) {
        switch random.below(3) {
        case 0:
            guard let peer = cluster.peers[id], peer.node != nil else { return }
            cluster.crash(id, surviving: random.below(peer.writes.count + 1))
            counts.crashes += 1
        case 1:
            let other = cluster.ids[random.below(cluster.ids.count)]
            cluster.cut.insert(Cluster.Link(from: id, to: other))
        default:
            for other in cluster.ids {
                cluster.cut.formUnion([Cluster.Link(from: id, to: other), Cluster.Link(from: other, to: id)])
            }
        }
    }

    private mutating func sendSnapshots() {
        for link in cluster.snapshotsWanted {
            let succeeds = random.below(4) != 0
            if succeeds, !cluster.cut.contains(link), cluster.peers[link.to]?.node != nil,
                cluster.peers[link.from]?.node != nil
            {
                cluster.install(from: link.from, to: link.to)
                counts.installs += 1
            }
            cluster.report(from: link.from, to: link.to, succeeded: succeeds)
        }
    }

    /// A step of a voter becoming a learner or the other way round, always with at least two voters.
    private mutating func changeConfiguration() {
        guard let leader = cluster.leaders.first else { return }
        let current = cluster.node(leader).configuration
        var next = current
        if current.isJoint {
            next.learners = cluster.ids.filter { !next.voters.contains($0) }
            next.outgoing = []
        } else {
            let id = cluster.ids[random.below(cluster.ids.count)]
            next.outgoing = current.voters
            if next.voters.contains(id) {
                guard next.voters.count > 2 else { return }
                next.voters.removeAll { $0 == id }
            } else {
                next.voters = (next.voters + [id]).sorted()
                next.learners.removeAll { $0 == id }
            }
        }
        if case .accepted = cluster.on(leader, { $0.propose([next.encoded()], kind: .configuration) }) {
            counts.configurations += 1
        }
    }

    private mutating func closeConnection(of id: NodeID) {
        guard let leader = cluster.peers[id]?.node?.status.leader, leader != id else { return }
        let refused = cluster.peers[leader]?.node == nil || random.below(2) == 0
        _ = cluster.on(id) { $0.connectionClosed(to: leader, refused: refused) }
    }

    private mutating func randomIndex(_ id: NodeID) -> LogIndex {
        LogIndex(UInt64(random.below(Int(cluster.peers[id]?.machine.applied.rawValue ?? 0) + 1)))
    }
}
