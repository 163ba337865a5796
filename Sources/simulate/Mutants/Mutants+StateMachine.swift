extension Mutant {
    private static let sessions = "MetadataModel/SessionTable.swift"
    private static let brokers = "MetadataModel/Decide+Brokers.swift"
    private static let partitions = "MetadataModel/Decide+Partitions.swift"
    private static let rules = "MetadataModel/PartitionRules.swift"
    private static let digest = "MetadataModel/StateDigest.swift"

    static let stateMachine = [
        Mutant(
            "no-deduplication", line: 31, "a write that was sent again is carried out again (Diss. §6.3)",
            .expression(
                sessions,
                "return ⟦place.found ? .replay(entries.values[position].results[place.index].result.outcome) : .execute⟧",
                ".execute"),
            .statements(
                sessions, "⟦precondition(!place.found, \"write \\(sequence) of session \\(id) was recorded twice\")⟧",
                "if place.found { return }")),
        Mutant(
            "answer-dropped-too-early", line: 31, "the session's window ends one write too late",
            .expression(
                sessions, "⟦first.result.sequence < acknowledgedBelow⟧", "first.result.sequence <= acknowledgedBelow")),
        Mutant(
            "acknowledged-write-repeated", line: 31,
            "a write whose answer was acknowledged is carried out when it turns up again",
            .expression(sessions, "guard ⟦sequence >= first⟧ else {", "true"),
            .expression(sessions, "guard ⟦sequence - first < Limits.sessionWindow⟧ else {", "true")),
        Mutant(
            "expired-session-repeats", line: 32,
            "a write of an expired session is done again instead of answered \"unknown\"",
            .expression(sessions, "⟦.refused(.sessionExpired(id))⟧\n        }\n        touched", ".execute")),
        Mutant(
            "poison-entry", line: 50, "an entry that cannot be understood ends every node",
            .statements(
                "MetadataModel/StateMachine.swift",
                "return Applied(outcome: .refused(.unknownCommand(index: index)), event: nil, wasReplay: false)",
                "preconditionFailure(\"entry \\(index) cannot be understood\")")),
        Mutant(
            "digest-ignores-removals", line: 27, "the digest is not moved when a row is removed",
            .expression(
                digest, "case .topic(let before, let after): ⟦(after.map(of) ?? 0) &- (before.map(of) ?? 0)⟧",
                "after == nil ? 0 : (after.map(of) ?? 0) &- (before.map(of) ?? 0)")),
        Mutant(
            "digest-ignores-what-was", line: 27, "the digest adds the row after a change and keeps the one before",
            .expression(
                digest, "case .config(let before, let after): ⟦(after.map(of) ?? 0) &- (before.map(of) ?? 0)⟧",
                "after.map(of) ?? 0")),
        Mutant(
            "stale-broker-fences", line: 38, "a fence for an earlier registration of a broker is carried out",
            .expression(
                brokers,
                "func fence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {\n"
                    + "        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }\n"
                    + "        guard ⟦before.epoch == epoch⟧ else",
                "true")),
        Mutant(
            "stale-broker-epoch", line: 38, "a report with an old broker epoch is obeyed",
            .expression(
                partitions, "return ⟦broker.epoch == epoch ? nil : .staleBrokerEpoch(broker, given: epoch)⟧", "nil")),
        Mutant(
            "stale-leader-epoch", line: 35, "a report with an old leader epoch is obeyed",
            .expression(partitions, "guard ⟦partition.leaderEpoch == report.leaderEpoch⟧ else", "true")),
        Mutant(
            "stale-partition-epoch", line: 35, "a report with an old partition epoch is obeyed",
            .expression(partitions, "guard ⟦partition.partitionEpoch == report.partitionEpoch⟧ else", "true")),
        Mutant(
            "leader-outside-the-isr", line: 35, "a broker outside of the ISR is made the leader",
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
            "leader-without-an-epoch", line: 35, "a new leader keeps the epoch of the one before",
            .expression(rules, "after.leaderEpoch = ⟦advanced(before.leaderEpoch)⟧", "before.leaderEpoch")),
        Mutant(
            "order-of-a-set", line: 30, "the order of a hash set decides in apply",
            .expression(rules, "for broker in ⟦brokers⟧ where try isActive(broker)", "Array(Set(brokers))")),
    ]
}
