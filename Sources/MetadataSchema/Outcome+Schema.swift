package import MetadataModel

extension CommandOutcome: SchemaConvertible {
    package init(schema: ProtoCommandOutcome) throws(SchemaError) {
        switch schema.kind {
        case .changed(let version): self = .done(.changed(Version(version)))
        case .registered(let registered):
            self = .done(.registered(BrokerEpoch(registered.epoch), Version(registered.version)))
        case .topic(let topic): self = .done(.topic(try Topic(schema: topic)))
        case .partition(let partition): self = .done(.partition(try Partition(schema: partition)))
        case .session(let id): self = .done(.session(SessionID(id)))
        case .partitions(let partitions): self = .done(.partitions(try converted(partitions.results)))
        case .refused(let refusal): self = .refused(try Refusal(schema: refusal))
        case nil: throw .unknownValue("command outcome")
        }
    }

    package var schema: ProtoCommandOutcome {
        var schema = ProtoCommandOutcome()
        switch self {
        case .done(.changed(let version)): schema.kind = .changed(version.rawValue)
        case .done(.registered(let epoch, let version)):
            var registered = ProtoCommandOutcome.Registered()
            registered.epoch = epoch.rawValue
            registered.version = version.rawValue
            schema.kind = .registered(registered)
        case .done(.topic(let topic)): schema.kind = .topic(topic.schema)
        case .done(.partition(let partition)): schema.kind = .partition(partition.schema)
        case .done(.session(let id)): schema.kind = .session(id.rawValue)
        case .done(.partitions(let results)):
            var partitions = ProtoCommandOutcome.Partitions()
            partitions.results = results.map(\.schema)
            schema.kind = .partitions(partitions)
        case .refused(let refusal): schema.kind = .refused(refusal.schema)
        }
        return schema
    }
}

extension PartitionResult: SchemaConvertible {
    package init(schema: ProtoCommandOutcome.PartitionResult) throws(SchemaError) {
        switch schema.kind {
        case .done(let done):
            self = .done(
                leader: done.hasLeader ? BrokerID(done.leader) : nil, leaderEpoch: done.leaderEpoch,
                partitionEpoch: done.partitionEpoch)
        case .refused(let refusal): self = .refused(try Refusal(schema: refusal))
        case nil: throw .unknownValue("partition result")
        }
    }

    package var schema: ProtoCommandOutcome.PartitionResult {
        var schema = ProtoCommandOutcome.PartitionResult()
        switch self {
        case .done(let leader, let leaderEpoch, let partitionEpoch):
            var done = ProtoCommandOutcome.PartitionResult.Done()
            if let leader { done.leader = leader.rawValue }
            done.leaderEpoch = leaderEpoch
            done.partitionEpoch = partitionEpoch
            schema.kind = .done(done)
        case .refused(let refusal): schema.kind = .refused(refusal.schema)
        }
        return schema
    }
}

extension Refusal: SchemaConvertible {
    package init(schema: ProtoRefusal) throws(SchemaError) {
        self.init(try Reason(schema: schema.reason), schema.detail)
    }

    package var schema: ProtoRefusal {
        var schema = ProtoRefusal()
        schema.reason = reason.schema
        schema.detail = detail
        return schema
    }
}

extension Refusal.Reason {
    init(schema: ProtoRefusalReason) throws(SchemaError) {
        switch schema {
        case .unknownCommand: self = .unknownCommand
        case .unsupportedFeature: self = .unsupportedFeature
        case .invalidRequest: self = .invalidRequest
        case .invalidTopicName: self = .invalidTopicName
        case .invalidPartitionCount: self = .invalidPartitionCount
        case .invalidReplicationFactor: self = .invalidReplicationFactor
        case .invalidAssignment: self = .invalidAssignment
        case .invalidConfig: self = .invalidConfig
        case .topicExists: self = .topicExists
        case .topicNotFound: self = .topicNotFound
        case .partitionNotFound: self = .partitionNotFound
        case .brokerNotFound: self = .brokerNotFound
        case .notEnoughBrokers: self = .notEnoughBrokers
        case .brokerIDInUse: self = .brokerIDInUse
        case .staleBrokerEpoch: self = .staleBrokerEpoch
        case .staleLeaderEpoch: self = .staleLeaderEpoch
        case .stalePartitionEpoch: self = .stalePartitionEpoch
        case .versionMismatch: self = .versionMismatch
        case .notLeaderOfPartition: self = .notLeaderOfPartition
        case .notInReplicas: self = .notInReplicas
        case .notInIsr: self = .notInISR
        case .brokerFenced: self = .brokerFenced
        case .brokerNotEmpty: self = .brokerNotEmpty
        case .eligibleLeadersNotAvailable: self = .eligibleLeadersNotAvailable
        case .noReassignmentInProgress: self = .noReassignmentInProgress
        case .rebalanceInProgress: self = .rebalanceInProgress
        case .noRebalanceInProgress: self = .noRebalanceInProgress
        case .limitExceeded: self = .limitExceeded
        case .sessionExpired: self = .sessionExpired
        case .sequenceOutOfWindow: self = .sequenceOutOfWindow
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("refusal reason \(schema.rawValue)")
        }
    }

    var schema: ProtoRefusalReason {
        switch self {
        case .unknownCommand: .unknownCommand
        case .unsupportedFeature: .unsupportedFeature
        case .invalidRequest: .invalidRequest
        case .invalidTopicName: .invalidTopicName
        case .invalidPartitionCount: .invalidPartitionCount
        case .invalidReplicationFactor: .invalidReplicationFactor
        case .invalidAssignment: .invalidAssignment
        case .invalidConfig: .invalidConfig
        case .topicExists: .topicExists
        case .topicNotFound: .topicNotFound
        case .partitionNotFound: .partitionNotFound
        case .brokerNotFound: .brokerNotFound
        case .notEnoughBrokers: .notEnoughBrokers
        case .brokerIDInUse: .brokerIDInUse
        case .staleBrokerEpoch: .staleBrokerEpoch
        case .staleLeaderEpoch: .staleLeaderEpoch
        case .stalePartitionEpoch: .stalePartitionEpoch
        case .versionMismatch: .versionMismatch
        case .notLeaderOfPartition: .notLeaderOfPartition
        case .notInReplicas: .notInReplicas
        case .notInISR: .notInIsr
        case .brokerFenced: .brokerFenced
        case .brokerNotEmpty: .brokerNotEmpty
        case .eligibleLeadersNotAvailable: .eligibleLeadersNotAvailable
        case .noReassignmentInProgress: .noReassignmentInProgress
        case .rebalanceInProgress: .rebalanceInProgress
        case .noRebalanceInProgress: .noRebalanceInProgress
        case .limitExceeded: .limitExceeded
        case .sessionExpired: .sessionExpired
        case .sequenceOutOfWindow: .sequenceOutOfWindow
        }
    }
}
