extension StateMachine where Storage == ReferenceStorage {
    /// The same as `apply`. Called from another module that one would be compiled for any storage, and look up each step of a
    /// decision at run time; here it is compiled for this storage.
    package mutating func applyInMemory(index: UInt64, _ entry: LogCommand) -> Applied { apply(index: index, entry) }

    /// Answers a question about the state, which has applied the log up to `appliedIndex`.
    package func answer(_ query: Query, appliedIndex: UInt64, feed: ChangeFeed) -> QueryResult {
        switch query {
        case .summary:
            return .summary(
                MetadataSummary(
                    version: version, appliedIndex: appliedIndex, digest: digest, totals: totals(),
                    featureLevel: featureLevel()))
        case .broker(let id):
            return storage.broker(id).map { .broker($0) } ?? .notFound(.brokerNotFound(id))
        case .brokers(let after, let limit):
            return .brokers(page(limit) { storage.brokers(after: after, limit: $0) })
        case .topic(let reference):
            return storage.topic(reference).map { .topic($0) } ?? .notFound(.topicNotFound(reference))
        case .topics(let after, let limit):
            return .topics(page(limit) { storage.topics(after: after, limit: $0) })
        case .partition(let reference, let index):
            guard let topic = storage.topic(reference) else { return .notFound(.topicNotFound(reference)) }
            let partition = storage.partition(PartitionKey(topic: topic.id, index: index))
            return partition.map { .partition($0) } ?? .notFound(.partitionNotFound(topic, index))
        case .partitions(let reference, let after, let limit):
            guard let topic = storage.topic(reference) else { return .notFound(.topicNotFound(reference)) }
            return .partitions(page(limit) { storage.partitions(of: topic.id, after: after, limit: $0) })
        case .clusterPartitions(let filter, let after, let limit):
            return .partitions(page(limit) { storage.partitions(filter, after: after, limit: $0) })
        case .configs(let reference, let after, let limit):
            switch reference {
            case .cluster:
                return configs(of: .cluster, after: after, limit: limit)
            case .broker(let id):
                guard storage.broker(id) != nil else { return .notFound(.brokerNotFound(id)) }
                return configs(of: .broker(id), after: after, limit: limit)
            case .topic(let topic):
                guard let found = storage.topic(topic) else { return .notFound(.topicNotFound(topic)) }
                return configs(of: .topic(found.id), after: after, limit: limit)
            }
        case .changes(let after, let filter, let limit):
            return .changes(feed.page(after: after, filter: filter, limit: limit, current: version))
        }
    }

    private func configs(of resource: ConfigResource, after: String?, limit: Int) -> QueryResult {
        .configs(page(limit) { storage.configs(of: resource, after: after, limit: $0) })
    }

    /// One more than the page holds is read, to know whether there is more.
    private func page<Item>(_ limit: Int, _ read: (Int) -> [Item]) -> Page<Item> {
        let limit = Limits.pageItems(limit)
        let items = read(limit + 1)
        return Page(items: Array(items.prefix(limit)), hasMore: items.count > limit)
    }
}

extension ReferenceStorage {
    fileprivate func topic(_ reference: TopicReference) -> Topic? {
        switch reference {
        case .name(let name): topic(named: name)
        case .id(let id): topic(id)
        }
    }
}
