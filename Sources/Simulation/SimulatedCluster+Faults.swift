internal import RaftCore
internal import Replica

/// What goes wrong, and how it ends.
extension SimulatedCluster {
    /// Every kind that strikes now and then has its first strike.
    func planFaults() {
        for kind in plan.kinds.list {
            if let pause = plan.pause(kind) { queue.plan(in: pause, .strike(kind)) }
        }
    }

    func strike(_ kind: FaultKind) throws(Violation) {
        guard case .faulty = phase, let pause = plan.pause(kind) else { return }
        queue.plan(in: pause, .strike(kind))
        if try happens(kind) { report.happened(kind) }
    }

    /// Returns false when there was nothing to strike.
    private func happens(_ kind: FaultKind) throws(Violation) -> Bool {
        switch kind {
        case .isolation, .halves, .oneWay, .bridge, .ring:
            return cut(kind)
        case .flappingLink:
            guard let (one, other) = pair(kind) else { return false }
            queue.plan(in: 0, .lift(.flap(one, other, left: 4 + plan.draw(kind, below: 16))))
            return true
        case .slowLink:
            guard let (one, other) = pair(kind) else { return false }
            network[one, other].extraMicroseconds = UInt64(plan.draw(kind, 10_000, 250_000))
            queue.plan(in: UInt64(plan.draw(kind, 300_000, 3_000_000)), .lift(.slowLink(one, other)))
            return true
        case .brokenConnection:
            guard let (one, other) = pair(kind), network[one, other].connection != nil else { return false }
            breakConnection(one, other)
            return true
        case .clientCut:
            let victim = victim(kind)
            clientCuts[Int(victim.id.rawValue) - 1] = true
            dropWatchers(of: victim.id)
            queue.plan(in: UInt64(plan.draw(kind, 200_000, 3_000_000)), .lift(.clientCut(victim.id)))
            return true
        case .burst:
            // Whoever comes first: the one who leads, or one who still believes so.
            let place = plan.draw(kind, below: nodes.count)
            return burst(among: (nodes[place...] + nodes[..<place]).map(\.id))
        case .kill, .powerLoss:
            let victim = victim(kind)
            guard !victim.isStopped else { return false }
            try crash(victim, kind)
            return true
        case .powerLossOfAll:
            for node in nodes where node.canStart || !node.isStopped { try cutPower(node) }
            for node in nodes { queue.plan(in: downtime(kind), .lift(.start(node.id))) }
            return true
        case .pause:
            let victim = victim(kind)
            guard victim.running != nil else { return false }
            pause(victim, for: UInt64(plan.draw(kind, 50_000, plan.draw(kind, below: 4) == 0 ? 4_000_000 : 900_000)))
            return true
        case .transfer:
            return try handOver()
        case .memberChange:
            return try changeMembers()
        case .hungSync:
            let victim = victim(kind)
            victim.diskHangsUntil = queue.now + UInt64(plan.draw(kind, 300_000, 4_000_000))
            trace.line(queue.now, "node \(victim.id) has a disk that hangs")
            return true
        case .failedSync:
            let victim = victim(kind)
            guard !victim.isStopped, victim.fileSystem.syncsUntilError == nil else { return false }
            let count = plan.draw(kind, below: 6)
            if plan.draw(kind, below: 2) == 0 {
                victim.machine.failSync(after: count / 2)
            } else {
                victim.fileSystem.syncsUntilError = count
            }
            return true
        case .fullDisk:
            let victim = victim(kind)
            guard victim.fileSystem.capacityBytes == .max else { return false }
            victim.fileSystem.capacityBytes = victim.fileSystem.usedBytes + plan.draw(kind, below: 8_192)
            victim.machine.limitRoom(plan.draw(kind, below: 16_384))
            queue.plan(in: UInt64(plan.draw(kind, 500_000, 4_000_000)), .lift(.fullDisk(victim.id)))
            return true
        case .lowDisk:
            // Enough for the log for a while, and less than the low mark.
            let victim = victim(kind)
            guard victim.fileSystem.capacityBytes == .max else { return false }
            victim.fileSystem.capacityBytes =
                victim.fileSystem.usedBytes + plan.draw(kind, 8_192, SimulatedCluster.diskLowBytes - 1)
            queue.plan(in: UInt64(plan.draw(kind, 1_000_000, 4_000_000)), .lift(.fullDisk(victim.id)))
            return true
        case .flippedRead:
            // Reads happen at a start. A log that was misread is given up like a damaged one.
            guard let victim = damageable(kind), !victim.isStopped else { return false }
            victim.fileSystem.flippedReadsPerMille = plan.draw(kind, 50, 500)
            try kill(victim)
            queue.plan(in: downtime(kind), .lift(.start(victim.id)))
            queue.plan(in: 2_000_000, .lift(.flippedReads(victim.id)))
            return true
        case .bitFlip, .misdirectedWrite:
            guard let victim = damageable(kind), damage(victim, kind) else { return false }
            victim.isHarmed(by: kind)
            // What is damaged is found when it is read: at the next start.
            if plan.draw(kind, below: 4) > 0, !victim.isStopped {
                try kill(victim)
                queue.plan(in: downtime(kind), .lift(.start(victim.id)))
            }
            return true
        case .wipe:
            return try wipe(kind)
        case .divergence:
            guard let victim = damageable(kind) else { return false }
            return planDivergence(victim)
        case .silentBroker, .pausedBroker, .brokerShutdown, .lostBroker:
            return stopBroker(kind)
        case .slowMessages, .lostMessages, .doubledMessages, .reorderedMessages, .lostAnswers, .lateRequests,
            .clockRates,
            .slowSync, .slowApply, .shortLog, .brokenSnapshot, .staleEpochs, .coordinator, .lateHeartbeats:
            preconditionFailure("\(kind) is a property of the run and never strikes by itself")
        }
    }

    func lift(_ lift: Lift) throws(Violation) {
        switch lift {
        case .topology(let number):
            if number == topologies { healTopology() }
        case .silence(let id, let listener):
            silence(id, but: listener)
        case .flap(let one, let other, let left):
            guard case .faulty = phase else { return }
            let isCut = left > 0 && left % 2 == 1
            setCut(one, other, isCut)
            setCut(other, one, isCut)
            guard left > 0 else { return }
            queue.plan(in: UInt64(plan.draw(.flappingLink, 20_000, 300_000)), .lift(.flap(one, other, left: left - 1)))
        case .slowLink(let one, let other):
            network[one, other].extraMicroseconds = 0
        case .clientCut(let id):
            clientCuts[Int(id.rawValue) - 1] = false
        case .resume(let id, let life):
            resume(id, life)
        case .start(let id):
            guard mayRun(id) else { return }
            try start(id)
        case .crash(let id, let life, let kind):
            guard case .faulty = phase, node(id).process?.life == life else { return }
            report.happened(kind)
            try crash(node(id), kind)
        case .fullDisk(let id):
            node(id).fileSystem.capacityBytes = .max
            node(id).machine.limitRoom(nil)
        case .flippedReads(let id):
            node(id).fileSystem.flippedReadsPerMille = 0
        case .broker(let number):
            wakeBroker(number)
        case .order(let attempt):
            askAgain(attempt)
        case .rejoin(let id):
            try rejoin(id)
        }
    }

    // MARK: Victims

    private var usedNodes: [SimulatedNode] { nodes.filter(\.isUsed) }

    private func victim(_ kind: FaultKind) -> SimulatedNode {
        let used = usedNodes
        return used[plan.draw(kind, below: used.count)]
    }

    private func pair(_ kind: FaultKind) -> (NodeID, NodeID)? {
        let used = usedNodes
        guard used.count > 1 else { return nil }
        let one = plan.draw(kind, below: used.count)
        let other = (one + 1 + plan.draw(kind, below: used.count - 1)) % used.count
        return (used[one].id, used[other].id)
    }

    func downtime(_ kind: FaultKind) -> UInt64 {
        UInt64(plan.draw(kind, 20_000, plan.draw(kind, below: 3) == 0 ? 4_000_000 : 600_000))
    }

    /// At most a minority is ever without its log, so that a correct system can always recover.
    private func damageable(_ kind: FaultKind) -> SimulatedNode? {
        let victim = victim(kind)
        guard victim.isSound else { return victim }
        return canDecide { $0.isSound && $0 !== victim } ? victim : nil
    }

    // MARK: Crashes

    private func crash(_ victim: SimulatedNode, _ kind: FaultKind) throws(Violation) {
        if kind == .kill { try kill(victim) } else { try cutPower(victim) }
        queue.plan(in: downtime(kind), .lift(.start(victim.id)))
    }

    /// What is seldom under way would seldom be interrupted: now and then a crash is planned for it.
    func planCrash(of node: SimulatedNode, _ process: SimulatedProcess, within delay: UInt64, oneIn times: Int) {
        for kind in [FaultKind.kill, .powerLoss] where plan.kinds.contains(kind) {
            guard plan.draw(kind, below: 2 * times) == 0 else { continue }
            let moment = UInt64(plan.draw(kind, below: Int(delay)))
            queue.plan(in: moment, .lift(.crash(node.id, life: process.life, kind)))
        }
    }

    // MARK: Faults of some length

    private func cut(_ kind: FaultKind) -> Bool {
        healTopology()
        let topology = Topology(kind, members: usedNodes.map(\.id)) { plan.draw(kind, below: $0) }
        guard !topology.cut.isEmpty else { return false }
        topologies += 1
        for link in topology.cut { setCut(link.from, link.to, true) }
        for id in topology.withoutClients {
            clientCuts[Int(id.rawValue) - 1] = true
            dropWatchers(of: id)
            queue.plan(in: UInt64(plan.draw(kind, 200_000, 2_000_000)), .lift(.clientCut(id)))
        }
        trace.line(
            queue.now,
            "\(kind): cut \(topology.cut.map { "\($0.from)>\($0.to)" }.joined(separator: " "))")
        queue.plan(in: UInt64(plan.draw(kind, 200_000, 5_000_000)), .lift(.topology(topologies)))
        // A leader that is cut off gets a long log that nobody else has.
        if plan.kinds.contains(.burst), plan.draw(.burst, below: 2) == 0, burst(among: topology.cut.map(\.from)) {
            report.happened(.burst)
        }
        return true
    }

    /// A leader that begins to send its state is now and then heard by the receiver alone, and by nobody once that installs it: whoever
    /// leads next does not know how much was committed, and sends the receiver what it has.
    func planSilence(of leader: NodeID, but receiver: NodeID) {
        guard plan.kinds.contains(.oneWay), plan.draw(.oneWay, below: 2) == 0 else { return }
        if plan.kinds.contains(.burst), burst(among: [leader]) { report.happened(.burst) }
        // Soon enough that what the burst wrote may be committed and nobody told of it.
        queue.plan(in: UInt64(plan.draw(.oneWay, 500, 5_000)), .lift(.silence(leader, but: receiver)))
    }

    private func silence(_ id: NodeID, but listener: NodeID?) {
        guard case .faulty = phase else { return }
        healTopology()
        topologies += 1
        report.happened(.oneWay)
        trace.line(queue.now, "node \(id) is heard by \(listener.map { "node \($0) alone" } ?? "nobody")")
        for other in nodes where other.id != id && other.id != listener {
            setCut(id, other.id, true)
            if listener == nil { setCut(other.id, id, true) }
        }
        soleListener = listener.map { (to: id, by: $0) }
        queue.plan(in: UInt64(plan.draw(.oneWay, 300_000, 3_000_000)), .lift(.topology(topologies)))
    }

    /// What the only one that heard this leader has been waiting for is there.
    ///
    /// - Returns: whether the leader is silenced now.
    func installs(_ receiver: NodeID, from leader: NodeID) -> Bool {
        guard let soleListener, soleListener == (to: leader, by: receiver) else { return false }
        queue.plan(in: UInt64(plan.draw(.oneWay, below: 20_000)), .lift(.silence(leader, but: nil)))
        return true
    }

    private func healTopology() {
        soleListener = nil
        for one in nodes { for other in nodes where one.id != other.id { setCut(one.id, other.id, false) } }
    }

    private func handOver() throws(Violation) -> Bool {
        guard let leader = nodes.first(where: { $0.running?.replica.isLeader == true }), let process = leader.running
        else { return false }
        var isBegun = false
        try turn(leader.id, process.life) { isBegun = $0.resign() }
        if isBegun { trace.line(queue.now, "node \(leader.id) hands over") }
        return isBegun
    }

    /// A disk is lost with everything on it. The others go on without this member, and mostly it comes back on another.
    private func wipe(_ kind: FaultKind) throws(Violation) -> Bool {
        guard let victim = damageable(kind) else { return false }
        if !victim.isStopped { try cutPower(victim) }
        victim.loseDisk(makeMachine())
        trace.line(queue.now, "node \(victim.id) loses its disk")
        if plan.draw(kind, below: 4) > 0 {
            queue.plan(in: UInt64(plan.draw(kind, 200_000, 1_500_000)), .lift(.rejoin(victim.id)))
        }
        return true
    }
}
