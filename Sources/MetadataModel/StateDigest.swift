/// The digest of the state: the sum, modulo 2^64, of a hash of every row. A sum does not depend on the order of rows nor
/// on the borders of batches, and moves with each change by the row after minus the row before.
///
/// The empty state has digest 0. A scrub recomputes it as the sum of these functions over all rows.
package enum StateDigest {
    private enum Kind: UInt64 {
        case broker = 1
        case topic
        case partition
        case config
        case featureLevel
        case session
        case sessionResult
    }

    package static func of(_ broker: Broker) -> UInt64 {
        var hasher = StateHasher(kind: Kind.broker.rawValue)
        hasher.combine(broker.id.rawValue)
        hasher.combine(broker.epoch.rawValue)
        hasher.combine(broker.incarnation.high)
        hasher.combine(broker.incarnation.low)
        hasher.combine(UInt64(broker.endpoints.count))
        for endpoint in broker.endpoints {
            hasher.combine(endpoint.name)
            hasher.combine(endpoint.host)
            hasher.combine(UInt64(endpoint.port))
        }
        hasher.combine(broker.rack)
        hasher.combine(broker.state.rawValue)
        hasher.combine(broker.version.rawValue)
        // What rows of old did not have counts only where it says something, so that their hash stays what it was.
        if broker.capacity != Broker.capacityDefault || !broker.tags.isEmpty || broker.isDraining {
            hasher.combine(UInt64(broker.capacity))
            hasher.combine(UInt64(broker.tags.count))
            for tag in broker.tags {
                hasher.combine(tag.name)
                hasher.combine(tag.value)
            }
            hasher.combine(UInt64(broker.isDraining ? 1 : 0))
        }
        return hasher.finish()
    }

    package static func of(_ topic: Topic) -> UInt64 {
        var hasher = StateHasher(kind: Kind.topic.rawValue)
        hasher.combine(topic)
        return hasher.finish()
    }

    package static func of(_ partition: Partition) -> UInt64 {
        var hasher = StateHasher(kind: Kind.partition.rawValue)
        hasher.combine(partition)
        return hasher.finish()
    }

    package static func of(_ entry: ConfigEntry) -> UInt64 {
        var hasher = StateHasher(kind: Kind.config.rawValue)
        switch entry.resource {
        case .cluster:
            hasher.combine(UInt64(0))
        case .broker(let id):
            hasher.combine(UInt64(1))
            hasher.combine(id.rawValue)
        case .topic(let id):
            hasher.combine(UInt64(2))
            hasher.combine(id.high)
            hasher.combine(id.low)
        }
        hasher.combine(entry.name)
        hasher.combine(entry.value)
        hasher.combine(entry.version.rawValue)
        return hasher.finish()
    }

    /// 0 for the level of an empty state.
    package static func of(featureLevel: UInt32) -> UInt64 {
        guard featureLevel != Limits.featureLevelInitial else { return 0 }
        var hasher = StateHasher(kind: Kind.featureLevel.rawValue)
        hasher.combine(UInt64(featureLevel))
        return hasher.finish()
    }

    /// A session with its results.
    package static func of(_ state: SessionState) -> UInt64 {
        state.results.reduce(of(state.session, acknowledgedBelow: state.acknowledgedBelow)) { sum, result in
            sum &+ of(result, in: state.session.id)
        }
    }

    package static func of(_ session: Session, acknowledgedBelow: UInt64) -> UInt64 {
        var hasher = StateHasher(kind: Kind.session.rawValue)
        hasher.combine(session.id.rawValue)
        hasher.combine(session.timeoutMilliseconds)
        hasher.combine(session.lastActiveMilliseconds)
        hasher.combine(acknowledgedBelow)
        return hasher.finish()
    }

    /// The sentence of a refusal is left out: two builds may word it differently while a cluster is being upgraded.
    package static func of(_ result: SessionResult, in session: SessionID) -> UInt64 {
        var hasher = StateHasher(kind: Kind.sessionResult.rawValue)
        hasher.combine(session.rawValue)
        hasher.combine(result.sequence)
        switch result.outcome {
        case .refused(let refusal):
            hasher.combine(UInt64(0))
            hasher.combine(refusal.reason.rawValue)
        case .done(.changed(let version)):
            hasher.combine(UInt64(1))
            hasher.combine(version.rawValue)
        case .done(.registered(let epoch, let version)):
            hasher.combine(UInt64(2))
            hasher.combine(epoch.rawValue)
            hasher.combine(version.rawValue)
        case .done(.topic(let topic)):
            hasher.combine(UInt64(3))
            hasher.combine(topic)
        case .done(.partition(let partition)):
            hasher.combine(UInt64(4))
            hasher.combine(partition)
        case .done(.session(let id)):
            hasher.combine(UInt64(5))
            hasher.combine(id.rawValue)
        case .done(.partitions(let results)):
            hasher.combine(UInt64(6))
            hasher.combine(UInt64(results.count))
            for result in results { hasher.combine(result) }
        }
        return hasher.finish()
    }

    /// What a change of a row adds to the digest. Changes of sessions are counted by `SessionTable`.
    package static func delta(of change: Change) -> UInt64 {
        switch change {
        case .broker(let before, let after): (after.map(of) ?? 0) &- (before.map(of) ?? 0)
        case .topic(let before, let after): (after.map(of) ?? 0) &- (before.map(of) ?? 0)
        case .partition(let before, let after): (after.map(of) ?? 0) &- (before.map(of) ?? 0)
        case .config(let before, let after): (after.map(of) ?? 0) &- (before.map(of) ?? 0)
        case .featureLevel(let before, let after): of(featureLevel: after) &- of(featureLevel: before)
        case .sessionOpened, .sessionClosed: 0
        }
    }
}

extension StateHasher {
    fileprivate mutating func combine(_ topic: Topic) {
        combine(topic.id.high)
        combine(topic.id.low)
        combine(topic.name)
        combine(topic.partitionCount)
        combine(Int32(topic.replicationFactor))
        combine(topic.version.rawValue)
    }

    fileprivate mutating func combine(_ partition: Partition) {
        combine(partition.key.topic.high)
        combine(partition.key.topic.low)
        combine(partition.key.index.rawValue)
        if let leader = partition.leader {
            combine(UInt64(1))
            combine(leader.rawValue)
        } else {
            combine(UInt64(0))
        }
        combine(partition.leaderEpoch)
        combine(partition.partitionEpoch)
        combine(partition.replicas)
        combine(partition.isr)
        combine(partition.adding)
        combine(partition.removing)
        combine(partition.version.rawValue)
        // As above.
        if !partition.eligibleLeaders.isEmpty { combine(partition.eligibleLeaders) }
    }

    fileprivate mutating func combine(_ result: PartitionResult) {
        switch result {
        case .refused(let refusal):
            combine(UInt64(0))
            combine(refusal.reason.rawValue)
        case .done(let leader, let leaderEpoch, let partitionEpoch):
            combine(UInt64(leader == nil ? 1 : 2))
            if let leader { combine(leader.rawValue) }
            combine(leaderEpoch)
            combine(partitionEpoch)
        }
    }

    fileprivate mutating func combine(_ brokers: [BrokerID]) {
        combine(UInt64(brokers.count))
        for broker in brokers { combine(broker.rawValue) }
    }
}
