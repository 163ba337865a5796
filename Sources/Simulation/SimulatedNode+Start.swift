internal import RaftCore
internal import RaftLog
internal import Replica

/// Why a process did not start.
enum StartFailure: Error, CustomStringConvertible {
    case log(LogError)
    case stateMachine(StateMachineFailure)
    case refused(MemberStart.Refusal)
    /// The log or the database that was read back lacks what was synced.
    case lost(String)

    var description: String {
        switch self {
        case .log(let error): "\(error)"
        case .stateMachine(let failure): "\(failure)"
        case .refused(let refusal): "\(refusal)"
        case .lost(let what): what
        }
    }
}

/// What a process found when it started.
struct StartFindings {
    var process: SimulatedProcess
    var cutATail: Bool
    var beganAnew: Bool
    var databaseWentBack: Bool
}

extension SimulatedNode {
    /// Starts a process as `metad` does: the log is opened, the state machine beside it, and the two are fitted.
    func start(
        now: UInt64, seed: UInt64, options: ReplicaOptions, logOptions: LogOptions
    ) throws(StartFailure) -> StartFindings {
        precondition(isStopped, "node \(id) runs already")
        life += 1
        var logOptions = logOptions
        logOptions.diskID = disk
        logOptions.createIfEmpty = false
        let log: SegmentedLog<SimulatedFileSystem>
        let recovered: RecoveredLog
        do throws(LogError) {
            (log, recovered) = try SegmentedLog.open(
                directory: SimulatedNode.directory, fileSystem: fileSystem, options: logOptions)
        } catch { throw .log(error) }
        if !isDamaged, let loss = synced.loss(in: recovered, underWay: unfinished) { throw .lost("the log \(loss)") }
        unfinished = []
        synced = SyncedLog(recovered)
        do throws(StartFailure) {
            return try start(recovered, log, now: now, seed: seed, options: options)
        } catch {
            machine.stop()
            throw error
        }
    }

    private func start(
        _ recovered: RecoveredLog, _ log: SegmentedLog<SimulatedFileSystem>, now: UInt64, seed: UInt64,
        options: ReplicaOptions
    ) throws(StartFailure) -> StartFindings {
        let image: StateMachineImage
        do throws(StateMachineFailure) {
            try machine.start()
            image = try machine.image()
        } catch { throw .stateMachine(error) }
        let databaseWentBack = try noteApplied()
        let start = MemberStart(
            hardState: recovered.hardState, base: recovered.base, entries: recovered.entries, applied: machine.applied,
            configuration: machine.configuration)
        let restored: RestoredState
        var beganAnew = false
        switch start {
        case .fits(let state):
            restored = state
        case .beginsAnew(let write, let state):
            do throws(LogError) { try log.write([write]) } catch { throw .log(error) }
            synced.synced(write)
            restored = state
            beganAnew = true
        case .refused(let refusal):
            throw .refused(refusal)
        }
        let replica = Replica(
            id: id, disk: disk, options: options, restored: restored, image: image,
            now: clock.milliseconds(at: now), seed: seed)
        let process = SimulatedProcess(
            replica: replica, log: log, watches: Watches(current: image.version), life: life)
        condition = .running(process)
        return StartFindings(
            process: process, cutATail: recovered.truncatedTail != nil, beganAnew: beganAnew,
            databaseWentBack: databaseWentBack)
    }

    /// The end of a process takes nothing from the database, and a loss of power nothing that was made durable. Returns whether
    /// it went back.
    private func noteApplied() throws(StartFailure) -> Bool {
        let (found, before) = (machine.applied.index, appliedAtEnd)
        let kept = databaseMayGoBack ? durableInDatabase : before
        guard isDamaged || (kept...before).contains(found) else {
            throw .lost("the database stands at \(found), it stood at \(before), and \(kept) was kept")
        }
        appliedAtEnd = found
        databaseMayGoBack = false
        return found < before
    }
}
