package import MetadataModel

/// The rules of KRaft that hold at every version, judged on a copy of the metadata that is made from what watchers are told
/// (KIP-500, KIP-631, KIP-841).
package struct MetadataRulesChecker {
    private var brokers: [BrokerID: Broker] = [:]
    private var topics: [TopicID: Topic] = [:]
    private var partitions: [PartitionKey: Partition] = [:]
    /// Of each topic, the keys of `partitions`.
    private var partitionKeys: [TopicID: [PartitionKey]] = [:]
    private var version = Version.zero
    /// About to stop, with more partitions than move at once: those move in further steps.
    private var leaving: Set<BrokerID> = []
    /// Where a leader outside of the ISR is allowed or forbidden.
    private var uncleanElections: [ConfigResource: Bool] = [:]
    private var rebalances = RebalanceChecker()

    package init() {}

    /// Under way, or the last one.
    package var rebalance: Rebalance? { rebalances.latest }

    /// The entry at `version` was applied. Versions that were judged before are passed over.
    ///
    /// - Parameters:
    ///   - command: nil when the entry could not be understood.
    ///   - isDone: it was carried out, perhaps without changing anything; false when it was refused or answered before.
    package mutating func applies(
        _ command: Command?, isDone: Bool, changes: [ObservedChange], at version: Version
    ) throws(Violation) {
        guard version > self.version else { return }
        self.version = version
        if isDone, let command { try mayBeDone(command, changes) }
        var touched: Set<PartitionKey> = []
        // A configuration holds for what follows from it in the same command.
        for change in changes { try configure(change) }
        for change in changes { try fold(change, becauseOf: command, &touched) }
        for key in touched.sorted() {
            if let partition = partitions[key] { try judge(partition) }
        }
    }

    /// What a node that has applied `version` says it has.
    package func judge(brokers: [Broker], topics: [Topic], partitions: [Partition]) throws(Violation) {
        let same =
            brokers.sorted { $0.id < $1.id } == self.brokers.values.sorted { $0.id < $1.id }
            && topics.sorted { $0.id < $1.id } == self.topics.values.sorted { $0.id < $1.id }
            && partitions.sorted { $0.key < $1.key } == self.partitions.values.sorted { $0.key < $1.key }
        guard !same else { return }
        throw Violation(rule: "rows are the sum of the events", detail: "they differ at version \(version)")
    }

    // A command with an old epoch is obeyed by nobody (pitfall 35, 38).
    private func mayBeDone(_ command: Command, _ changes: [ObservedChange]) throws(Violation) {
        switch command {
        case .fenceBroker(let id, let epoch), .unfenceBroker(let id, let epoch), .beginShutdown(let id, let epoch):
            try requires(id, epoch, command)
        case .unregisterBroker(let id, let epoch, _), .drainBroker(let id, let epoch), .cancelDrain(let id, let epoch):
            try requires(id, epoch ?? brokers[id]?.epoch, command)
        case .alterPartitions(let reports):
            try requires(reports.broker, reports.brokerEpoch, command)
            // Those that are refused leave the others alone.
            for case .partitionChanged(let after, _) in changes {
                guard let before = partitions[after.key], before.leader == reports.broker,
                    reports.reports.contains(where: {
                        $0.partition == after.key && $0.leaderEpoch == before.leaderEpoch
                            && $0.partitionEpoch == before.partitionEpoch
                    })
                else { throw Violation(rule: "epochs fence", detail: "\(command) was done at version \(version)") }
            }
        case .alterPartition(let report):
            try requires(report.broker, report.brokerEpoch, command)
            guard let partition = partitions[report.partition], partition.leader == report.broker,
                partition.leaderEpoch == report.leaderEpoch, partition.partitionEpoch == report.partitionEpoch
            else { throw Violation(rule: "epochs fence", detail: "\(command) was done at version \(version)") }
        case .changePartitionLeader(let change):
            guard let topic = topic(change.topic),
                let partition = partitions[PartitionKey(topic: topic.id, index: change.partition)],
                change.ifPartitionEpoch == nil || change.ifPartitionEpoch == partition.partitionEpoch
            else { throw Violation(rule: "epochs fence", detail: "\(command) was done at version \(version)") }
        case .moveReplicas(let steps):
            for case .partitionChanged(let after, _) in changes {
                guard let before = partitions[after.key],
                    let step = steps.moves.first(where: { $0.partition == after.key }),
                    step.partitionEpoch == before.partitionEpoch
                else { throw Violation(rule: "epochs fence", detail: "\(command) was done at version \(version)") }
                try rebalances.moves(before, to: step.replicas, becauseOf: steps.rebalance, at: version) {
                    brokers[$0]?.isDraining ?? false
                }
            }
        case .deleteTopic(let topic, let expected):
            try requires(topic, expected, command)
        case .createPartitions(let growth):
            try requires(growth.topic, growth.ifVersion, command)
        case .registerBroker(let registration):
            guard let broker = brokers[registration.id], broker.incarnation != registration.incarnation,
                broker.state != .fenced
            else { return }
            throw Violation(
                rule: "epochs fence", detail: "\(broker) was replaced at version \(version) before it was fenced")
        case .createTopic(let creation):
            guard let topic = topic(.name(creation.name)), !creation.validateOnly else { return }
            throw Violation(rule: "unique names", detail: "\(topic) was created again at version \(version)")
        default:
            return
        }
    }

    private func requires(_ id: BrokerID, _ epoch: BrokerEpoch?, _ command: Command) throws(Violation) {
        guard let broker = brokers[id], broker.epoch == epoch else {
            throw Violation(
                rule: "epochs fence",
                detail: "\(command) was done at version \(version), the broker is \(String(describing: brokers[id]))")
        }
    }

    private func requires(_ topic: TopicReference, _ expected: Version?, _ command: Command) throws(Violation) {
        guard let found = self.topic(topic), expected == nil || expected == found.version else {
            throw Violation(
                rule: "versions guard",
                detail: "\(command) was done at version \(version), there is \(String(describing: self.topic(topic)))")
        }
    }

    private func topic(_ reference: TopicReference) -> Topic? {
        switch reference {
        case .id(let id): topics[id]
        case .name(let name): topics.values.first { $0.name.utf8.elementsEqual(name.utf8) }
        }
    }

    private mutating func fold(
        _ change: ObservedChange, becauseOf command: Command?, _ touched: inout Set<PartitionKey>
    ) throws(Violation) {
        switch change {
        case .brokerChanged(let after):
            if let before = brokers[after.id], before.epoch > after.epoch {
                throw Violation(rule: "epochs rise", detail: "\(before) became \(after) at version \(version)")
            }
            leaving.remove(after.id)
            if after.state == .shuttingDown {
                let relying = partitions.values.count { $0.relies(on: after.id) }
                if relying > Limits.partitionsAtOnceMax { leaving.insert(after.id) }
            }
            brokers[after.id] = after
            touched.formUnion(partitions.values.filter { $0.replicas.contains(after.id) }.map(\.key))
        case .brokerRemoved(let id):
            brokers[id] = nil
            touched.formUnion(partitions.values.filter { $0.replicas.contains(id) }.map(\.key))
        case .topicChanged(let topic):
            topics[topic.id] = topic
        case .topicRemoved(let id, _):
            topics[id] = nil
            uncleanElections[.topic(id)] = nil
            for key in partitionKeys.removeValue(forKey: id) ?? [] { partitions[key] = nil }
        case .partitionChanged(let after, _):
            if let before = partitions[after.key] {
                try rises(before, after)
                if !mayElectUncleanly(after.key, command) { try isElectedCleanly(before, after, command) }
            } else {
                partitionKeys[after.key.topic, default: []].append(after.key)
            }
            partitions[after.key] = after
            touched.insert(after.key)
        case .configChanged, .configRemoved:
            return
        }
    }

    private static let uncleanElection = "unclean.leader.election.enable"

    private mutating func configure(_ change: ObservedChange) throws(Violation) {
        switch change {
        case .configChanged(let entry):
            if let rebalance = Rebalance(entry) { try rebalances.becomes(rebalance, at: version) }
            if entry.name == MetadataRulesChecker.uncleanElection {
                uncleanElections[entry.resource] = entry.value == "true"
            }
        case .configRemoved(let resource, let name):
            if name == MetadataRulesChecker.uncleanElection { uncleanElections[resource] = nil }
        case .brokerChanged, .brokerRemoved, .topicChanged, .topicRemoved, .partitionChanged:
            return
        }
    }

    private func mayElectUncleanly(_ key: PartitionKey, _ command: Command?) -> Bool {
        if case .electLeaders(let election)? = command, election.election == .unclean {
            if election.partitions.contains(key) { return true }
        }
        return uncleanElections[.topic(key.topic)] ?? uncleanElections[.cluster] ?? false
    }

    /// Whom the leader itself has reported to be in sync, by this command.
    private func reported(_ key: PartitionKey, _ command: Command?) -> [BrokerID] {
        switch command {
        case .alterPartition(let report)?: report.partition == key ? report.isr : []
        case .alterPartitions(let reports)?: reports.reports.first { $0.partition == key }?.isr ?? []
        default: []
        }
    }

    private func rises(_ before: Partition, _ after: Partition) throws(Violation) {
        // A replica that leaves must not be taken for one any more, so the leader's epoch ends with it.
        let isSame = after.leader == before.leader && before.replicas.allSatisfy { after.replicas.contains($0) }
        let led = isSame || after.leaderEpoch > before.leaderEpoch
        guard led, after.leaderEpoch >= before.leaderEpoch, after.partitionEpoch > before.partitionEpoch else {
            throw Violation(rule: "epochs rise", detail: "\(before) became \(after) at version \(version)")
        }
        if let leader = after.leader, leader != before.leader, brokers[leader]?.state != .active {
            throw Violation(
                rule: "leaders are active",
                detail: "at version \(version) broker \(leader), which is not active, became the leader of \(after)")
        }
    }

    /// A new leader was in the ISR or has just come into it, or it left it when nothing more was committed (KIP-966).
    private func isElectedCleanly(_ before: Partition, _ after: Partition, _ command: Command?) throws(Violation) {
        guard let leader = after.leader, leader != before.leader, !before.isr.contains(leader),
            !before.eligibleLeaders.contains(leader), !reported(after.key, command).contains(leader)
        else { return }
        throw Violation(
            rule: "no unclean election", detail: "\(before) became \(after) at version \(version)")
    }

    private func judge(_ partition: Partition) throws(Violation) {
        let replicas = Set(partition.replicas)
        let isr = Set(partition.isr)
        guard replicas.count == partition.replicas.count, isr.count == partition.isr.count, !isr.isEmpty,
            isr.isSubset(of: replicas), replicas.allSatisfy({ brokers[$0] != nil })
        else {
            throw Violation(rule: "replicas and ISR", detail: "\(partition) at version \(version)")
        }
        if let leader = partition.leader {
            guard isr.contains(leader) else {
                throw Violation(rule: "the leader is in the ISR", detail: "\(partition) at version \(version)")
            }
            guard !isWithdrawn(leader) else {
                throw Violation(rule: "a fenced broker leads nothing", detail: "\(partition) at version \(version)")
            }
        }
        guard isr.count == 1 || !isr.contains(where: isWithdrawn) else {
            throw Violation(rule: "a fenced broker is in no ISR", detail: "\(partition) at version \(version)")
        }
    }

    /// Fenced, or about to stop: it leads nothing, and is in no ISR that has another member.
    private func isWithdrawn(_ id: BrokerID) -> Bool {
        switch brokers[id]?.state {
        case .fenced?: true
        case .shuttingDown?: !leaving.contains(id)
        case .active?, .fencing?, nil: false
        }
    }
}
