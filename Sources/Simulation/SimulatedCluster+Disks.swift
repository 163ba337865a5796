internal import RaftCore
internal import RaftLog
internal import Replica

/// The log thread and the disk under it.
extension SimulatedCluster {
    /// Everything that queued up while the disk was busy is the next batch, as in the shipped thread.
    func startLogWork(_ node: SimulatedNode, _ process: SimulatedProcess) {
        guard process.logWork.isEmpty, !process.logQueue.isEmpty else { return }
        swap(&process.logWork, &process.logQueue)
        var delay = draw(&diskGenerator, 40, 700)
        if plan.strikes(.slowSync) {
            report.happened(.slowSync)
            delay = UInt64(plan.draw(.slowSync, 20_000, 300_000))
        }
        queue.plan(in: delay, .logDone(node.id, life: process.life))
        if process.logWork.canBeTorn { planCrash(of: node, process, within: delay, oneIn: 5) }
    }

    func logDone(_ id: NodeID, _ life: UInt64) throws(Violation) {
        guard let process = process(id, life) else { return }
        let node = node(id)
        guard queue.now >= node.diskHangsUntil else {
            // Looked at again before the planned end: the healing ends it sooner.
            let left = node.diskHangsUntil - queue.now
            queue.plan(in: min(left, SimulatedCluster.hangMicroseconds), .logDone(id, life: life))
            return
        }
        var synced: UInt64?
        var failure: LogError?
        var isFull = false
        process.unreported += process.logWork
        let makeRoom = { DataDirectory.releaseReserve(path: SimulatedNode.root, fileSystem: node.fileSystem) }
        process.log.perform(process.logWork, makeRoom: makeRoom) { outcome in
            switch outcome {
            case .persisted(let sequence):
                process.unreported.removeAll { job in
                    guard case .write(let persist) = job, persist.sequence <= sequence else { return false }
                    node.synced.synced(persist)
                    return true
                }
                synced = sequence
            case .compacted(let position):
                node.synced.compacted(to: position)
            case .full:
                isFull = true
            case .failed(let error):
                failure = failure ?? error
            }
        }
        process.unreported.removeAll { if case .write = $0 { false } else { true } }
        if let failure { return try fails(node, "\(failure)") }
        process.logWork.removeAll(keepingCapacity: true)
        if isFull {
            // As shipped: what waits is tried again after a while.
            report.reached(.logWaitedForRoom)
            trace.line(queue.now, "node \(id): the log waits for room")
            queue.plan(in: SimulatedCluster.roomMicroseconds, .tryForRoom(id, life: life))
        }
        startLogWork(node, process)
        if let synced { try turn(id, life) { $0.persisted(synced) } }
    }

    /// What another leader sends meanwhile is on the disk only after the state has been replaced.
    func hangWhileInstalling(_ node: SimulatedNode, _ process: SimulatedProcess) {
        guard plan.kinds.contains(.hungSync), plan.draw(.hungSync, below: 2) == 0 else { return }
        report.happened(.hungSync)
        let rest = UInt64(plan.draw(.hungSync, 5_000, 200_000))
        node.diskHangsUntil = max(node.diskHangsUntil, process.installEndsAt + rest)
        trace.line(queue.now, "node \(node.id) has a disk that hangs while it installs")
    }

    /// There may be room for what the log could not write.
    func tryForRoom(_ id: NodeID, _ life: UInt64) {
        guard let process = process(id, life) else { return }
        process.logQueue.append(.resume)
        startLogWork(node(id), process)
    }

    private static let roomMicroseconds: UInt64 = 200_000

    // MARK: Room

    static let diskLowBytes = 24 << 10
    static let diskHighBytes = 40 << 10
    private static let reserveBytes = 8 << 10

    /// What a node measures now and then; with room enough it sets some aside for the moment when there is none.
    func measureDisk(_ node: SimulatedNode, _ process: SimulatedProcess) throws(Violation) {
        let free = node.fileSystem.freeBytes
        try turn(node.id, process.life) { $0.diskMeasured(freeBytes: UInt64(free)) }
        guard free >= SimulatedCluster.diskHighBytes + SimulatedCluster.reserveBytes else { return }
        do throws(DataDirectoryError) {
            try DataDirectory.makeReserve(
                path: SimulatedNode.root, bytes: SimulatedCluster.reserveBytes, fileSystem: node.fileSystem)
        } catch {
            trace.line(queue.now, "node \(node.id) sets no room aside: \(error)")
        }
    }
    private static let hangMicroseconds: UInt64 = 10_000

    /// The last batch was under way when the machine stopped: as much of it as happened.
    func interruptLogWork(_ process: SimulatedProcess, on node: SimulatedNode) {
        node.unfinished = process.unreported + process.logWork
        guard !process.logWork.isEmpty else { return }
        // A batch is written within three calls; more are made for a new segment, and for the hard state.
        node.fileSystem.callsUntilPowerFails = diskGenerator.below(diskGenerator.below(2) == 0 ? 3 : 14)
        // How it ends is for the next start to find out.
        process.log.perform(process.logWork) { _ in }
        node.fileSystem.callsUntilPowerFails = nil
    }

    /// Damages what was synced on a member's disk. Returns false when there is nothing to damage yet.
    func damage(_ node: SimulatedNode, _ kind: FaultKind) -> Bool {
        let files = node.fileSystem
        let paths = files.paths(in: SimulatedNode.directory).filter {
            files.vouchedBytes($0) > 2 * SimulatedFileSystem.sectorBytes
        }
        guard !paths.isEmpty else { return false }
        let path = paths[plan.draw(kind, below: paths.count)]
        let vouched = files.vouchedBytes(path)
        switch kind {
        case .bitFlip:
            files.flipBit(path, at: plan.draw(kind, below: vouched), bit: plan.draw(kind, below: 8))
        case .misdirectedWrite:
            let sectors = vouched / SimulatedFileSystem.sectorBytes
            let from = plan.draw(kind, below: sectors)
            files.misdirect(path, sector: from, to: (from + 1 + plan.draw(kind, below: sectors - 1)) % sectors)
        default:
            preconditionFailure("\(kind) damages no bytes")
        }
        trace.line(queue.now, "node \(node.id) \(kind) in \(path)")
        return true
    }
}

extension [LogJob] {
    /// Whether a crash can leave a part of it on the disk: more entries than a sector holds, or a term and entries.
    fileprivate var canBeTorn: Bool {
        var (hasHardState, entries) = (false, 0)
        for case .write(let persist) in self {
            if persist.hardState != nil { hasHardState = true }
            entries += persist.entries.count
        }
        return entries > (hasHardState ? 0 : 3)
    }
}
