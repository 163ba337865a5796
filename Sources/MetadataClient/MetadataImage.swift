import HashTreeCollections
import MetadataModel

/// The brokers, topics and partitions of the cluster as they were at one version: a value that never changes. Lookups cost
/// no I/O. Copies, and the images of neighbouring versions, share all that is the same in both.
public struct MetadataImage: Sendable {
    /// The version that this shows, whole.
    public internal(set) var version = Version.zero

    var brokerRows = TreeDictionary<BrokerID, Broker>()
    var topicRows = TreeDictionary<TopicID, TopicRows>()
    /// Invariant: names every topic of `topicRows` once, and nothing else.
    var topicIDs = TreeDictionary<String, TopicID>()
    /// How many partitions `topicRows` hold.
    public internal(set) var partitionCount = 0

    /// A topic with its partitions, from number 0 on without gaps.
    struct TopicRows: Sendable {
        var topic: Topic
        /// The partitions, `chunkSize` in each but the last: a change copies its chunk, not a topic of thousands.
        private(set) var chunks: [[Partition]] = []
        private(set) var count = 0

        private static let chunkSize = 64

        init(topic: Topic) { self.topic = topic }

        /// Whether all partitions are here that the topic has.
        var isWhole: Bool { count == Int(topic.partitionCount) }

        subscript(index: PartitionIndex) -> Partition? {
            guard index.rawValue >= 0, index.rawValue < count else { return nil }
            let (chunk, place) = Int(index.rawValue).quotientAndRemainder(dividingBy: TopicRows.chunkSize)
            return chunks[chunk][place]
        }

        /// Without a copy of the partition, which would count references to each of its lists.
        func leader(at index: PartitionIndex) -> PartitionLeader? {
            guard index.rawValue >= 0, index.rawValue < count else { return nil }
            let (chunk, place) = Int(index.rawValue).quotientAndRemainder(dividingBy: TopicRows.chunkSize)
            guard let leader = chunks[chunk][place].leader else { return nil }
            return PartitionLeader(broker: leader, epoch: chunks[chunk][place].leaderEpoch)
        }

        /// Replaces a partition or appends the next one; false when there would be a gap.
        mutating func set(_ partition: Partition) -> Bool {
            let index = Int(partition.key.index.rawValue)
            guard index >= 0, index <= count else { return false }
            let (chunk, place) = index.quotientAndRemainder(dividingBy: TopicRows.chunkSize)
            if index < count {
                chunks[chunk][place] = partition
                return true
            }
            if place == 0 { chunks.append([]) }
            chunks[chunk].append(partition)
            count += 1
            return true
        }
    }

    init() {}

    /// Of rows that fit each other, as they were at this version.
    package init(
        version: Version, brokers: some Sequence<Broker>, topics: some Sequence<Topic>,
        partitions: some Sequence<Partition>
    ) {
        self.version = version
        for broker in brokers { set(broker) }
        for topic in topics { set(topic) }
        for partition in partitions { set(partition) }
    }
}

// Lookups.
extension MetadataImage {
    /// Brokers that are registered.
    public var brokerCount: Int { brokerRows.count }

    /// Topics.
    public var topicCount: Int { topicRows.count }

    /// A broker; nil when it is not registered.
    public func broker(_ id: BrokerID) -> Broker? { brokerRows[id] }

    /// All brokers, by id.
    public var brokers: [Broker] { brokerRows.values.sorted { $0.id < $1.id } }

    /// A topic by its id; nil when there is none.
    public func topic(_ id: TopicID) -> Topic? { topicRows[id]?.topic }

    /// A topic by its name; nil when there is none.
    public func topic(named name: String) -> Topic? { topicIDs[name].flatMap { topicRows[$0]?.topic } }

    /// All topics, by name.
    public var topics: [Topic] { topicRows.values.map(\.topic).sorted { $0.name < $1.name } }

    /// A partition; nil when there is none.
    public func partition(_ key: PartitionKey) -> Partition? { topicRows[key.topic]?[key.index] }

    /// The partitions of a topic, by number; empty when there is no such topic.
    public func partitions(of topic: TopicID) -> [Partition] { topicRows[topic]?.chunks.flatMap { $0 } ?? [] }

    /// Who leads a partition, and under which leader epoch; nil when there is no such partition or nobody leads it.
    public func leader(of key: PartitionKey) -> PartitionLeader? {
        topicRows[key.topic]?.leader(at: key.index)
    }

    /// Visits every partition, those of one topic together and by number, topics in any order.
    public func forEachPartition(_ body: (Partition) throws -> Void) rethrows {
        for rows in topicRows.values {
            for chunk in rows.chunks { for partition in chunk { try body(partition) } }
        }
    }
}

/// Who leads a partition.
public struct PartitionLeader: Hashable, Sendable {
    /// The broker.
    public var broker: BrokerID
    /// The leader epoch: what a replica or client compares to recognize an outdated leader.
    public var epoch: Int32

    /// Takes the fields as they are.
    public init(broker: BrokerID, epoch: Int32) {
        self.broker = broker
        self.epoch = epoch
    }
}
