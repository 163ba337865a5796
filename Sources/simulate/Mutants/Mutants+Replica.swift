extension Mutant {
    private static let shell = "Replica/Replica.swift"

    static let replica = [
        Mutant(
            "deposed-leader-keeps-proposals", "a deposed leader answers a write by what another put at its index",
            .expression(shell, "for token in ⟦proposals.abandon()⟧ {", "[] as [RequestToken]")),
        Mutant(
            "log-time-goes-back", "a new leader does not know the time of entries that it has not applied",
            .statements(
                shell, "⟦logClock.saw(try LogEnvelope(decoding: entry.payload).timeMilliseconds)⟧",
                "_ = try LogEnvelope(decoding: entry.payload)")),
    ]
}
