import MetadataModel
import MetadataSchema
import RaftCore

extension FuzzTarget {
    /// What the log's entries hold.
    static let schema = [
        FuzzTarget(name: "command", examples: { exampleCommands().map { $0.schemaBytes() } }) { bytes in
            try roundTrip(bytes, decode: { try Command(schemaBytes: $0) }, encode: { $0.schemaBytes() })
        },
        FuzzTarget(name: "envelope", examples: { exampleEnvelopes().map { $0.encoded() } }) { bytes in
            // Whatever the bytes are, every node has to make the same of them, and none may stop (poison entry).
            let command = LogCommand(decoding: bytes)
            guard command == LogCommand(decoding: bytes) else { throw Finding("an entry was read in two ways") }
            return try roundTrip(bytes, decode: { try LogEnvelope(decoding: $0) }, encode: { $0.encoded() })
        },
        FuzzTarget(name: "session", examples: { exampleSessions().map { $0.schemaBytes() } }) { bytes in
            try roundTrip(bytes, decode: { try SessionState(schemaBytes: $0) }, encode: { $0.schemaBytes() })
        },
    ]
}

func exampleCommands() -> [Command] {
    let topic = TopicID(high: 1, low: 2)
    let (broker, epoch) = (BrokerID(7), BrokerEpoch(40))
    return [
        .registerBroker(
            .init(
                id: broker, incarnation: IncarnationID(high: 3, low: 4),
                endpoints: [Endpoint(name: "PLAINTEXT", host: "broker-7", port: 9_092)], rack: "a")),
        .unregisterBroker(id: broker, epoch: epoch), .fenceBroker(id: broker, epoch: epoch),
        .unfenceBroker(id: broker, epoch: epoch),
        .createTopic(
            .init(
                name: "orders", id: topic, partitionCount: 2, replicationFactor: 2,
                assignment: [[broker, BrokerID(8)], [BrokerID(8), broker]],
                configs: [ConfigChange(name: "retention.ms", value: "1000")], validateOnly: true)),
        .deleteTopic(topic: .name("orders"), ifVersion: Version(5)),
        .createPartitions(.init(topic: .id(topic), totalCount: 9, assignment: [[broker]], ifVersion: Version(5))),
        .alterConfigs(
            .init(resource: .topic(.id(topic)), changes: [ConfigChange(name: "x", value: nil)], ifVersion: Version(1))),
        .alterConfigs(.init(resource: .broker(broker), changes: [ConfigChange(name: "y", value: "é")])),
        .changePartitionLeader(
            .init(topic: .id(topic), partition: PartitionIndex(1), leader: broker, ifPartitionEpoch: 3)),
        .alterPartition(
            .init(
                broker: broker, brokerEpoch: epoch, partition: PartitionKey(topic: topic, index: PartitionIndex(0)),
                leaderEpoch: 1, partitionEpoch: 2, isr: [broker, BrokerID(8)])),
        .openSession(timeoutMilliseconds: 60_000), .closeSession(SessionID(9)), .expireSessions, .setFeatureLevel(1),
        .startRebalance(.init(strategy: .range, origin: .automatic, excluded: [broker])),
        .moveReplicas(
            .init(
                rebalance: Version(5),
                moves: [
                    .init(
                        partition: PartitionKey(topic: topic, index: PartitionIndex(0)), replicas: [broker],
                        partitionEpoch: 3)
                ])),
        .endRebalance(.init(rebalance: Version(5), ending: .cancelled, detail: "by hand")),
        .noteSilence([.init(broker: broker, epoch: epoch, milliseconds: 15_000)]), .takeStep,
        .alterPartitions(
            .init(
                broker: broker, brokerEpoch: epoch,
                reports: [
                    .init(
                        partition: PartitionKey(topic: topic, index: PartitionIndex(0)), leaderEpoch: 1,
                        partitionEpoch: 2, isr: [broker], isrEpochs: [epoch])
                ])),
    ]
}

func exampleEnvelopes() -> [LogEnvelope] {
    exampleCommands().enumerated().map { number, command in
        LogEnvelope(
            timeMilliseconds: UInt64(number) * 1_000, session: number.isMultiple(of: 2) ? nil : SessionID(9),
            sequence: UInt64(number), acknowledgedBelow: UInt64(number / 2), commandBytes: command.schemaBytes())
    }
}

func exampleTopic() -> Topic {
    Topic(
        id: TopicID(high: 1, low: 2), name: "orders", partitionCount: 2, replicationFactor: 2, version: Version(8))
}

func examplePartition(_ index: Int32) -> Partition {
    Partition(
        key: PartitionKey(topic: TopicID(high: 1, low: 2), index: PartitionIndex(index)), leader: BrokerID(7),
        leaderEpoch: 3, partitionEpoch: 4, replicas: [BrokerID(7), BrokerID(8)], isr: [BrokerID(7)],
        adding: [BrokerID(9)], removing: [BrokerID(8)], version: Version(8))
}

func exampleBroker(_ id: Int32) -> Broker {
    Broker(
        id: BrokerID(id), epoch: BrokerEpoch(4), incarnation: IncarnationID(high: 1, low: 1),
        endpoints: [Endpoint(name: "PLAINTEXT", host: "broker", port: 1)], rack: "a", state: .active,
        version: Version(4))
}

func exampleOutcomes() -> [CommandOutcome] {
    [
        .done(.changed(Version(3))), .done(.registered(BrokerEpoch(4), Version(5))), .done(.topic(exampleTopic())),
        .done(.partition(examplePartition(0))), .done(.session(SessionID(9))),
        .refused(Refusal(.topicExists, "topic 'orders' exists")),
    ]
}

func exampleSessions() -> [SessionState] {
    let session = Session(id: SessionID(9), timeoutMilliseconds: 60_000, lastActiveMilliseconds: 5)
    let results = exampleOutcomes().enumerated().map { SessionResult(sequence: UInt64($0 + 2), outcome: $1) }
    return [
        SessionState(session: session, acknowledgedBelow: 2, results: results),
        SessionState(session: session, acknowledgedBelow: 0, results: []),
    ]
}

func exampleEvents() -> [ChangeEvent] {
    let all: [ObservedChange] = [
        .brokerChanged(exampleBroker(7)), .brokerRemoved(BrokerID(8)), .topicChanged(exampleTopic()),
        .topicRemoved(id: TopicID(high: 1, low: 2), name: "orders"),
        .partitionChanged(examplePartition(1), topicName: "orders"),
        .configChanged(
            ConfigEntry(resource: .topic(TopicID(high: 1, low: 2)), name: "x", value: "1", version: Version(9))),
        .configRemoved(resource: .broker(BrokerID(7)), name: "y"), .configRemoved(resource: .cluster, name: "z"),
    ]
    return all.enumerated().map { ChangeEvent(version: Version(UInt64($0 + 3)), changes: [$1]) }
        + [ChangeEvent(version: Version(20), changes: all)]
}
