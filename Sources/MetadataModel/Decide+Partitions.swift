extension Decider {
    /// Makes an active member of the ISR the leader. The one that leads already is left alone.
    func changeLeader(_ command: Command.ChangePartitionLeader) throws(Failure) -> Decision {
        guard let topic = try topic(command.topic) else { return .refused(.topicNotFound(command.topic)) }
        let key = PartitionKey(topic: topic.id, index: command.partition)
        guard let before = try view.partition(key) else {
            return .refused(.partitionNotFound(topic, command.partition))
        }
        let name = "partition \(command.partition) of topic '\(topic.name)'"
        if let expected = command.ifPartitionEpoch, expected != before.partitionEpoch {
            return .refused(
                .stalePartitionEpoch, "\(name) has partition epoch \(before.partitionEpoch), not \(expected)")
        }
        guard before.replicas.contains(command.leader) else {
            return .refused(
                .notInReplicas, "broker \(command.leader) is not among the replicas \(list(before.replicas)) of \(name)"
            )
        }
        guard before.isr.contains(command.leader) else {
            return .refused(.notInISR, "broker \(command.leader) is not in the ISR \(list(before.isr)) of \(name)")
        }
        guard before.leader != command.leader else { return .done(changes: [], result: .partition(before)) }
        guard let leader = try view.broker(command.leader) else {
            return .refused(.brokerNotFound(command.leader))
        }
        guard leader.isActive else { return .refused(.brokerNotActive(leader)) }
        if let refusal = exhausted(before, name) { return .refused(refusal) }
        var after = before
        after.elect(command.leader, version: version)
        return .done(changes: [.partition(before: before, after: after)], result: .partition(after))
    }

    /// A leader reports a new ISR (KIP-497). Its broker epoch, leader epoch and partition epoch must be the current ones:
    /// whoever was replaced meanwhile is told so instead of being obeyed.
    func alterPartition(_ command: Command.AlterPartition) throws(Failure) -> Decision {
        guard let topic = try view.topic(command.partition.topic) else {
            return .refused(.topicNotFound(.id(command.partition.topic)))
        }
        guard let before = try view.partition(command.partition) else {
            return .refused(.partitionNotFound(topic, command.partition.index))
        }
        let name = "partition \(command.partition.index) of topic '\(topic.name)'"
        if let refusal = try refusal(ofReporter: command, before, name) { return .refused(refusal) }
        if let refusal = try refusal(ofISR: command.isr, before, name) { return .refused(refusal) }
        let isr = before.replicas.filter { command.isr.contains($0) }
        guard isr != before.isr else { return .done(changes: [], result: .partition(before)) }
        if let refusal = exhausted(before, name) { return .refused(refusal) }
        var after = before
        after.isr = isr
        after.touch(version: version)
        return .done(changes: [.partition(before: before, after: after)], result: .partition(after))
    }

    private func refusal(
        ofReporter command: Command.AlterPartition, _ partition: Partition, _ name: String
    ) throws(Failure) -> Refusal? {
        guard let broker = try view.broker(command.broker) else { return .brokerNotFound(command.broker) }
        guard broker.epoch == command.brokerEpoch else {
            return .staleBrokerEpoch(broker, given: command.brokerEpoch)
        }
        guard partition.leaderEpoch == command.leaderEpoch else {
            return Refusal(
                .staleLeaderEpoch, "\(name) has leader epoch \(partition.leaderEpoch), not \(command.leaderEpoch)")
        }
        guard partition.leader == command.broker else {
            let leader = partition.leader.map { "broker \($0) is" } ?? "nobody is"
            return Refusal(
                .notLeaderOfPartition, "broker \(command.broker) does not lead \(name), \(leader) its leader")
        }
        guard partition.partitionEpoch == command.partitionEpoch else {
            return Refusal(
                .stalePartitionEpoch,
                "\(name) has partition epoch \(partition.partitionEpoch), not \(command.partitionEpoch)")
        }
        return nil
    }

    /// Only active brokers may be in a new ISR (KIP-841): a fenced one would be elected, or keep the high watermark back.
    private func refusal(
        ofISR isr: [BrokerID], _ partition: Partition, _ name: String
    ) throws(Failure) -> Refusal? {
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
        for member in isr {
            guard let broker = try view.broker(member) else { return .brokerNotFound(member) }
            guard broker.isActive else { return .brokerNotActive(broker) }
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
