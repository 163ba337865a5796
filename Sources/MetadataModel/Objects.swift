/// Where clients of a broker reach it (KIP-631 `EndPoint`).
public struct Endpoint: Hashable, Sendable {
    /// The listener's name, for example `PLAINTEXT`.
    public var name: String
    /// A name or address, 1 to 255 bytes.
    public var host: String
    /// Never 0.
    public var port: UInt16

    /// Takes the fields as they are.
    public init(name: String, host: String, port: UInt16) {
        self.name = name
        self.host = host
        self.port = port
    }
}

/// A registered broker.
public struct Broker: Hashable, Sendable {
    /// The number that its operator gave it.
    public var id: BrokerID
    /// Its current registration.
    public var epoch: BrokerEpoch
    /// The process that registered.
    public var incarnation: IncarnationID
    /// Where clients reach it.
    public var endpoints: [Endpoint]
    /// Empty when the broker has no rack.
    public var rack: String
    /// How much it takes beside the others: a broker of 200 is meant to hold twice as many replicas as one of 100.
    public var capacity: UInt32
    /// What its operator notes about it; by name, each name once.
    public var tags: [BrokerTag]
    /// Whether it may lead.
    public var state: State
    /// Its replicas are to be moved to others (decommission): it is given no new ones. Independent of `state`.
    public var isDraining: Bool
    /// The version of the last change of this broker.
    public var version: Version

    /// What a broker may do (KIP-631).
    public enum State: String, Sendable, Hashable, CaseIterable {
        /// Registered, leads nothing: it has not caught up yet, or its heartbeats stopped (KIP-631).
        case fenced
        /// May lead partitions.
        case active
        /// To be fenced, and nothing stops that any more: it is elected nowhere and joins no ISR, and the partitions that rely
        /// on it are being moved, step by step. Fenced when none is left.
        case fencing
        /// About to stop: as `fencing`, of a broker that is alive (KIP-631 controlled shutdown). It may stop when no partition
        /// relies on it any more, and is fenced when it has stopped.
        case shuttingDown = "shutting_down"
    }

    /// The capacity of a broker that does not say.
    public static let capacityDefault: UInt32 = 100

    /// Takes the fields as they are.
    public init(
        id: BrokerID, epoch: BrokerEpoch, incarnation: IncarnationID, endpoints: [Endpoint], rack: String,
        capacity: UInt32 = Broker.capacityDefault, tags: [BrokerTag] = [], state: State, isDraining: Bool = false,
        version: Version
    ) {
        self.id = id
        self.epoch = epoch
        self.incarnation = incarnation
        self.endpoints = endpoints
        self.rack = rack
        self.capacity = capacity
        self.tags = tags
        self.state = state
        self.isDraining = isDraining
        self.version = version
    }
}

/// A note on a broker: a name and a value that only its operators understand.
public struct BrokerTag: Hashable, Sendable {
    /// 1 to 64 of `a-z`, `A-Z`, `0-9`, `.`, `_`, `-`.
    public var name: String
    /// At most 256 bytes.
    public var value: String

    /// Takes the fields as they are.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// A topic. Its partitions are objects of their own.
public struct Topic: Hashable, Sendable {
    /// Names the topic for ever.
    public var id: TopicID
    /// Unique, also when `.` counts as `_`.
    public var name: String
    /// Its partitions are numbered from 0 up to this.
    public var partitionCount: Int32
    /// Replicas of each partition when it was created.
    public var replicationFactor: Int16
    /// The version of the last change of the topic itself (not of its partitions): what `ifVersion` is compared with.
    public var version: Version

    /// Takes the fields as they are.
    public init(id: TopicID, name: String, partitionCount: Int32, replicationFactor: Int16, version: Version) {
        self.id = id
        self.name = name
        self.partitionCount = partitionCount
        self.replicationFactor = replicationFactor
        self.version = version
    }
}

/// A partition of a topic (KIP-631 `PartitionRecord`).
public struct Partition: Hashable, Sendable {
    /// Its topic and number.
    public var key: PartitionKey
    /// Nil while no broker may lead it (offline).
    public var leader: BrokerID?
    /// Grows with each change of the leader.
    public var leaderEpoch: Int32
    /// Grows with each change of this partition.
    public var partitionEpoch: Int32
    /// In order of preference; the first is the preferred leader.
    public var replicas: [BrokerID]
    /// The in-sync replicas, in the order of `replicas`. Never empty.
    public var isr: [BrokerID]
    /// Replicas outside of the ISR that lack nothing which was committed, since the ISR has been smaller than
    /// `min.insync.replicas` from when they left it: they may lead without loss (KIP-966 ELR). In the order of `replicas`.
    public var eligibleLeaders: [BrokerID]
    /// Replicas that a reassignment brings in.
    public var adding: [BrokerID]
    /// Replicas that a reassignment takes away.
    public var removing: [BrokerID]
    /// The version of the last change of this partition.
    public var version: Version

    /// Takes the fields as they are.
    public init(
        key: PartitionKey, leader: BrokerID?, leaderEpoch: Int32, partitionEpoch: Int32, replicas: [BrokerID],
        isr: [BrokerID], eligibleLeaders: [BrokerID] = [], adding: [BrokerID] = [], removing: [BrokerID] = [],
        version: Version
    ) {
        self.key = key
        self.leader = leader
        self.leaderEpoch = leaderEpoch
        self.partitionEpoch = partitionEpoch
        self.replicas = replicas
        self.isr = isr
        self.eligibleLeaders = eligibleLeaders
        self.adding = adding
        self.removing = removing
        self.version = version
    }
}

/// What a configuration belongs to.
public enum ConfigResource: Hashable, Sendable {
    /// Defaults of the whole cluster.
    case cluster
    case broker(BrokerID)
    case topic(TopicID)
}

/// One key of one resource.
public struct ConfigEntry: Hashable, Sendable {
    /// What the key belongs to.
    public var resource: ConfigResource
    /// The key.
    public var name: String
    /// The value.
    public var value: String
    /// The version at which it was set.
    public var version: Version

    /// Takes the fields as they are.
    public init(resource: ConfigResource, name: String, value: String, version: Version) {
        self.resource = resource
        self.name = name
        self.value = value
        self.version = version
    }
}
