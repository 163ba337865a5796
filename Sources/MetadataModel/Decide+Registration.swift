extension Decider {
    /// Registers a broker (KIP-631). It starts fenced, with the index of this entry as its epoch.
    ///
    /// The same process registering again changes its description and keeps its epoch: a retry after a lost answer must not
    /// fence the broker that sent it. Another process under the same id must wait until the first is fenced; one that was
    /// itself replaced is told so for good, which it can be since it names the epoch that it had.
    func register(_ command: Command.RegisterBroker) throws(Failure) -> Decision {
        if let problem = problem(with: command) { return .refused(problem) }
        guard let before = try view.broker(command.id) else {
            guard try view.totals().brokers < Limits.brokersMax else {
                return .refused(.limitExceeded, "there are \(Limits.brokersMax) brokers already, which is the limit")
            }
            return registered(before: nil, after: described(command, epoch: BrokerEpoch(index)))
        }
        guard before.incarnation == command.incarnation else { return try takeOver(before, command) }
        var after = described(command, epoch: before.epoch)
        after.state = before.state
        after.isDraining = before.isDraining
        after.version = before.version
        guard !after.hasSameBytes(as: before) else {
            return .done(changes: [], result: .registered(before.epoch, before.version))
        }
        after.version = version
        return registered(before: before, after: after)
    }

    /// Another process under the id of a broker.
    private func takeOver(_ before: Broker, _ command: Command.RegisterBroker) throws(Failure) -> Decision {
        // A later epoch than any that is known is that of a registration which the metadata has lost, with the end of the log
        // that an operator gave up: nobody came after it.
        if let previous = command.previousEpoch, previous < before.epoch {
            return .refused(
                .staleBrokerEpoch,
                "broker \(before.id) was registered by another process (epoch \(before.epoch)) after this one (epoch "
                    + "\(previous)), which must not come back")
        }
        switch before.state {
        case .fenced: break
        case .active, .fencing, .shuttingDown:
            return .refused(
                .brokerIDInUse,
                "broker \(before.id) is \(before.state.rawValue) under another incarnation (epoch \(before.epoch)): "
                    + "it can be replaced once it is fenced")
        }
        var after = described(command, epoch: BrokerEpoch(index))
        after.isDraining = before.isDraining
        var changes: [Change] = [.broker(before: before, after: after)]
        if command.previousEpoch != before.epoch {
            // What it had not synced may be gone, so that it lacks nothing cannot be believed any more (KIP-966).
            var rules = PartitionRules(view: view, version: version)
            try forEachPartition(withReplica: before.id) { (partition) throws(Failure) in
                guard let settled = try withoutTrust(in: before.id, partition, &rules) else { return }
                changes.append(.partition(before: partition, after: settled))
            }
        }
        return .done(changes: changes, result: .registered(after.epoch, after.version))
    }

    /// The partition when it does not rely any more on what a fenced broker had; nil when it did not. The last member of an
    /// ISR stays what it is where nobody else is known to lack nothing (KIP-966, last replica standing).
    private func withoutTrust(
        in id: BrokerID, _ partition: Partition, _ rules: inout PartitionRules<View>
    ) throws(Failure) -> Partition? {
        guard partition.isr == [id] || partition.eligibleLeaders.contains(id) else { return nil }
        var wanted = partition
        wanted.eligibleLeaders.removeAll { $0 == id }
        if partition.isr == [id] {
            let heirs = wanted.eligibleLeaders
            if let heir = try rules.firstActive(of: heirs) ?? heirs.first { wanted.isr = [heir] }
        }
        return try rules.settle(wanted, from: partition, distrusting: id)
    }

    /// Forgets a broker and its configurations. It must hold no replicas, which would point to nobody, unless it is forced
    /// out: then they leave their partitions, and what only they had is lost.
    func unregister(_ id: BrokerID, epoch: BrokerEpoch?, force: Bool) throws(Failure) -> Decision {
        guard let broker = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        if let epoch, epoch != broker.epoch { return .refused(.staleBrokerEpoch(broker, given: epoch)) }
        var changes: [Change] = []
        if try !view.partitions(withReplica: id, after: nil, limit: 1).isEmpty {
            guard force else {
                let held = try view.brokerLoads().first { $0.id == id }?.replicas ?? 1
                return .refused(.brokerNotEmpty, "broker \(id) still holds \(held) replicas: move or delete them first")
            }
            guard broker.state == .fenced else {
                return .refused(
                    .invalidRequest, "broker \(id) is \(broker.state.rawValue): it can be forced out once it is fenced")
            }
            if let refusal = try onlyReplica(on: id) { return .refused(refusal) }
            if try knowsUnfinishedWork() { return try forcedOut(broker, after: nil, try unfinishedWork()) }
            var rules = PartitionRules(view: view, version: version)
            try forEachPartition(withReplica: id) { (partition) throws(Failure) in
                guard let settled = try withoutReplica(on: id, partition, &rules) else { return }
                changes.append(.partition(before: partition, after: settled))
            }
        }
        changes += try forgetting(broker)
        return .done(changes: changes, result: nil)
    }

    /// The broker and its configurations are gone.
    private func forgetting(_ broker: Broker) throws(Failure) -> [Change] {
        var changes: [Change] = []
        for entry in try view.configs(of: .broker(broker.id)) {
            changes.append(.config(before: entry, after: nil))
        }
        changes.append(.broker(before: broker, after: nil))
        return changes
    }

    /// A step of forcing a broker out: its next replicas leave, and with the last of them the broker is forgotten.
    ///
    /// Whether a partition would be left without a replica was looked at before the first step. It may be so since, when two
    /// brokers are forced out together: then that partition keeps its replica, and the broker stays, fenced.
    func forcedOut(
        _ broker: Broker, after key: PartitionKey?, _ before: UnfinishedWork
    ) throws(Failure) -> Decision {
        var work = before
        work.remove(broker.id)
        let most = Limits.partitionsPerStepMax
        let page = try view.partitions(withReplica: broker.id, after: key, limit: most)
        var rules = PartitionRules(view: view, version: version)
        var changes: [Change] = []
        for partition in page {
            guard let settled = try withoutReplica(on: broker.id, partition, &rules) else { continue }
            changes.append(.partition(before: partition, after: settled))
        }
        if page.count == most, let last = page.last?.key {
            let item = UnfinishedWork.Item(broker: broker.id, epoch: broker.epoch, task: .forcedOut(after: last))
            guard work.put(item) else { return .refused(.tooMuchUnfinished) }
        } else {
            // What was left behind by an earlier step, or came meanwhile, is in front of this page.
            let first = try view.partitions(withReplica: broker.id, after: nil, limit: 1).first?.key
            if first == page.first?.key, changes.count == page.count { changes += try forgetting(broker) }
        }
        return .done(changes: try self.changes(changes, to: work), result: nil)
    }

    /// The partition without its replica on a broker that is forced out; nil when nothing would be left of it.
    private func withoutReplica(
        on id: BrokerID, _ partition: Partition, _ rules: inout PartitionRules<View>
    ) throws(Failure) -> Partition? {
        guard var wanted = partition.without(id) else { return nil }
        if wanted.isr.isEmpty {
            // Its log goes with it. The next best is what the partition is from now on.
            let heirs = wanted.eligibleLeaders.isEmpty ? wanted.originalsFirst : wanted.eligibleLeaders
            wanted.isr = [try rules.firstActive(of: heirs) ?? heirs[0]]
        }
        return try rules.settle(wanted, from: partition)
    }

    /// Why the broker cannot be forced out; nil when each of its partitions has another replica.
    private func onlyReplica(on id: BrokerID) throws(Failure) -> Refusal? {
        var lost: PartitionKey?
        try forEachPartition(withReplica: id) { (partition) throws(Failure) in
            if lost == nil, partition.without(id) == nil { lost = partition.key }
        }
        guard let lost else { return nil }
        let name = try view.topic(lost.topic)?.nameOfPartition(lost.index) ?? "partition \(lost.index)"
        return Refusal(
            .brokerNotEmpty,
            "broker \(id) holds the only replica of \(name): delete the topic, or move the replica, first")
    }

    /// As the command describes it, fenced.
    private func described(_ command: Command.RegisterBroker, epoch: BrokerEpoch) -> Broker {
        Broker(
            id: command.id, epoch: epoch, incarnation: command.incarnation, endpoints: command.endpoints,
            rack: command.rack, capacity: command.capacity, tags: command.tags.sorted { $0.name < $1.name },
            state: .fenced, version: version)
    }

    private func registered(before: Broker?, after: Broker) -> Decision {
        .done(changes: [.broker(before: before, after: after)], result: .registered(after.epoch, after.version))
    }

    private func problem(with command: Command.RegisterBroker) -> Refusal? {
        guard command.id.rawValue >= 0 else {
            return Refusal(.invalidRequest, "a broker id is 0 or more, not \(command.id)")
        }
        guard command.incarnation.high != 0 || command.incarnation.low != 0 else {
            return Refusal(.invalidRequest, "broker \(command.id) registers without an incarnation id (all zero)")
        }
        guard command.endpoints.count <= Limits.endpointsPerBrokerMax else {
            return Refusal(
                .limitExceeded,
                "broker \(command.id) has \(command.endpoints.count) endpoints, \(Limits.endpointsPerBrokerMax) are "
                    + "allowed")
        }
        guard command.rack.utf8.count <= Limits.rackBytesMax else {
            return Refusal(
                .limitExceeded,
                "the rack of broker \(command.id) has \(command.rack.utf8.count) bytes, \(Limits.rackBytesMax) are "
                    + "allowed")
        }
        guard Limits.brokerCapacityRange.contains(command.capacity) else {
            return Refusal(
                .invalidRequest,
                "the capacity of broker \(command.id) is \(Limits.brokerCapacityRange.lowerBound) to "
                    + "\(Limits.brokerCapacityRange.upperBound), not \(command.capacity)")
        }
        if let problem = problem(withTags: command.tags, of: command.id) { return problem }
        for (position, endpoint) in command.endpoints.enumerated() {
            if let problem = problem(with: endpoint, of: command.id) { return problem }
            if command.endpoints[..<position].contains(where: { $0.name.hasSameBytes(as: endpoint.name) }) {
                return Refusal(
                    .invalidRequest, "broker \(command.id) names two of its endpoints '\(endpoint.name)'")
            }
        }
        return nil
    }

    private func problem(with endpoint: Endpoint, of broker: BrokerID) -> Refusal? {
        guard endpoint.name.utf8.count <= Limits.endpointNameBytesMax else {
            return Refusal(
                .limitExceeded,
                "an endpoint name of broker \(broker) has \(endpoint.name.utf8.count) bytes, "
                    + "\(Limits.endpointNameBytesMax) are allowed")
        }
        guard endpoint.host.utf8.count <= Limits.hostBytesMax else {
            return Refusal(
                .limitExceeded,
                "the host of endpoint '\(endpoint.name)' of broker \(broker) has \(endpoint.host.utf8.count) bytes, "
                    + "\(Limits.hostBytesMax) are allowed")
        }
        guard !endpoint.name.isEmpty, !endpoint.host.isEmpty, endpoint.port != 0 else {
            return Refusal(
                .invalidRequest,
                "an endpoint of broker \(broker) lacks a name, host or port "
                    + "('\(endpoint.name)', '\(endpoint.host)', \(endpoint.port))")
        }
        return nil
    }

    private func problem(withTags tags: [BrokerTag], of broker: BrokerID) -> Refusal? {
        guard tags.count <= Limits.tagsPerBrokerMax else {
            return Refusal(
                .limitExceeded,
                "broker \(broker) has \(tags.count) tags, \(Limits.tagsPerBrokerMax) are allowed")
        }
        for (position, tag) in tags.enumerated() {
            guard !tag.name.isEmpty, tag.name.utf8.count <= Limits.tagNameBytesMax,
                tag.name.utf8.allSatisfy(TopicName.isLegal)
            else {
                return Refusal(
                    .invalidRequest,
                    "'\(tag.name.excerpt)' is no name of a tag of broker \(broker): it is 1 to \(Limits.tagNameBytesMax) "
                        + "of a-z, A-Z, 0-9, '.', '_' and '-'")
            }
            guard tag.value.utf8.count <= Limits.tagValueBytesMax else {
                return Refusal(
                    .limitExceeded,
                    "tag '\(tag.name)' of broker \(broker) has \(tag.value.utf8.count) bytes, "
                        + "\(Limits.tagValueBytesMax) are allowed")
            }
            guard !tags[..<position].contains(where: { $0.name == tag.name }) else {
                return Refusal(.invalidRequest, "broker \(broker) has two tags '\(tag.name)'")
            }
        }
        return nil
    }
}

extension Partition {
    /// The partition when a broker is forced out of it, its ISR perhaps empty; nil when nothing would be left.
    ///
    /// Of the replicas before a reassignment only that one goes. A reassignment that takes it away anyway goes on; any other
    /// ends here, as its target cannot be reached any more and what is left of it would take replicas away for nothing.
    fileprivate func without(_ id: BrokerID) -> Partition? {
        var wanted = self
        wanted.isr.removeAll { $0 == id }
        wanted.eligibleLeaders.removeAll { $0 == id }
        let originals = originalReplicas.filter { $0 != id }
        if removing.contains(id), !originals.isEmpty {
            wanted.replicas.removeAll { $0 == id }
            wanted.removing.removeAll { $0 == id }
            return wanted
        }
        // Replicas that have come already stay where none of the others is in sync.
        let hasInSync = originals.contains { isr.contains($0) }
        let arrived = adding.filter { $0 != id && (isr.contains($0) || eligibleLeaders.contains($0)) }
        wanted.replicas = hasInSync ? originals : arrived + originals
        wanted.adding = []
        wanted.removing = []
        wanted.isr = wanted.replicas.filter { isr.contains($0) }
        wanted.eligibleLeaders = wanted.replicas.filter { eligibleLeaders.contains($0) }
        return wanted.replicas.isEmpty ? nil : wanted
    }
}

extension Broker {
    /// Strings that only look alike are equal to Swift and not to a database.
    fileprivate func hasSameBytes(as other: Broker) -> Bool {
        self == other && rack.hasSameBytes(as: other.rack)
            && zip(endpoints, other.endpoints).allSatisfy {
                $0.name.hasSameBytes(as: $1.name) && $0.host.hasSameBytes(as: $1.host)
            }
            && zip(tags, other.tags).allSatisfy { $0.value.hasSameBytes(as: $1.value) }
    }
}
