import MetadataModel

/// A command of the log in a few words.
struct CommandSummary: Equatable {
    /// Stable, snake_case.
    var name: String
    /// The names and numbers that matter; empty where there are none.
    var facts: String

    init(_ command: Command) {
        switch command {
        case .registerBroker(let register):
            let endpoints = register.endpoints.map(Names.endpoint).joined(separator: ",")
            self.init(
                "register_broker",
                "broker \(register.id) \(endpoints) rack=\(register.rack) capacity=\(register.capacity)"
                    + CommandSummary.guarded("previous_epoch", register.previousEpoch))
        case .unregisterBroker(let id, let epoch, let force):
            self.init(
                "unregister_broker",
                "broker \(id)" + CommandSummary.guarded("epoch", epoch) + CommandSummary.flag("force", force))
        case .fenceBroker(let id, let epoch):
            self.init("fence_broker", "broker \(id) epoch=\(epoch)")
        case .unfenceBroker(let id, let epoch):
            self.init("unfence_broker", "broker \(id) epoch=\(epoch)")
        case .beginShutdown(let id, let epoch):
            self.init("begin_shutdown", "broker \(id) epoch=\(epoch)")
        case .drainBroker(let id, let epoch):
            self.init("drain_broker", "broker \(id)" + CommandSummary.guarded("epoch", epoch))
        case .cancelDrain(let id, let epoch):
            self.init("cancel_drain", "broker \(id)" + CommandSummary.guarded("epoch", epoch))
        case .createTopic(let create):
            self.init(
                "create_topic",
                "\(create.name) partitions=\(create.partitionCount) replication=\(create.replicationFactor) id=\(Names.topicID(create.id))"
                    + CommandSummary.flag("assigned", !create.assignment.isEmpty)
                    + CommandSummary.changes(create.configs) + CommandSummary.flag("validate_only", create.validateOnly)
            )
        case .deleteTopic(let topic, let ifVersion):
            self.init("delete_topic", Names.topic(topic) + CommandSummary.guarded("if_version", ifVersion))
        case .createPartitions(let create):
            self.init(
                "create_partitions",
                "\(Names.topic(create.topic)) total=\(create.totalCount)"
                    + CommandSummary.flag("assigned", !create.assignment.isEmpty)
                    + CommandSummary.guarded("if_version", create.ifVersion)
                    + CommandSummary.flag("validate_only", create.validateOnly))
        case .alterConfigs(let alter):
            self.init(
                "alter_configs",
                Names.resource(alter.resource) + CommandSummary.changes(alter.changes)
                    + CommandSummary.guarded("if_version", alter.ifVersion)
                    + CommandSummary.flag("validate_only", alter.validateOnly))
        case .changePartitionLeader(let change):
            self.init(
                "change_partition_leader",
                "\(Names.topic(change.topic))/\(change.partition) leader=\(change.leader)"
                    + CommandSummary.guarded("if_partition_epoch", change.ifPartitionEpoch))
        case .alterPartition(let alter):
            self.init(
                "alter_partition",
                "\(Names.topicID(alter.partition.topic))/\(alter.partition.index) by broker \(alter.broker) isr=\(Names.list(alter.isr))"
                    + " leader_epoch=\(alter.leaderEpoch) partition_epoch=\(alter.partitionEpoch)")
        case .alterPartitions(let alter):
            self.init(
                "alter_partitions",
                "\(alter.reports.count) partitions by broker \(alter.broker)"
                    + CommandSummary.first(alter.reports) {
                        "\(CommandSummary.key($0.partition)) isr=\(Names.list($0.isr))"
                    })
        case .electLeaders(let elect):
            self.init(
                "elect_leaders",
                "\(elect.election.rawValue), \(elect.partitions.count) partitions"
                    + CommandSummary.first(elect.partitions, CommandSummary.key))
        case .reassignPartitions(let reassign):
            self.init(
                "reassign_partitions",
                "\(reassign.reassignments.count) partitions"
                    + CommandSummary.first(reassign.reassignments) {
                        "\(CommandSummary.key($0.partition)) \($0.replicas.map { "to \(Names.list($0))" } ?? "cancel")"
                    })
        case .startRebalance(let start):
            self.init(
                "start_rebalance",
                "\(start.strategy.rawValue), \(start.origin.rawValue)"
                    + (start.excluded.isEmpty ? "" : " excluded=\(Names.list(start.excluded))"))
        case .moveReplicas(let move):
            self.init(
                "move_replicas",
                "\(move.rebalance.map { "rebalance \($0)" } ?? "drain"), \(move.moves.count) partitions"
                    + CommandSummary.first(move.moves) {
                        "\(CommandSummary.key($0.partition)) \($0.replicas.map { "to \(Names.list($0))" } ?? "cancel")"
                    })
        case .endRebalance(let end):
            self.init(
                "end_rebalance",
                end.ending.rawValue + CommandSummary.guarded("rebalance", end.rebalance)
                    + (end.detail.isEmpty ? "" : ": \(end.detail)"))
        case .noteSilence(let notes):
            self.init(
                "note_silence",
                "\(notes.count) brokers" + CommandSummary.first(notes) { "\($0.broker) \($0.milliseconds)ms" })
        case .takeStep:
            self.init("take_step", "")
        case .openSession(let timeout):
            self.init("open_session", "timeout=\(timeout)ms")
        case .closeSession(let id):
            self.init("close_session", "session \(id)")
        case .expireSessions:
            self.init("expire_sessions", "")
        case .setFeatureLevel(let level):
            self.init("set_feature_level", "level \(level)")
        case .compareDigests:
            self.init("compare_digests", "")
        }
    }

    init(_ name: String, _ facts: String) {
        self.name = name
        self.facts = facts
    }

    /// Keys named one by one, up to this many.
    private static let keysShown = 4
    /// Characters of a value that are shown.
    private static let valueShown = 40

    private static func key(_ key: PartitionKey) -> String { "\(Names.topicID(key.topic))/\(key.index)" }

    /// The first of many, as an example.
    private static func first<Item>(_ items: [Item], _ text: (Item) -> String) -> String {
        items.first.map { ": " + text($0) + (items.count > 1 ? ", …" : "") } ?? ""
    }

    private static func changes(_ changes: [ConfigChange]) -> String {
        guard !changes.isEmpty else { return "" }
        let shown = changes.prefix(keysShown).map { change in
            guard let value = change.value else { return "-\(change.name)" }
            let start = value.prefix(valueShown)
            return "\(change.name)=\(start)\(start.endIndex < value.endIndex ? "…" : "")"
        }
        let more = changes.count > keysShown ? " and \(changes.count - keysShown) more" : ""
        return " " + shown.joined(separator: " ") + more
    }

    private static func guarded<Value: CustomStringConvertible>(_ name: String, _ value: Value?) -> String {
        value.map { " \(name)=\($0)" } ?? ""
    }

    private static func flag(_ name: String, _ isSet: Bool) -> String { isSet ? " \(name)" : "" }
}
