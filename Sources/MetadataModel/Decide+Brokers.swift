extension Decider {
    /// Fences a broker: from this entry on it leads nothing and is in no ISR that has another member.
    ///
    /// All partitions move in this one command, however many there are, so at no version does a fenced broker lead. The
    /// cost is one long entry for a broker with very many replicas.
    func fence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        guard before.epoch == epoch else { return .refused(.staleBrokerEpoch(before, given: epoch)) }
        guard before.state != .fenced else { return .unchanged }
        return try withdrawn(before, to: .fenced)
    }

    /// Begins a controlled shutdown (KIP-631): what fencing does, of a broker that is alive and follows on. When this is
    /// applied the broker may stop. A fenced broker may stop as it is.
    func beginShutdown(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        guard before.epoch == epoch else { return .refused(.staleBrokerEpoch(before, given: epoch)) }
        switch before.state {
        case .fenced, .shuttingDown: return .unchanged
        case .active, .fencing: return try withdrawn(before, to: .shuttingDown)
        }
    }

    /// Lets a broker lead again. Partitions that are offline come back when it may lead them; all others let it back into
    /// the ISR when their leader says so (KIP-841).
    func unfence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        guard before.epoch == epoch else { return .refused(.staleBrokerEpoch(before, given: epoch)) }
        switch before.state {
        case .active:
            return .unchanged
        case .shuttingDown:
            return .refused(.invalidRequest, "broker \(id) is shutting down: it can be unfenced once it is fenced")
        case .fenced, .fencing:
            break
        }
        var after = before
        after.state = .active
        after.version = version
        var changes: [Change] = [.broker(before: before, after: after)]
        var rules = PartitionRules(view: view, version: version)
        rules.assume(id, isActive: true)
        try forEachPartition(withReplica: id) { (partition) throws(Failure) in
            guard partition.leader == nil, let online = try rules.settle(partition, from: partition) else { return }
            changes.append(.partition(before: partition, after: online))
        }
        return .done(changes: changes, result: nil)
    }

    /// Marks a broker whose replicas are to move away, or takes the mark back. Whoever moves them sees it; placement
    /// passes the broker over from now on.
    func setDraining(_ isDraining: Bool, _ id: BrokerID, epoch: BrokerEpoch?) throws(Failure) -> Decision {
        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        if let epoch, epoch != before.epoch { return .refused(.staleBrokerEpoch(before, given: epoch)) }
        guard before.isDraining != isDraining else { return .unchanged }
        var after = before
        after.isDraining = isDraining
        after.version = version
        return .done(changes: [.broker(before: before, after: after)], result: nil)
    }

    /// The broker in a state in which it leads nothing.
    private func withdrawn(_ before: Broker, to state: Broker.State) throws(Failure) -> Decision {
        var after = before
        after.state = state
        after.version = version
        var changes: [Change] = [.broker(before: before, after: after)]
        var rules = PartitionRules(view: view, version: version)
        rules.assume(before.id, isActive: false)
        try forEachPartition(withReplica: before.id) { (partition) throws(Failure) in
            var wanted = partition
            if partition.isr.count > 1 { wanted.isr.removeAll { $0 == before.id } }
            guard let settled = try rules.settle(wanted, from: partition) else { return }
            changes.append(.partition(before: partition, after: settled))
        }
        return .done(changes: changes, result: nil)
    }

    func forEachPartition(
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
}
