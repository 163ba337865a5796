/// The answer to a command. A refusal is an answer, not a failure: it is the same on every node and is remembered for
/// retries like any other.
public enum CommandOutcome: Hashable, Sendable {
    case done(CommandResult)
    case refused(Refusal)
}

/// What a command that was carried out returns.
public enum CommandResult: Hashable, Sendable {
    /// Nothing but the version at which it holds.
    case changed(Version)
    case registered(BrokerEpoch, Version)
    case topic(Topic)
    case partition(Partition)
    case session(SessionID)
    /// One for each partition that the command names, in its order.
    case partitions([PartitionResult])
}

extension CommandOutcome {
    /// What a session keeps of the outcome. Of the partitions of a command only the reasons: a thousand sentences for each
    /// of a thousand writes are too much.
    package var remembered: CommandOutcome {
        guard case .done(.partitions(let results)) = self else { return self }
        return .done(
            .partitions(
                results.map { result in
                    switch result {
                    case .done: result
                    case .refused(let refusal): .refused(Refusal(refusal.reason, ""))
                    }
                }))
    }

    /// About the bytes that it takes when it is remembered. Equal on all nodes: the sentences of refusals do not count, as
    /// they do not in the digest.
    var weight: Int {
        guard case .done(.partitions(let results)) = self else { return Self.weightOfOne }
        return Self.weightOfOne + Self.weightOfPartition * results.count
    }

    private static let weightOfOne = 256
    /// A leader and two epochs.
    private static let weightOfPartition = 24
}

/// What became of one partition of a command that names many.
public enum PartitionResult: Hashable, Sendable {
    /// The partition as it is now, also when nothing had to be changed. A nil leader: offline.
    case done(leader: BrokerID?, leaderEpoch: Int32, partitionEpoch: Int32)
    case refused(Refusal)
}

/// Why a command was not carried out.
public struct Refusal: Hashable, Sendable {
    /// What to act on; the detail is for people.
    public var reason: Reason
    /// A sentence with the names and numbers of the case.
    public var detail: String

    /// Takes the fields as they are.
    public init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }

    /// Stable: the raw value is what JSON and logs show. Docs: `docs/errors.md`.
    public enum Reason: String, Sendable, Hashable, CaseIterable {
        case unknownCommand = "unknown_command"
        case unsupportedFeature = "unsupported_feature"
        case invalidRequest = "invalid_request"
        case invalidTopicName = "invalid_topic_name"
        case invalidPartitionCount = "invalid_partition_count"
        case invalidReplicationFactor = "invalid_replication_factor"
        case invalidAssignment = "invalid_assignment"
        case invalidConfig = "invalid_config"
        case topicExists = "topic_exists"
        case topicNotFound = "topic_not_found"
        case partitionNotFound = "partition_not_found"
        case brokerNotFound = "broker_not_found"
        case notEnoughBrokers = "not_enough_brokers"
        case brokerIDInUse = "broker_id_in_use"
        case staleBrokerEpoch = "stale_broker_epoch"
        case staleLeaderEpoch = "stale_leader_epoch"
        case stalePartitionEpoch = "stale_partition_epoch"
        case versionMismatch = "version_mismatch"
        case notLeaderOfPartition = "not_leader_of_partition"
        case notInReplicas = "not_in_replicas"
        case notInISR = "not_in_isr"
        case brokerFenced = "broker_fenced"
        case brokerNotEmpty = "broker_not_empty"
        /// No replica can lead: none is active (KIP-966).
        case eligibleLeadersNotAvailable = "eligible_leaders_not_available"
        /// There is no reassignment to cancel (KIP-455).
        case noReassignmentInProgress = "no_reassignment_in_progress"
        /// One is under way already; two never overlap.
        case rebalanceInProgress = "rebalance_in_progress"
        /// There is no rebalance to end, or not the one that is meant.
        case noRebalanceInProgress = "no_rebalance_in_progress"
        case limitExceeded = "limit_exceeded"
        /// The session is not known (expired, closed, or never opened): whether an earlier attempt was carried out cannot
        /// be told, and this one was not.
        case sessionExpired = "session_expired"
        /// The sequence number is outside of the session's window.
        case sequenceOutOfWindow = "sequence_out_of_window"
    }
}
