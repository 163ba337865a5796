extension Decider {
    /// Fences a broker, which leads nothing then and is in no ISR that has another member: a step of it, see `withdrawn`.
    func fence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        guard before.epoch == epoch else { return .refused(.staleBrokerEpoch(before, given: epoch)) }
        guard before.state != .fenced else { return .unchanged }
        return try withdrawn(before, via: .fencing, to: .fenced)
    }

    /// Begins a controlled shutdown (KIP-631), or goes on with it: what fencing does, of a broker that is alive and follows on.
    /// When it changes nothing any more the broker may stop. A fenced broker may stop as it is, and one that is being fenced
    /// when it is.
    func beginShutdown(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        guard before.epoch == epoch else { return .refused(.staleBrokerEpoch(before, given: epoch)) }
        switch before.state {
        case .fenced, .fencing: return .unchanged
        case .shuttingDown where try !knowsSteps(): return .unchanged
        case .active, .shuttingDown: return try withdrawn(before, via: .shuttingDown, to: .shuttingDown)
        }
    }

    /// Lets a broker lead again. Partitions that are offline come back when it may lead them, step by step
    /// (`broughtBack`); all others let it back into the ISR when their leader says so (KIP-841).
    func unfence(_ id: BrokerID, epoch: BrokerEpoch) throws(Failure) -> Decision {
        guard let before = try view.broker(id) else { return .refused(.brokerNotFound(id)) }
        guard before.epoch == epoch else { return .refused(.staleBrokerEpoch(before, given: epoch)) }
        switch before.state {
        case .active:
            return .unchanged
        case .shuttingDown, .fencing:
            return .refused(
                .invalidRequest, "broker \(id) is \(before.state.rawValue): it can be unfenced once it is fenced")
        case .fenced:
            break
        }
        var after = before
        after.state = .active
        after.version = version
        var changes: [Change] = [.broker(before: before, after: after)]
        if try knowsUnfinishedWork() {
            let work = try unfinishedWork()
            guard !work.isForcingOut(id, epoch: epoch) else {
                return .refused(.invalidRequest, "broker \(id) is being forced out: it must register again")
            }
            return try broughtBack(after, after: nil, changes, work)
        }
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

    /// A step towards a state in which nothing relies on the broker.
    ///
    /// Few partitions move at once, and that is all. Of a broker with many the first step moves none: it only makes the broker
    /// `begun`, in which it is elected nowhere and joins no ISR. So of many brokers that fail together none gets what another
    /// had, and what is left to do only ever gets less, whoever leads and wherever the steps before ended: each further one
    /// moves the next partitions, and the last makes the broker `done`. No step is long (docs/adr/0011).
    private func withdrawn(
        _ before: Broker, via begun: Broker.State, to done: Broker.State
    ) throws(Failure) -> Decision {
        var moving: [Partition] = []
        var after = before
        after.version = version
        if try knowsSteps() {
            let isUnderWay = before.state == begun
            let most = isUnderWay ? Limits.partitionsPerStepMax : Limits.partitionsAtOnceMax
            let relying = try view.partitions(relyingOn: before.id, limit: most + 1)
            let isLast = relying.count <= most
            if isLast || isUnderWay { moving = Array(relying.prefix(most)) }
            after.state = isLast ? done : begun
        } else {
            try forEachPartition(withReplica: before.id) { (partition) throws(Failure) in moving.append(partition) }
            after.state = done
        }
        var changes: [Change] = []
        if after.state != before.state { changes.append(.broker(before: before, after: after)) }
        var rules = PartitionRules(view: view, version: version)
        rules.assume(before.id, isActive: false)
        for partition in moving {
            var wanted = partition
            if partition.isr.count > 1 { wanted.isr.removeAll { $0 == before.id } }
            guard let settled = try rules.settle(wanted, from: partition) else { continue }
            changes.append(.partition(before: partition, after: settled))
        }
        return .done(changes: changes, result: nil)
    }

    func knowsSteps() throws(Failure) -> Bool { try view.featureLevel() >= Limits.featureLevelOfSteps }

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
