extension Decider {
    /// Makes an active member of the ISR the leader. The one that leads already is left alone.
    func changeLeader(_ command: Command.ChangePartitionLeader) throws(Failure) -> Decision {
        guard let topic = try topic(command.topic) else { return .refused(.topicNotFound(command.topic)) }
        let key = PartitionKey(topic: topic.id, index: command.partition)
        guard let before = try view.partition(key) else {
            return .refused(.partitionNotFound(topic, command.partition))
        }
        let name = topic.nameOfPartition(command.partition)
        if let expected = command.ifPartitionEpoch, expected != before.partitionEpoch {
            return .refused(
                .stalePartitionEpoch, "\(name) has partition epoch \(before.partitionEpoch), not \(expected)")
        }
        var rules = rules
        switch try election(of: command.leader, before, name, &rules) {
        case .refused(let refusal): return .refused(refusal)
        case .settled(let after): return one(before, after)
        }
    }

    /// A leader reports a new ISR (KIP-497). Its broker epoch, leader epoch and partition epoch must be the current ones:
    /// whoever was replaced meanwhile is told so instead of being obeyed.
    func alterPartition(_ command: Command.AlterPartition) throws(Failure) -> Decision {
        if !command.isrEpochs.isEmpty, try !knowsSteps() { return .refused(.unknownCommand(index: index)) }
        guard let topic = try view.topic(command.partition.topic) else {
            return .refused(.topicNotFound(.id(command.partition.topic)))
        }
        guard let before = try view.partition(command.partition) else {
            return .refused(.partitionNotFound(topic, command.partition.index))
        }
        if let refusal = try refusal(ofBroker: command.broker, command.brokerEpoch) { return .refused(refusal) }
        let report = Command.ISRReport(
            partition: command.partition, leaderEpoch: command.leaderEpoch, partitionEpoch: command.partitionEpoch,
            isr: command.isr, isrEpochs: command.isrEpochs)
        var rules = rules
        switch try altered(before, by: command.broker, report, topic, &rules) {
        case .refused(let refusal): return .refused(refusal)
        case .settled(let after): return one(before, after)
        }
    }

    /// Many reports of one broker. A stale one does not hold up the others (KIP-497).
    ///
    /// Below the level that knows the epochs of members a command with any is answered as an older build answers it.
    func alterPartitions(_ command: Command.AlterPartitions) throws(Failure) -> Decision {
        if command.reports.contains(where: { !$0.isrEpochs.isEmpty }), try !knowsSteps() {
            return .refused(.unknownCommand(index: index))
        }
        if let refusal = try refusal(ofBroker: command.broker, command.brokerEpoch) { return .refused(refusal) }
        return try each(command.reports, \.partition) { (report, before, topic, rules) throws(Failure) in
            try altered(before, by: command.broker, report, topic, &rules)
        }
    }

    /// Has leaders elected (KIP-460). A partition that needs no election is left alone, which is no refusal.
    func electLeaders(_ command: Command.ElectLeaders) throws(Failure) -> Decision {
        try each(command.partitions, \.self) { (_, before, topic, rules) throws(Failure) in
            let name = topic.nameOfPartition(before.key.index)
            switch command.election {
            case .preferred:
                return try election(of: before.replicas[0], before, name, &rules)
            case .unclean:
                guard before.leader == nil else { return .settled(nil) }
                if let refusal = exhausted(before, name) { return .refused(refusal) }
                let after = try rules.settle(before, from: before, electing: .unclean)
                guard after?.leader != nil else {
                    return .refused(
                        Refusal(
                            .eligibleLeadersNotAvailable,
                            "none of the replicas \(list(before.replicas)) of \(name) is active"))
                }
                return .settled(after)
            }
        }
    }

    /// Begins, replaces and cancels reassignments (KIP-455).
    func reassignPartitions(_ command: Command.ReassignPartitions) throws(Failure) -> Decision {
        try each(command.reassignments, \.partition) { (reassignment, before, topic, rules) throws(Failure) in
            let name = topic.nameOfPartition(before.key.index)
            guard let target = reassignment.replicas else { return try cancelled(before, name, &rules) }
            if let refusal = try refusal(ofTarget: target, before, name) { return .refused(refusal) }
            return try reassigned(before, to: target, name, &rules)
        }
    }

    // MARK: One partition

    var rules: PartitionRules<View> { PartitionRules(view: view, version: version) }

    private func one(_ before: Partition, _ after: Partition?) -> Decision {
        guard let after else { return .done(changes: [], result: .partition(before)) }
        return .done(changes: [.partition(before: before, after: after)], result: .partition(after))
    }

    /// Decides each item by itself: one that is refused leaves the others alone. No partition is changed twice in one
    /// command.
    func each<Item>(
        _ items: [Item], _ key: (Item) -> PartitionKey,
        _ body: (Item, Partition, Topic, inout PartitionRules<View>) throws(Failure) -> SettledPartition
    ) throws(Failure) -> Decision {
        guard !items.isEmpty else { return .refused(.invalidRequest, "no partition is named") }
        guard items.count <= Limits.partitionsPerCommandMax else {
            return .refused(
                .limitExceeded,
                "\(items.count) partitions in one command, \(Limits.partitionsPerCommandMax) are allowed")
        }
        var rules = rules
        var seen: Set<PartitionKey> = []
        var changes: [Change] = []
        var results: [PartitionResult] = []
        results.reserveCapacity(items.count)
        for item in items {
            let key = key(item)
            guard let topic = try view.topic(key.topic) else {
                results.append(.refused(.topicNotFound(.id(key.topic))))
                continue
            }
            guard let before = try view.partition(key) else {
                results.append(.refused(.partitionNotFound(topic, key.index)))
                continue
            }
            guard seen.insert(key).inserted else {
                let name = topic.nameOfPartition(key.index)
                results.append(.refused(Refusal(.invalidRequest, "\(name) is named twice in one command")))
                continue
            }
            switch try body(item, before, topic, &rules) {
            case .refused(let refusal):
                results.append(.refused(refusal))
            case .settled(let after):
                if let after { changes.append(.partition(before: before, after: after)) }
                let now = after ?? before
                results.append(
                    .done(leader: now.leader, leaderEpoch: now.leaderEpoch, partitionEpoch: now.partitionEpoch))
            }
        }
        return .done(changes: changes, result: .partitions(results))
    }

    private func election(
        of leader: BrokerID, _ before: Partition, _ name: String, _ rules: inout PartitionRules<View>
    ) throws(Failure) -> SettledPartition {
        guard before.replicas.contains(leader) else {
            return .refused(
                Refusal(
                    .notInReplicas, "broker \(leader) is not among the replicas \(list(before.replicas)) of \(name)"))
        }
        guard before.isr.contains(leader) else {
            return .refused(Refusal(.notInISR, "broker \(leader) is not in the ISR \(list(before.isr)) of \(name)"))
        }
        guard before.leader != leader else { return .settled(nil) }
        guard let broker = try view.broker(leader) else { return .refused(.brokerNotFound(leader)) }
        guard broker.isActive else { return .refused(.brokerNotActive(broker)) }
        if let refusal = exhausted(before, name) { return .refused(refusal) }
        return .settled(try rules.settle(before, from: before, electing: .member(leader)))
    }

    private func altered(
        _ before: Partition, by broker: BrokerID, _ report: Command.ISRReport, _ topic: Topic,
        _ rules: inout PartitionRules<View>
    ) throws(Failure) -> SettledPartition {
        let name = topic.nameOfPartition(before.key.index)
        if let refusal = refusal(ofReport: report, by: broker, before, name) { return .refused(refusal) }
        if let refusal = try refusal(ofISR: report, before, name) { return .refused(refusal) }
        var wanted = before
        wanted.isr = report.isr
        guard let after = try rules.settle(wanted, from: before) else { return .settled(nil) }
        if let refusal = exhausted(before, name) { return .refused(refusal) }
        return .settled(after)
    }

    func cancelled(
        _ before: Partition, _ name: String, _ rules: inout PartitionRules<View>
    ) throws(Failure) -> SettledPartition {
        guard before.isReassigning else {
            return .refused(
                Refusal(.noReassignmentInProgress, "\(name) has no reassignment that could be cancelled"))
        }
        return try reassigned(before, to: before.originalReplicas, name, &rules)
    }

    /// The target comes first, so that its first is the preferred leader; replicas that are to leave stay behind it until it
    /// is done. What an earlier reassignment was adding, and nobody wants any more, leaves at once: cancelling goes back to
    /// what there was before the first.
    func reassigned(
        _ before: Partition, to target: [BrokerID], _ name: String, _ rules: inout PartitionRules<View>
    ) throws(Failure) -> SettledPartition {
        let original = before.originalReplicas
        var wanted = before
        wanted.adding = target.filter { !original.contains($0) }
        wanted.removing = original.filter { !target.contains($0) }
        wanted.replicas = target + wanted.removing
        wanted.isr = before.isr.filter { wanted.replicas.contains($0) }
        wanted.eligibleLeaders = before.eligibleLeaders.filter { wanted.replicas.contains($0) }
        guard !wanted.isr.isEmpty else {
            return .refused(
                Refusal(
                    .notInISR,
                    "none of the replicas \(list(wanted.replicas)) that \(name) would keep is in its ISR "
                        + "\(list(before.isr))"))
        }
        guard let after = try rules.settle(wanted, from: before) else { return .settled(nil) }
        if let refusal = exhausted(before, name) { return .refused(refusal) }
        return .settled(after)
    }

    // MARK: Checks

    private func refusal(ofBroker id: BrokerID, _ epoch: BrokerEpoch) throws(Failure) -> Refusal? {
        guard let broker = try view.broker(id) else { return .brokerNotFound(id) }
        return broker.epoch == epoch ? nil : .staleBrokerEpoch(broker, given: epoch)
    }

    private func refusal(
        ofReport report: Command.ISRReport, by broker: BrokerID, _ partition: Partition, _ name: String
    ) -> Refusal? {
        guard partition.leaderEpoch == report.leaderEpoch else {
            return Refusal(
                .staleLeaderEpoch, "\(name) has leader epoch \(partition.leaderEpoch), not \(report.leaderEpoch)")
        }
        guard partition.leader == broker else {
            let leader = partition.leader.map { "broker \($0) is" } ?? "nobody is"
            return Refusal(.notLeaderOfPartition, "broker \(broker) does not lead \(name), \(leader) its leader")
        }
        guard partition.partitionEpoch == report.partitionEpoch else {
            return Refusal(
                .stalePartitionEpoch,
                "\(name) has partition epoch \(partition.partitionEpoch), not \(report.partitionEpoch)")
        }
        return nil
    }

    /// Only active brokers may be in a new ISR (KIP-841): a fenced one would be elected, or keep the high watermark back.
    /// Under the epoch under which it caught up: since then it may have lost what it had (KIP-903).
    private func refusal(
        ofISR report: Command.ISRReport, _ partition: Partition, _ name: String
    ) throws(Failure) -> Refusal? {
        let isr = report.isr
        guard report.isrEpochs.isEmpty || report.isrEpochs.count == isr.count else {
            return Refusal(
                .invalidRequest,
                "the new ISR of \(name) has \(isr.count) members with \(report.isrEpochs.count) broker epochs")
        }
        for (position, member) in isr.enumerated() {
            // First, so that the list below is never longer than the replicas.
            guard partition.replicas.contains(member) else {
                return Refusal(
                    .notInReplicas,
                    "broker \(member) is not among the replicas \(list(partition.replicas)) of \(name)")
            }
            guard !isr[..<position].contains(member) else {
                return Refusal(.invalidRequest, "the new ISR of \(name) names broker \(member) twice")
            }
        }
        if let leader = partition.leader, !isr.contains(leader) {
            return Refusal(
                .invalidRequest, "the new ISR \(list(isr)) of \(name) does not contain its leader, broker \(leader)")
        }
        for (position, member) in isr.enumerated() {
            guard let broker = try view.broker(member) else { return .brokerNotFound(member) }
            guard broker.isActive else { return .brokerNotActive(broker) }
            guard !report.isrEpochs.isEmpty, report.isrEpochs[position] != BrokerEpoch(0),
                report.isrEpochs[position] != broker.epoch
            else { continue }
            return .staleBrokerEpoch(broker, given: report.isrEpochs[position])
        }
        return nil
    }

    /// A broker that is down may be meant: it is in sync when it is back. One that is being emptied may not.
    func refusal(
        ofTarget target: [BrokerID], _ partition: Partition, _ name: String
    ) throws(Failure) -> Refusal? {
        guard (1...Int(Limits.replicationFactorMax)).contains(target.count) else {
            return Refusal(
                .invalidReplicationFactor,
                "the replication factor is 1 to \(Limits.replicationFactorMax), not \(target.count) (\(name))")
        }
        for (position, id) in target.enumerated() {
            guard let broker = try view.broker(id) else {
                return Refusal(.invalidAssignment, "\(name) is assigned to broker \(id), which is not registered")
            }
            guard !target[..<position].contains(id) else {
                return Refusal(.invalidAssignment, "\(name) is assigned to broker \(id) twice")
            }
            guard !broker.isDraining || partition.replicas.contains(id) else {
                return Refusal(.invalidAssignment, "\(name) is assigned to broker \(id), which is draining")
            }
        }
        return nil
    }

    private func exhausted(_ partition: Partition, _ name: String) -> Refusal? {
        guard max(partition.leaderEpoch, partition.partitionEpoch) >= Limits.partitionEpochMax else { return nil }
        return Refusal(
            .limitExceeded,
            "\(name) has leader epoch \(partition.leaderEpoch) and partition epoch \(partition.partitionEpoch), the limit "
                + "is \(Limits.partitionEpochMax)")
    }

    func list(_ brokers: [BrokerID]) -> String {
        "[" + brokers.map(\.description).joined(separator: ", ") + "]"
    }
}

/// What a command makes of one partition.
enum SettledPartition {
    /// Nil when nothing changes.
    case settled(Partition?)
    case refused(Refusal)
}

extension Topic {
    /// For messages.
    func nameOfPartition(_ index: PartitionIndex) -> String { "partition \(index) of topic '\(name)'" }
}
