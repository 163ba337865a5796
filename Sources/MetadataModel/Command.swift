/// A change that somebody asks for. It is replicated as it stands and decided when it is applied: time, ids and random
/// choices are already in it, so that every node decides alike.
public enum Command: Hashable, Sendable {
    case registerBroker(RegisterBroker)
    /// Forgets a broker that holds no replicas; by `force` a fenced one that does, with its replicas: a step of it, if they are
    /// many. Whoever leads goes on with `takeStep`.
    case unregisterBroker(id: BrokerID, epoch: BrokerEpoch?, force: Bool = false)
    /// Takes leadership from the broker and its replicas out of the ISRs (the last member stays): a step of it, if there are
    /// many. Whoever leads proposes it again until the broker is fenced.
    case fenceBroker(id: BrokerID, epoch: BrokerEpoch)
    /// Lets the broker lead again. Of its partitions without a leader the first come back with it, the others by `takeStep`.
    case unfenceBroker(id: BrokerID, epoch: BrokerEpoch)
    /// Takes leadership from a broker that is about to stop (KIP-631 controlled shutdown): a step of it, if it leads much.
    case beginShutdown(id: BrokerID, epoch: BrokerEpoch)
    /// The replicas of the broker are to move away; it is given no new ones.
    case drainBroker(id: BrokerID, epoch: BrokerEpoch?)
    case cancelDrain(id: BrokerID, epoch: BrokerEpoch?)
    case createTopic(CreateTopic)
    case deleteTopic(topic: TopicReference, ifVersion: Version?)
    case createPartitions(CreatePartitions)
    /// Changes configuration keys of a topic, a broker or the cluster.
    case alterConfigs(AlterConfigs)
    /// Makes a member of the ISR the leader.
    case changePartitionLeader(ChangePartitionLeader)
    /// What a partition leader reports (KIP-497 AlterPartition).
    case alterPartition(AlterPartition)
    /// Many of the same leader's reports, each decided by itself.
    case alterPartitions(AlterPartitions)
    /// Has leaders elected (KIP-460 ElectLeaders).
    case electLeaders(ElectLeaders)
    /// Begins, replaces and cancels reassignments (KIP-455 AlterPartitionReassignments).
    case reassignPartitions(ReassignPartitions)
    /// Begins a rebalance; refused while another is under way.
    case startRebalance(StartRebalance)
    /// What the coordinator proposes to carry out a rebalance or a drain, step by step.
    case moveReplicas(MoveReplicas)
    /// Ends a rebalance: it is finished, somebody cancels it, or it cannot go on.
    case endRebalance(EndRebalance)
    /// Proposed by the leader: for how long it and those before it have not heard these brokers; zero for one that is heard
    /// again. Whoever leads next counts on from there.
    case noteSilence([BrokerSilence])
    /// Proposed by the leader while there is any: the next step of what is too much for one entry (`UnfinishedWork`).
    case takeStep
    /// Opens a session; its id is the index of this entry.
    case openSession(timeoutMilliseconds: UInt64)
    case closeSession(SessionID)
    /// Proposed by the leader now and then: removes the sessions whose time has run out by the log's own time.
    case expireSessions
    /// Raises the level of features that every node understands. Never lowers it.
    case setFeatureLevel(UInt32)
    /// Proposed by the leader now and then. Changes nothing: every node reports the digest of its state as of this entry,
    /// and the leader compares. A build that does not know it refuses it, which changes nothing either, and does not report.
    case compareDigests

    /// Registers a broker, or changes the description of one that is registered.
    public struct RegisterBroker: Hashable, Sendable {
        /// The broker, 0 or more.
        public var id: BrokerID
        /// The process that registers; never all zero.
        public var incarnation: IncarnationID
        /// Where clients reach it; names are unique.
        public var endpoints: [Endpoint]
        /// Empty when the broker has no rack.
        public var rack: String
        /// See `Broker.capacity`.
        public var capacity: UInt32
        /// In any order; each name once.
        public var tags: [BrokerTag]
        /// The epoch that this broker had before, if it lost nothing since: it still runs, or it was shut down in order
        /// (KIP-966 `PreviousBrokerEpoch`). Nil: it may have lost what it had not synced.
        public var previousEpoch: BrokerEpoch?

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(
            id: BrokerID, incarnation: IncarnationID, endpoints: [Endpoint], rack: String,
            capacity: UInt32 = Broker.capacityDefault, tags: [BrokerTag] = [], previousEpoch: BrokerEpoch? = nil
        ) {
            self.id = id
            self.incarnation = incarnation
            self.endpoints = endpoints
            self.rack = rack
            self.capacity = capacity
            self.tags = tags
            self.previousEpoch = previousEpoch
        }
    }

    /// Creates a topic with all its partitions.
    public struct CreateTopic: Hashable, Sendable {
        /// Kafka's rules: 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_`, `-`.
        public var name: String
        /// Chosen at random by the proposer; never all zero.
        public var id: TopicID
        /// 1 or more; 0 with an explicit assignment: as many as are assigned.
        public var partitionCount: Int32
        /// 1 or more; 0 with an explicit assignment: as many as are assigned.
        public var replicationFactor: Int16
        /// Replicas of each partition, chosen by the caller; empty: the cluster places them.
        public var assignment: [[BrokerID]]
        /// Initial configuration; each has a value.
        public var configs: [ConfigChange]
        /// Decide and answer as if, and change nothing.
        public var validateOnly: Bool

        /// Takes the fields as they are; nothing is checked before the state machine decides.
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

    /// Adds partitions to a topic.
    public struct CreatePartitions: Hashable, Sendable {
        /// The topic that gets them.
        public var topic: TopicReference
        /// The new total, more than there are.
        public var totalCount: Int32
        /// Replicas of each new partition; empty: the cluster places them.
        public var assignment: [[BrokerID]]
        /// Refuse unless the topic still has this version.
        public var ifVersion: Version?
        /// Decide and answer as if, and change nothing.
        public var validateOnly: Bool

        /// Takes the fields as they are; nothing is checked before the state machine decides.
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

    /// Changes configuration keys of one resource, all or none.
    public struct AlterConfigs: Hashable, Sendable {
        /// What the keys belong to.
        public var resource: ResourceReference
        /// At least one; each name at most once.
        public var changes: [ConfigChange]
        /// For topics: refuse unless the topic still has this version.
        public var ifVersion: Version?
        /// Decide and answer as if, and change nothing.
        public var validateOnly: Bool

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(
            resource: ResourceReference, changes: [ConfigChange], ifVersion: Version? = nil, validateOnly: Bool = false
        ) {
            self.resource = resource
            self.changes = changes
            self.ifVersion = ifVersion
            self.validateOnly = validateOnly
        }
    }

    /// Moves the leadership of one partition.
    public struct ChangePartitionLeader: Hashable, Sendable {
        /// The topic of the partition.
        public var topic: TopicReference
        /// The number of the partition.
        public var partition: PartitionIndex
        /// Who is to lead: an active member of the ISR.
        public var leader: BrokerID
        /// Refuse unless the partition still has this epoch.
        public var ifPartitionEpoch: Int32?

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(
            topic: TopicReference, partition: PartitionIndex, leader: BrokerID, ifPartitionEpoch: Int32? = nil
        ) {
            self.topic = topic
            self.partition = partition
            self.leader = leader
            self.ifPartitionEpoch = ifPartitionEpoch
        }
    }

    /// The ISR of a partition as its leader sees it.
    public struct AlterPartition: Hashable, Sendable {
        /// The broker that reports: the leader.
        public var broker: BrokerID
        /// That broker's current epoch.
        public var brokerEpoch: BrokerEpoch
        /// The partition that it leads.
        public var partition: PartitionKey
        /// The leader epoch under which it leads.
        public var leaderEpoch: Int32
        /// The partition epoch that the report is based on.
        public var partitionEpoch: Int32
        /// The new ISR, in any order; contains the leader.
        public var isr: [BrokerID]
        /// See `ISRReport.isrEpochs`.
        public var isrEpochs: [BrokerEpoch]

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(
            broker: BrokerID, brokerEpoch: BrokerEpoch, partition: PartitionKey, leaderEpoch: Int32,
            partitionEpoch: Int32, isr: [BrokerID], isrEpochs: [BrokerEpoch] = []
        ) {
            self.broker = broker
            self.brokerEpoch = brokerEpoch
            self.partition = partition
            self.leaderEpoch = leaderEpoch
            self.partitionEpoch = partitionEpoch
            self.isr = isr
            self.isrEpochs = isrEpochs
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
    /// The key.
    public var name: String
    /// Nil removes the key.
    public var value: String?

    /// Takes the fields as they are; nothing is checked before the state machine decides.
    public init(name: String, value: String?) {
        self.name = name
        self.value = value
    }
}
