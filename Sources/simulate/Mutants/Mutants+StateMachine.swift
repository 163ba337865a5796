extension Mutant {
    private static let sessions = "MetadataModel/SessionTable.swift"
    private static let brokers = "MetadataModel/Decide+Brokers.swift"
    private static let partitions = "MetadataModel/Decide+Partitions.swift"
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
            .expression(partitions, "guard ⟦broker.epoch == command.brokerEpoch⟧ else", "true")),
        Mutant(
            "stale-leader-epoch", "a report with an old leader epoch is obeyed",
            .expression(partitions, "guard ⟦partition.leaderEpoch == command.leaderEpoch⟧ else", "true")),
        Mutant(
            "stale-partition-epoch", "a report with an old partition epoch is obeyed",
            .expression(partitions, "guard ⟦partition.partitionEpoch == command.partitionEpoch⟧ else", "true")),
        Mutant(
            "leader-outside-the-isr", "a broker outside of the ISR is made the leader",
            .expression(partitions, "guard ⟦before.isr.contains(command.leader)⟧ else", "true")),
        Mutant(
            "fence-forgets-partitions", "fencing a broker leaves it the leader of some of its partitions",
            .statements(
                brokers, "changes.append(.partition(before: partition, after: moved))",
                "if changes.count < 2 { changes.append(.partition(before: partition, after: moved)) }")),
        Mutant(
            "isr-emptied", "the last member of an ISR is taken out of it (unclean election follows)",
            .expression(brokers, "after.isr = ⟦remaining.isEmpty ? partition.isr : remaining⟧", "remaining")),
        Mutant(
            "leader-without-an-epoch", "a new leader keeps the epoch of the one before",
            .statements(brokers, "leaderEpoch = Partition.advanced(leaderEpoch)", "_ = 0")),
        Mutant(
            "order-of-a-set", "the order of a hash set decides in apply",
            .expression(
                brokers, "for candidate in ⟦partition.replicas⟧ where remaining", "Array(Set(partition.replicas))")),
    ]
}
