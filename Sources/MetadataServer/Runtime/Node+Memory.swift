import Logging
import NIOCore
import Replica
import Resilience

/// What is done when memory runs short: first what can be had again is given up, then no more work is taken.
extension Node {
    /// The limit may be changed while the node runs, though not often.
    private static let publicationsPerLimit = 20
    /// What was given up is not missed at once.
    private static let shedPause: TimeAmount = .seconds(1)
    /// A client that is owed more than this, and does not take it, loses its connection.
    private static let shedUnsentBytes = 1 << 20

    func measureMemory() {
        if settings.gate.memoryMaxBytes > 0 {
            memoryLimit = settings.gate.memoryMaxBytes
        } else if memoryLimit == nil || publications.isMultiple(of: Node.publicationsPerLimit) {
            memoryLimit = memory.limit()
        }
        guard let used = memory.used(), let limit = memoryLimit else { return }
        if gate.memoryMeasured(used: used, limit: limit) {
            logger.log(
                level: gate.pressure.level == .calm ? .notice : .warning, "memory",
                metadata: [
                    "level": "\(gate.pressure.level)", "resident_bytes": "\(used)", "limit_bytes": "\(limit)",
                ])
        }
        if gate.pressure.level > .calm { shedMemory() }
    }

    private func shedMemory() {
        let now = NIODeadline.now()
        guard now >= nextShed else { return }
        nextShed = now + Node.shedPause
        // Whoever is behind reads the feed from the database instead.
        watches.shed()
        storage.releaseMemory()
        for connection in connections.values.filter({ $0.unsentBytes > Node.shedUnsentBytes }) {
            loggers.storage.warning(
                "memory is short: closing the connection of a client that does not read",
                metadata: ["remote": "\(connection.remote)", "unsent_bytes": "\(connection.unsentBytes)"])
            connection.close()
        }
    }
}
