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
        adding = partition.adding.map(\.rawValue)
        removing = partition.removing.map(\.rawValue)
        version = partition.version.rawValue
    }

    static func table(_ partitions: [PartitionReport]) -> String {
        func list(_ brokers: [Int32]) -> String { brokers.map(String.init).joined(separator: ",") }
        var table = Table([
            "TOPIC", "PARTITION", "LEADER", "LEADER-EPOCH", "PARTITION-EPOCH", "REPLICAS", "ISR", "ADDING", "REMOVING",
        ])
        for partition in partitions {
            table.add([
                partition.topic, "\(partition.partition)", partition.leader.map(String.init) ?? "none",
                "\(partition.leaderEpoch)", "\(partition.partitionEpoch)", list(partition.replicas),
                list(partition.isr),
                list(partition.adding), list(partition.removing),
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
