internal import MetadataModel

/// What a client has learnt of brokers and partitions from its watch: what its requests speak of.
struct KnownMetadata {
    private(set) var partitions: [Partition] = []
    private var places: [PartitionKey: Int] = [:]
    private var brokers: [BrokerID: Broker] = [:]
    /// The epoch before the present one.
    private var earlierEpochs: [BrokerID: BrokerEpoch] = [:]

    mutating func learns(_ events: [ChangeEvent]) {
        for event in events { for change in event.changes { learns(change) } }
    }

    private mutating func learns(_ change: ObservedChange) {
        switch change {
        case .brokerChanged(let broker):
            if let known = brokers[broker.id], known.epoch != broker.epoch { earlierEpochs[broker.id] = known.epoch }
            brokers[broker.id] = broker
        case .brokerRemoved(let id):
            brokers[id] = nil
        case .partitionChanged(let partition, _):
            if let place = places[partition.key] {
                partitions[place] = partition
            } else {
                places[partition.key] = partitions.count
                partitions.append(partition)
            }
        case .topicRemoved(let id, _):
            for place in partitions.indices.reversed() where partitions[place].key.topic == id { forget(place) }
        case .topicChanged, .configChanged, .configRemoved:
            return
        }
    }

    /// The last one takes its place.
    private mutating func forget(_ place: Int) {
        places[partitions[place].key] = nil
        let last = partitions.removeLast()
        guard place < partitions.count else { return }
        partitions[place] = last
        places[last.key] = place
    }

    func isActive(_ id: BrokerID) -> Bool { brokers[id]?.isActive ?? false }

    /// The present epoch of a broker, or an earlier one.
    func epoch(of id: BrokerID, isStale: Bool) -> BrokerEpoch {
        let present = brokers[id]?.epoch ?? BrokerEpoch(0)
        guard isStale else { return present }
        return earlierEpochs[id] ?? BrokerEpoch(present.rawValue == 0 ? 0 : present.rawValue - 1)
    }
}
