/// The state as `decide` sees it: everything that earlier commands did, also those of the same batch. Reading may fail
/// with `Failure` (a disk, for instance), which is the world's failure and never becomes a refusal.
package protocol MetadataView {
    associatedtype Failure: Error

    func broker(_ id: BrokerID) throws(Failure) -> Broker?
    /// All brokers, by id.
    func brokers() throws(Failure) -> [Broker]
    /// How many replicas each broker that has any holds, and how many partitions it leads, by id.
    func brokerLoads() throws(Failure) -> [BrokerLoad]
    func topic(_ id: TopicID) throws(Failure) -> Topic?
    func topic(named name: String) throws(Failure) -> Topic?
    /// The topic whose name has the same `TopicName.collisionKey`. There is at most one, since a second is refused, so an
    /// index on that key serves `topic(named:)` as well.
    func topic(collidingWith name: String) throws(Failure) -> Topic?
    func partition(_ key: PartitionKey) throws(Failure) -> Partition?
    /// All partitions of a topic, by index.
    func partitions(of topic: TopicID) throws(Failure) -> [Partition]
    /// The partitions that have the broker among their replicas, in key order, at most `limit`, after `key`.
    func partitions(withReplica broker: BrokerID, after key: PartitionKey?, limit: Int) throws(Failure) -> [Partition]
    /// The partitions that rely on the broker (`Partition.relies`), in key order, the first `limit`.
    func partitions(relyingOn broker: BrokerID, limit: Int) throws(Failure) -> [Partition]
    /// The partitions that the filter lets pass, in key order, at most `limit`, after `key`.
    func partitions(_ filter: PartitionFilter, after key: PartitionKey?, limit: Int) throws(Failure) -> [Partition]
    func config(_ resource: ConfigResource, name: String) throws(Failure) -> ConfigEntry?
    /// All keys of a resource, by name.
    func configs(of resource: ConfigResource) throws(Failure) -> [ConfigEntry]
    /// How many keys a resource has.
    func configCount(of resource: ConfigResource) throws(Failure) -> Int
    func session(_ id: SessionID) throws(Failure) -> Session?
    /// Sessions by id.
    func sessions() throws(Failure) -> [Session]
    func totals() throws(Failure) -> MetadataTotals
    func featureLevel() throws(Failure) -> UInt32
}

extension MetadataView {
    package func session(_ id: SessionID) throws(Failure) -> Session? {
        try sessions().first { $0.id == id }
    }

    package func configCount(of resource: ConfigResource) throws(Failure) -> Int { try configs(of: resource).count }

    /// Reads all that the broker holds.
    package func partitions(relyingOn broker: BrokerID, limit: Int) throws(Failure) -> [Partition] {
        var found: [Partition] = []
        var last: PartitionKey?
        while found.count < limit {
            let page = try partitions(withReplica: broker, after: last, limit: Limits.pageItemsMax)
            for partition in page where partition.relies(on: broker) { found.append(partition) }
            guard page.count == Limits.pageItemsMax, let key = page.last?.key else { break }
            last = key
        }
        return Array(found.prefix(limit))
    }
}

/// What a broker holds.
public struct BrokerLoad: Hashable, Sendable {
    /// The broker.
    public var id: BrokerID
    /// Replicas on it.
    public var replicas: Int
    /// Partitions that it leads, or is the preferred leader of.
    public var leaders: Int

    /// Takes the fields as they are.
    public init(id: BrokerID, replicas: Int, leaders: Int) {
        self.id = id
        self.replicas = replicas
        self.leaders = leaders
    }
}

/// How many objects there are, kept up to date row by row (never counted by a scan).
public struct MetadataTotals: Hashable, Sendable {
    /// Registered brokers, whatever their state.
    public var brokers: Int
    /// Topics.
    public var topics: Int
    /// Partitions of all topics.
    public var partitions: Int
    /// Open client sessions.
    public var sessions: Int

    /// Takes the fields as they are.
    public init(brokers: Int, topics: Int, partitions: Int, sessions: Int) {
        self.brokers = brokers
        self.topics = topics
        self.partitions = partitions
        self.sessions = sessions
    }
}
