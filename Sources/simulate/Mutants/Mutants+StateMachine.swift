extension Mutant {
    private static let sessions = "MetadataModel/SessionTable.swift"
    private static let brokers = "MetadataModel/Decide+Brokers.swift"
    private static let partitions = "MetadataModel/Decide+Partitions.swift"
    private static let rules = "MetadataModel/PartitionRules.swift"
    private static let digest = "MetadataModel/StateDigest.swift"

    static let stateMachine = [
        Mutant(
            "no-deduplication", "a write that was sent again is carried out again (Diss. §6.3)",
            .expression(
                sessions,
                "return ⟦place.found ? .replay(entries.values[position].results[place.index].result.outcome) : .execute⟧",
                ".execute"),
            .statements(
                sessions, "⟦precondition(!place.found, \"write \\(sequence) of session \\(id) was recorded twice\")⟧",
                "if place.found { return }")),
        Mutant(
            "answer-dropped-too-early", "the session's window ends one write too late",
            .expression(
                sessions, "⟦first.result.sequence < acknowledgedBelow⟧", "first.result.sequence <= acknowledgedBelow")),
        Mutant(
            "acknowledged-write-repeated",
            "a write whose answer was acknowledged is carried out when it turns up again",
            .expression(sessions, "guard ⟦sequence >= first⟧ else {", "true"),
            .expression(sessions, "guard ⟦sequence - first < Limits.sessionWindow⟧ else {", "true")),
        Mutant(
            "expired-session-repeats", "a write of an expired session is done again instead of answered \"unknown\"",
            .expression(sessions, "⟦.refused(.sessionExpired(id))⟧\n        }\n        touched", ".execute")),
        Mutant(
            "digest-ignores-removals", "the digest is not moved when a row is removed",
            .expression(
                digest, "case .topic(let before, let after): ⟦(after.map(of) ?? 0) &- (before.map(of) ?? 0)⟧",
                "after == nil ? 0 : (after.map(of) ?? 0) &- (before.map(of) ?? 0)")),
        Mutant(
            "digest-ignores-what-was", "the digest adds the row after a change and keeps the one before",
            .expression(
                digest, "case .config(let before, let after): ⟦(after.map(of) ?? 0) &- (before.map(of) ?? 0)⟧",
                "after.map(of) ?? 0")),
        Mutant(
            "stale-broker-fences", "a fence for an earlier registration of a broker is carried out",
            .expression(
                brokers,
                "func fence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {\n"
                    + "        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }\n"
                    + "        guard ⟦before.epoch == epoch⟧ else",
                "true")),
        Mutant(
            "stale-broker-epoch", "a report with an old broker epoch is obeyed",
            .expression(
                partitions, "return ⟦broker.epoch == epoch ? nil : .staleBrokerEpoch(broker, given: epoch)⟧", "nil")),
        Mutant(
            "stale-leader-epoch", "a report with an old leader epoch is obeyed",
            .expression(partitions, "guard ⟦partition.leaderEpoch == report.leaderEpoch⟧ else", "true")),
        Mutant(
            "stale-partition-epoch", "a report with an old partition epoch is obeyed",
            .expression(partitions, "guard ⟦partition.partitionEpoch == report.partitionEpoch⟧ else", "true")),
        Mutant(
            "leader-outside-the-isr", "a broker outside of the ISR is made the leader",
            .expression(partitions, "guard ⟦before.isr.contains(leader)⟧ else", "true")),
        Mutant(
            "fence-forgets-partitions", "fencing a broker leaves it the leader of some of its partitions",
            .statements(
                brokers, "changes.append(.partition(before: partition, after: settled))",
                "if changes.count < 2 { changes.append(.partition(before: partition, after: settled)) }")),
        Mutant(
            "fenced-stays-in-the-isr", "a fenced broker stays in the ISR, and would be elected from it (KIP-841)",
            .statements(
                brokers, "if partition.isr.count > 1 { wanted.isr.removeAll { $0 == before.id } }", "_ = 0")),
        Mutant(
            "unclean-election", "a leader is elected outside of the ISR although nobody allowed it",
            .expression(rules, "guard try ⟦settings(of: partition.key.topic).allowsUncleanElection⟧ else", "true")),
        Mutant(
            "leader-without-an-epoch", "a new leader keeps the epoch of the one before",
            .expression(rules, "after.leaderEpoch = ⟦advanced(before.leaderEpoch)⟧", "before.leaderEpoch")),
        Mutant(
            "order-of-a-set", "the order of a hash set decides in apply",
            .expression(rules, "for broker in ⟦brokers⟧ where try isActive(broker)", "Array(Set(brokers))")),
    ]
}
