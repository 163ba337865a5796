internal import MetadataModel
internal import RaftCore
internal import RaftLog
internal import Replica
internal import Resilience

/// A whole cluster with its clients, brokers, network, disks and clocks in one thread, decided by one seed. It runs the `Replica`
/// and the log that `metad` runs, and the state machine that the options name.
///
/// What happens lies in files of its own: what members do with effects (`+Effects`), disks (`+Disks`), connections
/// (`+Network`), processes (`+Processes`), faults (`+Faults`), clients and what they ask for (`+Clients`, `+Administration`,
/// `+Readers`, `+Unanswered`), watchers and brokers (`+Watchers`, `+Brokers`), the phases of a run (`+Phases`). None of them judges: what they see they tell `RunJudge`.
package final class SimulatedCluster {
    static let tickMilliseconds: UInt64 = 20
    static let electionTimeoutTicks = 10
    /// How far a member's ticks may be from real time within an election timeout: its clock is wrong and its turns are late.
    static let slackMicroseconds: UInt64 = 120_000
    /// A leader may take itself for one for two election timeouts after a majority has answered, and for a pause that it does
    /// not note.
    static var doubtMicroseconds: UInt64 {
        (2 * UInt64(electionTimeoutTicks) * tickMilliseconds + ReplicaOptions().pauseMilliseconds) * 1_000
            + slackMicroseconds
    }
    static let clientCount = 3

    let options: SimulationOptions
    var plan: FaultPlan
    var queue = EventQueue<ClusterEvent>()
    var nodes: [SimulatedNode] = []
    var network: SimulatedNetwork
    var clients: [SimulatedClient] = []
    var brokers: [SimulatedBroker] = []
    /// Whom each reader asks.
    var readers: [NodeID] = []
    var orders = SimulatedOperator()
    var inPlay: ConfigurationsInPlay
    /// Nodes whose state was made to differ, now or earlier.
    var diverged: Set<NodeID> = []
    /// Whom clients do not reach.
    var clientCuts: [Bool]
    let judge: RunJudge
    var report: SimulationReport
    let trace: SimulationTrace
    var phase = Phase.faulty
    /// Who leads the healed core, and since when.
    var leadership: (leader: NodeID, term: Term, since: UInt64)?
    /// Counts topology faults, so that the end of one does not end the next.
    var topologies: UInt64 = 0
    /// Who alone hears a leader.
    var soleListener: (to: NodeID, by: NodeID)?
    var lastWatchConnection: UInt64 = 0
    var lastProbe: UInt64 = 0
    var lastForgotten: UInt64 = 0
    let registers: [String]

    // Each part of the world draws from a stream of its own.
    var diskGenerator: SeededGenerator
    private var machineGenerator: SeededGenerator
    let commands = CommandCache()
    var clientGenerator: SeededGenerator
    var processGenerator: SeededGenerator
    var readerGenerator: SeededGenerator

    enum Phase {
        case faulty
        /// Who is healed is well; the others are whatever they are. The core, of these, has to make progress.
        case recovering(healed: [NodeID], core: [NodeID], since: UInt64)
    }

    init(seed: UInt64, options: SimulationOptions, write: ((String) -> Void)?) {
        self.options = options
        trace = SimulationTrace(write)
        report = SimulationReport(seed: seed)
        if let load = options.load {
            plan = FaultPlan(calmWithSeed: seed, pauseMicrosecondsMax: load.pauseMicrosecondsMax)
        } else {
            plan = FaultPlan(seed: seed, wanted: options.faults, always: options.always)
        }
        let machines = options.nodes + plan.spareMachines
        network = SimulatedNetwork(size: machines, seed: seed)
        diskGenerator = SeededGenerator(seed: seed, stream: 0xD15C)
        machineGenerator = SeededGenerator(seed: seed, stream: 0x5D1C)
        clientGenerator = SeededGenerator(seed: seed, stream: 0xC11E)
        processGenerator = SeededGenerator(seed: seed, stream: 0x9A0C)
        readerGenerator = SeededGenerator(seed: seed, stream: 0x4EAD)
        judge = RunJudge(uncommittedBytesMax: plan.uncommittedBytesMax, commands: commands)
        clientCuts = Array(repeating: false, count: machines)
        registers = (0..<3).map { "user.r\($0)" }
        let ids = (1...options.nodes).map { NodeID(UInt64($0)) }
        inPlay = ConfigurationsInPlay(first: Configuration(voters: SimulatedCluster.firstMembers(options)))
        if plan.kinds.contains(.shortLog) { report.happened(.shortLog) }
        if plan.coordinator != nil { report.happened(.coordinator) }
        for id in (1...machines).map({ NodeID(UInt64($0)) }) {
            let node = SimulatedNode(id: id, machine: makeMachine(), seed: diskGenerator.next())
            if plan.kinds.contains(.clockRates) {
                let spread = plan.draw(.clockRates, below: 2) == 0 ? 150 : 20
                node.clock.ratePerMille = UInt64(1_000 - spread + plan.draw(.clockRates, below: 2 * spread + 1))
                report.happened(.clockRates)
            }
            node.clock.offsetMilliseconds = UInt64(1_000 * id.rawValue)
            nodes.append(node)
        }
        for node in nodes.prefix(options.nodes) { node.format(for: firstMembers, logOptions: logOptions) }
        for number in 0..<SimulatedCluster.clientCount {
            clients.append(
                SimulatedClient(
                    id: number, slots: plan.clientWindow, target: ids[number % ids.count],
                    sessionTimeoutMilliseconds: options.load == nil && number == 1
                        ? Limits.sessionTimeoutMillisecondsMin : Limits.sessionTimeoutMillisecondsMax,
                    watches: number != 2))
        }
        brokers = (0..<Int32(SimulatedCluster.brokerCount)).map {
            SimulatedBroker(id: BrokerID($0), target: ids[Int($0) % ids.count])
        }
    }

    func makeMachine() -> any SimulatedStateMachine {
        let seed = machineGenerator.next()
        switch options.store {
        case .memory: return ReferenceMachine(commands: commands)
        case .sqlite: return SQLiteMachine(seed: seed)
        }
    }

    /// Runs one seed to its end.
    ///
    /// - Parameter write: is told what happens, line by line.
    package static func run(
        seed: UInt64, options: SimulationOptions = .init(), trace write: ((String) -> Void)? = nil
    ) throws(Violation) -> SimulationReport {
        let outcome = outcome(seed: seed, options: options, trace: write)
        if let violation = outcome.violation { throw violation }
        return outcome.report
    }

    /// Runs one seed to its end or to the first violation, and tells what happened until then either way.
    package static func outcome(
        seed: UInt64, options: SimulationOptions = .init(), trace write: ((String) -> Void)? = nil
    ) -> (report: SimulationReport, violation: Violation?) {
        let cluster = SimulatedCluster(seed: seed, options: options, write: write)
        var violation: Violation?
        do throws(Violation) {
            try cluster.run()
        } catch {
            violation = error
            cluster.trace.line(cluster.queue.now, "violation: \(error)")
        }
        cluster.report.simulatedMilliseconds = cluster.queue.now / 1_000
        return (cluster.report, violation)
    }

    // MARK: Events

    func proceed(until end: UInt64) throws(Violation) {
        while let event = queue.next(before: end) {
            report.events += 1
            report.note(queue.now)
            try handle(event)
        }
    }

    private func handle(_ event: ClusterEvent) throws(Violation) {
        if let id = event.process, case .paused(let process, var backlog) = node(id).condition {
            // Its kernel takes in what comes, up to a point.
            if backlog.count < SimulatedCluster.backlogMax {
                node(id).condition = .stopped(.killed)
                backlog.append(event)
                node(id).condition = .paused(process, backlog: backlog)
            }
            return
        }
        switch event {
        case .tick(let id, let life): try tick(id, life)
        case .endTurn(let id, let life):
            guard let process = process(id, life) else { return }
            try endTurn(node(id), process)
        case .logDone(let id, let life): try logDone(id, life)
        case .tryForRoom(let id, let life): tryForRoom(id, life)
        case .applied(let id, let life): try applied(id, life)
        case .checkpointed(let id, let life): try checkpointed(id, life)
        case .installed(let id, let life, let snapshot): try installed(id, life, snapshot)
        case .answer(let id, let life, let queries): try answer(id, life, queries)
        case .surveyed(let id, let life, let request): try surveyed(id, life, request)
        case .readFeed(let id, let life, let key, let ticket, let after, let filter):
            try readFeed(id, life, key, ticket: ticket, after: after, filter)
        case .tellProgress(let id, let life): try tellProgress(id, life)
        case .deliver(let messages, let connection): try deliver(messages, connection)
        case .notify(let notice, let connection): try notify(notice, connection)
        case .dial(let from, let to): try dial(from, to)
        case .closed(let id, let life, let peer, let refused): try closed(id, life, peer, refused: refused)
        case .refused(let id, let life, let peer): refused(id, life, by: peer)
        case .silent(let from, let to, let cut): try silent(from, to, cut)
        case .snapshotCopied(let id, let life, let transfer): try snapshotCopied(id, life, transfer)
        case .snapshotPiece(let piece, let connection): try snapshotPiece(piece, connection)
        case .snapshotWrote(let id, let life, let piece): try snapshotWrote(id, life, piece)
        case .snapshotVerified(let id, let life, let snapshot): try snapshotVerified(id, life, snapshot)
        case .snapshotProgress(let id, let answer, let connection): try snapshotProgress(id, answer, connection)
        case .wakeSender(let id, let life, let time): try wakeSender(id, life, at: time)
        case .nextOperation(let lane): beginOperation(lane)
        case .request(let lane, let attempt, let target): try requestArrives(lane, attempt, target)
        case .respond(let lane, let attempt, let answer): try answerArrives(lane, attempt, answer)
        case .attemptTimedOut(let lane, let attempt): attemptTimedOut(lane, attempt)
        case .watch(let client): watch(client: client)
        case .watchTold(let client, let connection, let news): try watchTold(client, connection, news)
        case .reads(let reader): reads(reader)
        case .probe(let id, let consistency): try probe(id, consistency)
        case .forgottenRequest(let intent, let target): try forgottenRequest(intent, target)
        case .heartbeat(let broker): try heartbeat(broker)
        case .heartbeatAnswered(let broker, let sent, let reply): heartbeatAnswered(broker, sent, reply)
        case .copiedHeartbeat(let broker, let epoch, let target): try copiedHeartbeat(broker, epoch, target)
        case .operatorAsks(let attempt, let id): try operatorAsks(attempt, id)
        case .operatorHears(let attempt, let reply): operatorHears(attempt, reply)
        case .operatorTimedOut(let attempt): operatorTimedOut(attempt)
        case .strike(let kind):
            try strike(kind)
            try checkPlan()
        case .lift(let lift):
            try self.lift(lift)
            try checkPlan()
        }
    }

    /// Events that wait for a paused process, at most.
    private static let backlogMax = 2_000

    func node(_ id: NodeID) -> SimulatedNode { nodes[Int(id.rawValue) - 1] }

    /// The process that an event was planned for, if it still runs.
    func process(_ id: NodeID, _ life: UInt64) -> SimulatedProcess? {
        guard let process = node(id).running, process.life == life else { return nil }
        return process
    }

    // MARK: Turns

    /// One input for a process, and mostly the end of its turn: a busy node takes in several before it comes round.
    func turn(_ id: NodeID, _ life: UInt64, _ input: (inout Replica) -> Void) throws(Violation) {
        guard let process = process(id, life) else { return }
        input(&process.replica)
        if plan.batchesTurns, processGenerator.below(4) == 0 {
            guard !process.turnIsPlanned else { return }
            process.turnIsPlanned = true
            queue.plan(in: UInt64(20 + processGenerator.below(200)), .endTurn(id, life: life))
            return
        }
        try endTurn(node(id), process)
    }

    func endTurn(_ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        process.turnIsPlanned = false
        let effects = try process.withReplica { (replica) throws(Violation) in
            let effects = replica.takeEffects()
            checkInvariants(replica)
            let status = replica.status
            if status != process.status {
                mark(status, after: process.status)
                let isMember = replica.core.configuration.member(node.id) != nil
                if process.status.role == .leader, status.role != .leader, !isMember {
                    report.reached(.leaderRemovedItself)
                }
            }
            process.status = status
            process.unfinishedReplacement = replica.unfinishedReplacement
            var writes: [Persist] = []
            for case .persist(let persist) in effects { writes.append(persist) }
            let members = replica.core.configuration
            try judge.turnEnds(replica.core, writes: writes, at: queue.now) { position in
                // What another disk holds is not what the member holds.
                Set(
                    nodes.filter { node in node.holds(position) { members.isOn(node.id, $0) } }.map(\.id))
            }
            try noteConfigurations(replica.core, writes: writes)
            return effects
        }
        var outgoing = Outgoing()
        for effect in effects {
            guard node.running === process else { return }
            try perform(effect, node, process, &outgoing)
        }
        flush(outgoing, from: node, process)
        hangUpOnFormerPeers(node, process)
        deliverWatches(node, process)
    }

    /// The core looks at every entry that it holds, so a long log is not looked at each time.
    private func checkInvariants(_ replica: Replica) {
        let held = replica.core.lastIndex.rawValue - replica.core.base.index.rawValue
        if held <= 48 || report.events % (held / 8) == 0 { replica.checkInvariants() }
    }

    private func tick(_ id: NodeID, _ life: UInt64) throws(Violation) {
        guard process(id, life) != nil else { return }
        let clock = node(id).clock
        let now = clock.milliseconds(at: queue.now)
        try turn(id, life) { $0.tick(now: now) }
        queue.plan(in: clock.microseconds(of: SimulatedCluster.tickMilliseconds), .tick(id, life: life))
    }

    // MARK: What members run with

    var logOptions: LogOptions {
        LogOptions(segmentBytes: plan.segmentBytes, fillStepBytes: 2_048)
    }

    func replicaOptions(of node: NodeID) -> ReplicaOptions {
        ReplicaOptions(
            raft: Options(
                electionTimeoutTicks: SimulatedCluster.electionTimeoutTicks, heartbeatTicks: 2, inflightMessagesMax: 8,
                appendBytesMax: plan.appendBytesMax, uncommittedBytesMax: plan.uncommittedBytesMax,
                pendingReadsMax: 64),
            logEntriesMax: plan.logEntriesMax(of: node), checkpointBytes: plan.checkpointBytes, applyEntriesMax: 16,
            brokerTimeoutMilliseconds: SimulatedCluster.brokerTimeoutMilliseconds,
            brokerGraceMilliseconds: SimulatedCluster.brokerTimeoutMilliseconds, sessionSweepMilliseconds: 1_000,
            readWaitMilliseconds: 500, diskSilenceMilliseconds: SimulatedCluster.diskSilenceMilliseconds,
            unappliedEntriesMax: plan.unappliedEntriesMax,
            digestIntervalMilliseconds: 1_000, diskLowBytes: UInt64(SimulatedCluster.diskLowBytes),
            diskHighBytes: UInt64(SimulatedCluster.diskHighBytes), promotionWindowMilliseconds: 400,
            coordinator: plan.coordinator, turns: SimulatedCluster.turns,
            raisesFeatureLevel: plan.coordinator != nil)
    }

    /// Shorter than an attempt of a client: one that asks again for a rebalance that it has begun waits for the end of that, as it
    /// does not know, and is answered when its time to wait is over.
    private static let turns = KeyedLockOptions(acquisitionTimeout: 100, staleAfter: 2_000)
    static let brokerTimeoutMilliseconds: UInt64 = 1_200
    static let diskSilenceMilliseconds: UInt64 = 300
}

extension Configuration {
    /// Whether a member is on this disk, as far as the configuration knows.
    fileprivate func isOn(_ id: NodeID, _ disk: DiskID) -> Bool {
        member(id).map { $0.disk == .unknown || $0.disk == disk } ?? false
    }
}
