/// Where clients of a broker reach it (KIP-631 `EndPoint`).
public struct Endpoint: Hashable, Sendable {
    /// The listener's name, for example `PLAINTEXT`.
    public var name: String
    public var host: String
    public var port: UInt16

    public init(name: String, host: String, port: UInt16) {
        self.name = name
        self.host = host
        self.port = port
    }
}

/// A registered broker.
public struct Broker: Hashable, Sendable {
    public var id: BrokerID
    public var epoch: BrokerEpoch
    public var incarnation: IncarnationID
    public var endpoints: [Endpoint]
    /// Empty when the broker has no rack.
    public var rack: String
    public var state: State
    /// The version of the last change of this broker.
    public var version: Version

    public enum State: String, Sendable, Hashable, CaseIterable {
        /// Registered, leads nothing: it has not caught up yet, or its heartbeats stopped (KIP-631).
        case fenced
        /// May lead partitions.
        case active
        /// Its heartbeats stopped; partitions that it leads are still being moved away.
        case fencing
        /// It asked to stop; leadership moves off first (KIP-631 controlled shutdown).
        case draining
    }

    public init(
        id: BrokerID, epoch: BrokerEpoch, incarnation: IncarnationID, endpoints: [Endpoint], rack: String, state: State,
        version: Version
    ) {
        self.id = id
        self.epoch = epoch
        self.incarnation = incarnation
        self.endpoints = endpoints
        self.rack = rack
        self.state = state
        self.version = version
    }
}

/// A topic. Its partitions are objects of their own.
public struct Topic: Hashable, Sendable {
    public var id: TopicID
    public var name: String
    public var partitionCount: Int32
    public var replicationFactor: Int16
    /// The version of the last change of the topic itself (not of its partitions): what `ifVersion` is compared with.
    public var version: Version

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
    public var adding: [BrokerID]
    public var removing: [BrokerID]
    public var version: Version

    public init(
        key: PartitionKey, leader: BrokerID?, leaderEpoch: Int32, partitionEpoch: Int32, replicas: [BrokerID],
        isr: [BrokerID], adding: [BrokerID] = [], removing: [BrokerID] = [], version: Version
    ) {
        self.key = key
        self.leader = leader
        self.leaderEpoch = leaderEpoch
        self.partitionEpoch = partitionEpoch
        self.replicas = replicas
        self.isr = isr
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
    public var resource: ConfigResource
    public var name: String
    public var value: String
    public var version: Version

    public init(resource: ConfigResource, name: String, value: String, version: Version) {
        self.resource = resource
        self.name = name
        self.value = value
        self.version = version
    }
}
