import Simulation

extension Mutant {
    private static let core = "RaftCore/RaftNode+Snapshot.swift"
    private static let shell = "Replica/Replica+StateMachine.swift"

    static let snapshots = [
        Mutant(
            "older-snapshot-installed", line: 4, "a snapshot older than what is applied is installed (openraft 0.7.3)",
            under: [.shortLog, .isolation, .slowApply, .transfer],
            .expression(shell, "if ⟦snapshot.position.index > core.commitIndex⟧ {", "true")),
        Mutant(
            "snapshot-keeps-configuration", line: 3,
            "a snapshot leaves a stale configuration in effect (openraft 1808)",
            under: [.memberChange, .isolation, .shortLog],
            .expression(
                core, "ConfigurationHistory(base: position.index, configuration: ⟦configuration⟧)", "self.configuration"
            )),
        Mutant(
            "conflicting-tail-kept", line: 4, "entries that conflict with a snapshot stay behind it (openraft 2026)",
            under: [.burst, .isolation, .shortLog],
            .expression(
                core, "if ⟦log.contains(position)⟧ && position.index <= persistence.syncedIndex {",
                "position.index <= log.lastIndex")),
        Mutant(
            "log-cut-beyond-the-checkpoint", line: 5, "the log is cut further than the database is durable",
            under: [.shortLog, .powerLoss],
            .expression(
                "Replica/Replica+StateMachine.swift", "min(wanted, ⟦durable.index⟧)", "core.appliedIndex")),
        Mutant(
            "acknowledged-behind-a-snapshot",
            "entries that a snapshot has replaced are acknowledged once their write ends",
            under: [.burst, .oneWay, .shortLog, .hungSync, .slowApply],
            .statements(core, "⟦withdrawAcknowledgements(after: position.index)⟧", "_ = position")),
    ]
}
