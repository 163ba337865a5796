package import MetadataModel

extension ObservedChange: SchemaConvertible {
    package init(schema: ProtoObservedChange) throws(SchemaError) {
        switch schema.kind {
        case .brokerChanged(let broker): self = .brokerChanged(try Broker(schema: broker))
        case .brokerRemoved(let id): self = .brokerRemoved(BrokerID(id))
        case .topicChanged(let topic): self = .topicChanged(try Topic(schema: topic))
        case .topicRemoved(let removed):
            guard removed.hasID else { throw .malformed("removed topic without id") }
            self = .topicRemoved(id: try TopicID(schema: removed.id), name: removed.name)
        case .partitionChanged(let changed):
            guard changed.hasPartition else { throw .malformed("partition change without partition") }
            self = .partitionChanged(try Partition(schema: changed.partition), topicName: changed.topicName)
        case .configChanged(let entry): self = .configChanged(try ConfigEntry(schema: entry))
        case .configRemoved(let removed):
            guard removed.hasResource else { throw .malformed("removed config without resource") }
            self = .configRemoved(resource: try ConfigResource(schema: removed.resource), name: removed.name)
        case nil: throw .unknownValue("change")
        }
    }

    package var schema: ProtoObservedChange {
        var schema = ProtoObservedChange()
        switch self {
        case .brokerChanged(let broker): schema.kind = .brokerChanged(broker.schema)
        case .brokerRemoved(let id): schema.kind = .brokerRemoved(id.rawValue)
        case .topicChanged(let topic): schema.kind = .topicChanged(topic.schema)
        case .topicRemoved(let id, let name):
            var removed = ProtoObservedChange.TopicRemoved()
            removed.id = id.schema
            removed.name = name
            schema.kind = .topicRemoved(removed)
        case .partitionChanged(let partition, let topicName):
            var changed = ProtoObservedChange.PartitionChanged()
            changed.partition = partition.schema
            changed.topicName = topicName
            schema.kind = .partitionChanged(changed)
        case .configChanged(let entry): schema.kind = .configChanged(entry.schema)
        case .configRemoved(let resource, let name):
            var removed = ProtoObservedChange.ConfigRemoved()
            removed.resource = resource.schema
            removed.name = name
            schema.kind = .configRemoved(removed)
        }
        return schema
    }
}

extension ChangeEvent: SchemaConvertible {
    package init(schema: ProtoChangeEvent) throws(SchemaError) {
        self.init(version: Version(schema.version), changes: try converted(schema.changes))
    }

    package var schema: ProtoChangeEvent {
        var schema = ProtoChangeEvent()
        schema.version = version.rawValue
        schema.changes = changes.map(\.schema)
        return schema
    }
}

extension WatchFilter: SchemaConvertible {
    package init(schema: ProtoWatchFilter) throws(SchemaError) {
        self.init(brokers: schema.brokers.map { BrokerID($0) }, topicPrefixes: schema.topicPrefixes)
    }

    package var schema: ProtoWatchFilter {
        var schema = ProtoWatchFilter()
        schema.brokers = brokers.map(\.rawValue)
        schema.topicPrefixes = topicPrefixes
        return schema
    }
}
