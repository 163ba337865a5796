internal import MetadataModel
internal import RaftCore
internal import Replica

/// A chunk of a snapshot on its way. The content goes along as a whole, and is looked at when all of its bytes have arrived.
struct SnapshotPiece {
    var snapshot: IncomingSnapshot
    var content: SimulatedSnapshot
    var totalBytes: UInt64
    var offset: UInt64
    var count: Int
    var isIntact: Bool
}

/// A spool file of a process; it is gone with it.
struct SpoolFile {
    var content: SimulatedSnapshot
    /// Written without a gap from the start.
    var writtenBytes: UInt64
    /// False when a chunk was written where it does not belong.
    var isWhole = true
}

/// Snapshots between members: the shipped machines say what is copied, sent, written and answered when.
extension SimulatedCluster {
    static let snapshotOptions: SnapshotSenderMachine.Options = {
        var options = SnapshotSenderMachine.Options(
            chunkBytes: 512, bytesPerSecond: 512 << 10, timeoutMilliseconds: 1_500, turnMilliseconds: 400)
        options.resendMilliseconds = 300
        options.repeatMilliseconds = 50
        options.pauseMilliseconds = 100
        options.pauseMillisecondsMax = 800
        return options
    }()

    // MARK: The sender

    /// `Effect.sendSnapshot`.
    func wanted(by peer: NodeID, _ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        if !process.servedPeers.isEmpty { report.reached(.snapshotWaited) }
        process.servedPeers.insert(peer)
        planSilence(of: node.id, but: peer)
        process.sender.wanted(by: peer, now: milliseconds(node))
        try performSending(node, process)
    }

    /// `Effect.statusChanged`.
    func leads(_ status: Status, _ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        if status.role != .leader { process.servedPeers = [] }
        process.sender.leads(status.role == .leader ? status.term : nil, now: milliseconds(node))
        try performSending(node, process)
    }

    /// The state must not be sent any more.
    func endTransfers(_ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        process.sender.endAll("this node's state is damaged", now: milliseconds(node))
        try performSending(node, process)
    }

    /// A connection to `peer` is there again.
    func resumeTransfer(to peer: NodeID, _ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        process.sender.connected(to: peer, now: milliseconds(node))
        try performSending(node, process)
    }

    func tickSnapshots(_ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        let now = milliseconds(node)
        process.sender.tick(now: now, members: process.replica.core.configuration.members.map(\.id))
        process.receiver.tick(now: now)
        try performReceiving(node, process)
        try performSending(node, process)
    }

    func wakeSender(_ id: NodeID, _ life: UInt64, at time: UInt64) throws(Violation) {
        guard let process = process(id, life), process.senderWakesAt == time else { return }
        process.senderWakesAt = nil
        process.sender.tick(
            now: milliseconds(node(id)), members: process.replica.core.configuration.members.map(\.id))
        try performSending(node(id), process)
    }

    private func performSending(_ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        for action in process.sender.takeActions() {
            guard node.running === process else { return }
            try perform(action, node, process)
        }
        process.sender.checkInvariants()
        guard node.running === process, process.sender.wakeAt != process.senderWakesAt else { return }
        process.senderWakesAt = process.sender.wakeAt
        guard let time = process.sender.wakeAt else { return }
        let now = milliseconds(node)
        queue.plan(
            in: node.clock.microseconds(of: time > now ? time - now : 1),
            .wakeSender(node.id, life: process.life, at: time))
    }

    private func perform(
        _ action: SnapshotSenderMachine.Action, _ node: SimulatedNode, _ process: SimulatedProcess
    ) throws(Violation) {
        switch action {
        case .copy(let id):
            var delay = draw(&diskGenerator, 2_000, 60_000)
            if plan.kinds.contains(.brokenSnapshot), plan.draw(.brokenSnapshot, below: 3) == 0 {
                delay = UInt64(plan.draw(.brokenSnapshot, 200_000, 1_200_000))
            }
            queue.plan(in: delay, .snapshotCopied(node.id, life: process.life, id: id))
        case .send(let chunk):
            send(chunk, node, process)
        case .remove(let id):
            process.outgoing[id] = nil
        case .report(let peer, let succeeded):
            process.servedPeers.remove(peer)
            try turn(node.id, process.life) { $0.snapshotSent(to: peer, succeeded: succeeded) }
        case .resumed(let peer, let offset):
            if offset > 0 { report.reached(.snapshotResumed) }
            trace.line(queue.now, "node \(node.id) goes on with the snapshot for \(peer) at \(offset)")
        case .turnMissed(let peer, _):
            report.reached(.snapshotTurnMissed)
            trace.line(queue.now, "node \(node.id) made \(peer) wait too long for a snapshot")
        case .ended(let summary):
            if !summary.succeeded { report.reached(.snapshotGivenUp) }
            if summary.sentBytes > summary.fileBytes { report.reached(.snapshotChunkRepeated) }
            trace.line(
                queue.now,
                "node \(node.id) ends the snapshot for \(summary.to): \(summary.reason), \(summary.sentBytes) bytes")
        }
    }

    func snapshotCopied(_ id: NodeID, _ life: UInt64, _ transfer: UInt64) throws(Violation) {
        guard let process = process(id, life) else { return }
        let node = node(id)
        do throws(StateMachineFailure) {
            let content = try node.machine.snapshot()
            if plan.strikes(.brokenSnapshot) {
                report.happened(.brokenSnapshot)
                throw StateMachineFailure(.lack, "the copy cannot be written")
            }
            // A difference that was planted would spread, and then no correct system could tell who is right.
            if node.stateDamage != .none {
                throw StateMachineFailure(.lack, "the state is damaged")
            }
            report.snapshots += 1
            report.reached(.snapshotSent)
            process.outgoing[transfer] = content
            trace.line(queue.now, "node \(id) copied its state at \(content.position)")
            process.sender.copied(
                transfer, position: content.position, bytes: content.bytes, now: milliseconds(node))
        } catch {
            trace.line(queue.now, "node \(id) makes no snapshot: \(error)")
            process.sender.failed(transfer, "\(error)", now: milliseconds(node))
        }
        try performSending(node, process)
    }

    /// What cannot be sent now is dropped; the machine sends it again.
    private func send(_ chunk: SnapshotSenderMachine.Chunk, _ node: SimulatedNode, _ process: SimulatedProcess) {
        guard let content = process.outgoing[chunk.id], let connection = openConnection(node.id, chunk.to) else {
            return
        }
        var isIntact = true
        if plan.strikes(.brokenSnapshot) {
            report.happened(.brokenSnapshot)
            guard plan.draw(.brokenSnapshot, below: 2) == 0 else { return }
            report.reached(.snapshotChunkDamaged)
            isIntact = false
        }
        let piece = SnapshotPiece(
            snapshot: IncomingSnapshot(
                id: chunk.id, from: node.id, term: chunk.term, position: content.position,
                configuration: content.configuration),
            content: content, totalBytes: content.bytes, offset: chunk.offset, count: chunk.count, isIntact: isIntact)
        let reading = draw(&diskGenerator, 20, 1_000)
        let arrival = network.arrival(
            node.id, chunk.to, now: queue.now + reading, delayMax: plan.delayMicrosecondsMax, keepsOrder: true)
        queue.plan(in: arrival - queue.now, .snapshotPiece(piece, over: connection))
    }

    func snapshotProgress(_ id: UInt64, _ answer: SnapshotAnswer, _ connection: Connection) throws(Violation) {
        guard let (process, _) = try listener(connection) else { return }
        let node = node(connection.to)
        process.sender.answered(answer, id: id, from: connection.from, now: milliseconds(node))
        try performSending(node, process)
    }

    // MARK: The receiver

    func snapshotPiece(_ piece: SnapshotPiece, _ connection: Connection) throws(Violation) {
        guard let (process, _) = try listener(connection) else { return }
        let node = node(connection.to)
        process.receiver.arrived(
            SnapshotReceiverMachine.Chunk(
                snapshot: piece.snapshot, totalBytes: piece.totalBytes, offset: piece.offset, count: piece.count,
                isIntact: piece.isIntact),
            term: process.replica.status.term, applied: process.replica.appliedIndex, now: milliseconds(node))
        try performReceiving(node, process, with: piece)
    }

    /// - Parameter piece: the one that has just arrived; it alone can lead to a write.
    private func performReceiving(
        _ node: SimulatedNode, _ process: SimulatedProcess, with piece: SnapshotPiece? = nil
    ) throws(Violation) {
        for action in process.receiver.takeActions() {
            guard node.running === process else { return }
            switch action {
            case .write:
                guard let piece else { preconditionFailure("a write without a chunk") }
                queue.plan(in: draw(&diskGenerator, 50, 3_000), .snapshotWrote(node.id, life: process.life, piece))
            case .verify(let snapshot):
                queue.plan(
                    in: draw(&diskGenerator, 200, 10_000), .snapshotVerified(node.id, life: process.life, snapshot))
            case .offer(let snapshot):
                try turn(node.id, process.life) { $0.snapshotReceived(snapshot) }
            case .remove(let id):
                process.incoming[id] = nil
            case .answer(let peer, let id, let answer):
                if case .failed(let reason) = answer {
                    trace.line(queue.now, "node \(node.id) does not take a snapshot of \(peer): \(reason)")
                }
                guard let connection = openConnection(node.id, peer) else { continue }
                let arrival = network.arrival(
                    node.id, peer, now: queue.now, delayMax: plan.delayMicrosecondsMax, keepsOrder: true)
                queue.plan(in: arrival - queue.now, .snapshotProgress(id, answer, over: connection))
            }
        }
    }

    func snapshotWrote(_ id: NodeID, _ life: UInt64, _ piece: SnapshotPiece) throws(Violation) {
        guard let process = process(id, life) else { return }
        let name = piece.snapshot.id
        if plan.strikes(.brokenSnapshot), plan.draw(.brokenSnapshot, below: 4) == 0 {
            report.happened(.brokenSnapshot)
            return try snapshotFailed(name, "the file cannot be written", node(id), process)
        }
        if piece.offset == 0 { process.incoming[name] = SpoolFile(content: piece.content, writtenBytes: 0) }
        if process.incoming[name]?.writtenBytes != piece.offset { process.incoming[name]?.isWhole = false }
        process.incoming[name]?.writtenBytes = piece.offset + UInt64(piece.count)
        process.receiver.wrote(name)
        try performReceiving(node(id), process)
    }

    func snapshotVerified(_ id: NodeID, _ life: UInt64, _ snapshot: IncomingSnapshot) throws(Violation) {
        guard let process = process(id, life) else { return }
        guard let file = process.incoming[snapshot.id], file.isWhole, file.writtenBytes == file.content.bytes else {
            throw Violation(
                rule: "a snapshot arrives whole",
                detail: "node \(id) has all chunks of the snapshot at \(snapshot.position) and not all of its bytes")
        }
        process.receiver.verified(
            snapshot.id, position: file.content.position, configuration: file.content.configuration,
            applied: process.replica.appliedIndex)
        try performReceiving(node(id), process)
    }

    func installed(_ id: NodeID, _ life: UInt64, _ incoming: IncomingSnapshot) throws(Violation) {
        guard let process = process(id, life) else { return }
        let node = node(id)
        guard let snapshot = process.incoming[incoming.id]?.content else {
            preconditionFailure("snapshot \(incoming.id) is not on the disk of node \(id)")
        }
        process.installing = nil
        do throws(StateMachineFailure) {
            try node.machine.install(snapshot)
        } catch {
            // As shipped: after a sync that failed there is none that could be believed.
            guard error.kind == .lack else {
                node.installedAtEnd = snapshot.position.index
                return try fails(node, error)
            }
            trace.line(queue.now, "node \(id) does not install a snapshot: \(error)")
            try turn(id, life) { $0.snapshotInstallFailed() }
            return try snapshotFailed(incoming.id, "\(error)", node, process)
        }
        let image: StateMachineImage
        do throws(StateMachineFailure) { image = try node.machine.image() } catch { return try fails(node, error) }
        trace.line(queue.now, "node \(id) is the snapshot at \(snapshot.position)")
        report.reached(.snapshotInstalled)
        // Durable at once, before the log knows: a crash from here on finds the database ahead.
        node.durableInDatabase = max(node.durableInDatabase, image.applied.index)
        node.stateDamage = .none
        try judge.installs(at: image.applied.index, digest: node.machine.digest, on: id)
        process.watches.reset(to: image.version)
        if plan.kinds.contains(.kill), plan.draw(.kill, below: 2) == 0 {
            report.happened(.kill)
            try kill(node)
            return queue.plan(in: downtime(.kill), .lift(.start(id)))
        }
        try turn(id, life) { $0.snapshotInstalled(image) }
        process.receiver.installed(incoming.id)
        try performReceiving(node, process)
    }

    /// Writing or installing did not go well, or the replica does not need it any more.
    func snapshotFailed(
        _ id: UInt64, _ reason: String, _ node: SimulatedNode, _ process: SimulatedProcess
    ) throws(Violation) {
        process.receiver.failed(id, reason)
        try performReceiving(node, process)
    }

    // MARK: Helpers

    private func milliseconds(_ node: SimulatedNode) -> UInt64 { node.clock.milliseconds(at: queue.now) }

    /// Nil where there is none, or where what is sent gets lost.
    private func openConnection(_ from: NodeID, _ to: NodeID) -> Connection? {
        guard let connection = network[from, to].connection, !network[from, to].isCut else { return nil }
        guard !plan.strikes(.lostMessages) else {
            report.happened(.lostMessages)
            return nil
        }
        return connection
    }
}

extension SimulatedSnapshot {
    /// Of the file that it would be.
    var bytes: UInt64 {
        switch content {
        case .reference: 4_096 + 8 * min(position.index.rawValue, 4_096)
        case .file(let bytes): UInt64(bytes.count)
        }
    }
}
