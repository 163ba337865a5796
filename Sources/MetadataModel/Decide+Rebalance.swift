/// Rebalances. Below `Limits.featureLevelOfRebalances` their commands are answered as an older build answers them, so that a
/// cluster of two builds decides alike, whoever proposes what.
extension Decider {
    func startRebalance(_ command: Command.StartRebalance) throws(Failure) -> Decision {
        guard try knowsRebalances() else { return .refused(.unknownCommand(index: index)) }
        guard command.excluded.count <= Limits.excludedBrokersMax else {
            return .refused(
                .limitExceeded,
                "\(command.excluded.count) brokers are excluded, \(Limits.excludedBrokersMax) are allowed")
        }
        for id in command.excluded {
            guard try view.broker(id) != nil else { return .refused(.brokerNotFound(id)) }
        }
        if let running = try latestRebalance(), running.isRunning {
            return .refused(.rebalanceInProgress, "rebalance \(running.id) is under way")
        }
        return .done(
            changes: [
                try change(
                    to: Rebalance(
                        id: version, origin: command.origin, strategy: command.strategy,
                        excluded: Set(command.excluded).sorted(), startedMilliseconds: timeMilliseconds,
                        state: .running))
            ], result: nil)
    }

    /// Each step is decided by itself: what was planned from an earlier state of its partition is refused.
    func moveReplicas(_ command: Command.MoveReplicas) throws(Failure) -> Decision {
        guard try knowsRebalances() else { return .refused(.unknownCommand(index: index)) }
        if let id = command.rebalance, let refusal = try refusal(ofRunning: id).refusal { return .refused(refusal) }
        return try each(command.moves, \.partition) { (move, before, topic, rules) throws(Failure) in
            let name = topic.nameOfPartition(before.key.index)
            guard before.partitionEpoch == move.partitionEpoch else {
                return .refused(
                    Refusal(
                        .stalePartitionEpoch,
                        "\(name) has partition epoch \(before.partitionEpoch), not \(move.partitionEpoch)"))
            }
            guard let target = move.replicas else { return try cancelled(before, name, &rules) }
            if let refusal = try refusal(ofTarget: target, before, name) { return .refused(refusal) }
            if command.rebalance == nil, try !leavesDrainingBroker(before, target) {
                return .refused(
                    Refusal(.invalidAssignment, "no replica of \(name) leaves a broker that drains"))
            }
            return try reassigned(before, to: target, name, &rules)
        }
    }

    func endRebalance(_ command: Command.EndRebalance) throws(Failure) -> Decision {
        guard try knowsRebalances() else { return .refused(.unknownCommand(index: index)) }
        guard command.detail.utf8.count <= Limits.rebalanceDetailBytesMax else {
            return .refused(
                .limitExceeded,
                "the detail has \(command.detail.utf8.count) bytes, \(Limits.rebalanceDetailBytesMax) are allowed")
        }
        switch try refusal(ofRunning: command.rebalance) {
        case (let refusal?, _):
            return .refused(refusal)
        case (nil, var rebalance?):
            rebalance.state = .ended(command.ending, milliseconds: timeMilliseconds, detail: command.detail)
            return .done(changes: [try change(to: rebalance)], result: nil)
        case (nil, nil):
            return .refused(.noRebalanceInProgress, "no rebalance is under way")
        }
    }

    // MARK: Helpers

    private func knowsRebalances() throws(Failure) -> Bool {
        try view.featureLevel() >= Limits.featureLevelOfRebalances
    }

    private func latestRebalance() throws(Failure) -> Rebalance? {
        try view.config(.cluster, name: Rebalance.configName).flatMap { Rebalance($0) }
    }

    /// The rebalance that is under way, or why it is not the one that is meant.
    private func refusal(ofRunning id: Version?) throws(Failure) -> (refusal: Refusal?, running: Rebalance?) {
        guard let latest = try latestRebalance(), latest.isRunning else {
            return (Refusal(.noRebalanceInProgress, "no rebalance is under way"), nil)
        }
        guard id ?? latest.id == latest.id else {
            let given = id.map(\.description) ?? ""
            return (Refusal(.noRebalanceInProgress, "rebalance \(latest.id) is under way, not \(given)"), nil)
        }
        return (nil, latest)
    }

    private func change(to rebalance: Rebalance) throws(Failure) -> Change {
        .config(
            before: try view.config(.cluster, name: Rebalance.configName),
            after: ConfigEntry(
                resource: .cluster, name: Rebalance.configName, value: rebalance.text, version: version))
    }

    private func leavesDrainingBroker(_ partition: Partition, _ target: [BrokerID]) throws(Failure) -> Bool {
        for id in partition.replicas where !target.contains(id) {
            if try view.broker(id)?.isDraining ?? false { return true }
        }
        return false
    }
}
