import MetadataModel

/// One line of `watch`: one change. Keys that do not belong to the kind of change are left out.
struct ChangeReport: Report, Equatable {
    /// Changes of one version happened together.
    var version: UInt64
    /// `broker_changed`, `broker_removed`, `topic_changed`, `topic_removed`, `partition_changed`, `config_changed`,
    /// `config_removed` or `progress`.
    var change: String
    var broker: BrokerReport?
    var brokerID: Int32?
    var topic: TopicReport?
    var topicID: String?
    var topicName: String?
    var partition: PartitionReport?
    /// `cluster`, `broker 3` or `topic` and the topic's id.
    var resource: String?
    var config: ConfigReport?
    var configName: String?

    private init(version: Version, change: String) {
        self.version = version.rawValue
        self.change = change
    }

    init(_ observed: ObservedChange, version: Version) {
        switch observed {
        case .brokerChanged(let broker):
            self.init(version: version, change: "broker_changed")
            self.broker = BrokerReport(broker)
        case .brokerRemoved(let id):
            self.init(version: version, change: "broker_removed")
            brokerID = id.rawValue
        case .topicChanged(let topic):
            self.init(version: version, change: "topic_changed")
            self.topic = TopicReport(topic)
        case .topicRemoved(let id, let name):
            self.init(version: version, change: "topic_removed")
            topicID = Names.topicID(id)
            topicName = name
        case .partitionChanged(let partition, let name):
            self.init(version: version, change: "partition_changed")
            self.partition = PartitionReport(partition, topic: name)
        case .configChanged(let entry):
            self.init(version: version, change: "config_changed")
            resource = Names.resource(entry.resource)
            config = ConfigReport(entry)
        case .configRemoved(let resource, let name):
            self.init(version: version, change: "config_removed")
            self.resource = Names.resource(resource)
            configName = name
        }
    }

    /// Nothing that the filter lets pass happened up to this version.
    static func progress(_ version: Version) -> ChangeReport {
        ChangeReport(version: version, change: "progress")
    }

    var table: String {
        ([String(version), change] + facts).joined(separator: "  ").printable
    }

    private var facts: [String] {
        if let broker {
            return ["broker \(broker.id)", "state=\(broker.state)", "epoch=\(broker.epoch)"]
        }
        if let brokerID { return ["broker \(brokerID)"] }
        if let topic {
            return [
                "topic \(topic.name)", "partitions=\(topic.partitionCount)", "replication=\(topic.replicationFactor)",
                "id=\(topic.id)",
            ]
        }
        if let topicID { return ["topic \(topicName ?? "")", "id=\(topicID)"] }
        if let partition {
            func list(_ brokers: [Int32]) -> String { brokers.map(String.init).joined(separator: ",") }
            return [
                "\(partition.topic)/\(partition.partition)", "leader=\(partition.leader.map(String.init) ?? "none")",
                "leader_epoch=\(partition.leaderEpoch)", "replicas=\(list(partition.replicas))",
                "isr=\(list(partition.isr))",
            ]
        }
        if let config { return [resource ?? "", "\(config.name)=\(config.value)"] }
        if let configName { return [resource ?? "", configName] }
        return []
    }
}
