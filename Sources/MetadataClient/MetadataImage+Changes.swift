import HashTreeCollections
import MetadataModel

/// How an image moves on. Rows that were listed may be newer than the event that is applied, so nothing is ever replaced
/// by something older; what an event removes is removed only if it was there before the event.
extension MetadataImage {
    /// Is told of each broker that a changed partition concerns: one that holds a replica of it before or after.
    typealias Witness = (BrokerID, PartitionKey) -> Void

    /// Applies all changes of one version. False when one does not fit what is here: a partition of an unknown topic, or
    /// one that leaves a gap.
    mutating func apply(_ event: ChangeEvent, witness: Witness? = nil) -> Bool {
        var fits = true
        for change in event.changes {
            switch change {
            case .brokerChanged(let broker): set(broker)
            case .brokerRemoved(let id):
                if let known = brokerRows[id], known.version < event.version { brokerRows[id] = nil }
            case .topicChanged(let topic): set(topic)
            case .topicRemoved(let id, _): removeTopic(id, witness)
            case .partitionChanged(let partition, _): fits = set(partition, witness) && fits
            case .configChanged, .configRemoved: break
            }
        }
        version = max(version, event.version)
        return fits
    }

    mutating func set(_ broker: Broker) {
        if let known = brokerRows[broker.id], known.version > broker.version { return }
        brokerRows[broker.id] = broker
    }

    mutating func set(_ topic: Topic) {
        if let known = topicRows[topic.id]?.topic {
            guard known.version < topic.version else { return }
            topicRows[topic.id]?.topic = topic
            return
        }
        topicRows[topic.id] = TopicRows(topic: topic)
        topicIDs[topic.name] = topic.id
    }

    @discardableResult
    mutating func set(_ partition: Partition, _ witness: Witness? = nil) -> Bool {
        let key = partition.key
        let before = topicRows[key.topic]?[key.index]
        if let before, before.version >= partition.version { return true }
        var partition = partition
        // Nearly always so: one array for both halves what a partition takes.
        if partition.isr == partition.replicas { partition.isr = partition.replicas }
        guard topicRows[key.topic]?.set(partition) == true else { return false }
        if before == nil { partitionCount += 1 }
        guard let witness else { return true }
        for broker in partition.replicas { witness(broker, key) }
        for broker in before?.replicas ?? [] where !partition.replicas.contains(broker) { witness(broker, key) }
        return true
    }

    private mutating func removeTopic(_ id: TopicID, _ witness: Witness?) {
        guard let rows = topicRows.removeValue(forKey: id) else { return }
        if topicIDs[rows.topic.name] == id { topicIDs[rows.topic.name] = nil }
        partitionCount -= rows.count
        guard let witness else { return }
        for chunk in rows.chunks {
            for partition in chunk { for broker in partition.replicas { witness(broker, partition.key) } }
        }
    }

    /// The first topic that lacks partitions; nil when all is there.
    var incompleteTopic: Topic? { topicRows.values.first { !$0.isWhole }?.topic }
}
