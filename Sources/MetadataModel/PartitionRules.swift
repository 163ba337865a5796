/// What follows from a change of a partition: whether its reassignment is complete, who leads, who stays eligible, and
/// which epochs rise. Every command that touches a partition ends here, so that each rule stands once (after Kafka's
/// `PartitionChangeBuilder`).
struct PartitionRules<View: MetadataView> {
    typealias Failure = View.Failure

    enum Election {
        /// Nobody is elected while the leader may lead on.
        case ifNeeded
        /// This member of the ISR, whom the command has checked.
        case member(BrokerID)
        /// Like `ifNeeded`, and any active replica when no other may lead, whatever the topic's configuration says.
        case unclean
    }

    /// The configuration of a topic that the rules depend on.
    private struct Settings {
        var minInSyncReplicas: Int
        var allowsUncleanElection: Bool
    }

    private let view: View
    private let version: Version
    /// Configuration that the command is about to set.
    private let pending: (resource: ConfigResource, changes: [ConfigChange])?
    private var activity: [BrokerID: Bool] = [:]
    private var settings: [TopicID: Settings] = [:]

    init(view: View, version: Version, pending: (resource: ConfigResource, changes: [ConfigChange])? = nil) {
        self.view = view
        self.version = version
        self.pending = pending
    }

    /// The command is about to make the broker active, or not active any more.
    mutating func assume(_ broker: BrokerID, isActive: Bool) { activity[broker] = isActive }

    mutating func isActive(_ id: BrokerID) throws(Failure) -> Bool {
        if let known = activity[id] { return known }
        let isActive = try view.broker(id)?.isActive ?? false
        activity[id] = isActive
        return isActive
    }

    /// The partition when everything has followed from `wanted`, what a command makes of `before` in its replicas, ISR and
    /// reassignment; nil when it then is as it was. Epochs, leader and version of `wanted` are ignored.
    ///
    /// - Parameter distrusted: a broker that may have lost what it had: leaving the ISR makes it no eligible leader.
    mutating func settle(
        _ wanted: Partition, from before: Partition, electing election: Election = .ifNeeded,
        distrusting distrusted: BrokerID? = nil
    ) throws(Failure) -> Partition? {
        precondition(!wanted.isr.isEmpty, "partition \(wanted.key.index) of topic \(wanted.key.topic) without an ISR")
        var after = wanted
        after.isr = after.replicas.filter { wanted.isr.contains($0) }
        try completeReassignment(&after)
        let isUnclean = try elect(&after, election)
        // An election outside of the ISR makes a new one, of a replica that is perhaps the last that was waited for.
        try completeReassignment(&after)
        after.eligibleLeaders = isUnclean ? [] : try eligibleLeaders(after, before).filter { $0 != distrusted }
        guard after != before else { return nil }
        // A replica that leaves must not be taken for one any more, so its leader's epoch ends too, as in Kafka.
        let hasLostReplica = !before.replicas.allSatisfy { after.replicas.contains($0) }
        if after.leader != before.leader || hasLostReplica { after.leaderEpoch = advanced(before.leaderEpoch) }
        after.partitionEpoch = advanced(before.partitionEpoch)
        after.version = version
        return after
    }

    /// Replicas leave only when all that were to come are in sync, and one of those that stay can lead (KIP-455).
    private mutating func completeReassignment(_ partition: inout Partition) throws(Failure) {
        guard partition.isReassigning else { return }
        let isr = partition.isr.filter { !partition.removing.contains($0) }
        guard partition.adding.allSatisfy({ isr.contains($0) }), try firstActive(of: isr) != nil else { return }
        partition.replicas.removeAll { partition.removing.contains($0) }
        partition.isr = isr
        partition.adding = []
        partition.removing = []
    }

    /// Says who leads, and whether that is an unclean election.
    private mutating func elect(_ partition: inout Partition, _ election: Election) throws(Failure) -> Bool {
        if case .member(let leader) = election {
            partition.leader = leader
            return false
        }
        if let leader = partition.leader, partition.isr.contains(leader), try isActive(leader) { return false }
        partition.leader = try firstActive(of: partition.isr)
        if partition.leader != nil { return false }
        // The log of an eligible leader is as good as any; all others have to follow it anew (KIP-966).
        let eligible = partition.replicas.filter { partition.eligibleLeaders.contains($0) }
        if let leader = try firstActive(of: eligible) {
            partition.leader = leader
            partition.isr = [leader]
            return false
        }
        switch election {
        case .unclean: break
        case .ifNeeded, .member:
            guard try settings(of: partition.key.topic).allowsUncleanElection else { return false }
        }
        guard let leader = try firstActive(of: partition.originalsFirst) else { return false }
        partition.leader = leader
        partition.isr = [leader]
        return true
    }

    /// With an ISR below `min.insync.replicas` nothing more is committed, so whoever leaves it lacks nothing; with one
    /// that is large enough everything goes on without them (KIP-966).
    private mutating func eligibleLeaders(
        _ after: Partition, _ before: Partition
    ) throws(Failure) -> [BrokerID] {
        guard after.isr.count < after.replicas.count else { return [] }
        let enough = try min(settings(of: after.key.topic).minInSyncReplicas, after.replicas.count)
        guard after.isr.count < enough else { return [] }
        return after.replicas.filter {
            !after.isr.contains($0) && (after.eligibleLeaders.contains($0) || before.isr.contains($0))
        }
    }

    mutating func firstActive(of brokers: [BrokerID]) throws(Failure) -> BrokerID? {
        for broker in brokers where try isActive(broker) { return broker }
        return nil
    }

    private mutating func settings(of topic: TopicID) throws(Failure) -> Settings {
        if let known = settings[topic] { return known }
        let minimum = try value(of: ConfigRegistry.minInSyncReplicas, topic).flatMap { Int($0) } ?? 1
        let unclean = try value(of: ConfigRegistry.uncleanElection, topic) == "true"
        let found = Settings(minInSyncReplicas: minimum, allowsUncleanElection: unclean)
        settings[topic] = found
        return found
    }

    /// The topic's own, or else the cluster's default.
    private func value(of name: String, _ topic: TopicID) throws(Failure) -> String? {
        if let own = try value(of: name, .topic(topic)) { return own }
        return try value(of: name, .cluster)
    }

    private func value(of name: String, _ resource: ConfigResource) throws(Failure) -> String? {
        if let pending, pending.resource == resource, let change = pending.changes.first(where: { $0.name == name }) {
            return change.value
        }
        return try view.config(resource, name: name)?.value
    }

    /// Stops at the end of the range: an entry of the log must not trap. `Limits.partitionEpochMax` keeps clients from
    /// getting there.
    private func advanced(_ epoch: Int32) -> Int32 { epoch == .max ? epoch : epoch + 1 }
}

extension Partition {
    /// Replicas are being added or removed.
    public var isReassigning: Bool { !adding.isEmpty || !removing.isEmpty }

    /// The broker leads it, or is in sync beside others: what a broker that is fenced or stops must not. The last member of an
    /// ISR stays, and its partition is offline.
    package func relies(on broker: BrokerID) -> Bool {
        leader == broker || (isr.count > 1 && isr.contains(broker))
    }

    /// The replicas as a cancelled reassignment leaves them: those that are to leave take the places of those that came for
    /// them.
    var originalReplicas: [BrokerID] {
        var leaving = removing[...]
        var found: [BrokerID] = []
        for replica in replicas where !removing.contains(replica) {
            if !adding.contains(replica) {
                found.append(replica)
            } else if let original = leaving.popFirst() {
                found.append(original)
            }
        }
        return found + leaving
    }

    /// By how much they probably have: replicas that a reassignment brings in last.
    var originalsFirst: [BrokerID] {
        replicas.filter { !adding.contains($0) } + replicas.filter { adding.contains($0) }
    }
}

extension Broker {
    /// May lead, and join an ISR.
    package var isActive: Bool {
        switch state {
        case .active: true
        case .fenced, .fencing, .shuttingDown: false
        }
    }

    /// May be given new replicas.
    package var takesReplicas: Bool { isActive && !isDraining }
}
