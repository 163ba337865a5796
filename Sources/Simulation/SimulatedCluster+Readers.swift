internal import MetadataModel
internal import RaftCore
internal import Replica

/// Clients that do nothing but read, each bound to one member for a while whatever becomes of it. They are the ones who ask a
/// deposed leader before it knows, and a new one before it may answer. Nobody waits for the answers: what a member shows is
/// judged where it shows it.
extension SimulatedCluster {
    /// Connections from here on are theirs.
    private static let readerConnections: UInt64 = 1 << 43

    func startReaders() {
        readers = (0..<plan.readers).map { nodes[$0 % nodes.count].id }
        for number in readers.indices { queue.plan(in: 30_000, .reads(reader: number)) }
    }

    func reads(_ number: Int) {
        let pause = plan.readPauseMicroseconds
        queue.plan(in: draw(&readerGenerator, pause / 2, pause * 3 / 2), .reads(reader: number))
        if readerGenerator.below(16) == 0 { readers[number] = nodes[readerGenerator.below(nodes.count)].id }
        queue.plan(in: draw(&readerGenerator, 100, 1_500), .probe(readers[number], .linearizable))
    }

    /// A member has become the leader: the moment at which it knows least of what was committed before.
    func readFromNewLeader(_ id: NodeID) {
        guard !readers.isEmpty else { return }
        for number in 1...3 { queue.plan(in: draw(&readerGenerator, 100, 800 * number), .probe(id, .linearizable)) }
    }

    /// A member goes on after a pause: the moment at which it knows least of how old its state is.
    func readAfterPause(_ id: NodeID) {
        guard !readers.isEmpty else { return }
        for microseconds in [UInt64(50), 500] {
            queue.plan(in: microseconds, .probe(id, .stale(maxLagMilliseconds: 100)))
        }
    }

    func probe(_ id: NodeID, _ consistency: ReadConsistency) throws(Violation) {
        guard !clientCuts[Int(id.rawValue) - 1], let process = node(id).running else { return }
        lastProbe += 1
        let token = RequestToken(connection: SimulatedCluster.readerConnections, request: lastProbe)
        try take(.summary, consistency, token: token, on: node(id), process)
    }

    /// A member takes in a read.
    func take(
        _ query: Query, _ consistency: ReadConsistency, token: RequestToken, on node: SimulatedNode,
        _ process: SimulatedProcess
    ) throws(Violation) {
        process.queries[token] = ServedQuery(
            token: token, query: query, consistency: consistency, committedBefore: judge.committedVersion)
        let now = node.clock.milliseconds(at: queue.now)
        try turn(node.id, process.life) { $0.read(consistency, token: token, now: now) }
    }
}
