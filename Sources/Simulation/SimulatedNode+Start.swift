internal import RaftCore
internal import RaftLog
internal import Replica

/// Why a process did not start.
enum StartFailure: Error, CustomStringConvertible {
    case log(LogError)
    case stateMachine(StateMachineFailure)
    case refused(MemberStart.Refusal)
    case repair(RepairFailure)
    /// The log or the database that was read back lacks what was synced.
    case lost(String)

    /// Whether log and database may be given up for a copy from the other members: as in `NodeStartError`.
    var isRepairable: Bool {
        switch self {
        case .log(let error): error.isRepairable
        case .refused(.entriesAreMissing), .refused(.membersAreUnknown): true
        case .refused(.unsound), .stateMachine, .repair, .lost: false
        }
    }

    var description: String {
        switch self {
        case .log(let error): "\(error)"
        case .stateMachine(let failure): "\(failure)"
        case .refused(let refusal): "\(refusal)"
        case .repair(let failure): "it cannot be repaired: \(failure)"
        case .lost(let what): what
        }
    }
}

/// What a process found when it started.
struct StartFindings {
    var process: SimulatedProcess
    var cutATail: Bool
    var beganAnew: Bool
    /// A damaged log and its database were given up at this start.
    var discarded: Bool
    var databaseWentBack: Bool
}

extension SimulatedNode {
    /// Starts a process as `metad` does: an unfinished repair goes on, and what is found damaged is repaired.
    ///
    /// - Parameters:
    ///   - makeMachine: makes an empty state machine, for a repair.
    ///   - repairStopsAfter: the process ends in a repair after so many calls that change files.
    func start(
        now: UInt64, seed: UInt64, options: ReplicaOptions, repairStopsAfter: Int?,
        makeMachine: () -> any SimulatedStateMachine
    ) throws(StartFailure) -> StartFindings {
        precondition(isStopped, "node \(id) runs already")
        life += 1
        var marker: RepairMarker?
        do throws(DataDirectoryError) { marker = try repair.unfinished() } catch { throw .repair(.directory(error)) }
        var discarded = false
        if let known = marker, known.phase == .discard {
            marker = try discard(known, stopsAfter: repairStopsAfter, machine: makeMachine())
            discarded = true
        }
        var findings: StartFindings
        do throws(StartFailure) {
            findings = try open(marker, now: now, seed: seed, options: options)
        } catch {
            // What nothing was done to is not to be given up.
            guard error.isRepairable, isDamaged || readsAreFlipped else { throw error }
            let members = marker?.members ?? repair.salvagedMembers(database: salvagedFromDatabase) { _ in }
            marker = try discard(
                RepairMarker(phase: .discard, members: members, reason: "\(error)"), stopsAfter: repairStopsAfter,
                machine: makeMachine())
            discarded = true
            findings = try open(marker, now: now, seed: seed, options: options)
        }
        findings.discarded = discarded
        return findings
    }

    /// The log is opened, the state machine beside it, and the two are fitted.
    ///
    /// - Parameter marker: of the repair that goes on; nil when there is none.
    private func open(
        _ marker: RepairMarker?, now: UInt64, seed: UInt64, options: ReplicaOptions
    ) throws(StartFailure) -> StartFindings {
        var logOptions = logOptions
        logOptions.createIfEmpty = false
        let log: SegmentedLog<SimulatedFileSystem>
        let recovered: RecoveredLog
        do throws(LogError) {
            (log, recovered) = try SegmentedLog.open(
                directory: SimulatedNode.directory, fileSystem: fileSystem, options: logOptions)
        } catch { throw .log(error) }
        if harm <= .flippedBits, let loss = synced.loss(in: recovered, underWay: unfinished) {
            throw .lost("the log \(loss)")
        }
        unfinished = []
        synced = SyncedLog(recovered)
        do throws(StartFailure) {
            return try start(recovered, log, marker, now: now, seed: seed, options: options)
        } catch {
            machine.stop()
            throw error
        }
    }

    private func start(
        _ recovered: RecoveredLog, _ log: SegmentedLog<SimulatedFileSystem>, _ marker: RepairMarker?, now: UInt64,
        seed: UInt64, options: ReplicaOptions
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
        var restored: RestoredState
        var beganAnew = false
        switch start {
        case .fits(let state):
            restored = state
        case .beginsAnew(let write, let state):
            // What of it happens before a disk fails is for the next start to find out.
            unfinished = [.write(write)]
            do throws(LogError) { try log.write([write]) } catch { throw .log(error) }
            unfinished = []
            synced.synced(write)
            restored = state
            beganAnew = true
        case .refused(let refusal):
            throw .refused(refusal)
        }
        restored.hasJoined = firstMembers.isEmpty
        if let marker {
            restored.isRecovering = true
            // The log may have lost the entry that named the members; whom to ask has to be known all the same.
            if restored.base.index == .zero {
                do throws(RepairFailure) {
                    restored.configuration = try repair.configuration(of: marker)
                } catch { throw .repair(error) }
            }
        }
        let replica = Replica(
            id: id, disk: disk, options: options, restored: restored, image: image,
            now: clock.milliseconds(at: now), seed: seed)
        let process = SimulatedProcess(
            replica: replica, log: log, watches: Watches(current: image.version), life: life,
            snapshotID: (seed >> 16) << 8, now: clock.milliseconds(at: now))
        condition = .running(process)
        return StartFindings(
            process: process, cutATail: recovered.truncatedTail != nil, beganAnew: beganAnew, discarded: false,
            databaseWentBack: databaseWentBack)
    }

    /// The end of a process takes nothing from the database that was committed, and a loss of power nothing that was made durable.
    /// Returns whether it went back.
    private func noteApplied() throws(StartFailure) -> Bool {
        let (found, before) = (machine.applied.index, appliedAtEnd)
        let kept = databaseMayGoBack ? durableInDatabase : committedAtEnd
        guard isDamaged || (kept...before).contains(found) || found == installedAtEnd else {
            throw .lost("the database stands at \(found), it stood at \(before), and \(kept) was kept")
        }
        appliedAtEnd = found
        committedAtEnd = found
        installedAtEnd = nil
        databaseMayGoBack = false
        return found < before
    }
}
