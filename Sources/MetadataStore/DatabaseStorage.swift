internal import MetadataModel
import MetadataSchema

/// The rows of the state machine in SQLite: what `decide` sees and what its changes are written to.
///
/// It lives on the one connection that writes. Inside an open transaction it reads what earlier commands of the batch
/// wrote. A few small and often asked things are held in memory beside the rows: brokers, loads, totals, recent topics. After a
/// transaction that was rolled back they are stale, so this object is thrown away and loaded anew.
final class DatabaseStorage: MetadataStorage {
    typealias Failure = StoreError

    private static let configCountsMax = 10_000

    private let reader: RowReader
    private let writer: RowWriter
    private var brokersByID: [BrokerID: Broker]
    /// The brokers by id; nil after a change, until somebody asks.
    private var brokersSorted: [Broker]?
    private var loads: [BrokerID: BrokerLoad]
    /// Whose loads differ from their rows; written once per transaction.
    private var touchedLoads: Set<BrokerID> = []
    /// What differs from its row; written once per transaction. A topic's version moves with each of its configuration keys.
    private var changedTopics: [TopicID: (before: Topic, after: Topic)] = [:]
    /// Of the resources whose keys were counted of late.
    private var configCounts: [ConfigResource: Int] = [:]
    private var topics = TopicCache()
    /// Of brokers that partitions are being moved off: none of theirs up to this one relies on them. What `partitions(relyingOn:)`
    /// need not read again, so that the steps of a fencing cost what they move and not what was moved before.
    private var passed: [BrokerID: PartitionKey] = [:]
    /// Partitions that this entry removes: their rows go with that of their topic, which comes behind them.
    private var leaving: [TopicID: LeavingPartitions] = [:]
    private var level: UInt32
    private var counts: MetadataTotals
    private(set) var configCount: Int
    private(set) var tally: PartitionTally

    /// Loads what is held in memory.
    init(_ connection: Connection, state: StateRow) throws(StoreError) {
        reader = try RowReader(connection)
        writer = try RowWriter(connection)
        level = state.featureLevel
        counts = state.totals
        configCount = state.configCount
        tally = try PartitionTally(connection)
        var brokers: [BrokerID: Broker] = [:]
        try reader.forEachBroker(after: nil) { (broker) throws(StoreError) in
            brokers[broker.id] = broker
            return true
        }
        guard brokers.count == state.totals.brokers else {
            throw .corrupt(what: "\(brokers.count) brokers where \(state.totals.brokers) were counted")
        }
        brokersByID = brokers
        loads = [:]
        for load in try reader.brokerLoads() { loads[load.id] = load }
    }

    // MARK: Writing

    func apply(_ change: Change) throws(StoreError) {
        switch change {
        case .broker(let before, let after):
            try writer.writeBroker(before: before, after: after)
            counts.brokers += step(before, after)
            if let after {
                brokersByID[after.id] = after
            } else if let before {
                brokersByID[before.id] = nil
            }
            brokersSorted = nil
            if let id = after?.id ?? before?.id { passed[id] = nil }
        case .topic(let before, let after):
            try writeTopic(before: before, after: after)
            counts.topics += step(before, after)
            if let after {
                topics.put(after)
            } else if let before {
                topics.remove(before)
                if let partitions = leaving.removeValue(forKey: before.id) { try remove(partitions, of: before) }
            }
        case .partition(let before?, nil):
            counts.partitions -= 1
            tally.moved(from: before, to: nil)
            leaving[before.key.topic, default: LeavingPartitions()].add(before)
        case .partition(let before, let after):
            try writer.writePartition(before: before, after: after)
            counts.partitions += step(before, after)
            tally.moved(from: before, to: after)
            moveLoads(before: before, after: after)
            if let after, !passed.isEmpty { forgetPassed(after) }
        case .config(let before, let after):
            try writer.writeConfig(before: before, after: after)
            configCount += step(before, after)
            if let resource = (after ?? before)?.resource, let count = configCounts[resource] {
                configCounts[resource] = count + step(before, after)
            }
        case .featureLevel(let before, let after):
            precondition(before == level, "the feature level is \(level), not \(before)")
            level = after
        case .sessionOpened(let session):
            preconditionFailure("session \(session.id) belongs to the session table")
        case .sessionClosed(let id):
            preconditionFailure("session \(id) belongs to the session table")
        }
    }

    /// Whole ranges of rows: one statement for the partitions, and one for the replicas on each broker.
    private func remove(_ partitions: LeavingPartitions, of topic: Topic) throws(StoreError) {
        try writer.removePartitions(of: topic, count: partitions.count)
        for (broker, load) in partitions.loads.sorted(by: { $0.key < $1.key }) {
            if load.replicas > 0 { try writer.removeReplicas(of: topic, on: broker, count: load.replicas) }
            addLoad(broker, replicas: -load.replicas, leaders: -load.leaders)
        }
    }

    /// Writes what a transaction writes once: the sessions that it touched, the topics that it changed and the loads.
    func finishTransaction(touched: [SessionState], removed: [SessionID]) throws(StoreError) {
        precondition(leaving.isEmpty, "partitions of \(leaving.count) topics were removed without their topic")
        // The rows of ended sessions go first: none of them is among the touched.
        for id in removed { try writer.removeSession(id) }
        for state in touched { try writer.writeSession(state.session.id, body: state.schemaBytes()) }
        for (_, change) in changedTopics.sorted(by: { $0.key < $1.key }) {
            try writer.writeTopic(before: change.before, after: change.after)
        }
        changedTopics.removeAll(keepingCapacity: true)
        for id in touchedLoads.sorted() {
            try writer.write(loads[id] ?? BrokerLoad(id: id, replicas: 0, leaders: 0))
            if let load = loads[id], load.replicas == 0, load.leaders == 0 { loads[id] = nil }
        }
        touchedLoads.removeAll(keepingCapacity: true)
    }

    private func writeTopic(before: Topic?, after: Topic?) throws(StoreError) {
        guard let before, let after else {
            // A row that goes must not be written any more.
            if let before { changedTopics.removeValue(forKey: before.id) }
            return try writer.writeTopic(before: before, after: after)
        }
        changedTopics[after.id] = (changedTopics[after.id]?.before ?? before, after)
    }

    /// The row, as it is to be.
    private func current(_ topic: Topic?) -> Topic? { topic.map { changedTopics[$0.id]?.after ?? $0 } }

    /// A session's row as a snapshot carries it.
    func writeSession(_ id: SessionID, body: [UInt8]) throws(StoreError) {
        try writer.writeSession(id, body: body)
    }

    private func step<Row>(_ before: Row?, _ after: Row?) -> Int {
        (after == nil ? 0 : 1) - (before == nil ? 0 : 1)
    }

    private func moveLoads(before: Partition?, after: Partition?) {
        if before?.leader != after?.leader {
            if let leader = before?.leader { addLoad(leader, replicas: 0, leaders: -1) }
            if let leader = after?.leader { addLoad(leader, replicas: 0, leaders: 1) }
        }
        let old = before?.replicas ?? []
        let new = after?.replicas ?? []
        guard old != new else { return }
        for broker in old { addLoad(broker, replicas: -1, leaders: 0) }
        for broker in new { addLoad(broker, replicas: 1, leaders: 0) }
    }

    private func forgetPassed(_ partition: Partition) {
        for broker in partition.isr {
            guard let last = passed[broker], partition.key <= last, partition.relies(on: broker) else { continue }
            passed[broker] = nil
        }
    }

    private func addLoad(_ id: BrokerID, replicas: Int, leaders: Int) {
        loads[id, default: BrokerLoad(id: id, replicas: 0, leaders: 0)].replicas += replicas
        loads[id, default: BrokerLoad(id: id, replicas: 0, leaders: 0)].leaders += leaders
        touchedLoads.insert(id)
    }

    // MARK: MetadataView

    func broker(_ id: BrokerID) throws(StoreError) -> Broker? { brokersByID[id] }

    func brokers() throws(StoreError) -> [Broker] {
        if let brokersSorted { return brokersSorted }
        let sorted = brokersByID.values.sorted { $0.id < $1.id }
        brokersSorted = sorted
        return sorted
    }

    func brokerLoads() throws(StoreError) -> [BrokerLoad] {
        loads.values.filter { $0.replicas > 0 || $0.leaders > 0 }.sorted { $0.id < $1.id }
    }

    func topic(_ id: TopicID) throws(StoreError) -> Topic? {
        if let known = topics.topic(id) { return known }
        guard let found = current(try reader.topic(id)) else { return nil }
        topics.put(found)
        return found
    }

    func topic(named name: String) throws(StoreError) -> Topic? {
        if let known = topics.topic(named: name) { return known }
        guard let found = current(try reader.topic(named: name)) else { return nil }
        topics.put(found)
        return found
    }

    func topic(collidingWith name: String) throws(StoreError) -> Topic? {
        current(try reader.topic(collidingWith: name))
    }

    func partition(_ key: PartitionKey) throws(StoreError) -> Partition? { try reader.partition(key) }

    func partitions(of topic: TopicID) throws(StoreError) -> [Partition] {
        var found: [Partition] = []
        try reader.forEachPartition(of: topic, after: nil) { (partition) throws(StoreError) in
            found.append(partition)
            return true
        }
        return found
    }

    func partitions(
        withReplica broker: BrokerID, after key: PartitionKey?, limit: Int
    ) throws(StoreError) -> [Partition] {
        try reader.partitions(withReplica: broker, after: key, limit: limit)
    }

    func partitions(relyingOn broker: BrokerID, limit: Int) throws(StoreError) -> [Partition] {
        var found: [Partition] = []
        var last = passed[broker]
        while found.count < limit {
            let page = try reader.partitions(withReplica: broker, after: last, limit: Limits.partitionsPerStepMax)
            for partition in page {
                if partition.relies(on: broker) {
                    found.append(partition)
                } else if found.isEmpty {
                    passed[broker] = partition.key
                }
            }
            guard page.count == Limits.partitionsPerStepMax, let key = page.last?.key else { break }
            last = key
        }
        return Array(found.prefix(limit))
    }

    func partitions(
        _ filter: PartitionFilter, after key: PartitionKey?, limit: Int
    ) throws(StoreError) -> [Partition] {
        var found: [Partition] = []
        try reader.forEachPartition(filter, after: key, limit: limit) { (partition) throws(StoreError) in
            found.append(partition)
            return true
        }
        return found
    }

    func config(_ resource: ConfigResource, name: String) throws(StoreError) -> ConfigEntry? {
        try reader.config(resource, name: name)
    }

    func configs(of resource: ConfigResource) throws(StoreError) -> [ConfigEntry] {
        var found: [ConfigEntry] = []
        try reader.forEachConfig(of: resource, after: nil) { (config) throws(StoreError) in
            found.append(config)
            return true
        }
        return found
    }

    func configCount(of resource: ConfigResource) throws(StoreError) -> Int {
        if let count = configCounts[resource] { return count }
        let count = try configs(of: resource).count
        if configCounts.count >= DatabaseStorage.configCountsMax { configCounts.removeAll(keepingCapacity: true) }
        configCounts[resource] = count
        return count
    }

    /// Not consulted by the state machine, which has its own table; the rows as of the last batch.
    func sessions() throws(StoreError) -> [Session] { try storedSessions().map(\.session) }

    /// The sessions with their results, to begin with.
    func storedSessions() throws(StoreError) -> [SessionState] {
        var found: [SessionState] = []
        try reader.forEachSession { (id, body) throws(StoreError) in
            found.append(try RowCoding.session(id, body))
            return true
        }
        return found
    }

    func totals() throws(StoreError) -> MetadataTotals { counts }
    func featureLevel() throws(StoreError) -> UInt32 { level }
}

/// The partitions of a topic that is removed, counted.
private struct LeavingPartitions {
    var count = 0
    var loads: [BrokerID: BrokerLoad] = [:]

    mutating func add(_ partition: Partition) {
        count += 1
        for broker in partition.replicas {
            loads[broker, default: BrokerLoad(id: broker, replicas: 0, leaders: 0)].replicas += 1
        }
        guard let leader = partition.leader else { return }
        loads[leader, default: BrokerLoad(id: leader, replicas: 0, leaders: 0)].leaders += 1
    }
}
