package import MetadataModel

extension TopicID {
    init(schema: ProtoIdentifier) throws(SchemaError) {
        try schema.refuseUnknownFields()
        self.init(high: schema.high, low: schema.low)
    }

    var schema: ProtoIdentifier { ProtoIdentifier(high: high, low: low) }
}

extension IncarnationID {
    init(schema: ProtoIdentifier) throws(SchemaError) {
        try schema.refuseUnknownFields()
        self.init(high: schema.high, low: schema.low)
    }

    var schema: ProtoIdentifier { ProtoIdentifier(high: high, low: low) }
}

extension ProtoIdentifier {
    init(high: UInt64, low: UInt64) {
        self.init()
        self.high = high
        self.low = low
    }
}

extension Endpoint: SchemaConvertible {
    package init(schema: ProtoEndpoint) throws(SchemaError) {
        try schema.refuseUnknownFields()
        self.init(name: schema.name, host: schema.host, port: try narrowed(schema.port, "port"))
    }

    package var schema: ProtoEndpoint {
        var schema = ProtoEndpoint()
        schema.name = name
        schema.host = host
        schema.port = UInt32(port)
        return schema
    }
}

extension Broker.State {
    package init(schema: ProtoBrokerState) throws(SchemaError) {
        switch schema {
        case .fenced: self = .fenced
        case .active: self = .active
        case .fencing: self = .fencing
        case .shuttingDown: self = .shuttingDown
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("broker state \(schema.rawValue)")
        }
    }

    package var schema: ProtoBrokerState {
        switch self {
        case .fenced: .fenced
        case .active: .active
        case .fencing: .fencing
        case .shuttingDown: .shuttingDown
        }
    }
}

extension BrokerTag: SchemaConvertible {
    package init(schema: ProtoBrokerTag) throws(SchemaError) {
        try schema.refuseUnknownFields()
        self.init(name: schema.name, value: schema.value)
    }

    package var schema: ProtoBrokerTag {
        var schema = ProtoBrokerTag()
        schema.name = name
        schema.value = value
        return schema
    }
}

extension Broker: SchemaConvertible {
    package init(schema: ProtoBroker) throws(SchemaError) {
        guard schema.hasIncarnation else { throw .malformed("broker without incarnation") }
        self.init(
            id: BrokerID(schema.id), epoch: BrokerEpoch(schema.epoch),
            incarnation: try IncarnationID(schema: schema.incarnation), endpoints: try converted(schema.endpoints),
            rack: schema.rack, capacity: schema.hasCapacity ? schema.capacity : Broker.capacityDefault,
            tags: try converted(schema.tags), state: try State(schema: schema.state), isDraining: schema.isDraining,
            version: Version(schema.version))
    }

    package var schema: ProtoBroker {
        var schema = ProtoBroker()
        schema.id = id.rawValue
        schema.epoch = epoch.rawValue
        schema.incarnation = incarnation.schema
        schema.endpoints = endpoints.map(\.schema)
        schema.rack = rack
        if capacity != Broker.capacityDefault { schema.capacity = capacity }
        schema.tags = tags.map(\.schema)
        schema.state = state.schema
        schema.isDraining = isDraining
        schema.version = version.rawValue
        return schema
    }
}

extension Topic: SchemaConvertible {
    package init(schema: ProtoTopic) throws(SchemaError) {
        guard schema.hasID else { throw .malformed("topic without id") }
        self.init(
            id: try TopicID(schema: schema.id), name: schema.name, partitionCount: schema.partitionCount,
            replicationFactor: try narrowed(schema.replicationFactor, "replication factor"),
            version: Version(schema.version))
    }

    package var schema: ProtoTopic {
        var schema = ProtoTopic()
        schema.id = id.schema
        schema.name = name
        schema.partitionCount = partitionCount
        schema.replicationFactor = Int32(replicationFactor)
        schema.version = version.rawValue
        return schema
    }
}

extension Partition: SchemaConvertible {
    package init(schema: ProtoPartition) throws(SchemaError) {
        guard schema.hasTopic else { throw .malformed("partition without topic") }
        self.init(
            key: PartitionKey(topic: try TopicID(schema: schema.topic), index: PartitionIndex(schema.index)),
            leader: schema.hasLeader ? BrokerID(schema.leader) : nil, leaderEpoch: schema.leaderEpoch,
            partitionEpoch: schema.partitionEpoch, replicas: schema.replicas.map { BrokerID($0) },
            isr: schema.isr.map { BrokerID($0) }, eligibleLeaders: schema.eligibleLeaders.map { BrokerID($0) },
            adding: schema.adding.map { BrokerID($0) },
            removing: schema.removing.map { BrokerID($0) }, version: Version(schema.version))
    }

    package var schema: ProtoPartition {
        var schema = ProtoPartition()
        schema.topic = key.topic.schema
        schema.index = key.index.rawValue
        if let leader { schema.leader = leader.rawValue }
        schema.leaderEpoch = leaderEpoch
        schema.partitionEpoch = partitionEpoch
        schema.replicas = replicas.map(\.rawValue)
        schema.isr = isr.map(\.rawValue)
        schema.eligibleLeaders = eligibleLeaders.map(\.rawValue)
        schema.adding = adding.map(\.rawValue)
        schema.removing = removing.map(\.rawValue)
        schema.version = version.rawValue
        return schema
    }
}

extension PartitionKey: SchemaConvertible {
    package init(schema: ProtoPartitionKey) throws(SchemaError) {
        try schema.refuseUnknownFields()
        guard schema.hasTopic else { throw .malformed("partition key without topic") }
        self.init(topic: try TopicID(schema: schema.topic), index: PartitionIndex(schema.index))
    }

    package var schema: ProtoPartitionKey {
        var schema = ProtoPartitionKey()
        schema.topic = topic.schema
        schema.index = index.rawValue
        return schema
    }
}

extension ConfigResource: SchemaConvertible {
    package init(schema: ProtoConfigResource) throws(SchemaError) {
        switch schema.kind {
        case .cluster: self = .cluster
        case .broker(let id): self = .broker(BrokerID(id))
        case .topic(let id): self = .topic(try TopicID(schema: id))
        case nil: throw .unknownValue("config resource")
        }
    }

    package var schema: ProtoConfigResource {
        var schema = ProtoConfigResource()
        switch self {
        case .cluster: schema.kind = .cluster(ProtoNothing())
        case .broker(let id): schema.kind = .broker(id.rawValue)
        case .topic(let id): schema.kind = .topic(id.schema)
        }
        return schema
    }
}

extension ConfigEntry: SchemaConvertible {
    package init(schema: ProtoConfigEntry) throws(SchemaError) {
        guard schema.hasResource else { throw .malformed("config entry without resource") }
        self.init(
            resource: try ConfigResource(schema: schema.resource), name: schema.name, value: schema.value,
            version: Version(schema.version))
    }

    package var schema: ProtoConfigEntry {
        var schema = ProtoConfigEntry()
        schema.resource = resource.schema
        schema.name = name
        schema.value = value
        schema.version = version.rawValue
        return schema
    }
}

extension TopicReference: SchemaConvertible {
    package init(schema: ProtoTopicReference) throws(SchemaError) {
        try schema.refuseUnknownFields()
        switch schema.kind {
        case .name(let name): self = .name(name)
        case .id(let id): self = .id(try TopicID(schema: id))
        case nil: throw .unknownValue("topic reference")
        }
    }

    package var schema: ProtoTopicReference {
        var schema = ProtoTopicReference()
        switch self {
        case .name(let name): schema.kind = .name(name)
        case .id(let id): schema.kind = .id(id.schema)
        }
        return schema
    }
}

extension ResourceReference: SchemaConvertible {
    package init(schema: ProtoResourceReference) throws(SchemaError) {
        try schema.refuseUnknownFields()
        switch schema.kind {
        case .cluster(let nothing):
            try nothing.refuseUnknownFields()
            self = .cluster
        case .broker(let id): self = .broker(BrokerID(id))
        case .topicName(let name): self = .topic(.name(name))
        case .topicID(let id): self = .topic(.id(try TopicID(schema: id)))
        case nil: throw .unknownValue("resource reference")
        }
    }

    package var schema: ProtoResourceReference {
        var schema = ProtoResourceReference()
        switch self {
        case .cluster: schema.kind = .cluster(ProtoNothing())
        case .broker(let id): schema.kind = .broker(id.rawValue)
        case .topic(.name(let name)): schema.kind = .topicName(name)
        case .topic(.id(let id)): schema.kind = .topicID(id.schema)
        }
        return schema
    }
}
