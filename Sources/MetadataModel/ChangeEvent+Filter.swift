extension ChangeEvent {
    /// What watchers are told of the changes of one entry; nil when there is nothing to tell.
    ///
    /// The removal of a topic or broker implies that of its partitions and configurations, which are not listed. Partition
    /// events carry the name of their topic: it is taken from these changes, else from `topicName`.
    package init?<Failure: Error>(
        version: Version, changes: [Change], topicName: (TopicID) throws(Failure) -> String?
    ) throws(Failure) {
        var names: [TopicID: String] = [:]
        var removedTopics: Set<TopicID> = []
        var removedBrokers: Set<BrokerID> = []
        var holders: [TopicID: Set<BrokerID>] = [:]
        for change in changes {
            switch change {
            case .topic(_, let after?): names[after.id] = after.name
            case .topic(let before?, nil): removedTopics.insert(before.id)
            case .broker(let before?, nil): removedBrokers.insert(before.id)
            case .partition(let before?, nil): holders[before.key.topic, default: []].formUnion(before.replicas)
            default: continue
            }
        }
        var observed: [ObservedChange] = []
        observed.reserveCapacity(changes.count)
        var departures: [Departure] = []
        func leave(_ brokers: some Collection<BrokerID>) {
            guard !brokers.isEmpty else { return }
            departures.append(Departure(place: observed.count, brokers: brokers.sorted()))
        }
        for change in changes {
            switch change {
            case .broker(_, let after?):
                observed.append(.brokerChanged(after))
            case .broker(let before?, nil):
                observed.append(.brokerRemoved(before.id))
            case .topic(_, let after?):
                observed.append(.topicChanged(after))
            case .topic(let before?, nil):
                leave(holders[before.id] ?? [])
                observed.append(.topicRemoved(id: before.id, name: before.name))
            case .partition(let before, let after?):
                leave(before?.replicas.filter { !after.replicas.contains($0) } ?? [])
                let topic = after.key.topic
                if names[topic] == nil { names[topic] = try topicName(topic) }
                guard let name = names[topic] else {
                    preconditionFailure("partition \(after.key.index) belongs to topic \(topic), which does not exist")
                }
                observed.append(.partitionChanged(after, topicName: name))
            case .config(_, let after?):
                observed.append(.configChanged(after))
            case .config(let before?, nil):
                switch before.resource {
                case .topic(let id) where removedTopics.contains(id): continue
                case .broker(let id) where removedBrokers.contains(id): continue
                case .cluster, .broker, .topic:
                    observed.append(.configRemoved(resource: before.resource, name: before.name))
                }
            case .broker(nil, nil), .topic(nil, nil), .partition(_, nil), .config(nil, nil), .featureLevel,
                .sessionOpened, .sessionClosed:
                continue
            }
        }
        guard !observed.isEmpty else { return nil }
        self.init(version: version, changes: observed, departures: departures)
    }

    /// The part of the event that the filter wants; nil when that is nothing.
    package func filtered(by filter: WatchFilter) -> ChangeEvent? {
        guard !filter.wantsEverything else { return self }
        // A change of a topic's configuration moves the topic's version, so the topic is in the same event by name.
        var names: [TopicID: String] = [:]
        for case .topicChanged(let topic) in changes { names[topic.id] = topic.name }
        var leaving = departures[...]
        var passing: [ObservedChange] = []
        for (place, change) in changes.enumerated() {
            var left: [BrokerID] = []
            if let first = leaving.first, first.place == place {
                left = first.brokers
                leaving.removeFirst()
            }
            let passes =
                filter.passes(change, topicName: { names[$0] }) || filter.brokers.contains(where: left.contains)
            if passes { passing.append(change) }
        }
        return passing.isEmpty ? nil : ChangeEvent(version: version, changes: passing)
    }
}

extension WatchFilter {
    /// Whether a watcher with this filter is told of the change. `topicName` names the topics of configuration changes,
    /// which carry an id only.
    package func passes(_ change: ObservedChange, topicName: (TopicID) -> String? = { _ in nil }) -> Bool {
        guard !wantsEverything else { return true }
        switch change {
        case .brokerChanged(let broker): return brokers.contains(broker.id)
        case .brokerRemoved(let id): return brokers.contains(id)
        case .topicChanged(let topic): return hasPrefix(of: topic.name)
        case .topicRemoved(_, let name): return hasPrefix(of: name)
        case .partitionChanged(let partition, let name):
            return hasPrefix(of: name) || partition.replicas.contains { brokers.contains($0) }
        case .configChanged(let entry): return passes(entry.resource, topicName: topicName)
        case .configRemoved(let resource, _): return passes(resource, topicName: topicName)
        }
    }

    private func passes(_ resource: ConfigResource, topicName: (TopicID) -> String?) -> Bool {
        switch resource {
        case .cluster: false
        case .broker(let id): brokers.contains(id)
        case .topic(let id): topicName(id).map(hasPrefix(of:)) ?? false
        }
    }

    private func hasPrefix(of name: String) -> Bool {
        topicPrefixes.contains { name.utf8.starts(with: $0.utf8) }
    }
}
