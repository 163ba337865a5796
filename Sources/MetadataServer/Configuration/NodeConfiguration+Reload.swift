/// What a running node takes over when its settings are read again.
extension NodeConfiguration {
    /// A key that comes to something else than before.
    struct Change: Hashable, Sendable, CustomStringConvertible {
        var key: String
        var before: String
        var after: String

        var description: String { "\(key): \(before) -> \(after)" }
    }

    /// The others are bound to what was opened at the start: files, sockets, timers of the quorum.
    package static let reloadableKeys: Set<String> = [
        "storage.digest_interval", "storage.scrub_interval", "storage.disk_low_bytes", "storage.disk_high_bytes",
        "coordinator.rebalance.auto", "coordinator.rebalance.strategy", "coordinator.rebalance.threshold_percent",
        "coordinator.rebalance.interval", "coordinator.rebalance.moves_per_broker_max",
        "coordinator.rebalance.moves_max",
        "coordinator.leaders.auto", "coordinator.leaders.threshold_percent", "coordinator.leaders.interval",
        "resilience.timeouts.rebalance", "logging.level", "logging.format", "tracing.endpoint", "tracing.sampling",
        "limits.client_connections_max",
    ]

    /// In the order of the keys.
    func changes(to next: NodeConfiguration) -> [Change] {
        NodeConfiguration.knownKeys.compactMap { key in
            let (before, after) = (texts[key] ?? "", next.texts[key] ?? "")
            return before == after ? nil : Change(key: key, before: before, after: after)
        }
    }

    /// This configuration with what a running node takes over from `next`. What it does not take over stays as it is in
    /// force, so that the next look at the file says again what waits for a restart.
    func taking(over next: NodeConfiguration) -> NodeConfiguration {
        var taken = self
        taken.storage.digestInterval = next.storage.digestInterval
        taken.storage.scrubInterval = next.storage.scrubInterval
        taken.storage.diskLowBytes = next.storage.diskLowBytes
        taken.storage.diskHighBytes = next.storage.diskHighBytes
        taken.coordinator.rebalance = next.coordinator.rebalance
        taken.coordinator.leaders = next.coordinator.leaders
        taken.resilience.timeouts.rebalance = next.resilience.timeouts.rebalance
        taken.logging.level = next.logging.level
        taken.logging.format = next.logging.format
        taken.tracing = next.tracing
        taken.limits.clientConnectionsMax = next.limits.clientConnectionsMax
        for key in NodeConfiguration.reloadableKeys { taken.texts[key] = next.texts[key] }
        return taken
    }
}
