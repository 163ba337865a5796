internal import MetadataModel
internal import RaftCore
internal import Replica

/// A run has two phases. In the first things go wrong, each in a way that a correct system recovers from. In the second a core of
/// members, a majority whose disks are sound, is healed; the others stay as they are. The core has to elect a leader, to finish
/// what is under way and to serve what is asked for, within a bound: a stall is a violation (Simulation Testing for Liveness,
/// TigerBeetle, 2023).
extension SimulatedCluster {
    /// Nobody leads for this long at most, once a core is healed.
    static let leaderlessMicrosecondsMax: UInt64 = 3_000_000
    /// Clients stop to ask for more this long before the end.
    private var quietMicroseconds: UInt64 { 1_500_000 + snapshotsMicroseconds + coordinationMicroseconds }
    /// A log that keeps less than is written while a snapshot is on its way brings nobody up to date before it is quiet; then
    /// everybody takes one more, each in its turn.
    private var snapshotsMicroseconds: UInt64 {
        plan.kinds.contains(.shortLog) ? UInt64(options.nodes + 2) * 400_000 : 0
    }
    /// What the end of a run waits for besides.
    private var patienceMicroseconds: UInt64 { snapshotsMicroseconds + coordinationMicroseconds }
    /// A coordinator gets this long besides: its looks at a cluster are seconds apart.
    private var coordinationMicroseconds: UInt64 { plan.coordinator == nil ? 0 : 4_000_000 }
    /// What was committed this long before the end has to be applied everywhere in the core.
    private static let settlingMicroseconds: UInt64 = 300_000

    func run() throws(Violation) {
        for node in nodes where node.isUsed { try start(node.id) }
        startClients()
        startBrokers()
        startReaders()
        planFaults()
        try proceed(until: options.faultyMilliseconds * 1_000)
        try recover()
        let end = (options.faultyMilliseconds + options.recoveryMilliseconds) * 1_000 + patienceMicroseconds
        var settled = LogIndex.zero
        while queue.now < end {
            if queue.now + SimulatedCluster.settlingMicroseconds <= end {
                settled = leaderOfCore?.running?.replica.core.commitIndex ?? settled
            }
            // Looked at now and then; an election in between is no stretch without a leader.
            try proceed(until: min(end, queue.now + 50_000))
            releaseFormerMembers()
            noteLeadership()
            try judge.observes(hasLeader: leaderOfCore != nil, at: queue.now)
        }
        try judgeEnd(settled: settled)
    }

    /// Whether clients ask for more.
    var maySend: Bool {
        switch phase {
        case .faulty: true
        case .recovering(_, _, let since):
            queue.now < since + options.recoveryMilliseconds * 1_000 + patienceMicroseconds - quietMicroseconds
        }
    }

    /// Whether a member that is down may be started again.
    func mayRun(_ id: NodeID) -> Bool {
        switch phase {
        case .faulty: true
        case .recovering(let healed, _, _): healed.contains(id)
        }
    }

    private func recover() throws(Violation) {
        // Whoever has not taken it in by now is not asked any more.
        orders.task = nil
        var healed = soundMembers
        // Where nothing goes wrong nobody is left behind.
        while !plan.isCalm, processGenerator.below(2) == 0 {
            let left = healed[processGenerator.below(healed.count)]
            guard canDecide({ healed.contains($0.id) && $0.id != left }) else { break }
            healed.removeAll { $0 == left }
        }
        let core = healed.filter(isFound)
        trace.line(queue.now, "healed: \(healed.map { "node \($0)" }.joined(separator: ", "))")
        phase = .recovering(healed: healed, core: core, since: queue.now)
        plan.calm()
        judge.healed(at: queue.now, boundMicroseconds: SimulatedCluster.leaderlessMicrosecondsMax)
        // A cut that was to end later would end for those too that are left behind.
        topologies += 1
        for one in healed {
            for other in healed where one != other {
                setCut(one, other, false)
                network[one, other].extraMicroseconds = 0
            }
        }
        for node in nodes where node.isUsed && !healed.contains(node.id) { try leaveBehind(node, healed: healed) }
        // A leader that is left behind well, and refuses what needs room, would keep the core from it.
        for node in nodes { node.fileSystem.capacityBytes = .max }
        for id in healed {
            let node = node(id)
            clientCuts[Int(id.rawValue) - 1] = false
            node.diskHangsUntil = 0
            node.fileSystem.syncsUntilError = nil
            node.machine.failSync(after: nil)
            node.machine.limitRoom(nil)
            node.fileSystem.flippedReadsPerMille = 0
            if case .paused(let process, _) = node.condition { resume(id, process.life) }
            try start(id)
        }
        for number in brokers.indices { wakeBroker(number) }
        // Who watches a member that is cut off would hear that nothing happens; the shipped client asks for one with a leader.
        for node in nodes where !core.contains(node.id) { dropWatchers(of: node.id) }
    }

    private func noteLeadership() {
        guard let leader = leaderOfCore, let term = leader.running?.status.term else {
            leadership = nil
            return
        }
        if leadership?.leader == leader.id, leadership?.term == term { return }
        leadership = (leader.id, term, queue.now)
    }

    /// Whoever was removed by a change that was still under way owes nothing any more.
    private func releaseFormerMembers() {
        guard case .recovering(let healed, let core, let since) = phase, !committed.isJoint else { return }
        let former = healed.filter { !isInPlay($0) }
        guard !former.isEmpty else { return }
        phase = .recovering(
            healed: healed.filter { !former.contains($0) }, core: core.filter { !former.contains($0) }, since: since)
        for id in former { dropWatchers(of: id) }
    }

    /// To who is not healed anything goes: gone, cut off in one direction or both, or as well as the others.
    private func leaveBehind(_ node: SimulatedNode, healed: [NodeID]) throws(Violation) {
        // One whose state differs would lead, and have nothing that it may send to who lags.
        let fate = node.stateDamage == .none ? processGenerator.below(5) : 0
        trace.line(queue.now, "node \(node.id) is left behind (\(fate))")
        switch fate {
        case 0: if !node.isStopped { try kill(node) }
        case 1: for other in healed { setCut(node.id, other, true); setCut(other, node.id, true) }
        case 2: for other in healed { setCut(other, node.id, true) }
        case 3: for other in healed { setCut(node.id, other, true) }
        default:
            // As well as the others. A leader that a majority hears stays in office, also while one of the core does not: a link
            // that stayed cut would be no stall of the core's making.
            for other in healed {
                setCut(node.id, other, false)
                setCut(other, node.id, false)
            }
        }
    }

    /// The members that have to be well now.
    var core: [NodeID] {
        switch phase {
        case .faulty: committed.members.map(\.id)
        case .recovering(_, let core, _): core
        }
    }

    /// Leads with the latest term that anybody knows who is healed.
    var leaderOfCore: SimulatedNode? {
        let running = nodes.filter { $0.running != nil }
        let healed: [NodeID] = if case .recovering(let healed, _, _) = phase { healed } else { core }
        let term = running.filter { healed.contains($0.id) }.compactMap { $0.running?.status.term }.max()
        return running.first { $0.running?.status.role == .leader && $0.running?.status.term == term }
    }

    /// The end: everyone has finished, and the members of the core have the same state.
    ///
    /// - Parameter settled: what a leader had committed a while before, which everyone has to have applied.
    private func judgeEnd(settled: LogIndex) throws(Violation) {
        guard case .recovering(_, let core, let since) = phase else { return }
        guard leaderOfCore != nil else {
            throw Violation(rule: "progress", detail: "nobody leads in the core \(core) at the end")
        }
        for client in clients {
            for (number, slot) in client.slots.enumerated() {
                guard slot.operation == nil else {
                    throw Violation(
                        rule: "progress",
                        detail:
                            "client \(client.id).\(number) waits since \(slot.begun) us for \(slot.operation.map { "\($0)" } ?? "")"
                    )
                }
                guard slot.lastFinished > since else {
                    throw Violation(
                        rule: "progress", detail: "client \(client.id).\(number) was served nothing after the healing")
                }
            }
        }
        var rowsOfCore: [(node: NodeID, rows: MetadataRows, digest: UInt64)] = []
        for id in core {
            let node = node(id)
            guard !node.isStopped, node.appliedIndex >= settled else {
                throw Violation(
                    rule: "progress",
                    detail: "node \(id)\(node.isStopped ? ", which is down," : "") has applied \(node.appliedIndex), "
                        + "committed was \(settled)")
            }
            do throws(StateMachineFailure) {
                let rows = try rows(of: node)
                let digest = try node.machine.recomputedDigest()
                rowsOfCore.append((id, rows, digest))
            } catch {
                throw Violation(rule: "readable", detail: "node \(id): \(error)")
            }
        }
        let last = nodes.map(\.appliedIndex).max()
        for (id, rows, digest) in rowsOfCore {
            let machine = node(id).machine
            // Rows are compared with everything that happened, so an entry behind is not the end yet.
            guard machine.applied.index == last else { continue }
            try judge.judge(
                rows, kept: machine.digest, recomputed: digest, at: machine.applied.index, on: id)
        }
        if let last, let leadership, let (_, rows, _) = rowsOfCore.first(where: { $0.node == leadership.leader }),
            node(leadership.leader).appliedIndex == last
        {
            try judge.judgeHealth(
                rows, at: queue.now, leadingSince: leadership.since, isCoordinated: plan.coordinator != nil,
                isQuorumWhole: !committed.isJoint && committed.voters.allSatisfy(core.contains))
        }
        for client in clients where client.watch != nil {
            try judge.judge(watch: client.id, hasReached: client.seen)
        }
        try judge.judgeHistory()
    }

    /// Everything that a member would tell a client, page by page.
    private func rows(of node: SimulatedNode) throws(StateMachineFailure) -> MetadataRows {
        var rows = MetadataRows()
        var hasMore = true
        while hasMore {
            guard case .brokers(let page) = try node.machine.answer(.brokers(after: rows.brokers.last?.id, limit: .max))
            else { preconditionFailure("a list of brokers was answered with something else") }
            rows.brokers += page.items
            hasMore = page.hasMore
        }
        hasMore = true
        while hasMore {
            guard case .topics(let page) = try node.machine.answer(.topics(after: rows.topics.last?.name, limit: .max))
            else { preconditionFailure("a list of topics was answered with something else") }
            rows.topics += page.items
            hasMore = page.hasMore
        }
        for topic in rows.topics {
            guard
                case .partitions(let page) = try node.machine.answer(
                    .partitions(.id(topic.id), after: nil, limit: .max))
            else { preconditionFailure("a list of partitions was answered with something else") }
            rows.partitions += page.items
        }
        return rows
    }
}
