internal import RaftCore

/// What one run is like. Everything else is drawn from the seed.
package struct SimulationOptions: Hashable, Sendable {
    package var nodes: Int
    package var clients: Int
    /// Simulated time with faults.
    package var faultyMilliseconds: UInt64
    /// Simulated time in which a healed cluster has to finish all that is under way.
    package var recoveryMilliseconds: UInt64

    package init(
        nodes: Int = 5, clients: Int = 3, faultyMilliseconds: UInt64 = 6_000, recoveryMilliseconds: UInt64 = 4_000
    ) {
        precondition((1...9).contains(nodes), "a cluster of \(nodes) nodes is not simulated")
        self.nodes = nodes
        self.clients = clients
        self.faultyMilliseconds = faultyMilliseconds
        self.recoveryMilliseconds = recoveryMilliseconds
    }
}

/// What a run did: shown so that a person sees that the faults took place.
package struct SimulationReport: Hashable, Sendable {
    package var seed: UInt64
    package var simulatedMilliseconds: UInt64 = 0
    package var events = 0
    package var crashes = 0
    package var partitions = 0
    package var messagesDropped = 0
    package var messagesDuplicated = 0
    package var slowSyncs = 0
    package var snapshots = 0
    package var elections = 0
    package var acknowledgedWrites = 0
    package var reads = 0
    /// Depends on everything that happened: equal for equal seeds, in every process.
    package var trace: UInt64 = 0xCBF2_9CE4_8422_2325

    package init(seed: UInt64) { self.seed = seed }

    mutating func note(_ value: UInt64) {
        trace = (trace ^ value) &* 0x100_0000_01B3
        trace ^= trace >> 29
    }
}

/// How hard the world is on this run: drawn once, so that runs differ from each other more than from themselves (swarm
/// testing).
struct FaultMix {
    var dropPerMille: Int
    var duplicatePerMille: Int
    var slowSyncPerMille: Int
    var crashes: Bool
    var partitions: Bool
    /// A small log, so that followers that were away need a snapshot.
    var isLogShort: Bool
    var delayMicrosecondsMax: Int

    init(_ generator: inout SeededGenerator) {
        dropPerMille = [0, 0, 10, 50, 200][generator.below(5)]
        duplicatePerMille = [0, 0, 20, 100][generator.below(4)]
        slowSyncPerMille = [0, 0, 20, 100][generator.below(4)]
        crashes = generator.below(4) > 0
        partitions = generator.below(4) > 0
        isLogShort = generator.below(2) == 0
        delayMicrosecondsMax = [500, 2_000, 20_000, 60_000][generator.below(4)]
    }

    static let none = FaultMix()

    private init() {
        dropPerMille = 0
        duplicatePerMille = 0
        slowSyncPerMille = 0
        crashes = false
        partitions = false
        isLogShort = false
        delayMicrosecondsMax = 1_000
    }
}

extension SimulationReport {
    /// Adds up what several runs did.
    package mutating func add(_ other: SimulationReport) {
        simulatedMilliseconds += other.simulatedMilliseconds
        events += other.events
        crashes += other.crashes
        partitions += other.partitions
        messagesDropped += other.messagesDropped
        messagesDuplicated += other.messagesDuplicated
        slowSyncs += other.slowSyncs
        snapshots += other.snapshots
        elections += other.elections
        acknowledgedWrites += other.acknowledgedWrites
        reads += other.reads
        note(other.trace)
    }
}
