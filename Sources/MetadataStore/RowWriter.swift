internal import MetadataModel

/// Writes rows on the one connection that writes, inside its open transaction.
///
/// Each method checks that it met the row that it was told of: a row that is missing or already there means that the
/// database and what we believe of it have parted.
final class RowWriter {
    private let insertBroker: PreparedStatement
    private let updateBroker: PreparedStatement
    private let deleteBroker: PreparedStatement
    private let putLoad: PreparedStatement
    private let deleteLoad: PreparedStatement
    private let insertTopic: PreparedStatement
    private let updateTopic: PreparedStatement
    private let deleteTopic: PreparedStatement
    private let insertPartition: PreparedStatement
    private let updatePartition: PreparedStatement
    private let deletePartitions: PreparedStatement
    private let insertReplica: PreparedStatement
    private let deleteReplica: PreparedStatement
    private let deleteReplicas: PreparedStatement
    private let insertConfig: PreparedStatement
    private let updateConfig: PreparedStatement
    private let deleteConfig: PreparedStatement
    private let putSession: PreparedStatement
    private let deleteSession: PreparedStatement

    init(_ connection: Connection) throws(StoreError) {
        insertBroker = try connection.prepare(
            """
            INSERT INTO broker (id, epoch, incarnation, endpoints, rack, state, version, capacity, tags, is_draining)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
            """, "insert broker")
        updateBroker = try connection.prepare(
            """
            UPDATE broker SET epoch = ?2, incarnation = ?3, endpoints = ?4, rack = ?5, state = ?6, version = ?7,
                capacity = ?8, tags = ?9, is_draining = ?10 WHERE id = ?1
            """, "update broker")
        deleteBroker = try connection.prepare("DELETE FROM broker WHERE id = ?1", "delete broker")
        putLoad = try connection.prepare(
            "INSERT OR REPLACE INTO broker_load (id, replicas, leaders) VALUES (?1, ?2, ?3)", "write load")
        deleteLoad = try connection.prepare("DELETE FROM broker_load WHERE id = ?1", "delete load")
        insertTopic = try connection.prepare(
            """
            INSERT INTO topic (id, name, collision_key, partition_count, replication_factor, version)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            """, "insert topic")
        // A topic never changes its name.
        updateTopic = try connection.prepare(
            "UPDATE topic SET partition_count = ?2, replication_factor = ?3, version = ?4 WHERE id = ?1",
            "update topic")
        deleteTopic = try connection.prepare("DELETE FROM topic WHERE id = ?1", "delete topic")
        insertPartition = try connection.prepare(
            """
            INSERT INTO partition (topic, number, leader, leader_epoch, partition_epoch, replicas, isr, adding, removing,
                version, eligible_leaders) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
            """, "insert partition")
        updatePartition = try connection.prepare(
            """
            UPDATE partition SET leader = ?3, leader_epoch = ?4, partition_epoch = ?5, replicas = ?6, isr = ?7,
                adding = ?8, removing = ?9, version = ?10, eligible_leaders = ?11 WHERE topic = ?1 AND number = ?2
            """, "update partition")
        deletePartitions = try connection.prepare("DELETE FROM partition WHERE topic = ?1", "delete partitions")
        insertReplica = try connection.prepare(
            "INSERT INTO replica (broker, topic, number) VALUES (?1, ?2, ?3)", "insert replica")
        deleteReplica = try connection.prepare(
            "DELETE FROM replica WHERE broker = ?1 AND topic = ?2 AND number = ?3", "delete replica")
        deleteReplicas = try connection.prepare(
            "DELETE FROM replica WHERE broker = ?1 AND topic = ?2", "delete replicas")
        insertConfig = try connection.prepare(
            "INSERT INTO config (resource, name, value, version) VALUES (?1, ?2, ?3, ?4)", "insert config")
        updateConfig = try connection.prepare(
            "UPDATE config SET value = ?3, version = ?4 WHERE resource = ?1 AND name = ?2", "update config")
        deleteConfig = try connection.prepare(
            "DELETE FROM config WHERE resource = ?1 AND name = ?2", "delete config")
        putSession = try connection.prepare(
            "INSERT OR REPLACE INTO session (id, body) VALUES (?1, ?2)", "write session")
        deleteSession = try connection.prepare("DELETE FROM session WHERE id = ?1", "delete session")
    }

    // MARK: Brokers

    func writeBroker(before: Broker?, after: Broker?) throws(StoreError) {
        guard let after else {
            guard let before else { return }
            deleteBroker.bind(before.id.rawValue, at: 1)
            return try deleteBroker.runOnOneRow("broker \(before.id)")
        }
        let statement = before == nil ? insertBroker : updateBroker
        statement.bind(after.id.rawValue, at: 1)
        statement.bind(after.epoch.rawValue, at: 2)
        statement.bind(after.incarnation, at: 3)
        statement.bind(RowCoding.endpoints(after.endpoints), at: 4)
        statement.bind(after.rack, at: 5)
        statement.bind(Int64(RowCoding.tag(of: after.state)), at: 6)
        statement.bind(after.version.rawValue, at: 7)
        statement.bind(Int64(after.capacity), at: 8)
        statement.bind(RowCoding.tags(after.tags), at: 9)
        statement.bind(Int64(after.isDraining ? 1 : 0), at: 10)
        try statement.runOnOneRow("broker \(after.id)")
    }

    func write(_ load: BrokerLoad) throws(StoreError) {
        // Loads are kept beside the partitions, and a row that was damaged on the disk may disagree with them.
        guard load.replicas >= 0, load.leaders >= 0 else {
            throw .corrupt(what: "the load of broker \(load.id) fell below zero: \(load)")
        }
        guard load.replicas > 0 || load.leaders > 0 else {
            deleteLoad.bind(load.id.rawValue, at: 1)
            return try deleteLoad.run()
        }
        putLoad.bind(load.id.rawValue, at: 1)
        putLoad.bind(load.replicas, at: 2)
        putLoad.bind(load.leaders, at: 3)
        try putLoad.run()
    }

    // MARK: Topics

    func writeTopic(before: Topic?, after: Topic?) throws(StoreError) {
        guard let after else {
            guard let before else { return }
            deleteTopic.bind(before.id, at: 1)
            return try deleteTopic.runOnOneRow("topic '\(before.name)'")
        }
        guard let before else {
            insertTopic.bind(after.id, at: 1)
            insertTopic.bind(after.name, at: 2)
            insertTopic.bind(TopicName.collisionKey(after.name), at: 3)
            insertTopic.bind(after.partitionCount, at: 4)
            insertTopic.bind(Int64(after.replicationFactor), at: 5)
            insertTopic.bind(after.version.rawValue, at: 6)
            return try insertTopic.run()
        }
        precondition(
            before.name == after.name && before.id == after.id, "topic '\(before.name)' became '\(after.name)'")
        updateTopic.bind(after.id, at: 1)
        updateTopic.bind(after.partitionCount, at: 2)
        updateTopic.bind(Int64(after.replicationFactor), at: 3)
        updateTopic.bind(after.version.rawValue, at: 4)
        try updateTopic.runOnOneRow("topic '\(after.name)'")
    }

    // MARK: Partitions

    /// The partition's row and the index of its replicas.
    func writePartition(before: Partition?, after: Partition?) throws(StoreError) {
        guard let after else { preconditionFailure("a partition is removed with its topic") }
        let key = after.key
        let statement = before == nil ? insertPartition : updatePartition
        bind(after, to: statement)
        try statement.runOnOneRow("partition \(key.index)")
        let old = before?.replicas ?? []
        let new = after.replicas
        // Most changes of a partition leave its replicas alone.
        guard old != new else { return }
        for broker in old where !new.contains(broker) { try writeReplica(broker, key, with: deleteReplica) }
        for broker in new where !old.contains(broker) { try writeReplica(broker, key, with: insertReplica) }
    }

    /// The rows of all partitions of a topic, which are `count`.
    func removePartitions(of topic: Topic, count: Int) throws(StoreError) {
        deletePartitions.bind(topic.id, at: 1)
        try deletePartitions.run(on: count, "partitions of topic '\(topic.name)'")
    }

    /// The index of all replicas of a topic on a broker, which are `count`.
    func removeReplicas(of topic: Topic, on broker: BrokerID, count: Int) throws(StoreError) {
        deleteReplicas.bind(broker.rawValue, at: 1)
        deleteReplicas.bind(topic.id, at: 2)
        try deleteReplicas.run(on: count, "replicas of topic '\(topic.name)' on broker \(broker)")
    }

    private func writeReplica(
        _ broker: BrokerID, _ key: PartitionKey, with statement: PreparedStatement
    ) throws(StoreError) {
        statement.bind(broker.rawValue, at: 1)
        statement.bind(key.topic, at: 2)
        statement.bind(key.index.rawValue, at: 3)
        try statement.runOnOneRow("replica on broker \(broker) of partition \(key.index)")
    }

    private func bind(_ partition: Partition, to statement: PreparedStatement) {
        statement.bind(partition.key.topic, at: 1)
        statement.bind(partition.key.index.rawValue, at: 2)
        if let leader = partition.leader {
            statement.bind(leader.rawValue, at: 3)
        } else {
            statement.bindNull(at: 3)
        }
        statement.bind(partition.leaderEpoch, at: 4)
        statement.bind(partition.partitionEpoch, at: 5)
        statement.bind(partition.replicas, at: 6)
        statement.bind(partition.isr, at: 7)
        statement.bind(partition.adding, at: 8)
        statement.bind(partition.removing, at: 9)
        statement.bind(partition.version.rawValue, at: 10)
        statement.bind(partition.eligibleLeaders, at: 11)
    }

    // MARK: Configs and sessions

    func writeConfig(before: ConfigEntry?, after: ConfigEntry?) throws(StoreError) {
        guard let after else {
            guard let before else { return }
            deleteConfig.bind(before.resource, at: 1)
            deleteConfig.bind(before.name, at: 2)
            return try deleteConfig.runOnOneRow("config '\(before.name)'")
        }
        let statement = before == nil ? insertConfig : updateConfig
        statement.bind(after.resource, at: 1)
        statement.bind(after.name, at: 2)
        statement.bind(after.value, at: 3)
        statement.bind(after.version.rawValue, at: 4)
        try statement.runOnOneRow("config '\(after.name)'")
    }

    func writeSession(_ id: SessionID, body: [UInt8]) throws(StoreError) {
        putSession.bind(id.rawValue, at: 1)
        putSession.bind(body, at: 2)
        try putSession.run()
    }

    /// The row may never have been written: the session may have begun and ended within one batch.
    func removeSession(_ id: SessionID) throws(StoreError) {
        deleteSession.bind(id.rawValue, at: 1)
        try deleteSession.run()
    }
}

extension PreparedStatement {
    /// Runs a statement that has to touch exactly one row.
    func runOnOneRow(_ what: @autoclosure () -> String) throws(StoreError) { try run(on: 1, what()) }

    /// Runs a statement that has to touch exactly so many rows.
    func run(on expected: Int, _ what: @autoclosure () -> String) throws(StoreError) {
        try run()
        let count = changeCount
        guard count == expected else {
            throw .corrupt(what: "a write of \(what()) met \(count) rows, not \(expected)")
        }
    }
}
