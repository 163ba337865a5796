import MetadataModel

/// Each of these asks one `Query`, or as many as a list has pages. `consistency` says how fresh the answer has to be,
/// `timeout` how long to wait for each page, retries included; nil takes `Options.timeout`.
///
/// The pages of a list are read one after the other: rows that change in between may be seen before or after. Watch from
/// the version of a `summary()` taken before the list to be complete.
extension MetadataClient {
    /// Version, totals and digest.
    public func summary(
        consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> MetadataSummary {
        let result = try await query(.summary, consistency: consistency, timeout: timeout)
        guard case .summary(let summary) = result else { throw unexpected(result, "summary") }
        return summary
    }

    /// A broker; nil when it is not registered.
    public func broker(
        _ id: BrokerID, consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> Broker? {
        let result = try await query(.broker(id), consistency: consistency, timeout: timeout)
        if case .notFound = result { return nil }
        guard case .broker(let broker) = result else { throw unexpected(result, "broker") }
        return broker
    }

    /// All brokers, by id.
    public func brokers(
        consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> [Broker] {
        var all: [Broker] = []
        while true {
            let result = try await query(
                .brokers(after: all.last?.id, limit: Limits.pageItemsMax), consistency: consistency, timeout: timeout)
            guard case .brokers(let page) = result else { throw unexpected(result, "brokers") }
            all += page.items
            guard page.hasMore, !page.items.isEmpty else { return all }
        }
    }

    /// A topic; nil when there is none of that name or id.
    public func topic(
        _ reference: TopicReference, consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> Topic? {
        let result = try await query(.topic(reference), consistency: consistency, timeout: timeout)
        if case .notFound = result { return nil }
        guard case .topic(let topic) = result else { throw unexpected(result, "topic") }
        return topic
    }

    /// A topic by name; nil when there is none.
    public func topic(
        named name: String, consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> Topic? {
        try await topic(.name(name), consistency: consistency, timeout: timeout)
    }

    /// All topics, by name.
    public func topics(
        consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> [Topic] {
        var all: [Topic] = []
        while true {
            let result = try await query(
                .topics(after: all.last?.name, limit: Limits.pageItemsMax), consistency: consistency, timeout: timeout)
            guard case .topics(let page) = result else { throw unexpected(result, "topics") }
            all += page.items
            guard page.hasMore, !page.items.isEmpty else { return all }
        }
    }

    /// One partition; nil when the topic or the partition does not exist.
    public func partition(
        of topic: TopicReference, _ index: PartitionIndex, consistency: ReadConsistency = .linearizable,
        timeout: Duration? = nil
    ) async throws(MetadataError) -> Partition? {
        let result = try await query(.partition(topic, index), consistency: consistency, timeout: timeout)
        if case .notFound = result { return nil }
        guard case .partition(let partition) = result else { throw unexpected(result, "partition") }
        return partition
    }

    /// All partitions of a topic, by index. Throws `refused` (`topic_not_found`) when the topic does not exist.
    public func partitions(
        of topic: TopicReference, consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> [Partition] {
        var all: [Partition] = []
        while true {
            let result = try await query(
                .partitions(topic, after: all.last?.key.index, limit: Limits.pageItemsMax), consistency: consistency,
                timeout: timeout)
            guard case .partitions(let page) = result else { throw unexpected(result, "partitions") }
            all += page.items
            guard page.hasMore, !page.items.isEmpty else { return all }
        }
    }

    /// A page of the partitions of all topics, by topic id and number; all of them can be very many.
    ///
    /// - Parameter key: The last key of the page before; nil for the first.
    public func partitions(
        _ filter: PartitionFilter, after key: PartitionKey? = nil, limit: Int = Limits.pageItemsMax,
        consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> Page<Partition> {
        let result = try await query(
            .clusterPartitions(filter, after: key, limit: limit), consistency: consistency, timeout: timeout)
        guard case .partitions(let page) = result else { throw unexpected(result, "clusterPartitions") }
        return page
    }

    /// All configuration keys of a resource, by name. Throws `refused` when the resource does not exist.
    public func configs(
        of resource: ResourceReference, consistency: ReadConsistency = .linearizable, timeout: Duration? = nil
    ) async throws(MetadataError) -> [ConfigEntry] {
        var all: [ConfigEntry] = []
        while true {
            let result = try await query(
                .configs(resource, after: all.last?.name, limit: Limits.pageItemsMax), consistency: consistency,
                timeout: timeout)
            guard case .configs(let page) = result else { throw unexpected(result, "configs") }
            all += page.items
            guard page.hasMore, !page.items.isEmpty else { return all }
        }
    }

    /// What to throw for a result that is not of the query's kind.
    private func unexpected(_ result: QueryResult, _ operation: String) -> MetadataError {
        if case .notFound(let refusal) = result {
            return MetadataError(.refused(refusal), operation: operation)
        }
        return MetadataError(
            CallFailure(.protocolViolation, .definite, "the cluster answered with a result of another query"),
            operation: operation)
    }
}
