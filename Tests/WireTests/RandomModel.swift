import MetadataModel
import RaftCore

/// Random values of the model, the same for the same seed. Numbers lean towards the edges of their ranges, lists towards
/// the empty one.
struct RandomValues {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func flag() -> Bool { generator.below(2) == 0 }

    mutating func number<Number: FixedWidthInteger>(_: Number.Type = Number.self) -> Number {
        switch generator.below(5) {
        case 0: .zero
        case 1: .max
        case 2: .min
        case 3: Number(generator.below(100))
        default: Number(truncatingIfNeeded: generator.next())
        }
    }

    mutating func maybe<Value>(_ value: (inout RandomValues) -> Value) -> Value? { flag() ? value(&self) : nil }

    mutating func list<Value>(upTo count: Int = 4, _ value: (inout RandomValues) -> Value) -> [Value] {
        (0..<generator.below(count + 1)).map { _ in value(&self) }
    }

    mutating func bytes(upTo count: Int = 64) -> [UInt8] {
        list(upTo: count) { UInt8(truncatingIfNeeded: $0.generator.next()) }
    }

    mutating func text() -> String {
        let alphabet: [String] = ["a", "Z", "0", ".", "_", "-", " ", "é", "漢", "🙂", "\u{0}", "\n"]
        return list(upTo: 12) { alphabet[$0.generator.below(alphabet.count)] }.joined()
    }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[generator.below(values.count)] }

    mutating func brokerID() -> BrokerID { BrokerID(number()) }
    mutating func brokerIDs() -> [BrokerID] { list { $0.brokerID() } }
    mutating func brokerEpoch() -> BrokerEpoch { BrokerEpoch(number()) }
    mutating func version() -> Version { Version(number()) }
    mutating func topicID() -> TopicID { TopicID(high: number(), low: number()) }
    mutating func incarnation() -> IncarnationID { IncarnationID(high: number(), low: number()) }
    mutating func partitionIndex() -> PartitionIndex { PartitionIndex(number()) }
    mutating func partitionKey() -> PartitionKey { PartitionKey(topic: topicID(), index: partitionIndex()) }
    mutating func endpoint() -> Endpoint { Endpoint(name: text(), host: text(), port: number()) }

    mutating func broker() -> Broker {
        Broker(
            id: brokerID(), epoch: brokerEpoch(), incarnation: incarnation(), endpoints: list { $0.endpoint() },
            rack: text(), capacity: number(), tags: list { $0.tag() }, state: pick(Broker.State.allCases),
            isDraining: flag(), version: version())
    }

    mutating func tag() -> BrokerTag { BrokerTag(name: text(), value: text()) }

    mutating func partitionResult() -> PartitionResult {
        flag()
            ? .done(leader: maybe { $0.brokerID() }, leaderEpoch: number(), partitionEpoch: number())
            : .refused(refusal())
    }

    mutating func topic() -> Topic {
        Topic(id: topicID(), name: text(), partitionCount: number(), replicationFactor: number(), version: version())
    }

    mutating func partition() -> Partition {
        Partition(
            key: partitionKey(), leader: maybe { $0.brokerID() }, leaderEpoch: number(), partitionEpoch: number(),
            replicas: brokerIDs(), isr: brokerIDs(), eligibleLeaders: brokerIDs(), adding: brokerIDs(),
            removing: brokerIDs(), version: version())
    }

    mutating func configResource() -> ConfigResource {
        pick([.cluster, .broker(brokerID()), .topic(topicID())])
    }

    mutating func configEntry() -> ConfigEntry {
        ConfigEntry(resource: configResource(), name: text(), value: text(), version: version())
    }

    mutating func configChange() -> ConfigChange { ConfigChange(name: text(), value: maybe { $0.text() }) }
    mutating func topicReference() -> TopicReference { pick([.name(text()), .id(topicID())]) }

    mutating func resourceReference() -> ResourceReference {
        pick([.cluster, .broker(brokerID()), .topic(topicReference())])
    }

    mutating func refusal() -> Refusal { Refusal(pick(Refusal.Reason.allCases), text()) }

    mutating func watchFilter() -> WatchFilter { WatchFilter(brokers: brokerIDs(), topicPrefixes: list { $0.text() }) }

    mutating func session() -> Session {
        Session(id: SessionID(number()), timeoutMilliseconds: number(), lastActiveMilliseconds: number())
    }

    mutating func sessionState() -> SessionState {
        SessionState(
            session: session(), acknowledgedBelow: number(),
            results: list { SessionResult(sequence: $0.number(), outcome: $0.pick($0.outcomes())) })
    }

    /// One random command of each kind.
    mutating func commands() -> [Command] {
        [
            .registerBroker(
                Command.RegisterBroker(
                    id: brokerID(), incarnation: incarnation(), endpoints: list { $0.endpoint() }, rack: text(),
                    capacity: number(), tags: list { $0.tag() }, previousEpoch: maybe { $0.brokerEpoch() })),
            .unregisterBroker(id: brokerID(), epoch: maybe { $0.brokerEpoch() }, force: flag()),
            .beginShutdown(id: brokerID(), epoch: brokerEpoch()),
            .drainBroker(id: brokerID(), epoch: maybe { $0.brokerEpoch() }),
            .cancelDrain(id: brokerID(), epoch: maybe { $0.brokerEpoch() }),
            .alterPartitions(
                Command.AlterPartitions(
                    broker: brokerID(), brokerEpoch: brokerEpoch(),
                    reports: list {
                        Command.ISRReport(
                            partition: $0.partitionKey(), leaderEpoch: $0.number(), partitionEpoch: $0.number(),
                            isr: $0.brokerIDs(), isrEpochs: $0.list { $0.brokerEpoch() })
                    })),
            .electLeaders(
                Command.ElectLeaders(
                    pick(Command.ElectLeaders.Election.allCases), partitions: list { $0.partitionKey() })),
            .reassignPartitions(
                Command.ReassignPartitions(
                    list {
                        Command.Reassignment(partition: $0.partitionKey(), replicas: $0.maybe { $0.brokerIDs() })
                    })),
            .fenceBroker(id: brokerID(), epoch: brokerEpoch()),
            .unfenceBroker(id: brokerID(), epoch: brokerEpoch()),
            .createTopic(
                Command.CreateTopic(
                    name: text(), id: topicID(), partitionCount: number(), replicationFactor: number(),
                    assignment: list { $0.brokerIDs() }, configs: list { $0.configChange() }, validateOnly: flag())),
            .deleteTopic(topic: topicReference(), ifVersion: maybe { $0.version() }),
            .createPartitions(
                Command.CreatePartitions(
                    topic: topicReference(), totalCount: number(), assignment: list { $0.brokerIDs() },
                    ifVersion: maybe { $0.version() }, validateOnly: flag())),
            .alterConfigs(
                Command.AlterConfigs(
                    resource: resourceReference(), changes: list { $0.configChange() },
                    ifVersion: maybe { $0.version() }, validateOnly: flag())),
            .changePartitionLeader(
                Command.ChangePartitionLeader(
                    topic: topicReference(), partition: partitionIndex(), leader: brokerID(),
                    ifPartitionEpoch: maybe { $0.number() })),
            .alterPartition(
                Command.AlterPartition(
                    broker: brokerID(), brokerEpoch: brokerEpoch(), partition: partitionKey(), leaderEpoch: number(),
                    partitionEpoch: number(), isr: brokerIDs(), isrEpochs: list { $0.brokerEpoch() })),
            .noteSilence(
                list { BrokerSilence(broker: $0.brokerID(), epoch: $0.brokerEpoch(), milliseconds: $0.number()) }),
            .openSession(timeoutMilliseconds: number()), .closeSession(SessionID(number())), .expireSessions,
            .setFeatureLevel(number()), .compareDigests, .takeStep,
            .startRebalance(
                Command.StartRebalance(
                    strategy: flag() ? .roundRobin : .balanced, origin: flag() ? .automatic : .request,
                    excluded: brokerIDs())),
            .moveReplicas(
                Command.MoveReplicas(
                    rebalance: maybe { $0.version() },
                    moves: list {
                        Command.ReplicaMove(
                            partition: $0.partitionKey(), replicas: $0.maybe { $0.brokerIDs() },
                            partitionEpoch: $0.number())
                    })),
            .endRebalance(
                Command.EndRebalance(
                    rebalance: maybe { $0.version() }, ending: flag() ? .finished : .abandoned, detail: text())),
        ]
    }

    /// One random outcome of each kind.
    mutating func outcomes() -> [CommandOutcome] {
        [
            .done(.changed(version())), .done(.registered(brokerEpoch(), version())), .done(.topic(topic())),
            .done(.partition(partition())), .done(.session(SessionID(number()))),
            .done(.partitions(list { $0.partitionResult() })), .refused(refusal()),
        ]
    }

    /// One random change of each kind.
    mutating func observedChanges() -> [ObservedChange] {
        [
            .brokerChanged(broker()), .brokerRemoved(brokerID()), .topicChanged(topic()),
            .topicRemoved(id: topicID(), name: text()), .partitionChanged(partition(), topicName: text()),
            .configChanged(configEntry()), .configRemoved(resource: configResource(), name: text()),
        ]
    }

    mutating func changeEvent() -> ChangeEvent {
        ChangeEvent(version: version(), changes: list { $0.pick($0.observedChanges()) })
    }

    /// One random query of each kind.
    mutating func queries() -> [Query] {
        [
            .summary, .broker(brokerID()), .brokers(after: maybe { $0.brokerID() }, limit: number()),
            .topic(topicReference()), .topics(after: maybe { $0.text() }, limit: number()),
            .partition(topicReference(), partitionIndex()),
            .partitions(topicReference(), after: maybe { $0.partitionIndex() }, limit: number()),
            .clusterPartitions(
                pick(PartitionFilter.allCases), after: maybe { $0.partitionKey() }, limit: number()),
            .configs(resourceReference(), after: maybe { $0.text() }, limit: number()),
            .changes(after: version(), filter: watchFilter(), limit: number()),
        ]
    }

    /// One random answer of each kind.
    mutating func queryResults() -> [QueryResult] {
        [
            .summary(
                MetadataSummary(
                    version: version(), appliedIndex: number(), digest: number(),
                    totals: MetadataTotals(
                        brokers: number(), topics: number(), partitions: number(), sessions: number()),
                    featureLevel: number())),
            .notFound(refusal()), .broker(broker()), .brokers(Page(items: list { $0.broker() }, hasMore: flag())),
            .topic(topic()), .topics(Page(items: list { $0.topic() }, hasMore: flag())), .partition(partition()),
            .partitions(Page(items: list { $0.partition() }, hasMore: flag())),
            .configs(Page(items: list { $0.configEntry() }, hasMore: flag())),
            .changes(.events(list { $0.changeEvent() }, through: version())), .changes(.tooOld(oldest: version())),
            .changes(.notYet(current: version())),
        ]
    }
}
