/// What one run is like. Everything else is drawn from the seed.
package struct SimulationOptions: Hashable, Sendable {
    package static let nodesMax = 9

    package var nodes: Int
    package var store: Store
    /// Simulated time with faults.
    package var faultyMilliseconds: UInt64
    /// Simulated time in which a healed core has to finish all that is under way.
    package var recoveryMilliseconds: UInt64
    /// Kinds of faults that may take part.
    package var faults: FaultKinds
    /// Of these, kinds that take part in each run.
    package var always: FaultKinds
    /// Instead of a drawn world: a calm one with a given load.
    package var load: Load?

    package enum Store: String, CaseIterable, Hashable, Sendable {
        /// The reference in memory.
        case memory
        /// The shipped store, on SQLite.
        case sqlite
    }

    /// A steady load for measuring.
    package struct Load: Hashable, Sendable {
        package var writesPerSecond: Int

        package init(writesPerSecond: Int) { self.writesPerSecond = writesPerSecond }

        /// Six of ten requests write, and an answer takes about three milliseconds.
        var pauseMicrosecondsMax: Int {
            max(1_000, 2 * (SimulatedCluster.clientCount * 600_000 / writesPerSecond - 3_000))
        }
    }

    package init(
        nodes: Int = 3, store: Store = .memory, faultyMilliseconds: UInt64 = 8_000,
        recoveryMilliseconds: UInt64 = 5_000, faults: FaultKinds = .all, always: FaultKinds = FaultKinds(),
        load: Load? = nil
    ) {
        precondition((1...SimulationOptions.nodesMax).contains(nodes), "a cluster of \(nodes) nodes is not simulated")
        self.nodes = nodes
        self.store = store
        self.faultyMilliseconds = faultyMilliseconds
        self.recoveryMilliseconds = recoveryMilliseconds
        self.faults = faults
        self.always = always
        self.load = load
    }
}
