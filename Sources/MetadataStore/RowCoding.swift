internal import MetadataModel
import MetadataSchema

/// The bytes of rows in snapshot files, and of the columns that hold more than a number or a text.
///
/// Every value has exactly one encoding, so the same state gives the same bytes on every node. Layouts:
/// docs/formats/snapshot.md.
enum RowCoding {
    /// What a row of a snapshot is. The order is the order in the file.
    enum Kind: UInt8 {
        case broker = 1
        case topic = 2
        case partition = 3
        case config = 4
        case session = 5
    }

    // MARK: Config resources

    private static let clusterTag: UInt8 = 0
    private static let brokerTag: UInt8 = 1
    private static let topicTag: UInt8 = 2

    static func key(of resource: ConfigResource) -> [UInt8] {
        var writer = ByteWriter()
        switch resource {
        case .cluster:
            writer.append(clusterTag)
        case .broker(let id):
            writer.append(brokerTag)
            writer.append(id.rawValue)
        case .topic(let id):
            writer.append(topicTag)
            writer.append(id)
        }
        return writer.bytes
    }

    static func resource(_ key: UnsafeRawBufferPointer) throws(StoreError) -> ConfigResource {
        var reader = ByteReader(key, "a config resource")
        let resource: ConfigResource
        switch try reader.integer(UInt8.self) {
        case clusterTag: resource = .cluster
        case brokerTag: resource = .broker(BrokerID(try reader.integer()))
        case topicTag: resource = .topic(try reader.topic())
        case let tag: throw .corrupt(what: "config resource of kind \(tag)")
        }
        try reader.end()
        return resource
    }

    // MARK: Brokers

    static func tag(of state: Broker.State) -> UInt8 {
        switch state {
        case .fenced: 0
        case .active: 1
        case .fencing: 2
        case .shuttingDown: 3
        }
    }

    static func state(tag: Int64) throws(StoreError) -> Broker.State {
        switch tag {
        case 0: .fenced
        case 1: .active
        case 2: .fencing
        case 3: .shuttingDown
        default: throw .corrupt(what: "broker state \(tag)")
        }
    }

    static func endpoints(_ endpoints: [Endpoint]) -> [UInt8] {
        var writer = ByteWriter()
        append(endpoints, to: &writer)
        return writer.bytes
    }

    private static func append(_ endpoints: [Endpoint], to writer: inout ByteWriter) {
        precondition(endpoints.count <= UInt16.max, "\(endpoints.count) endpoints exceed \(UInt16.max)")
        writer.append(UInt16(endpoints.count))
        for endpoint in endpoints {
            writer.append(shortText: endpoint.name)
            writer.append(shortText: endpoint.host)
            writer.append(endpoint.port)
        }
    }

    static func endpoints(_ bytes: UnsafeRawBufferPointer) throws(StoreError) -> [Endpoint] {
        var reader = ByteReader(bytes, "a list of endpoints")
        let endpoints = try endpoints(&reader)
        try reader.end()
        return endpoints
    }

    private static func endpoints(_ reader: inout ByteReader) throws(StoreError) -> [Endpoint] {
        let count = try reader.integer(UInt16.self)
        var endpoints: [Endpoint] = []
        for _ in 0..<count {
            let name = try reader.shortText()
            let host = try reader.shortText()
            endpoints.append(Endpoint(name: name, host: host, port: try reader.integer()))
        }
        return endpoints
    }

    static func tags(_ tags: [BrokerTag]) -> [UInt8] {
        var writer = ByteWriter()
        append(tags, to: &writer)
        return writer.bytes
    }

    private static func append(_ tags: [BrokerTag], to writer: inout ByteWriter) {
        precondition(tags.count <= UInt16.max, "\(tags.count) tags exceed \(UInt16.max)")
        writer.append(UInt16(tags.count))
        for tag in tags {
            writer.append(shortText: tag.name)
            writer.append(shortText: tag.value)
        }
    }

    static func tags(_ bytes: UnsafeRawBufferPointer) throws(StoreError) -> [BrokerTag] {
        var reader = ByteReader(bytes, "a list of tags")
        let tags = try tags(&reader)
        try reader.end()
        return tags
    }

    private static func tags(_ reader: inout ByteReader) throws(StoreError) -> [BrokerTag] {
        let count = try reader.integer(UInt16.self)
        var tags: [BrokerTag] = []
        for _ in 0..<count {
            let name = try reader.shortText()
            tags.append(BrokerTag(name: name, value: try reader.shortText()))
        }
        return tags
    }

    static func append(_ broker: Broker, to writer: inout ByteWriter) {
        writer.append(broker.id.rawValue)
        writer.append(broker.epoch.rawValue)
        writer.append(broker.incarnation.high)
        writer.append(broker.incarnation.low)
        writer.append(tag(of: broker.state))
        writer.append(broker.version.rawValue)
        writer.append(shortText: broker.rack)
        append(broker.endpoints, to: &writer)
        writer.append(broker.capacity)
        append(broker.tags, to: &writer)
        writer.append(UInt8(broker.isDraining ? 1 : 0))
    }

    static func broker(_ reader: inout ByteReader) throws(StoreError) -> Broker {
        let id = BrokerID(try reader.integer())
        let epoch = BrokerEpoch(try reader.integer())
        let high = try reader.integer(UInt64.self)
        let incarnation = IncarnationID(high: high, low: try reader.integer())
        let state = try state(tag: Int64(try reader.integer(UInt8.self)))
        let version = Version(try reader.integer())
        let rack = try reader.shortText()
        let endpoints = try endpoints(&reader)
        let capacity = try reader.integer(UInt32.self)
        let tags = try tags(&reader)
        return Broker(
            id: id, epoch: epoch, incarnation: incarnation, endpoints: endpoints, rack: rack, capacity: capacity,
            tags: tags, state: state, isDraining: try flag(Int64(try reader.integer(UInt8.self)), "draining"),
            version: version)
    }

    static func flag(_ value: Int64, _ what: StaticString) throws(StoreError) -> Bool {
        switch value {
        case 0: return false
        case 1: return true
        default: throw .corrupt(what: "\(what) mark \(value)")
        }
    }

    // MARK: Topics, partitions, configs

    static func append(_ topic: Topic, to writer: inout ByteWriter) {
        writer.append(topic.id)
        writer.append(topic.partitionCount)
        writer.append(topic.replicationFactor)
        writer.append(topic.version.rawValue)
        writer.append(shortText: topic.name)
    }

    static func topic(_ reader: inout ByteReader) throws(StoreError) -> Topic {
        let id = try reader.topic()
        let partitionCount = try reader.integer(Int32.self)
        let replicationFactor = try reader.integer(Int16.self)
        let version = Version(try reader.integer())
        return Topic(
            id: id, name: try reader.shortText(), partitionCount: partitionCount,
            replicationFactor: replicationFactor, version: version)
    }

    static func append(_ partition: Partition, to writer: inout ByteWriter) {
        writer.append(partition.key.topic)
        writer.append(partition.key.index.rawValue)
        writer.append(UInt8(partition.leader == nil ? 0 : 1))
        if let leader = partition.leader { writer.append(leader.rawValue) }
        writer.append(partition.leaderEpoch)
        writer.append(partition.partitionEpoch)
        writer.append(partition.version.rawValue)
        writer.append(partition.replicas)
        writer.append(partition.isr)
        writer.append(partition.adding)
        writer.append(partition.removing)
        writer.append(partition.eligibleLeaders)
    }

    static func partition(_ reader: inout ByteReader) throws(StoreError) -> Partition {
        let topic = try reader.topic()
        let key = PartitionKey(topic: topic, index: PartitionIndex(try reader.integer()))
        let leader: BrokerID?
        switch try reader.integer(UInt8.self) {
        case 0: leader = nil
        case 1: leader = BrokerID(try reader.integer())
        case let tag: throw .corrupt(what: "partition with leader mark \(tag)")
        }
        let leaderEpoch = try reader.integer(Int32.self)
        let partitionEpoch = try reader.integer(Int32.self)
        let version = Version(try reader.integer())
        let replicas = try reader.brokers()
        let isr = try reader.brokers()
        let adding = try reader.brokers()
        let removing = try reader.brokers()
        return Partition(
            key: key, leader: leader, leaderEpoch: leaderEpoch, partitionEpoch: partitionEpoch, replicas: replicas,
            isr: isr, eligibleLeaders: try reader.brokers(), adding: adding, removing: removing, version: version)
    }

    static func append(_ config: ConfigEntry, to writer: inout ByteWriter) {
        let key = key(of: config.resource)
        writer.append(UInt8(key.count))
        writer.append(raw: key)
        writer.append(shortText: config.name)
        writer.append(config.version.rawValue)
        writer.append(long: config.value.utf8)
    }

    static func config(_ reader: inout ByteReader) throws(StoreError) -> ConfigEntry {
        let keyCount = try reader.integer(UInt8.self)
        let resource = try resource(reader.take(Int(keyCount)))
        let name = try reader.shortText()
        let version = Version(try reader.integer())
        let count = try reader.integer(UInt32.self)
        return ConfigEntry(resource: resource, name: name, value: try reader.text(count: Int(count)), version: version)
    }
}

extension RowCoding {
    /// A session with its results as the schema encodes it; the id is checked against the row's key.
    static func session(_ id: SessionID, _ body: [UInt8]) throws(StoreError) -> SessionState {
        let state: SessionState
        do {
            state = try SessionState(schemaBytes: body)
        } catch {
            throw .corrupt(what: "session \(id): \(error)")
        }
        guard state.session.id == id else {
            throw .corrupt(what: "the row of session \(id) holds session \(state.session.id)")
        }
        return state
    }
}
