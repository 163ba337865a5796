import Simulation

extension Mutant {
    private static let core = "RaftCore/RaftNode+Reads.swift"
    private static let clients = "Replica/Replica+Clients.swift"

    static let reads = [
        Mutant(
            "read-before-own-commit", line: 13, "ReadIndex before an entry of the own term is committed (Diss. §6.4)",
            .expression(core, "⟦commitIndex >= leadership.firstIndex⟧", "true"),
            .expression(core, "precondition(⟦log.term(at: commitIndex) == term⟧, \"reads at", "true")),
        Mutant(
            "read-without-quorum", line: 14,
            "a leader answers reads without asking whether it still leads (etcd 20418)", under: [.pause, .isolation],
            .expression(core, "guard ⟦isConfirmed⟧ else { return }", "true")),
        Mutant(
            "read-counts-an-earlier-heartbeat", line: 13,
            "the answer to a heartbeat that left before the read confirms it",
            under: [.slowMessages, .pause, .isolation],
            .expression(
                core, "return ⟦leadership.progress[offset].ackedRound >= round.number⟧",
                "leadership.progress[offset].ackedRound + 1 >= round.number")),
        Mutant(
            "read-joins-late", line: 13, "a read that came after the heartbeats left is confirmed by them",
            .expression(
                core,
                "for read in ⟦round.reads⟧ {\n            switch read {\n            case .local(let id): confirmed",
                "leadership.reads.waiting + round.reads")),
        Mutant(
            "read-attempt-reused", line: 13,
            "a late answer to an earlier attempt is taken for this one's (etcd-io/raft 397)",
            under: [.slowMessages, .doubledMessages, .reorderedMessages],
            .expression(core, "⟦pending.id == attempt⟧", "true")),
        Mutant(
            "read-before-applied", "a confirmed read is served before its index is applied",
            .expression("Replica/Replica+Turn.swift", "reads.served(at: ⟦core.appliedIndex⟧)", "core.commitIndex")),
        Mutant(
            "at-least-before-applied", "a read of at least a version is served before that version is applied",
            .expression(clients, "if ⟦index <= core.appliedIndex⟧ {", "index <= core.commitIndex")),
        Mutant(
            "stale-without-bound", "a stale read is served however long no leader was heard",
            .expression(clients, "if ⟦lag <= maxLag⟧ {", "true")),
        Mutant(
            "stale-after-pause", "a leader that was stopped takes its state for the present before it has asked",
            under: [.pause, .isolation, .clockRates],
            .expression("Replica/Replica.swift", "if isLeader, ⟦belief == .firm⟧ { return 0 }", "true"),
            .expression(
                "Replica/Replica+Turn.swift", "if isLeader, ⟦belief == .firm⟧ { lastLeaderContact = now }", "true")),
    ]
}
