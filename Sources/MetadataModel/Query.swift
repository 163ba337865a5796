/// A question about the metadata. Lists come in pages, ordered by key; `after` is the last key of the page before.
public enum Query: Hashable, Sendable {
    /// Version, totals and digest.
    case summary
    case broker(BrokerID)
    case brokers(after: BrokerID?, limit: Int)
    case topic(TopicReference)
    /// Ordered by name.
    case topics(after: String?, limit: Int)
    case partition(TopicReference, PartitionIndex)
    case partitions(TopicReference, after: PartitionIndex?, limit: Int)
    /// Partitions of all topics, ordered by topic id and number.
    case clusterPartitions(PartitionFilter, after: PartitionKey?, limit: Int)
    case configs(ResourceReference, after: String?, limit: Int)
    /// The change feed after a version.
    case changes(after: Version, filter: WatchFilter, limit: Int)
}

/// Which partitions of the cluster are meant.
public enum PartitionFilter: String, Hashable, Sendable, CaseIterable {
    case all
    /// Without a leader.
    case offline
    /// With fewer members in the ISR than replicas, those included that are being added.
    case underReplicated = "under_replicated"
    /// With a reassignment under way.
    case reassigning

    package func passes(_ partition: Partition) -> Bool {
        switch self {
        case .all: true
        case .offline: partition.leader == nil
        case .underReplicated: partition.isr.count < partition.replicas.count
        case .reassigning: partition.isReassigning
        }
    }
}

/// The answer to a `Query`, case by case.
public enum QueryResult: Hashable, Sendable {
    case summary(MetadataSummary)
    /// What was asked for does not exist.
    case notFound(Refusal)
    case broker(Broker)
    case brokers(Page<Broker>)
    case topic(Topic)
    case topics(Page<Topic>)
    case partition(Partition)
    case partitions(Page<Partition>)
    case configs(Page<ConfigEntry>)
    case changes(ChangePage)
}

/// Where a state is, in a few numbers.
public struct MetadataSummary: Hashable, Sendable {
    /// The version of the metadata.
    public var version: Version
    /// The log index that the answering node has applied.
    public var appliedIndex: UInt64
    /// 64 bits that depend on every row: equal on two nodes at equal `appliedIndex`, or one of them is damaged.
    public var digest: UInt64
    /// How many objects there are.
    public var totals: MetadataTotals
    /// The level of features in force.
    public var featureLevel: UInt32

    /// Takes the fields as they are.
    public init(version: Version, appliedIndex: UInt64, digest: UInt64, totals: MetadataTotals, featureLevel: UInt32) {
        self.version = version
        self.appliedIndex = appliedIndex
        self.digest = digest
        self.totals = totals
        self.featureLevel = featureLevel
    }
}

/// A part of a list.
public struct Page<Item: Hashable & Sendable>: Hashable, Sendable {
    /// In key order.
    public var items: [Item]
    /// The list goes on after the last item.
    public var hasMore: Bool

    /// Takes the fields as they are.
    public init(items: [Item], hasMore: Bool) {
        self.items = items
        self.hasMore = hasMore
    }
}

/// A part of the change feed, or why there is none.
public enum ChangePage: Hashable, Sendable {
    /// Events after the version that was asked for. `through` is where to go on, also when the filter let nothing pass.
    case events([ChangeEvent], through: Version)
    /// The feed no longer reaches back that far: take a new image (list everything), then watch from its version.
    case tooOld(oldest: Version)
    /// The version lies in the future of this node.
    case notYet(current: Version)
}

/// How fresh an answer has to be.
public enum ReadConsistency: Hashable, Sendable {
    /// Everything that was acknowledged before the read began (ReadIndex, Diss. §6.4).
    case linearizable
    /// The node has applied at least this version: read your own writes, on any node.
    case atLeast(Version)
    /// Whatever the node has; refused when it has not heard from a leader for longer than this.
    case stale(maxLagMilliseconds: UInt64)
}
