import MetadataModel

/// A topic as JSON.
struct TopicReport: Encodable, Equatable {
    /// 32 hexadecimal digits.
    var id: String
    var name: String
    /// How many partitions the topic has.
    var partitionCount: Int32
    var replicationFactor: Int16
    /// What `--if-version` is compared with.
    var version: UInt64

    init(_ topic: Topic) {
        id = Names.topicID(topic.id)
        name = topic.name
        partitionCount = topic.partitionCount
        replicationFactor = topic.replicationFactor
        version = topic.version.rawValue
    }
}

/// `topics list`.
struct TopicListReport: Report {
    var topics: [TopicReport]

    init(_ topics: [Topic]) {
        self.topics = topics.map(TopicReport.init)
    }

    var table: String {
        var table = Table(["TOPIC", "PARTITIONS", "REPLICATION", "ID", "VERSION"])
        for topic in topics {
            table.add([
                topic.name, "\(topic.partitionCount)", "\(topic.replicationFactor)", topic.id, "\(topic.version)",
            ])
        }
        return table.text
    }
}

/// `topics describe`: the topic, its partitions and its configuration.
struct TopicDetailReport: Report {
    var topic: TopicReport
    var partitions: [PartitionReport]
    var configs: [ConfigReport]

    init(_ topic: Topic, partitions: [Partition], configs: [ConfigEntry]) {
        self.topic = TopicReport(topic)
        self.partitions = partitions.map { PartitionReport($0, topic: topic.name) }
        self.configs = configs.map(ConfigReport.init)
    }

    var table: String {
        let facts = [
            "TOPIC \(topic.name.printable)", "PARTITIONS \(topic.partitionCount)",
            "REPLICATION \(topic.replicationFactor)", "ID \(topic.id)", "VERSION \(topic.version)",
        ]
        return facts.joined(separator: "   ") + "\n" + PartitionReport.table(partitions) + ConfigReport.section(configs)
    }
}

/// The answer to `topics create`.
struct TopicCreatedReport: Report {
    var topic: TopicReport
    /// True: the command was checked and nothing was changed.
    var validateOnly: Bool

    var table: String {
        let what =
            "topic \(topic.name.printable) with \(topic.partitionCount) partitions x \(topic.replicationFactor) replicas"
        return validateOnly ? "valid: \(what)" : "created \(what), id \(topic.id), version \(topic.version)"
    }
}
