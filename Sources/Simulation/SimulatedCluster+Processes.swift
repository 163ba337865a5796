internal import RaftCore
internal import RaftLog
internal import Replica

/// Processes come and go.
extension SimulatedCluster {
    func start(_ id: NodeID) throws(Violation) {
        let node = node(id)
        guard node.canStart else { return }
        let held = SimulatedNode.Held(log: node.synced, databaseThrough: node.durableInDatabase)
        let findings: StartFindings
        do throws(StartFailure) {
            findings = try node.start(
                now: queue.now, seed: processGenerator.next(), options: replicaOptions(of: node.id),
                repairStopsAfter: processGenerator.below(3) == 0 ? processGenerator.below(40) : nil,
                makeMachine: makeMachine)
        } catch {
            return try startFailed(node, error)
        }
        if findings.discarded {
            if node.readsAreFlipped { report.reached(.logMisread) }
            begins(node, instead: held)
        }
        report.starts += 1
        if findings.cutATail { report.reached(.tailCut) }
        if findings.beganAnew { report.reached(.logBeganAnew) }
        if findings.databaseWentBack { report.reached(.databaseWentBack) }
        let replica = findings.process.replica
        trace.line(
            queue.now,
            "node \(id) starts: term \(replica.status.term), log \(replica.core.base) to \(replica.core.lastIndex), applied "
                + "\(replica.appliedIndex)\(findings.cutATail ? ", a torn tail was cut" : "")")
        try judge.restarts(id, hardState: node.synced.hardState, applied: replica.appliedIndex)
        try judge.reads(replica.core)
        try judge.installs(at: node.machine.applied.index, digest: node.trustedDigest, on: id)
        let life = findings.process.life
        queue.plan(
            in: draw(&processGenerator, 0, Int(SimulatedCluster.tickMilliseconds) * 1_000), .tick(id, life: life))
        queue.plan(in: draw(&processGenerator, 100_000, 300_000), .tellProgress(id, life: life))
        for other in nodes where other.id != id {
            // What others had open to an earlier process ends now at the latest.
            breakConnection(other.id, id)
            network[id, other.id].pauseMicroseconds = SimulatedNetwork.pauseMin
            network[id, other.id].dialAt = nil
        }
        reconcile(node, findings.process)
        // What a start takes for granted shows when the next end comes soon.
        planCrash(of: node, findings.process, within: 250_000, oneIn: 5)
    }

    /// A start may fail for what was done to the disk, and for nothing else.
    private func startFailed(_ node: SimulatedNode, _ failure: StartFailure) throws(Violation) {
        trace.line(queue.now, "node \(node.id) does not start: \(failure)")
        let mayBeMisread = node.fileSystem.flippedReadsPerMille > 0
        switch failure {
        case .log(.io), .log(.full):
            node.condition = .stopped(.failed("\(failure)"))
            queue.plan(in: draw(&processGenerator, 200_000, 1_500_000), .lift(.start(node.id)))
        case .repair(.directory(.io)), .repair(.log(.io)), .repair(.log(.full)):
            report.reached(.repairInterrupted)
            node.condition = .stopped(.failed("\(failure)"))
            queue.plan(in: draw(&processGenerator, 200_000, 1_500_000), .lift(.start(node.id)))
        case .log(.corrupt) where mayBeMisread && !node.isDamaged, .repair where mayBeMisread:
            report.reached(.logMisread)
            node.condition = .stopped(.failed("\(failure)"))
            queue.plan(in: draw(&processGenerator, 200_000, 1_500_000), .lift(.start(node.id)))
        case .stateMachine(let failure) where failure.kind == .lack:
            node.condition = .stopped(.failed("\(failure)"))
            queue.plan(in: draw(&processGenerator, 200_000, 1_500_000), .lift(.start(node.id)))
        case .stateMachine(let failure) where failure.kind == .disk:
            try fails(node, failure)
        case .log, .refused, .stateMachine, .repair:
            guard node.isDamaged else {
                throw Violation(rule: "a sound disk starts", detail: "node \(node.id): \(failure)")
            }
            node.condition = .stopped(.refuses("\(failure)"))
            // What cannot be repaired is replaced.
            queue.plan(in: draw(&processGenerator, 200_000, 1_500_000), .lift(.rejoin(node.id)))
        case .lost(let what):
            throw Violation(rule: "synced is never lost", detail: "node \(node.id): \(what)")
        }
    }

    /// The process ended by itself, as shipped when it cannot go on. Whoever looks after it starts it again.
    func fails(_ node: SimulatedNode, _ reason: String) throws(Violation) {
        trace.line(queue.now, "node \(node.id) cannot go on: \(reason)")
        report.reached(.nodeFailed)
        try ends(node, .failed(reason))
        queue.plan(in: draw(&processGenerator, 300_000, 2_000_000), .lift(.start(node.id)))
    }

    /// As shipped it ends when its state machine does. Of a sync that failed the page cache may know more than the disk, so the
    /// machine is started anew, too.
    func fails(_ node: SimulatedNode, _ failure: StateMachineFailure) throws(Violation) {
        guard failure.kind != .damage else {
            throw Violation(rule: "a sound state is not called damaged", detail: "node \(node.id): \(failure)")
        }
        report.reached(.databaseFailed)
        try fails(node, "\(failure)")
        try cutPower(node)
    }

    func kill(_ node: SimulatedNode) throws(Violation) {
        trace.line(queue.now, "node \(node.id) is killed")
        try ends(node, .killed)
    }

    func cutPower(_ node: SimulatedNode) throws(Violation) {
        trace.line(queue.now, "node \(node.id) loses power")
        try ends(node, .withoutPower)
        let survival: SimulatedFileSystem.Survival =
            switch diskGenerator.below(4) {
            case 0: .nothing
            case 1: .everything
            case 2: .perMille(500)
            default: .perMille(100 + diskGenerator.below(800))
            }
        node.fileSystem.losePower(survival)
        node.machine.losePower(&diskGenerator)
        node.databaseMayGoBack = true
    }

    private func ends(_ node: SimulatedNode, _ stop: SimulatedNode.Stop) throws(Violation) {
        guard let process = node.process else {
            // It was down already; without power nothing answers for it any more.
            if case .withoutPower = stop, node.canStart { node.condition = .stopped(stop) }
            return
        }
        let core = process.replica.core
        if process.replica.isLeader, core.configuration.isJoint { report.reached(.leaderStoppedWhileJoint) }
        interruptLogWork(process, on: node)
        try interruptMachine(process, on: node)
        node.appliedAtEnd = node.machine.applied.index
        node.committedAtEnd = node.machine.committed.index
        node.machine.stop()
        node.life += 1
        node.condition = .stopped(stop)
        for other in nodes where other.id != node.id {
            network[node.id, other.id].connection = nil
            guard network[other.id, node.id].connection != nil else { continue }
            if node.hasPower {
                // The kernel closes what the process had open.
                breakConnection(other.id, node.id)
            } else {
                let cut = network[other.id, node.id].cuts
                queue.plan(
                    in: SimulatedNetwork.silenceMax, .silent(from: other.id, to: node.id, cut: cut))
            }
        }
        dropWatchers(of: node.id)
    }

    /// What the state machine was about happens wholly, in part, or not at all, and nobody is told.
    private func interruptMachine(_ process: SimulatedProcess, on node: SimulatedNode) throws(Violation) {
        node.machine.interrupt(&diskGenerator)
        if !process.applying.isEmpty {
            var applied: AppliedEntries?
            do throws(StateMachineFailure) {
                applied = try node.machine.apply(process.applying)
            } catch {
                report.reached(.applyInterrupted)
                trace.line(queue.now, "node \(node.id) was applying: \(error)")
            }
            if let applied {
                try judge.applies(process.applying, applied, digest: node.trustedDigest, on: node.id, at: queue.now)
            }
        }
        if let incoming = process.installing, let snapshot = process.incoming[incoming.id]?.content {
            do throws(StateMachineFailure) {
                try node.machine.install(snapshot)
                node.durableInDatabase = max(node.durableInDatabase, snapshot.position.index)
            } catch {
                report.reached(.installInterrupted)
                node.installedAtEnd = snapshot.position.index
                trace.line(queue.now, "node \(node.id) was installing a snapshot: \(error)")
            }
        }
        if process.isCheckpointing {
            do throws(StateMachineFailure) {
                node.durableInDatabase = max(node.durableInDatabase, try node.machine.checkpoint().index)
            } catch {
                report.reached(.checkpointInterrupted)
                trace.line(queue.now, "node \(node.id) was making a checkpoint: \(error)")
            }
        }
    }

    func pause(_ node: SimulatedNode, for span: UInt64) {
        guard case .running(let process) = node.condition else { return }
        trace.line(queue.now, "node \(node.id) is paused for \(span / 1_000) ms")
        node.condition = .paused(process, backlog: [])
        queue.plan(in: span, .lift(.resume(node.id, life: process.life)))
    }

    /// What waited arrives at once; its timers run late. What came over one connection stays in order, and which of them is read
    /// first is up to chance, as it is with sockets.
    func resume(_ id: NodeID, _ life: UInt64) {
        guard case .paused(let process, let backlog) = node(id).condition, process.life == life else { return }
        trace.line(queue.now, "node \(id) goes on")
        judge.resumes(id)
        node(id).condition = .running(process)
        readAfterPause(id)
        var channels: [(channel: ClusterEvent.Channel, events: ArraySlice<ClusterEvent>)] = []
        for event in backlog {
            if let place = channels.firstIndex(where: { $0.channel == event.channel }) {
                channels[place].events.append(event)
            } else {
                channels.append((event.channel, [event]))
            }
        }
        var delay: UInt64 = 0
        while !channels.isEmpty {
            let place = plan.draw(.pause, below: channels.count)
            guard let event = channels[place].events.popFirst() else {
                channels.remove(at: place)
                continue
            }
            queue.plan(in: delay, event)
            delay += 1
        }
    }
}
