import MetadataModel

/// What registering a broker returns.
public struct BrokerRegistration: Sendable, Hashable {
    /// To be carried by everything that the broker says from now on: it outdates all earlier registrations.
    public var epoch: BrokerEpoch
    /// The version at which the registration holds.
    public var version: Version
}

/// Each of these submits one `Command`; see there for the rules, and `Refusal.Reason` for the refusals. `timeout` is how long
/// to wait, retries included; nil takes `Options.timeout`.
extension MetadataClient {
    /// Registers a broker, fenced; an earlier registration under the same id is outdated (KIP-631 BrokerRegistration).
    ///
    /// `BrokerSession` does this and what follows from it by itself.
    public func registerBroker(
        _ id: BrokerID, incarnation: IncarnationID, endpoints: [MetadataModel.Endpoint], rack: String = "",
        capacity: UInt32 = Broker.capacityDefault, tags: [BrokerTag] = [], previousEpoch: BrokerEpoch? = nil,
        timeout: Duration? = nil
    ) async throws(MetadataError) -> BrokerRegistration {
        let command = Command.registerBroker(
            .init(
                id: id, incarnation: incarnation, endpoints: endpoints, rack: rack, capacity: capacity, tags: tags,
                previousEpoch: previousEpoch))
        guard case .registered(let epoch, let version) = try await submit(command, timeout: timeout) else {
            throw unexpectedResult(of: command)
        }
        return BrokerRegistration(epoch: epoch, version: version)
    }

    /// Removes a broker that holds no replicas any more (KIP-500 UnregisterBroker). With an epoch: only that registration.
    ///
    /// - Parameter force: Remove a fenced broker with its replicas. What only they had is lost; it is refused while a
    ///   partition has no other. One with more than `Limits.partitionsPerStepMax` of them is still there when this returns, fenced
    ///   for good: the leader goes on by itself, and forgets it with its last replica.
    @discardableResult
    public func unregisterBroker(
        _ id: BrokerID, epoch: BrokerEpoch? = nil, force: Bool = false, timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(.unregisterBroker(id: id, epoch: epoch, force: force), timeout: timeout)
    }

    /// Takes leadership from a broker and its replicas out of the in-sync replicas (KIP-631 fencing). One with more than
    /// `Limits.partitionsAtOnceMax` partitions is `fencing` when this returns, and `fenced` when the leader has moved all of them.
    @discardableResult
    public func fenceBroker(
        _ id: BrokerID, epoch: BrokerEpoch, timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(.fenceBroker(id: id, epoch: epoch), timeout: timeout)
    }

    /// Lets a broker lead again. Where partitions are offline the leader brings its own back some hundred at a time, the first of
    /// them in this entry.
    @discardableResult
    public func unfenceBroker(
        _ id: BrokerID, epoch: BrokerEpoch, timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(.unfenceBroker(id: id, epoch: epoch), timeout: timeout)
    }

    /// Takes leadership from a broker that is about to stop; the answers to its heartbeats say that it may (KIP-631
    /// controlled shutdown). `BrokerSession.shutDown` asks for this by itself.
    @discardableResult
    public func beginShutdown(
        _ id: BrokerID, epoch: BrokerEpoch, timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(.beginShutdown(id: id, epoch: epoch), timeout: timeout)
    }

    /// Marks a broker whose replicas are to move away: it is given no new ones. With an epoch: only that registration.
    @discardableResult
    public func drainBroker(
        _ id: BrokerID, epoch: BrokerEpoch? = nil, timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(.drainBroker(id: id, epoch: epoch), timeout: timeout)
    }

    /// Takes the mark of `drainBroker` back. Replicas that have moved stay where they are.
    @discardableResult
    public func cancelDrain(
        _ id: BrokerID, epoch: BrokerEpoch? = nil, timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(.cancelDrain(id: id, epoch: epoch), timeout: timeout)
    }

    /// Creates a topic under a new random id.
    ///
    /// - Parameters:
    ///   - name: 1 to `Limits.topicNameBytesMax` of `[a-zA-Z0-9._-]`.
    ///   - partitions: 1 to `Limits.partitionsPerTopicMax`.
    ///   - replicationFactor: 1 to `Limits.replicationFactorMax`.
    ///   - assignment: The replicas of each partition, the preferred leader first; empty lets the cluster place them.
    ///   - validateOnly: Decide and answer as if, and change nothing.
    public func createTopic(
        name: String, partitions: Int32, replicationFactor: Int16, configs: [ConfigChange] = [],
        assignment: [[BrokerID]] = [], validateOnly: Bool = false, timeout: Duration? = nil
    ) async throws(MetadataError) -> Topic {
        let command = Command.createTopic(
            .init(
                name: name, id: .random(), partitionCount: partitions, replicationFactor: replicationFactor,
                assignment: assignment, configs: configs, validateOnly: validateOnly))
        guard case .topic(let topic) = try await submit(command, timeout: timeout) else {
            throw unexpectedResult(of: command)
        }
        return topic
    }

    /// Deletes a topic with its partitions and configuration. With a version: only if the topic still has it.
    @discardableResult
    public func deleteTopic(
        _ topic: TopicReference, ifVersion: Version? = nil, timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(.deleteTopic(topic: topic, ifVersion: ifVersion), timeout: timeout)
    }

    /// Gives a topic more partitions.
    ///
    /// - Parameters:
    ///   - totalCount: The new total, more than there are.
    ///   - assignment: The replicas of each new partition; empty lets the cluster place them.
    @discardableResult
    public func createPartitions(
        _ topic: TopicReference, totalCount: Int32, assignment: [[BrokerID]] = [], ifVersion: Version? = nil,
        validateOnly: Bool = false, timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(
            .createPartitions(
                .init(
                    topic: topic, totalCount: totalCount, assignment: assignment, ifVersion: ifVersion,
                    validateOnly: validateOnly)),
            timeout: timeout)
    }

    /// Sets and removes configuration keys of a topic, a broker or the cluster, all or none.
    @discardableResult
    public func alterConfigs(
        _ resource: ResourceReference, changes: [ConfigChange], ifVersion: Version? = nil, validateOnly: Bool = false,
        timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(
            .alterConfigs(
                .init(resource: resource, changes: changes, ifVersion: ifVersion, validateOnly: validateOnly)),
            timeout: timeout)
    }

    /// Makes a member of the in-sync replicas the leader of a partition. With an epoch: only if the partition still has it.
    @discardableResult
    public func changePartitionLeader(
        _ topic: TopicReference, partition: PartitionIndex, leader: BrokerID, ifPartitionEpoch: Int32? = nil,
        timeout: Duration? = nil
    ) async throws(MetadataError) -> Version {
        try await change(
            .changePartitionLeader(
                .init(topic: topic, partition: partition, leader: leader, ifPartitionEpoch: ifPartitionEpoch)),
            timeout: timeout)
    }

    /// Reports new in-sync replicas, as the leader of a partition does (KIP-497 AlterPartition). Returns the partition with
    /// its new epoch.
    @discardableResult
    public func alterPartition(
        _ change: Command.AlterPartition, timeout: Duration? = nil
    ) async throws(MetadataError) -> Partition {
        let command = Command.alterPartition(change)
        guard case .partition(let partition) = try await submit(command, timeout: timeout) else {
            throw unexpectedResult(of: command)
        }
        return partition
    }

    /// Reports the in-sync replicas of many partitions of one leader. Returns what became of each, in order: a stale report
    /// does not hold up the others.
    public func alterPartitions(
        _ change: Command.AlterPartitions, timeout: Duration? = nil
    ) async throws(MetadataError) -> [PartitionResult] {
        try await results(.alterPartitions(change), of: change.reports.count, timeout: timeout)
    }

    /// Has the leaders of partitions elected (KIP-460). Returns what became of each, in order; a partition that needed no
    /// election is done.
    ///
    /// - Parameter partitions: 1 to `Limits.partitionsPerCommandMax`.
    public func electLeaders(
        _ election: Command.ElectLeaders.Election, of partitions: [PartitionKey], timeout: Duration? = nil
    ) async throws(MetadataError) -> [PartitionResult] {
        try await results(
            .electLeaders(.init(election, partitions: partitions)), of: partitions.count, timeout: timeout)
    }

    /// Begins, replaces and cancels reassignments (KIP-455). Returns what became of each, in order. A reassignment that was
    /// begun is under way: replicas leave when those that come are in sync, as the partition shows.
    ///
    /// - Parameter reassignments: 1 to `Limits.partitionsPerCommandMax`.
    public func reassignPartitions(
        _ reassignments: [Command.Reassignment], timeout: Duration? = nil
    ) async throws(MetadataError) -> [PartitionResult] {
        try await results(.reassignPartitions(.init(reassignments)), of: reassignments.count, timeout: timeout)
    }

    // MARK: Helpers

    /// Submits a command that is answered for each partition.
    private func results(
        _ command: Command, of count: Int, timeout: Duration?
    ) async throws(MetadataError) -> [PartitionResult] {
        guard case .partitions(let results) = try await submit(command, timeout: timeout), results.count == count else {
            throw unexpectedResult(of: command)
        }
        return results
    }

    /// Submits a command of which only the version matters.
    func change(_ command: Command, timeout: Duration?) async throws(MetadataError) -> Version {
        switch try await submit(command, timeout: timeout) {
        case .changed(let version), .registered(_, let version): return version
        case .topic(let topic): return topic.version
        case .partition(let partition): return partition.version
        case .session, .partitions: throw unexpectedResult(of: command)
        }
    }

    private func unexpectedResult(of command: Command) -> MetadataError {
        MetadataError(
            CallFailure(.protocolViolation, .indefinite, "the cluster answered with a result of another command"),
            operation: command.operationName)
    }
}

extension TopicID {
    /// A new id; never all zero.
    package static func random() -> TopicID {
        var generator = SystemRandomNumberGenerator()
        return TopicID(high: .random(in: 1 ... .max, using: &generator), low: generator.next())
    }
}
