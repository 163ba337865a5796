import Simulation

extension Mutant {
    private static let shell = "Replica/Replica.swift"
    private static let turn = "Replica/Replica+Turn.swift"

    static let replica = [
        Mutant(
            "deposed-leader-keeps-proposals", line: 32,
            "a deposed leader answers a write by what another put at its index",
            .expression(turn, "for token in ⟦proposals.abandon()⟧ {", "[] as [RequestToken]")),
        Mutant(
            "leads-with-a-silent-disk", line: 20, "heartbeats flow while the leader's disk hangs (hashicorp/raft 503)",
            under: [.hungSync],
            .expression(
                shell,
                "if ⟦now - since > 2 * options.diskSilenceMilliseconds⟧ {\n            core.stepDown()\n        } else if",
                "false"),
            .expression(
                shell, "} else if ⟦now - since > options.diskSilenceMilliseconds⟧ {\n            resign()", "false")),
        Mutant(
            "log-time-goes-back", line: 30, "a new leader does not know the time of entries that it has not applied",
            .statements(
                turn, "⟦logClock.saw(try LogEnvelope(decoding: entry.payload).timeMilliseconds)⟧",
                "_ = try LogEnvelope(decoding: entry.payload)")),
    ]
}
