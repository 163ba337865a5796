/// A change that somebody asks for. It is replicated as it stands and decided when it is applied: time, ids and random
/// choices are already in it, so that every node decides alike.
public enum Command: Hashable, Sendable {
    case registerBroker(RegisterBroker)
    case unregisterBroker(id: BrokerID, epoch: BrokerEpoch?)
    /// Takes leadership from the broker and its replicas out of the ISRs (the last member stays).
    case fenceBroker(id: BrokerID, epoch: BrokerEpoch)
    case unfenceBroker(id: BrokerID, epoch: BrokerEpoch)
    case createTopic(CreateTopic)
    case deleteTopic(topic: TopicReference, ifVersion: Version?)
    case createPartitions(CreatePartitions)
    /// Changes configuration keys of a topic, a broker or the cluster.
    case alterConfigs(AlterConfigs)
    /// Makes a member of the ISR the leader.
    case changePartitionLeader(ChangePartitionLeader)
    /// What a partition leader reports (KIP-497 AlterPartition).
    case alterPartition(AlterPartition)
    /// Opens a session; its id is the index of this entry.
    case openSession(timeoutMilliseconds: UInt64)
    case closeSession(SessionID)
    /// Proposed by the leader now and then: removes the sessions whose time has run out by the log's own time.
    case expireSessions
    /// Raises the level of features that every node understands. Never lowers it.
    case setFeatureLevel(UInt32)

    public struct RegisterBroker: Hashable, Sendable {
        public var id: BrokerID
        public var incarnation: IncarnationID
        public var endpoints: [Endpoint]
        public var rack: String

        public init(id: BrokerID, incarnation: IncarnationID, endpoints: [Endpoint], rack: String) {
            self.id = id
            self.incarnation = incarnation
            self.endpoints = endpoints
            self.rack = rack
        }
    }

    public struct CreateTopic: Hashable, Sendable {
        public var name: String
        public var id: TopicID
        public var partitionCount: Int32
        public var replicationFactor: Int16
        /// Replicas of each partition, chosen by the caller; empty: the cluster places them.
        public var assignment: [[BrokerID]]
        public var configs: [ConfigChange]
        /// Decide and answer as if, and change nothing.
        public var validateOnly: Bool

        public init(
            name: String, id: TopicID, partitionCount: Int32, replicationFactor: Int16, assignment: [[BrokerID]] = [],
            configs: [ConfigChange] = [], validateOnly: Bool = false
        ) {
            self.name = name
            self.id = id
            self.partitionCount = partitionCount
            self.replicationFactor = replicationFactor
            self.assignment = assignment
            self.configs = configs
            self.validateOnly = validateOnly
        }
    }

    public struct CreatePartitions: Hashable, Sendable {
        public var topic: TopicReference
        /// The new total, more than there are.
        public var totalCount: Int32
        /// Replicas of each new partition; empty: the cluster places them.
        public var assignment: [[BrokerID]]
        public var ifVersion: Version?
        public var validateOnly: Bool

        public init(
            topic: TopicReference, totalCount: Int32, assignment: [[BrokerID]] = [], ifVersion: Version? = nil,
            validateOnly: Bool = false
        ) {
            self.topic = topic
            self.totalCount = totalCount
            self.assignment = assignment
            self.ifVersion = ifVersion
            self.validateOnly = validateOnly
        }
    }

    public struct AlterConfigs: Hashable, Sendable {
        public var resource: ResourceReference
        public var changes: [ConfigChange]
        /// For topics: refuse unless the topic still has this version.
        public var ifVersion: Version?
        public var validateOnly: Bool

        public init(
            resource: ResourceReference, changes: [ConfigChange], ifVersion: Version? = nil, validateOnly: Bool = false
        ) {
            self.resource = resource
            self.changes = changes
            self.ifVersion = ifVersion
            self.validateOnly = validateOnly
        }
    }

    public struct ChangePartitionLeader: Hashable, Sendable {
        public var topic: TopicReference
        public var partition: PartitionIndex
        public var leader: BrokerID
        /// Refuse unless the partition still has this epoch.
        public var ifPartitionEpoch: Int32?

        public init(
            topic: TopicReference, partition: PartitionIndex, leader: BrokerID, ifPartitionEpoch: Int32? = nil
        ) {
            self.topic = topic
            self.partition = partition
            self.leader = leader
            self.ifPartitionEpoch = ifPartitionEpoch
        }
    }

    public struct AlterPartition: Hashable, Sendable {
        public var broker: BrokerID
        public var brokerEpoch: BrokerEpoch
        public var partition: PartitionKey
        public var leaderEpoch: Int32
        public var partitionEpoch: Int32
        public var isr: [BrokerID]

        public init(
            broker: BrokerID, brokerEpoch: BrokerEpoch, partition: PartitionKey, leaderEpoch: Int32,
            partitionEpoch: Int32, isr: [BrokerID]
        ) {
            self.broker = broker
            self.brokerEpoch = brokerEpoch
            self.partition = partition
            self.leaderEpoch = leaderEpoch
            self.partitionEpoch = partitionEpoch
            self.isr = isr
        }
    }
}

/// A topic by either of its names.
public enum TopicReference: Hashable, Sendable {
    case name(String)
    case id(TopicID)
}

/// What a configuration change is meant for; topics by name or id.
public enum ResourceReference: Hashable, Sendable {
    case cluster
    case broker(BrokerID)
    case topic(TopicReference)
}

/// Sets a key, or removes it when `value` is nil.
public struct ConfigChange: Hashable, Sendable {
    public var name: String
    public var value: String?

    public init(name: String, value: String?) {
        self.name = name
        self.value = value
    }
}
