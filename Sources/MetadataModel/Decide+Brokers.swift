extension Decider {
    /// Registers a broker (KIP-631). It starts fenced, with the index of this entry as its epoch.
    ///
    /// The same process registering again changes its endpoints and rack and keeps its epoch: a retry after a lost answer
    /// must not fence the broker that sent it. Another process under the same id must wait until the first is fenced.
    func register(_ command: Command.RegisterBroker) throws(Failure) -> Decision {
        if let problem = problem(with: command) { return .refused(problem) }
        guard let before = try view.broker(command.id) else {
            guard try view.totals().brokers < Limits.brokersMax else {
                return .refused(.limitExceeded, "there are \(Limits.brokersMax) brokers already, which is the limit")
            }
            return registered(before: nil, after: broker(command, epoch: BrokerEpoch(index), state: .fenced))
        }
        guard before.incarnation == command.incarnation else {
            switch before.state {
            case .fenced:
                return registered(before: before, after: broker(command, epoch: BrokerEpoch(index), state: .fenced))
            case .active, .fencing, .draining:
                return .refused(
                    .brokerIDInUse,
                    "broker \(before.id) is \(before.state.rawValue) under another incarnation (epoch \(before.epoch)): "
                        + "it can be replaced once it is fenced")
            }
        }
        guard before.endpoints != command.endpoints || !before.rack.hasSameBytes(as: command.rack) else {
            return .done(changes: [], result: .registered(before.epoch, before.version))
        }
        return registered(before: before, after: broker(command, epoch: before.epoch, state: before.state))
    }

    /// Forgets a broker and its configurations. It must hold no replicas: they would point to nobody.
    func unregister(_ id: BrokerID, epoch: BrokerEpoch?) throws(Failure) -> Decision {
        guard let broker = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        if let epoch, epoch != broker.epoch { return .refused(.staleBrokerEpoch(broker, given: epoch)) }
        guard try view.partitions(withReplica: id, after: nil, limit: 1).isEmpty else {
            let held = try view.brokerLoads().first { $0.id == id }?.replicas ?? 1
            return .refused(.brokerNotEmpty, "broker \(id) still holds \(held) replicas: move or delete them first")
        }
        var changes: [Change] = []
        for entry in try view.configs(of: .broker(id)) { changes.append(.config(before: entry, after: nil)) }
        changes.append(.broker(before: broker, after: nil))
        return .done(changes: changes, result: nil)
    }

    /// Fences a broker: from this entry on it leads nothing and is in no ISR that has another member.
    ///
    /// All partitions move in this one command, however many there are, so at no version does a fenced broker lead. The
    /// cost is one long entry for a broker with very many replicas.
    func fence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        guard before.epoch == epoch else { return .refused(.staleBrokerEpoch(before, given: epoch)) }
        guard before.state != .fenced else { return .unchanged }
        var after = before
        after.state = .fenced
        after.version = version
        var changes: [Change] = [.broker(before: before, after: after)]
        var active = ActiveBrokers(view: view)
        try forEachPartition(withReplica: id) { (partition) throws(Failure) in
            guard let moved = try without(id, partition, &active) else { return }
            changes.append(.partition(before: partition, after: moved))
        }
        return .done(changes: changes, result: nil)
    }

    /// Lets a broker lead again. Partitions that are offline and have it as the last member of their ISR come back with it
    /// as the leader; all others let it back into the ISR when their leader says so (KIP-841).
    func unfence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        guard before.epoch == epoch else { return .refused(.staleBrokerEpoch(before, given: epoch)) }
        switch before.state {
        case .active:
            return .unchanged
        case .draining:
            return .refused(
                .invalidRequest, "broker \(id) is draining: it can be unfenced once it is fenced and registered again")
        case .fenced, .fencing:
            break
        }
        var after = before
        after.state = .active
        after.version = version
        var changes: [Change] = [.broker(before: before, after: after)]
        try forEachPartition(withReplica: id) { (partition) throws(Failure) in
            guard partition.leader == nil, partition.isr.contains(id) else { return }
            var online = partition
            online.elect(id, version: version)
            changes.append(.partition(before: partition, after: online))
        }
        return .done(changes: changes, result: nil)
    }

    /// The partition once `broker` is fenced; nil when that changes nothing about it.
    private func without(
        _ broker: BrokerID, _ partition: Partition, _ active: inout ActiveBrokers<View>
    ) throws(Failure) -> Partition? {
        let remaining = partition.isr.filter { $0 != broker }
        var after = partition
        after.isr = remaining.isEmpty ? partition.isr : remaining
        guard partition.leader == broker else {
            guard after.isr != partition.isr else { return nil }
            after.touch(version: version)
            return after
        }
        var leader: BrokerID?
        for candidate in partition.replicas where remaining.contains(candidate) {
            guard try active.contains(candidate) else { continue }
            leader = candidate
            break
        }
        after.elect(leader, version: version)
        return after
    }

    private func forEachPartition(
        withReplica broker: BrokerID, _ body: (Partition) throws(Failure) -> Void
    ) throws(Failure) {
        var last: PartitionKey?
        while true {
            let page = try view.partitions(withReplica: broker, after: last, limit: Limits.pageItemsMax)
            for partition in page { try body(partition) }
            guard page.count == Limits.pageItemsMax, let key = page.last?.key else { return }
            last = key
        }
    }

    private func broker(_ command: Command.RegisterBroker, epoch: BrokerEpoch, state: Broker.State) -> Broker {
        Broker(
            id: command.id, epoch: epoch, incarnation: command.incarnation, endpoints: command.endpoints,
            rack: command.rack, state: state, version: version)
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
}

/// Which brokers are active, read once each.
struct ActiveBrokers<View: MetadataView> {
    private let view: View
    private var known: [BrokerID: Bool] = [:]

    init(view: View) { self.view = view }

    mutating func contains(_ id: BrokerID) throws(View.Failure) -> Bool {
        if let isActive = known[id] { return isActive }
        let isActive = try view.broker(id)?.isActive ?? false
        known[id] = isActive
        return isActive
    }
}

extension Broker {
    /// May lead, join an ISR and be given new replicas.
    package var isActive: Bool {
        switch state {
        case .active: true
        case .fenced, .fencing, .draining: false
        }
    }
}

extension Partition {
    /// A change of the partition that keeps its leader.
    mutating func touch(version: Version) {
        partitionEpoch = Partition.advanced(partitionEpoch)
        self.version = version
    }

    /// A change of the leader, or its loss.
    mutating func elect(_ leader: BrokerID?, version: Version) {
        self.leader = leader
        leaderEpoch = Partition.advanced(leaderEpoch)
        touch(version: version)
    }

    /// Stops at the end of the range: an entry of the log must not trap. `Limits.partitionEpochMax` keeps clients from
    /// getting there.
    private static func advanced(_ epoch: Int32) -> Int32 {
        epoch == .max ? epoch : epoch + 1
    }
}
