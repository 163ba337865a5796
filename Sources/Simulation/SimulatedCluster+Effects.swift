internal import Coordination
internal import MetadataModel
internal import RaftCore
internal import RaftLog
internal import Replica

/// Messages of one turn, one batch for each peer, as the shipped links write them.
struct Outgoing {
    private(set) var batches: [(to: NodeID, messages: [Message])] = []

    mutating func add(_ message: Message) {
        if let place = batches.firstIndex(where: { $0.to == message.to }) {
            batches[place].messages.append(message)
        } else {
            batches.append((message.to, [message]))
        }
    }
}

/// What a process does with the effects of its replica.
extension SimulatedCluster {
    func perform(
        _ effect: Effect, _ node: SimulatedNode, _ process: SimulatedProcess, _ outgoing: inout Outgoing
    ) throws(Violation) {
        switch effect {
        case .persist(let persist):
            mark(persist)
            if process.installing != nil, !persist.entries.isEmpty { hangWhileInstalling(node, process) }
            process.logQueue.append(.write(persist))
            startLogWork(node, process)
        case .compactLog(let position):
            report.reached(.compaction)
            process.logQueue.append(.compact(position))
            startLogWork(node, process)
        case .send(let messages):
            try process.withReplica { (replica) throws(Violation) in
                for message in messages {
                    try judge.sends(
                        message, replica.core, disk: node.synced, databaseThrough: node.durableInDatabase
                    ) { endOfLog(of: $0, named: replica.core.configuration) }
                }
            }
            for message in messages {
                mark(message)
                outgoing.add(message)
            }
        case .apply(let entries):
            process.applying = entries
            var delay = draw(&diskGenerator, 30, 800)
            if plan.strikes(.slowApply) {
                report.happened(.slowApply)
                delay = UInt64(plan.draw(.slowApply, 50_000, 900_000))
            }
            queue.plan(in: delay, .applied(node.id, life: process.life))
        case .replyWrite(let token, let reply):
            mark(reply)
            respond(token, from: node.id, .write(reply))
        case .serveReads(let tokens):
            try serve(tokens, node, process)
        case .refuseReads(let tokens, let reason):
            mark(reason)
            trace.line(queue.now, "node \(node.id) refuses \(tokens.count) reads: \(reason)")
            for token in tokens {
                process.queries[token] = nil
                respond(token, from: node.id, .refused(reason))
            }
        case .replyHeartbeat(let token, let reply):
            answerHeartbeat(token, from: node.id, reply)
        case .replyMembership(let token, let reply):
            answerOperator(token, from: node.id, reply)
        case .configurationChanged(let configuration):
            configurationChanged(configuration, node, process)
        case .checkpoint:
            process.isCheckpointing = true
            let delay = draw(&diskGenerator, 500, 20_000)
            queue.plan(in: delay, .checkpointed(node.id, life: process.life))
            planCrash(of: node, process, within: delay, oneIn: 80)
        case .sendSnapshot(let peer):
            try wanted(by: peer, node, process)
        case .installSnapshot(let snapshot):
            process.installing = snapshot
            var delay = draw(&diskGenerator, 500, 20_000)
            let isSilenced = installs(node.id, from: snapshot.from)
            if plan.kinds.contains(.slowApply), isSilenced || plan.draw(.slowApply, below: 2) == 0 {
                report.happened(.slowApply)
                // Long enough for another leader to take over and to send what it has.
                delay = UInt64(plan.draw(.slowApply, isSilenced ? 500_000 : 50_000, 1_500_000))
            }
            process.installEndsAt = queue.now + delay
            queue.plan(in: delay, .installed(node.id, life: process.life, snapshot))
            planCrash(of: node, process, within: delay, oneIn: 4)
        case .discardSnapshot(let snapshot):
            try snapshotFailed(snapshot.id, "not needed any more", node, process)
        case .notify(let peer, let notice):
            send(notice, from: node.id, to: peer)
        case .protection(let event):
            trace.line(queue.now, "node \(node.id) says \(event)")
            try judge.says(event, node.id, damaged: diverged)
            mark(event)
            if case .quarantined = event { try endTransfers(node, process) }
        case .repair(let reason):
            try repair(node, process, because: reason)
        case .survey(let request):
            queue.plan(in: draw(&diskGenerator, 500, 20_000), .surveyed(node.id, life: process.life, request))
        case .recovered:
            try recovered(node, process)
        case .statusChanged(let status):
            trace.line(
                queue.now,
                "node \(node.id) \(status.role.rawValue) in term \(status.term), leader "
                    + "\(status.leader.map { "\($0)" } ?? "none")")
            report.note(status.term.rawValue << 8 | node.id.rawValue)
            try leads(status, node, process)
            guard status.role == .leader else { return }
            report.elections += 1
            readFromNewLeader(node.id)
            try process.withReplica { (replica) throws(Violation) in try judge.leads(replica.core) }
        }
    }

    // MARK: The state machine

    func applied(_ id: NodeID, _ life: UInt64) throws(Violation) {
        guard let process = process(id, life) else { return }
        let node = node(id)
        let entries = process.applying
        var done: AppliedEntries
        do throws(StateMachineFailure) {
            done = try node.machine.apply(self.entries(entries, asAppliedBy: node))
        } catch {
            guard error.kind == .lack else { return try fails(node, error) }
            // As shipped: nothing was changed, and the same batch is tried again after a pause.
            report.reached(.applySuspended)
            trace.line(queue.now, "node \(id) suspends applying: \(error)")
            queue.plan(in: 1_000_000, .applied(id, life: life))
            return
        }
        process.applying = []
        notePlanted(&done, on: node)
        try judge.applies(entries, done, digest: node.trustedDigest, on: id, at: queue.now)
        mark(done.events)
        if plan.coordinator != nil { markMoves(in: entries) }
        process.watches.applied(done.events)
        try turn(id, life) { $0.applied(done.report) }
    }

    /// As shipped: on a thread of its own, from the state as it is by then.
    func surveyed(_ id: NodeID, _ life: UInt64, _ request: SurveyRequest) throws(Violation) {
        guard process(id, life) != nil else { return }
        let machine = node(id).machine
        let report: SurveyReport
        do throws(StateMachineFailure) {
            report = try request.answer { (query) throws(StateMachineFailure) in try machine.answer(query) }
        } catch {
            guard error.kind == .lack else { return try fails(node(id), error) }
            return try turn(id, life) { $0.surveyFailed(ticket: request.ticket) }
        }
        try turn(id, life) { $0.surveyed(report) }
    }

    func checkpointed(_ id: NodeID, _ life: UInt64) throws(Violation) {
        guard let process = process(id, life) else { return }
        process.isCheckpointing = false
        let node = node(id)
        report.reached(.checkpoint)
        var durable = LogPosition.zero
        do throws(StateMachineFailure) {
            durable = try node.machine.checkpoint()
        } catch {
            // As shipped: a sync that failed is not tried again, and else the log keeps what the database could not take.
            guard error.kind == .lack else { return try fails(node, error) }
            trace.line(queue.now, "node \(id) makes no checkpoint: \(error)")
        }
        node.durableInDatabase = max(node.durableInDatabase, durable.index)
        try turn(id, life) { $0.checkpointed(durable) }
    }

    /// Where the log of a member ends, synced or not; nil when what it acknowledged went with a disk, or was given up for damage.
    private func endOfLog(of id: NodeID, named configuration: Configuration) -> LogPosition? {
        let node = node(id)
        guard let member = configuration.member(id), isOn(ConfigurationsInPlay.Voter(id: id, disk: member.disk)),
            node.owed.isEmpty
        else { return nil }
        guard let process = node.process else { return node.synced.last }
        let last = process.replica.core.lastIndex
        return LogPosition(index: last, term: process.replica.core.term(at: last) ?? process.replica.core.base.term)
    }

    func draw(_ generator: inout SeededGenerator, _ low: Int, _ high: Int) -> UInt64 {
        UInt64(low + generator.below(high - low + 1))
    }
}
