internal import MetadataModel

/// Answers questions from the rows that one connection sees in one transaction.
final class QueryAnswers {
    private let rows: RowReader
    private let feed: FeedReader
    private let stateRow: StateStatements

    init(_ connection: Connection) throws(StoreError) {
        rows = try RowReader(connection)
        feed = try FeedReader(connection)
        stateRow = try StateStatements(connection)
    }

    func state() throws(StoreError) -> StateRow { try stateRow.read() }

    func answer(_ query: Query, state: StateRow) throws(StoreError) -> QueryResult {
        switch query {
        case .summary:
            return .summary(state.summary)
        case .broker(let id):
            guard let broker = try rows.broker(id) else { return .notFound(.brokerNotFound(id)) }
            return .broker(broker)
        case .brokers(let id, let limit):
            var page = PageBuilder<Broker>(limit: limit)
            try rows.forEachBroker(after: id) { (broker) throws(StoreError) in
                page.add(broker, bytes: broker.pageBytes)
            }
            return .brokers(page.page)
        case .topic(let reference):
            guard let topic = try topic(reference) else { return .notFound(.topicNotFound(reference)) }
            return .topic(topic)
        case .topics(let name, let limit):
            var page = PageBuilder<Topic>(limit: limit)
            try rows.forEachTopic(after: name) { (topic) throws(StoreError) in
                page.add(topic, bytes: topic.pageBytes)
            }
            return .topics(page.page)
        case .partition(let reference, let index):
            guard let topic = try topic(reference) else { return .notFound(.topicNotFound(reference)) }
            guard let partition = try rows.partition(PartitionKey(topic: topic.id, index: index)) else {
                return .notFound(.partitionNotFound(topic, index))
            }
            return .partition(partition)
        case .partitions(let reference, let index, let limit):
            guard let topic = try topic(reference) else { return .notFound(.topicNotFound(reference)) }
            var page = PageBuilder<Partition>(limit: limit)
            try rows.forEachPartition(of: topic.id, after: index) { (partition) throws(StoreError) in
                page.add(partition, bytes: partition.pageBytes)
            }
            return .partitions(page.page)
        case .clusterPartitions(let filter, let key, let limit):
            var page = PageBuilder<Partition>(limit: limit)
            let most = Limits.pageItems(limit) + 1
            try rows.forEachPartition(filter, after: key, limit: most) { (partition) throws(StoreError) in
                page.add(partition, bytes: partition.pageBytes)
            }
            return .partitions(page.page)
        case .configs(let reference, let name, let limit):
            return try configs(reference, after: name, limit: limit)
        case .changes(let version, let filter, let limit):
            return .changes(try feed.page(after: version, filter: filter, limit: limit, state: state))
        }
    }

    private func configs(
        _ reference: ResourceReference, after name: String?, limit: Int
    ) throws(StoreError) -> QueryResult {
        let resource: ConfigResource
        switch reference {
        case .cluster:
            resource = .cluster
        case .broker(let id):
            guard try rows.broker(id) != nil else { return .notFound(.brokerNotFound(id)) }
            resource = .broker(id)
        case .topic(let reference):
            guard let topic = try topic(reference) else { return .notFound(.topicNotFound(reference)) }
            resource = .topic(topic.id)
        }
        var page = PageBuilder<ConfigEntry>(limit: limit)
        try rows.forEachConfig(of: resource, after: name) { (config) throws(StoreError) in
            page.add(config, bytes: config.pageBytes)
        }
        return .configs(page.page)
    }

    private func topic(_ reference: TopicReference) throws(StoreError) -> Topic? {
        switch reference {
        case .name(let name): try rows.topic(named: name)
        case .id(let id): try rows.topic(id)
        }
    }
}

/// Collects a page up to its bounds, and finds out whether there is more.
struct PageBuilder<Item: Hashable & Sendable> {
    private(set) var page = Page<Item>(items: [], hasMore: false)
    private let itemsMax: Int
    private var bytes = 0

    init(limit: Int) { itemsMax = Limits.pageItems(limit) }

    /// Takes one item, or notes that there is one more than fits. Returns false when no more are wanted.
    mutating func add(_ item: Item, bytes itemBytes: Int) -> Bool {
        guard page.items.count < itemsMax, bytes < StoreOptions.pageBytesMax else {
            page.hasMore = true
            return false
        }
        page.items.append(item)
        bytes += itemBytes
        return true
    }
}

// What items weigh in an answer, roughly and rather too much: only the bound of a page rests on it.
extension Broker {
    var pageBytes: Int {
        let tagBytes = tags.reduce(0) { $0 + 8 + $1.name.utf8.count + $1.value.utf8.count }
        return endpoints.reduce(80 + rack.utf8.count + tagBytes) { $0 + 16 + $1.name.utf8.count + $1.host.utf8.count }
    }
}

extension Topic {
    var pageBytes: Int { 48 + name.utf8.count }
}

extension Partition {
    var pageBytes: Int { 64 + 5 * (replicas.count + isr.count + eligibleLeaders.count + adding.count + removing.count) }
}

extension ConfigEntry {
    var pageBytes: Int { 48 + name.utf8.count + value.utf8.count }
}
