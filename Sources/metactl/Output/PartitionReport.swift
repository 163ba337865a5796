import MetadataModel

/// A partition as JSON.
struct PartitionReport: Encodable, Equatable {
    var topic: String
    var partition: Int32
    /// Null while no broker may lead it.
    @OrNull var leader: Int32?
    var leaderEpoch: Int32
    var partitionEpoch: Int32
    /// In order of preference.
    var replicas: [Int32]
    var isr: [Int32]
    /// Outside of the ISR, and may lead without loss (KIP-966 ELR).
    var eligibleLeaders: [Int32]
    var adding: [Int32]
    var removing: [Int32]
    var version: UInt64

    init(_ partition: Partition, topic: String) {
        self.topic = topic
        self.partition = partition.key.index.rawValue
        leader = partition.leader?.rawValue
        leaderEpoch = partition.leaderEpoch
        partitionEpoch = partition.partitionEpoch
        replicas = partition.replicas.map(\.rawValue)
        isr = partition.isr.map(\.rawValue)
        eligibleLeaders = partition.eligibleLeaders.map(\.rawValue)
        adding = partition.adding.map(\.rawValue)
        removing = partition.removing.map(\.rawValue)
        version = partition.version.rawValue
    }

    static func table(_ partitions: [PartitionReport]) -> String {
        func list(_ brokers: [Int32]) -> String { brokers.map(String.init).joined(separator: ",") }
        var table = Table([
            "TOPIC", "PARTITION", "LEADER", "LEADER-EPOCH", "PARTITION-EPOCH", "REPLICAS", "ISR", "ELR", "ADDING",
            "REMOVING",
        ])
        for partition in partitions {
            table.add([
                partition.topic, "\(partition.partition)", partition.leader.map(String.init) ?? "none",
                "\(partition.leaderEpoch)", "\(partition.partitionEpoch)", list(partition.replicas),
                list(partition.isr), list(partition.eligibleLeaders), list(partition.adding), list(partition.removing),
            ])
        }
        return table.text
    }
}

/// `partitions describe`.
struct PartitionListReport: Report {
    var partitions: [PartitionReport]

    init(_ partitions: [Partition], topic: String) {
        self.partitions = partitions.map { PartitionReport($0, topic: topic) }
    }

    var table: String { PartitionReport.table(partitions) }
}

/// `partitions list`: partitions of many topics.
struct ClusterPartitionsReport: Report {
    var partitions: [PartitionReport]
    /// There are more than were asked for.
    var hasMore: Bool

    init(_ partitions: [Partition], topics: [TopicID: String], hasMore: Bool) {
        self.partitions = partitions.map { partition in
            // A topic that was deleted meanwhile has no name any more.
            PartitionReport(partition, topic: topics[partition.key.topic] ?? Names.topicID(partition.key.topic))
        }
        self.hasMore = hasMore
    }

    var table: String {
        PartitionReport.table(partitions) + (hasMore ? "\n… and more: see --limit" : "")
    }
}

/// `partitions elect-leader` and `reassign`: what became of each partition.
struct PartitionResultsReport: Report {
    struct Item: Encodable, Equatable {
        var topic: String
        var partition: Int32
        /// Null while nobody leads it, and when the partition was refused.
        @OrNull var leader: Int32?
        @OrNull var leaderEpoch: Int32?
        @OrNull var partitionEpoch: Int32?
        /// Null when it was done; else the reason, as in docs/errors.md.
        @OrNull var refused: String?
        @OrNull var detail: String?
    }

    var results: [Item]

    init(_ results: [(key: PartitionKey, topic: String, result: PartitionResult)]) {
        self.results = results.map { key, topic, result in
            switch result {
            case .done(let leader, let leaderEpoch, let partitionEpoch):
                Item(
                    topic: topic, partition: key.index.rawValue, leader: leader?.rawValue, leaderEpoch: leaderEpoch,
                    partitionEpoch: partitionEpoch, refused: nil, detail: nil)
            case .refused(let refusal):
                Item(
                    topic: topic, partition: key.index.rawValue, leader: nil, leaderEpoch: nil, partitionEpoch: nil,
                    refused: refusal.reason.rawValue, detail: refusal.detail)
            }
        }
    }

    var refusedCount: Int { results.count { $0.refused != nil } }

    var table: String {
        var table = Table(["TOPIC", "PARTITION", "LEADER", "LEADER-EPOCH", "PARTITION-EPOCH", "RESULT"])
        for item in results {
            let isDone = item.refused == nil
            table.add([
                item.topic, "\(item.partition)", item.leader.map(String.init) ?? (isDone ? "none" : ""),
                item.leaderEpoch.map(String.init) ?? "", item.partitionEpoch.map(String.init) ?? "",
                item.refused.map { "\($0): \(item.detail ?? "")" } ?? "done",
            ])
        }
        return table.text
    }
}
