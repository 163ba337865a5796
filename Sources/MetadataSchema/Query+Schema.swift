package import MetadataModel

extension Query: SchemaConvertible {
    package init(schema: ProtoQuery) throws(SchemaError) {
        switch schema.kind {
        case .summary: self = .summary
        case .broker(let id): self = .broker(BrokerID(id))
        case .brokers(let page):
            self = .brokers(
                after: page.hasAfter ? BrokerID(page.after) : nil, limit: try narrowed(page.limit, "page limit"))
        case .topic(let topic): self = .topic(try TopicReference(schema: topic))
        case .topics(let page):
            self = .topics(after: page.hasAfter ? page.after : nil, limit: try narrowed(page.limit, "page limit"))
        case .partition(let partition):
            guard partition.hasTopic else { throw .malformed("partition query without topic") }
            self = .partition(try TopicReference(schema: partition.topic), PartitionIndex(partition.index))
        case .partitions(let page):
            guard page.hasTopic else { throw .malformed("partitions query without topic") }
            self = .partitions(
                try TopicReference(schema: page.topic), after: page.hasAfter ? PartitionIndex(page.after) : nil,
                limit: try narrowed(page.limit, "page limit"))
        case .clusterPartitions(let page):
            self = .clusterPartitions(
                try PartitionFilter(schema: page.filter),
                after: page.hasAfter ? try PartitionKey(schema: page.after) : nil,
                limit: try narrowed(page.limit, "page limit"))
        case .configs(let page):
            guard page.hasResource else { throw .malformed("configs query without resource") }
            self = .configs(
                try ResourceReference(schema: page.resource), after: page.hasAfter ? page.after : nil,
                limit: try narrowed(page.limit, "page limit"))
        case .changes(let page):
            guard page.hasFilter else { throw .malformed("changes query without filter") }
            self = .changes(
                after: Version(page.after), filter: try WatchFilter(schema: page.filter),
                limit: try narrowed(page.limit, "page limit"))
        case nil: throw .unknownValue("query")
        }
    }

    package var schema: ProtoQuery {
        var schema = ProtoQuery()
        switch self {
        case .summary: schema.kind = .summary(ProtoNothing())
        case .broker(let id): schema.kind = .broker(id.rawValue)
        case .brokers(let after, let limit):
            var page = ProtoQuery.Brokers()
            if let after { page.after = after.rawValue }
            page.limit = Int64(limit)
            schema.kind = .brokers(page)
        case .topic(let topic): schema.kind = .topic(topic.schema)
        case .topics(let after, let limit):
            var page = ProtoQuery.Topics()
            if let after { page.after = after }
            page.limit = Int64(limit)
            schema.kind = .topics(page)
        case .partition(let topic, let index):
            var partition = ProtoQuery.Partition()
            partition.topic = topic.schema
            partition.index = index.rawValue
            schema.kind = .partition(partition)
        case .partitions(let topic, let after, let limit):
            var page = ProtoQuery.Partitions()
            page.topic = topic.schema
            if let after { page.after = after.rawValue }
            page.limit = Int64(limit)
            schema.kind = .partitions(page)
        case .clusterPartitions(let filter, let after, let limit):
            var page = ProtoQuery.ClusterPartitions()
            page.filter = filter.schema
            if let after { page.after = after.schema }
            page.limit = Int64(limit)
            schema.kind = .clusterPartitions(page)
        case .configs(let resource, let after, let limit):
            var page = ProtoQuery.Configs()
            page.resource = resource.schema
            if let after { page.after = after }
            page.limit = Int64(limit)
            schema.kind = .configs(page)
        case .changes(let after, let filter, let limit):
            var page = ProtoQuery.Changes()
            page.after = after.rawValue
            page.filter = filter.schema
            page.limit = Int64(limit)
            schema.kind = .changes(page)
        }
        return schema
    }
}

extension PartitionFilter {
    init(schema: ProtoQuery.PartitionFilter) throws(SchemaError) {
        switch schema {
        case .all: self = .all
        case .offline: self = .offline
        case .underReplicated: self = .underReplicated
        case .reassigning: self = .reassigning
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("partition filter \(schema.rawValue)")
        }
    }

    var schema: ProtoQuery.PartitionFilter {
        switch self {
        case .all: .all
        case .offline: .offline
        case .underReplicated: .underReplicated
        case .reassigning: .reassigning
        }
    }
}

extension QueryResult: SchemaConvertible {
    package init(schema: ProtoQueryResult) throws(SchemaError) {
        switch schema.kind {
        case .summary(let summary): self = .summary(try MetadataSummary(schema: summary))
        case .notFound(let refusal): self = .notFound(try Refusal(schema: refusal))
        case .broker(let broker): self = .broker(try Broker(schema: broker))
        case .brokers(let page): self = .brokers(Page(items: try converted(page.items), hasMore: page.hasMore_p))
        case .topic(let topic): self = .topic(try Topic(schema: topic))
        case .topics(let page): self = .topics(Page(items: try converted(page.items), hasMore: page.hasMore_p))
        case .partition(let partition): self = .partition(try Partition(schema: partition))
        case .partitions(let page): self = .partitions(Page(items: try converted(page.items), hasMore: page.hasMore_p))
        case .configs(let page): self = .configs(Page(items: try converted(page.items), hasMore: page.hasMore_p))
        case .events(let page):
            self = .changes(.events(try converted(page.events), through: Version(page.through)))
        case .tooOld(let oldest): self = .changes(.tooOld(oldest: Version(oldest)))
        case .notYet(let current): self = .changes(.notYet(current: Version(current)))
        case nil: throw .unknownValue("query result")
        }
    }

    package var schema: ProtoQueryResult {
        var schema = ProtoQueryResult()
        switch self {
        case .summary(let summary): schema.kind = .summary(summary.schema)
        case .notFound(let refusal): schema.kind = .notFound(refusal.schema)
        case .broker(let broker): schema.kind = .broker(broker.schema)
        case .brokers(let page):
            var list = ProtoQueryResult.Brokers()
            list.items = page.items.map(\.schema)
            list.hasMore_p = page.hasMore
            schema.kind = .brokers(list)
        case .topic(let topic): schema.kind = .topic(topic.schema)
        case .topics(let page):
            var list = ProtoQueryResult.Topics()
            list.items = page.items.map(\.schema)
            list.hasMore_p = page.hasMore
            schema.kind = .topics(list)
        case .partition(let partition): schema.kind = .partition(partition.schema)
        case .partitions(let page):
            var list = ProtoQueryResult.Partitions()
            list.items = page.items.map(\.schema)
            list.hasMore_p = page.hasMore
            schema.kind = .partitions(list)
        case .configs(let page):
            var list = ProtoQueryResult.Configs()
            list.items = page.items.map(\.schema)
            list.hasMore_p = page.hasMore
            schema.kind = .configs(list)
        case .changes(.events(let events, let through)):
            var list = ProtoQueryResult.Events()
            list.events = events.map(\.schema)
            list.through = through.rawValue
            schema.kind = .events(list)
        case .changes(.tooOld(let oldest)): schema.kind = .tooOld(oldest.rawValue)
        case .changes(.notYet(let current)): schema.kind = .notYet(current.rawValue)
        }
        return schema
    }
}

extension MetadataSummary: SchemaConvertible {
    package init(schema: ProtoMetadataSummary) throws(SchemaError) {
        self.init(
            version: Version(schema.version), appliedIndex: schema.appliedIndex, digest: schema.digest,
            totals: MetadataTotals(
                brokers: try narrowed(schema.brokers, "brokers"), topics: try narrowed(schema.topics, "topics"),
                partitions: try narrowed(schema.partitions, "partitions"),
                sessions: try narrowed(schema.sessions, "sessions")),
            featureLevel: schema.featureLevel)
    }

    package var schema: ProtoMetadataSummary {
        var schema = ProtoMetadataSummary()
        schema.version = version.rawValue
        schema.appliedIndex = appliedIndex
        schema.digest = digest
        schema.brokers = Int64(totals.brokers)
        schema.topics = Int64(totals.topics)
        schema.partitions = Int64(totals.partitions)
        schema.sessions = Int64(totals.sessions)
        schema.featureLevel = featureLevel
        return schema
    }
}
