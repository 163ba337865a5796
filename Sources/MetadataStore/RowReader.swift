internal import MetadataModel

/// Reads rows on one connection: inside the writer's open transaction, or in a read transaction of a reader.
final class RowReader {
    private let brokerByID: PreparedStatement
    private let brokersAfter: PreparedStatement
    private let loads: PreparedStatement
    private let topicByID: PreparedStatement
    private let topicByName: PreparedStatement
    private let topicByCollisionKey: PreparedStatement
    private let topicsAfter: PreparedStatement
    private let topicsByID: PreparedStatement
    private let partitionByKey: PreparedStatement
    private let partitionsAfter: PreparedStatement
    private let partitionsOfReplica: PreparedStatement
    private let partitionsByFilter: [PartitionFilter: PreparedStatement]
    private let allPartitions: PreparedStatement
    private let allReplicas: PreparedStatement
    private let configByName: PreparedStatement
    private let configsAfter: PreparedStatement
    private let allConfigs: PreparedStatement
    private let allSessions: PreparedStatement

    private static let brokerColumns =
        "id, epoch, incarnation, endpoints, rack, state, version, capacity, tags, is_draining"
    private static let topicColumns = "id, name, partition_count, replication_factor, version"
    private static let partitionColumns =
        "p.topic, p.number, leader, leader_epoch, partition_epoch, replicas, isr, adding, removing, version, "
        + "eligible_leaders"
    private static let configColumns = "resource, name, value, version"

    init(_ connection: Connection) throws(StoreError) {
        brokerByID = try connection.prepare(
            "SELECT \(Self.brokerColumns) FROM broker WHERE id = ?1", "read broker")
        brokersAfter = try connection.prepare(
            "SELECT \(Self.brokerColumns) FROM broker WHERE id > ?1 ORDER BY id", "list brokers")
        loads = try connection.prepare("SELECT id, replicas, leaders FROM broker_load ORDER BY id", "list loads")
        topicByID = try connection.prepare("SELECT \(Self.topicColumns) FROM topic WHERE id = ?1", "read topic")
        topicByName = try connection.prepare(
            "SELECT \(Self.topicColumns) FROM topic WHERE name = ?1", "read topic by name")
        topicByCollisionKey = try connection.prepare(
            "SELECT \(Self.topicColumns) FROM topic WHERE collision_key = ?1", "read topic by collision key")
        topicsAfter = try connection.prepare(
            "SELECT \(Self.topicColumns) FROM topic WHERE name > ?1 ORDER BY name", "list topics")
        topicsByID = try connection.prepare(
            "SELECT \(Self.topicColumns) FROM topic ORDER BY id", "scan topics")
        partitionByKey = try connection.prepare(
            "SELECT \(Self.partitionColumns) FROM partition p WHERE topic = ?1 AND number = ?2", "read partition")
        partitionsAfter = try connection.prepare(
            "SELECT \(Self.partitionColumns) FROM partition p WHERE topic = ?1 AND number > ?2 ORDER BY number",
            "list partitions")
        // CROSS JOIN fixes the order of the loops: the index of replicas leads.
        partitionsOfReplica = try connection.prepare(
            """
            SELECT \(Self.partitionColumns) FROM replica r CROSS JOIN partition p
                ON p.topic = r.topic AND p.number = r.number
            WHERE r.broker = ?1 AND (r.topic, r.number) > (?2, ?3) ORDER BY r.topic, r.number LIMIT ?4
            """, "list partitions of a broker")
        var partitionsByFilter: [PartitionFilter: PreparedStatement] = [:]
        for filter in PartitionFilter.allCases {
            let (index, condition) = Self.selection(filter)
            partitionsByFilter[filter] = try connection.prepare(
                """
                SELECT \(Self.partitionColumns) FROM partition p \(index)
                WHERE \(condition) AND (topic, number) > (?1, ?2) ORDER BY topic, number LIMIT ?3
                """, "list \(filter.rawValue) partitions")
        }
        self.partitionsByFilter = partitionsByFilter
        allPartitions = try connection.prepare(
            "SELECT \(Self.partitionColumns) FROM partition p ORDER BY topic, number", "scan partitions")
        allReplicas = try connection.prepare("SELECT broker, topic, number FROM replica", "scan replicas")
        configByName = try connection.prepare(
            "SELECT value, version FROM config WHERE resource = ?1 AND name = ?2", "read config")
        configsAfter = try connection.prepare(
            "SELECT \(Self.configColumns) FROM config WHERE resource = ?1 AND name > ?2 ORDER BY name", "list configs")
        allConfigs = try connection.prepare(
            "SELECT \(Self.configColumns) FROM config ORDER BY resource, name", "scan configs")
        allSessions = try connection.prepare("SELECT id, body FROM session ORDER BY id", "scan sessions")
    }

    // MARK: Brokers

    func broker(_ id: BrokerID) throws(StoreError) -> Broker? {
        brokerByID.bind(id.rawValue, at: 1)
        return try brokerByID.first(Self.broker)
    }

    /// Brokers by id, those after `id`, or all. `body` returns false to stop.
    func forEachBroker(after id: BrokerID?, _ body: (Broker) throws(StoreError) -> Bool) throws(StoreError) {
        brokersAfter.bind(id.map { Int64($0.rawValue) } ?? Int64.min, at: 1)
        try brokersAfter.query { (row) throws(StoreError) in try body(try Self.broker(row)) }
    }

    func brokerLoads() throws(StoreError) -> [BrokerLoad] {
        var found: [BrokerLoad] = []
        try loads.query { (row) throws(StoreError) in
            found.append(
                BrokerLoad(id: BrokerID(try row.int32(0)), replicas: row.int(1), leaders: row.int(2)))
            return true
        }
        return found
    }

    private static func broker(_ row: PreparedStatement) throws(StoreError) -> Broker {
        Broker(
            id: BrokerID(try row.int32(0)), epoch: BrokerEpoch(row.uint64(1)), incarnation: try row.incarnation(2),
            endpoints: try row.withBlob(3, RowCoding.endpoints), rack: row.text(4),
            capacity: try row.uint32(7), tags: try row.withBlob(8, RowCoding.tags),
            state: try RowCoding.state(tag: row.int64(5)), isDraining: try RowCoding.flag(row.int64(9), "draining"),
            version: Version(row.uint64(6)))
    }

    // MARK: Topics

    func topic(_ id: TopicID) throws(StoreError) -> Topic? {
        topicByID.bind(id, at: 1)
        return try topicByID.first(Self.topic)
    }

    func topic(named name: String) throws(StoreError) -> Topic? {
        topicByName.bind(name, at: 1)
        return try topicByName.first(Self.topic)
    }

    func topic(collidingWith name: String) throws(StoreError) -> Topic? {
        topicByCollisionKey.bind(TopicName.collisionKey(name), at: 1)
        return try topicByCollisionKey.first(Self.topic)
    }

    /// Topics by name.
    func forEachTopic(after name: String?, _ body: (Topic) throws(StoreError) -> Bool) throws(StoreError) {
        // No topic has an empty name.
        topicsAfter.bind(name ?? "", at: 1)
        try topicsAfter.query { (row) throws(StoreError) in try body(try Self.topic(row)) }
    }

    /// Topics by id: the order of snapshots.
    func forEachTopicByID(_ body: (Topic) throws(StoreError) -> Bool) throws(StoreError) {
        try topicsByID.query { (row) throws(StoreError) in try body(try Self.topic(row)) }
    }

    private static func topic(_ row: PreparedStatement) throws(StoreError) -> Topic {
        guard let replicationFactor = Int16(exactly: row.int64(3)) else {
            throw .corrupt(what: "replication factor \(row.int64(3))")
        }
        return Topic(
            id: try row.topicID(0), name: row.text(1), partitionCount: try row.int32(2),
            replicationFactor: replicationFactor, version: Version(row.uint64(4)))
    }

    // MARK: Partitions

    func partition(_ key: PartitionKey) throws(StoreError) -> Partition? {
        partitionByKey.bind(key.topic, at: 1)
        partitionByKey.bind(key.index.rawValue, at: 2)
        return try partitionByKey.first(Self.partition)
    }

    /// Partitions of a topic by index.
    func forEachPartition(
        of topic: TopicID, after index: PartitionIndex?, _ body: (Partition) throws(StoreError) -> Bool
    ) throws(StoreError) {
        partitionsAfter.bind(topic, at: 1)
        partitionsAfter.bind(index.map { Int64($0.rawValue) } ?? Int64.min, at: 2)
        try partitionsAfter.query { (row) throws(StoreError) in try body(try Self.partition(row)) }
    }

    func partitions(
        withReplica broker: BrokerID, after key: PartitionKey?, limit: Int
    ) throws(StoreError) -> [Partition] {
        partitionsOfReplica.bind(broker.rawValue, at: 1)
        if let key {
            partitionsOfReplica.bind(key.topic, at: 2)
        } else {
            // Smaller than every topic id.
            partitionsOfReplica.bind([UInt8](), at: 2)
        }
        partitionsOfReplica.bind(key?.index.rawValue ?? -1, at: 3)
        partitionsOfReplica.bind(max(limit, 0), at: 4)
        var found: [Partition] = []
        try partitionsOfReplica.query { (row) throws(StoreError) in
            found.append(try Self.partition(row))
            return true
        }
        return found
    }

    /// Partitions of all topics by key.
    func forEachPartition(
        _ filter: PartitionFilter, after key: PartitionKey?, limit: Int,
        _ body: (Partition) throws(StoreError) -> Bool
    ) throws(StoreError) {
        guard let statement = partitionsByFilter[filter] else {
            preconditionFailure("no statement lists \(filter.rawValue) partitions")
        }
        if let key {
            statement.bind(key.topic, at: 1)
        } else {
            // Smaller than every topic id.
            statement.bind([UInt8](), at: 1)
        }
        statement.bind(key?.index.rawValue ?? -1, at: 2)
        statement.bind(max(limit, 0), at: 3)
        try statement.query { (row) throws(StoreError) in try body(try Self.partition(row)) }
    }

    /// The index that holds the partitions, and what they have in common: word for word as the index says it.
    private static func selection(_ filter: PartitionFilter) -> (index: String, condition: String) {
        switch filter {
        case .all: ("", "1")
        case .offline: ("INDEXED BY partition_offline", "leader IS NULL")
        case .underReplicated: ("INDEXED BY partition_under_replicated", "length(isr) < length(replicas)")
        case .reassigning: ("INDEXED BY partition_reassigning", "length(adding) + length(removing) > 0")
        }
    }

    /// How many partitions the filter's index holds.
    static func count(_ filter: PartitionFilter, _ connection: Connection) throws(StoreError) -> Int {
        let (index, condition) = selection(filter)
        return Int(
            try connection.integer(
                "SELECT count(*) FROM partition \(index) WHERE \(condition)", "count \(filter.rawValue) partitions"))
    }

    func forEachPartition(_ body: (Partition) throws(StoreError) -> Bool) throws(StoreError) {
        try allPartitions.query { (row) throws(StoreError) in try body(try Self.partition(row)) }
    }

    /// The index of replicas, in no order that matters.
    func forEachReplica(_ body: (BrokerID, PartitionKey) throws(StoreError) -> Bool) throws(StoreError) {
        try allReplicas.query { (row) throws(StoreError) in
            let key = PartitionKey(topic: try row.topicID(1), index: PartitionIndex(try row.int32(2)))
            return try body(BrokerID(try row.int32(0)), key)
        }
    }

    private static func partition(_ row: PreparedStatement) throws(StoreError) -> Partition {
        let key = PartitionKey(topic: try row.topicID(0), index: PartitionIndex(try row.int32(1)))
        return Partition(
            key: key, leader: row.isNull(2) ? nil : BrokerID(try row.int32(2)), leaderEpoch: try row.int32(3),
            partitionEpoch: try row.int32(4), replicas: try row.brokers(5), isr: try row.brokers(6),
            eligibleLeaders: try row.brokers(10), adding: try row.brokers(7), removing: try row.brokers(8),
            version: Version(row.uint64(9)))
    }

    // MARK: Configs

    func config(_ resource: ConfigResource, name: String) throws(StoreError) -> ConfigEntry? {
        configByName.bind(resource, at: 1)
        configByName.bind(name, at: 2)
        return try configByName.first { (row) throws(StoreError) in
            ConfigEntry(resource: resource, name: name, value: row.text(0), version: Version(row.uint64(1)))
        }
    }

    /// Keys of a resource by name.
    func forEachConfig(
        of resource: ConfigResource, after name: String?, _ body: (ConfigEntry) throws(StoreError) -> Bool
    ) throws(StoreError) {
        configsAfter.bind(resource, at: 1)
        // No key has an empty name.
        configsAfter.bind(name ?? "", at: 2)
        try configsAfter.query { (row) throws(StoreError) in try body(try Self.config(row)) }
    }

    func forEachConfig(_ body: (ConfigEntry) throws(StoreError) -> Bool) throws(StoreError) {
        try allConfigs.query { (row) throws(StoreError) in try body(try Self.config(row)) }
    }

    private static func config(_ row: PreparedStatement) throws(StoreError) -> ConfigEntry {
        ConfigEntry(
            resource: try row.configResource(0), name: row.text(1), value: row.text(2), version: Version(row.uint64(3)))
    }

    // MARK: Sessions

    /// Sessions by id, each as its stored bytes.
    func forEachSession(_ body: (SessionID, [UInt8]) throws(StoreError) -> Bool) throws(StoreError) {
        try allSessions.query { (row) throws(StoreError) in try body(SessionID(row.uint64(0)), row.blob(1)) }
    }
}
