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
                    ) { endOfLog(self.node($0)) }
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
        case .replyMembership, .configurationChanged:
            // Nobody asks for other members here, and the disks of the present ones change no address.
            break
        case .checkpoint:
            process.isCheckpointing = true
            let delay = draw(&diskGenerator, 500, 20_000)
            queue.plan(in: delay, .checkpointed(node.id, life: process.life))
            planCrash(of: node, process, within: delay, oneIn: 80)
        case .sendSnapshot(let peer):
            sendSnapshot(node, process, to: peer)
        case .installSnapshot(let snapshot):
            process.installing = snapshot
            var delay = draw(&diskGenerator, 500, 20_000)
            if plan.kinds.contains(.slowApply), plan.draw(.slowApply, below: 2) == 0 {
                report.happened(.slowApply)
                delay = UInt64(plan.draw(.slowApply, 50_000, 1_500_000))
            }
            queue.plan(in: delay, .installed(node.id, life: process.life, snapshot))
            planCrash(of: node, process, within: delay, oneIn: 4)
        case .discardSnapshot(let snapshot):
            discard(snapshot, process)
        case .notify(let peer, let notice):
            send(notice, from: node.id, to: peer)
        case .protection(let event):
            trace.line(queue.now, "node \(node.id) says \(event)")
            try judge.says(event, node.id)
        case .repair(let reason):
            // Whatever is damaged here is found at a start; a member that runs is sound.
            try judge.repairs(node.id, because: reason)
        case .survey(let request):
            queue.plan(in: draw(&diskGenerator, 500, 20_000), .surveyed(node.id, life: process.life, request))
        case .recovered:
            trace.line(queue.now, "node \(node.id) is whole again")
        case .statusChanged(let status):
            trace.line(
                queue.now,
                "node \(node.id) \(status.role.rawValue) in term \(status.term), leader "
                    + "\(status.leader.map { "\($0)" } ?? "none")")
            report.note(status.term.rawValue << 8 | node.id.rawValue)
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
        let done: AppliedEntries
        do throws(StateMachineFailure) {
            done = try node.machine.apply(entries)
        } catch {
            guard error.kind == .lack else { return try fails(node, error) }
            // As shipped: nothing was changed, and the same batch is tried again after a pause.
            report.reached(.applySuspended)
            trace.line(queue.now, "node \(id) suspends applying: \(error)")
            queue.plan(in: 1_000_000, .applied(id, life: life))
            return
        }
        process.applying = []
        try judge.applies(entries, done, digest: node.machine.digest, on: id)
        mark(done.events)
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

    // MARK: Snapshots

    /// The copy travels as a whole; chunks and how they resume are not simulated.
    private func sendSnapshot(_ node: SimulatedNode, _ process: SimulatedProcess, to peer: NodeID) {
        report.snapshots += 1
        report.reached(.snapshotSent)
        lastSnapshotID += 1
        let transfer = Transfer(
            id: lastSnapshotID, from: node.id, life: process.life, to: peer, term: process.replica.status.term)
        process.transfers[peer] = transfer.id
        // As shipped: without a word from the receiver it is given up.
        queue.plan(in: SimulatedCluster.snapshotTimeoutMicroseconds, .snapshotEnded(transfer, succeeded: false))
        let snapshot: SimulatedSnapshot
        do throws(StateMachineFailure) {
            snapshot = try node.machine.snapshot()
        } catch {
            trace.line(queue.now, "node \(node.id) makes no snapshot: \(error)")
            return queue.plan(in: 250_000, .snapshotEnded(transfer, succeeded: false))
        }
        // As shipped: a copy that a later leader's entries got into is not this leader's to send.
        guard snapshot.position.term <= transfer.term else {
            return queue.plan(in: 250_000, .snapshotEnded(transfer, succeeded: false))
        }
        if plan.strikes(.brokenSnapshot) {
            report.happened(.brokenSnapshot)
            let delay = UInt64(plan.draw(.brokenSnapshot, 50_000, 600_000))
            return queue.plan(in: delay, .snapshotEnded(transfer, succeeded: false))
        }
        trace.line(queue.now, "node \(node.id) sends a snapshot at \(snapshot.position) to \(peer)")
        var delay = draw(&diskGenerator, 5_000, 120_000)
        if plan.kinds.contains(.brokenSnapshot), plan.draw(.brokenSnapshot, below: 2) == 0 {
            delay = UInt64(plan.draw(.brokenSnapshot, 300_000, 2_500_000))
        }
        queue.plan(in: delay, .snapshotArrives(transfer, snapshot))
    }

    func snapshotArrives(_ transfer: Transfer, _ snapshot: SimulatedSnapshot) throws(Violation) {
        guard network.isOpen(transfer.from, transfer.to) else { return }
        guard let process = node(transfer.to).running else { return }
        // As shipped: one at a time, none of a term that has passed, none that is no news.
        guard process.snapshots.isEmpty, transfer.term >= process.replica.status.term,
            snapshot.position.index > process.replica.appliedIndex
        else { return snapshotTaken(transfer, succeeded: false) }
        process.snapshots[transfer.id] = (transfer, snapshot)
        try turn(transfer.to, process.life) {
            $0.snapshotReceived(
                IncomingSnapshot(
                    id: transfer.id, from: transfer.from, term: transfer.term, position: snapshot.position,
                    configuration: snapshot.configuration))
        }
    }

    func installed(_ id: NodeID, _ life: UInt64, _ incoming: IncomingSnapshot) throws(Violation) {
        guard let process = process(id, life) else { return }
        let node = node(id)
        guard let (transfer, snapshot) = process.snapshots.removeValue(forKey: incoming.id) else {
            preconditionFailure("snapshot \(incoming.id) is not on the disk of node \(id)")
        }
        process.installing = nil
        do throws(StateMachineFailure) {
            try node.machine.install(snapshot)
        } catch {
            trace.line(queue.now, "node \(id) does not install a snapshot: \(error)")
            snapshotTaken(transfer, succeeded: false)
            return try turn(id, life) { $0.snapshotInstallFailed() }
        }
        let image: StateMachineImage
        do throws(StateMachineFailure) {
            image = try node.machine.image()
        } catch {
            return try fails(node, error)
        }
        trace.line(queue.now, "node \(id) is the snapshot at \(snapshot.position)")
        report.reached(.snapshotInstalled)
        // Durable at once, before the log knows: a crash from here on finds the database ahead.
        node.durableInDatabase = max(node.durableInDatabase, image.applied.index)
        try judge.installs(at: image.applied.index, digest: node.machine.digest, on: id)
        process.watches.reset(to: image.version)
        snapshotTaken(transfer, succeeded: true)
        if plan.kinds.contains(.kill), plan.draw(.kill, below: 2) == 0 {
            report.happened(.kill)
            try kill(node)
            return queue.plan(in: downtime(.kill), .lift(.start(id)))
        }
        try turn(id, life) { $0.snapshotInstalled(image) }
    }

    func discard(_ snapshot: IncomingSnapshot, _ process: SimulatedProcess) {
        guard let (transfer, _) = process.snapshots.removeValue(forKey: snapshot.id) else { return }
        snapshotTaken(transfer, succeeded: false)
    }

    /// The receiver tells the sender how it ended.
    private func snapshotTaken(_ transfer: Transfer, succeeded: Bool) {
        guard network.isOpen(transfer.from, transfer.to) else { return }
        // As shipped: whoever failed to take a copy is not sent the next at once.
        let pause: UInt64 = succeeded ? 0 : 500_000
        queue.plan(in: network.draw(100, 5_000) + pause, .snapshotEnded(transfer, succeeded: succeeded))
    }

    func snapshotEnded(_ transfer: Transfer, succeeded: Bool) throws(Violation) {
        guard let process = process(transfer.from, transfer.life), process.transfers[transfer.to] == transfer.id
        else { return }
        process.transfers[transfer.to] = nil
        try turn(transfer.from, transfer.life) { $0.snapshotSent(to: transfer.to, succeeded: succeeded) }
    }

    private static let snapshotTimeoutMicroseconds: UInt64 = 3_000_000

    /// Where the log of a member ends, synced or not.
    private func endOfLog(_ node: SimulatedNode) -> LogPosition {
        guard let process = node.process else { return node.synced.last }
        let last = process.replica.core.lastIndex
        return LogPosition(index: last, term: process.replica.core.term(at: last) ?? process.replica.core.base.term)
    }

    func draw(_ generator: inout SeededGenerator, _ low: Int, _ high: Int) -> UInt64 {
        UInt64(low + generator.below(high - low + 1))
    }
}
