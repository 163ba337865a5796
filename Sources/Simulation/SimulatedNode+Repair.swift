internal import RaftCore
internal import RaftLog
internal import Replica

/// The repair of a damaged machine from the others, as shipped: `DirectoryRepair` decides and does it.
extension SimulatedNode {
    /// Whether something is wrong in its state machine.
    enum StateDamage: Hashable {
        case none
        /// It will make something else of the next write that suits. Exit: `planted`.
        case planned
        /// Exits: `none` when the state machine is replaced.
        case planted
    }

    enum Harm: Comparable {
        case none
        /// Single bits were flipped: that is noticed, and nothing that had been synced is missing without a word.
        case flippedBits
        /// It may lack what had been synced, or refuse to start.
        case any
    }

    var isDamaged: Bool { harm != .none }

    var repair: DirectoryRepair<SimulatedFileSystem> {
        var options = logOptions
        options.createIfEmpty = false
        return DirectoryRepair(
            path: SimulatedNode.root, fileSystem: fileSystem, options: options, nodeID: id,
            initialMembers: firstMembers.isEmpty ? nil : Configuration(voters: firstMembers))
    }

    /// Whether this member would tell another disk under that name from the one before. Not known of one that is down.
    func knowsDisk(of id: NodeID) -> Bool {
        process?.replica.core.configuration.member(id).map { $0.disk != .unknown } ?? false
    }

    /// Nothing is wrong on its disk, as far as anybody could know who planned it.
    var isSound: Bool { !isDamaged && stateDamage == .none && fileSystem.flippedReadsPerMille == 0 }

    /// A state machine takes the place of the present one.
    func replaceState(_ machine: any SimulatedStateMachine) {
        self.machine = machine
        durableInDatabase = .zero
        appliedAtEnd = .zero
        committedAtEnd = .zero
        installedAtEnd = nil
        databaseMayGoBack = false
        stateDamage = .none
    }

    /// Gives up log and database, or what is left of them, after the process has ended.
    ///
    /// - Parameters:
    ///   - calls: the machine stops after so many calls that change files; nil when it goes on.
    ///   - machine: an empty state machine.
    func discard(
        _ marker: RepairMarker, stopsAfter calls: Int?, machine: any SimulatedStateMachine
    ) throws(StartFailure) -> RepairMarker {
        let done: RepairMarker
        let before = harm
        do throws(RepairFailure) {
            let planned = try repair.plan(marker)
            harm = .any
            fileSystem.callsUntilPowerFails = calls
            defer { fileSystem.callsUntilPowerFails = nil }
            done = try repair.discard(planned)
        } catch {
            do throws(DataDirectoryError) {
                // Nothing was touched, and nothing will be.
                if try repair.unfinished() == nil { harm = before }
            } catch {
                // It may have been.
            }
            throw .repair(error)
        }
        replaceState(machine)
        harmSinceRepair = .none
        return done
    }

    /// The last members that the database can name, and as of which entry.
    var salvagedFromDatabase: (configuration: Configuration, applied: LogIndex)? {
        do throws(StateMachineFailure) {
            try machine.start()
        } catch {
            return nil
        }
        defer { machine.stop() }
        return machine.configuration.map { ($0, machine.applied.index) }
    }

    /// `Effect.recovered`. Whatever was wrong before is gone; what has been damaged since is not.
    func recovered() throws(DataDirectoryError) {
        try repair.finish()
        // A note that was misread stays, and the next start recovers once more.
        guard try repair.unfinished() == nil else { return }
        harm = harmSinceRepair
        owed = []
    }

    /// Something on its disk was changed behind its back.
    func isHarmed(by kind: FaultKind) {
        let done = kind == .bitFlip ? Harm.flippedBits : .any
        harm = max(harm, done)
        harmSinceRepair = max(harmSinceRepair, done)
    }
}
