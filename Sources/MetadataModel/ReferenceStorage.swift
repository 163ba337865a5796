/// The rows in memory: the plainest storage, for the simulator and as what others are compared with.
package struct ReferenceStorage: MetadataStorage, Sendable {
    package typealias Failure = Never

    private var brokerRows: [BrokerID: Broker] = [:]
    private var brokerOrder = SortedKeys<BrokerID>()
    private var topicRows: [TopicID: Topic] = [:]
    private var topicByCollisionKey: [ByteOrdered: TopicID] = [:]
    private var topicOrder = SortedKeys<ByteOrdered>()
    private var partitionRows: [PartitionKey: Partition] = [:]
    /// Invariant: the key sets are what the replicas of `partitionRows` say; brokers without replicas are absent.
    private var partitionsByBroker: [BrokerID: SortedKeys<PartitionKey>] = [:]
    private var leaderCounts: [BrokerID: Int] = [:]
    private var configRows: [ConfigResource: [ConfigEntry]] = [:]
    private var level: UInt32 = Limits.featureLevelInitial

    package init() {}

    package mutating func apply(_ change: Change) {
        switch change {
        case .broker(let before, let after): write(before, after)
        case .topic(let before, let after): write(before, after)
        case .partition(let before, let after): write(before, after)
        case .config(let before, let after): write(before, after)
        case .featureLevel(let before, let after):
            precondition(level == before, "the feature level is \(level), the change says \(before)")
            level = after
        case .sessionOpened, .sessionClosed:
            preconditionFailure("sessions are not rows of the storage")
        }
    }

    private mutating func write(_ before: Broker?, _ after: Broker?) {
        guard let id = after?.id ?? before?.id else { return }
        precondition(brokerRows[id] == before, "broker \(id) is not what the change says")
        brokerRows[id] = after
        if before == nil { brokerOrder.insert(id) }
        if after == nil { brokerOrder.remove(id) }
    }

    private mutating func write(_ before: Topic?, _ after: Topic?) {
        guard let id = after?.id ?? before?.id else { return }
        precondition(topicRows[id] == before, "topic \(id) is not what the change says")
        topicRows[id] = after
        guard before?.name != after?.name else { return }
        if let before {
            topicByCollisionKey[ByteOrdered(TopicName.collisionKey(before.name))] = nil
            topicOrder.remove(ByteOrdered(before.name))
        }
        if let after {
            topicByCollisionKey[ByteOrdered(TopicName.collisionKey(after.name))] = id
            topicOrder.insert(ByteOrdered(after.name))
        }
    }

    private mutating func write(_ before: Partition?, _ after: Partition?) {
        guard let key = after?.key ?? before?.key else { return }
        precondition(
            partitionRows[key] == before, "partition \(key.index) of topic \(key.topic) is not what the change says")
        partitionRows[key] = after
        if before?.replicas != after?.replicas {
            for broker in before?.replicas ?? [] {
                partitionsByBroker[broker]?.remove(key)
                if partitionsByBroker[broker]?.isEmpty == true { partitionsByBroker[broker] = nil }
            }
            for broker in after?.replicas ?? [] { partitionsByBroker[broker, default: SortedKeys()].insert(key) }
        }
        if let leader = before?.leader { leaderCounts[leader, default: 0] -= 1 }
        if let leader = after?.leader { leaderCounts[leader, default: 0] += 1 }
    }

    private mutating func write(_ before: ConfigEntry?, _ after: ConfigEntry?) {
        guard let entry = after ?? before else { return }
        var rows = configRows[entry.resource, default: []]
        let name = ByteOrdered(entry.name)
        let place = rows.firstIndex { ByteOrdered($0.name) >= name } ?? rows.count
        let found = place < rows.count && ByteOrdered(rows[place].name) == name ? rows[place] : nil
        precondition(found == before, "configuration '\(entry.name)' is not what the change says")
        rows.replaceSubrange(place..<(place + (found == nil ? 0 : 1)), with: after.map { [$0] } ?? [])
        configRows[entry.resource] = rows.isEmpty ? nil : rows
    }
}

// What `decide` reads.
extension ReferenceStorage {
    package func broker(_ id: BrokerID) -> Broker? { brokerRows[id] }

    package func brokers() -> [Broker] { brokers(after: nil, limit: .max) }

    package func brokerLoads() -> [BrokerLoad] {
        partitionsByBroker.map { id, keys in
            BrokerLoad(id: id, replicas: keys.count, leaders: leaderCounts[id] ?? 0)
        }.sorted { $0.id < $1.id }
    }

    package func topic(_ id: TopicID) -> Topic? { topicRows[id] }

    package func topic(named name: String) -> Topic? {
        topic(collidingWith: name).flatMap { $0.name.hasSameBytes(as: name) ? $0 : nil }
    }

    package func topic(collidingWith name: String) -> Topic? {
        topicByCollisionKey[ByteOrdered(TopicName.collisionKey(name))].flatMap { topicRows[$0] }
    }

    package func partition(_ key: PartitionKey) -> Partition? { partitionRows[key] }

    package func partitions(of topic: TopicID) -> [Partition] {
        partitions(of: topic, after: nil, limit: .max)
    }

    package func partitions(withReplica broker: BrokerID, after key: PartitionKey?, limit: Int) -> [Partition] {
        partitionsByBroker[broker]?.keys(after: key, limit: limit).compactMap { partitionRows[$0] } ?? []
    }

    /// A scan of everything: nobody who has many partitions keeps them in here.
    package func partitions(_ filter: PartitionFilter, after key: PartitionKey?, limit: Int) -> [Partition] {
        let passing = partitionRows.values.filter { row in filter.passes(row) && key.map { $0 < row.key } ?? true }
        return Array(passing.sorted { $0.key < $1.key }.prefix(max(limit, 0)))
    }

    package func config(_ resource: ConfigResource, name: String) -> ConfigEntry? {
        configRows[resource]?.first { $0.name.hasSameBytes(as: name) }
    }

    package func configs(of resource: ConfigResource) -> [ConfigEntry] { configRows[resource] ?? [] }

    /// None: `SessionTable` has them.
    package func sessions() -> [Session] { [] }

    package func totals() -> MetadataTotals {
        MetadataTotals(
            brokers: brokerRows.count, topics: topicRows.count, partitions: partitionRows.count, sessions: 0)
    }

    package func featureLevel() -> UInt32 { level }
}

// Pages, and everything.
extension ReferenceStorage {
    package func brokers(after id: BrokerID?, limit: Int) -> [Broker] {
        brokerOrder.keys(after: id, limit: limit).compactMap { brokerRows[$0] }
    }

    /// By name.
    package func topics(after name: String?, limit: Int) -> [Topic] {
        topicOrder.keys(after: name.map { ByteOrdered($0) }, limit: limit).compactMap { topic(named: $0.string) }
    }

    package func partitions(of topic: TopicID, after index: PartitionIndex?, limit: Int) -> [Partition] {
        guard let count = topicRows[topic]?.partitionCount else { return [] }
        let first = max(0, index.map { $0.rawValue == .max ? .max : $0.rawValue + 1 } ?? 0)
        guard first < count else { return [] }
        return (first..<count).prefix(limit).compactMap {
            partitionRows[PartitionKey(topic: topic, index: PartitionIndex($0))]
        }
    }

    package func configs(of resource: ConfigResource, after name: String?, limit: Int) -> [ConfigEntry] {
        let all = configs(of: resource)
        guard let name = name.map({ ByteOrdered($0) }) else { return Array(all.prefix(limit)) }
        return Array(all.drop { ByteOrdered($0.name) <= name }.prefix(limit))
    }

    /// The sum of `StateDigest` over all rows, computed anew: what the scrub of a storage compares with.
    package func digest() -> UInt64 {
        var sum = StateDigest.of(featureLevel: level)
        // A sum does not depend on the order of the rows.
        for row in brokerRows.values { sum &+= StateDigest.of(row) }
        for row in topicRows.values { sum &+= StateDigest.of(row) }
        for row in partitionRows.values { sum &+= StateDigest.of(row) }
        for rows in configRows.values { for row in rows { sum &+= StateDigest.of(row) } }
        return sum
    }
}
