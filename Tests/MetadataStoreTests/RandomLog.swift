import MetadataModel
import MetadataSchema
import RaftCore

@testable import MetadataStore

/// The state machine that the store is compared with, in memory.
struct Reference {
    private(set) var machine = StateMachine(storage: ReferenceStorage())
    private(set) var feed = MetadataModel.ChangeFeed(eventsMax: 1_000_000)
    private(set) var applied = LogPosition.zero

    mutating func apply(_ entry: Entry) -> Applied? {
        applied = entry.position
        guard entry.kind == .command else { return nil }
        let done = machine.apply(index: entry.index.rawValue, LogCommand(decoding: entry.payload))
        if let event = done.event { feed.append(event) }
        return done
    }

    func answer(_ query: Query) -> QueryResult {
        machine.answer(query, appliedIndex: applied.index.rawValue, feed: feed)
    }
}

/// Makes a log of commands of every kind that mostly succeed: it looks at the reference to find what exists. From a seed,
/// so that a failure can be repeated.
struct RandomLog {
    private(set) var reference = Reference()
    private var random: SeededGenerator
    private var time: UInt64 = 1_000
    private var sessions: [(id: SessionID, sequence: UInt64)] = []
    private var last: Entry?
    /// The outcomes that the reference gave, by index.
    private(set) var outcomes: [UInt64: CommandOutcome] = [:]
    private(set) var marks: [DigestMark] = []

    /// Every few entries is one of a rebalance.
    private let hasRebalances: Bool

    init(seed: UInt64, hasRebalances: Bool = false) {
        random = SeededGenerator(seed: seed)
        self.hasRebalances = hasRebalances
    }

    mutating func entries(_ count: Int) -> [Entry] { (0..<count).map { _ in next() } }

    mutating func next() -> Entry {
        let index = reference.applied.index.rawValue + 1
        let entry = make(index)
        let done = reference.apply(entry)
        outcomes[index] = done?.outcome
        if case .done(.session(let id)) = done?.outcome, done?.wasReplay == false { sessions.append((id, 0)) }
        last = entry
        return entry
    }

    /// An entry that asks for the digest, and what the reference has there.
    mutating func asking() -> Entry {
        let index = reference.applied.index.rawValue + 1
        let entry = commandEntry(index, .compareDigests, time: time)
        outcomes[index] = reference.apply(entry)?.outcome
        marks.append(DigestMark(index: index, digest: reference.machine.digest))
        return entry
    }

    private mutating func make(_ index: UInt64) -> Entry {
        time += UInt64(random.below(40))
        let roll = random.below(100)
        if roll < 2 { return Entry(term: Term(1), index: LogIndex(index), kind: .noop, payload: []) }
        if roll < 3 { return configurationEntry(index, configuration(1, 2, 3 + UInt64(random.below(3)))) }
        if roll < 4 {
            // An entry that nobody understands.
            return Entry(term: Term(1), index: LogIndex(index), kind: .command, payload: [9, 9, 9])
        }
        if roll < 9, let last, last.kind == .command {
            // A client that got no answer sends its write again.
            return Entry(term: Term(1), index: LogIndex(index), kind: .command, payload: last.payload)
        }
        let command: Command
        if let rebalance = rebalanceCommand(index) { command = rebalance } else { command = self.command(index) }
        guard roll < 70, !sessions.isEmpty else { return commandEntry(index, command, time: time) }
        let position = random.below(sessions.count)
        sessions[position].sequence += 1
        let sequence = sessions[position].sequence
        return commandEntry(
            index, command, time: time, session: sessions[position].id, sequence: sequence,
            acknowledgedBelow: sequence > 6 ? sequence - UInt64(random.below(6)) : 0)
    }

    private mutating func rebalanceCommand(_ index: UInt64) -> Command? {
        guard hasRebalances else { return nil }
        let latest = reference.machine.storage.config(.cluster, name: Rebalance.configName).flatMap { Rebalance($0) }
        switch index % 12 {
        case 1: return .setFeatureLevel(Limits.featureLevelMax)
        case 11:
            let broker = someBroker()
            return .noteSilence([
                .init(broker: broker.id, epoch: broker.epoch, milliseconds: UInt64(random.below(3)) * 5_000)
            ])
        case 2: return .takeStep
        case 3: return .startRebalance(.init(strategy: .balanced, origin: .request))
        case 5, 7:
            let partition = somePartition(someTopic())
            let move = Command.ReplicaMove(
                partition: partition.key, replicas: random.below(4) == 0 ? nil : [someBroker().id],
                partitionEpoch: partition.partitionEpoch)
            return .moveReplicas(.init(rebalance: latest?.id, moves: [move]))
        case 9:
            return .endRebalance(.init(rebalance: nil, ending: .finished, detail: "ended=1 detail=\(index)"))
        default: return nil
        }
    }

    private mutating func command(_ index: UInt64) -> Command {
        let broker = someBroker()
        let topic = someTopic()
        switch random.below(34) {
        case 0, 1: return registration(Int32(random.below(8)), rack: "r\(random.below(3))")
        case 2, 3, 4, 5: return .unfenceBroker(id: broker.id, epoch: broker.epoch)
        case 6: return .fenceBroker(id: broker.id, epoch: broker.epoch)
        case 7: return random.below(4) == 0 ? .unregisterBroker(id: broker.id, epoch: nil) : .expireSessions
        case 8, 9, 10:
            let number = random.below(24)
            return topicCreation(
                number % 2 == 0 ? "t.\(number)" : "t-\(number)", id: index, partitions: Int32(random.below(5) + 1),
                replication: Int16(random.below(3) + 1))
        case 11:
            return .deleteTopic(topic: .name(topic.name), ifVersion: random.below(3) == 0 ? topic.version : nil)
        case 12:
            return .createPartitions(
                Command.CreatePartitions(topic: .id(topic.id), totalCount: topic.partitionCount + 1))
        case 13, 14, 15:
            return configChange(topic.name, "k\(random.below(6))", random.below(4) == 0 ? nil : "v\(index)")
        case 16:
            return .alterConfigs(
                Command.AlterConfigs(
                    resource: .cluster, changes: [ConfigChange(name: "retention.ms", value: "\(index)")]))
        case 17, 18:
            let partition = somePartition(topic)
            return .changePartitionLeader(
                Command.ChangePartitionLeader(
                    topic: .id(topic.id), partition: partition.key.index,
                    leader: partition.isr[random.below(partition.isr.count)]))
        case 19, 20, 21: return alterPartition(topic)
        case 24, 25: return alterPartitions(broker)
        case 26: return .beginShutdown(id: broker.id, epoch: broker.epoch)
        case 27:
            return random.below(2) == 0
                ? .drainBroker(id: broker.id, epoch: nil) : .cancelDrain(id: broker.id, epoch: broker.epoch)
        case 28:
            let election: Command.ElectLeaders.Election = random.below(3) == 0 ? .unclean : .preferred
            return .electLeaders(
                Command.ElectLeaders(election, partitions: [somePartition(topic).key, somePartition(topic).key]))
        case 29, 30, 31:
            let replicas = (0..<(random.below(3) + 1)).map { _ in someBroker().id }
            return .reassignPartitions(
                Command.ReassignPartitions([
                    Command.Reassignment(
                        partition: somePartition(topic).key, replicas: random.below(4) == 0 ? nil : replicas)
                ]))
        case 32:
            return .alterConfigs(
                Command.AlterConfigs(
                    resource: random.below(2) == 0 ? .cluster : .topic(.id(topic.id)),
                    changes: [
                        random.below(3) == 0
                            ? ConfigChange(name: "unclean.leader.election.enable", value: "true")
                            : ConfigChange(name: "min.insync.replicas", value: "\(random.below(3) + 1)")
                    ]))
        case 33:
            return random.below(5) == 0
                ? .unregisterBroker(id: broker.id, epoch: nil, force: true) : .expireSessions
        case 22:
            return random.below(6) == 0 ? .setFeatureLevel(1) : .openSession(timeoutMilliseconds: 5_000)
        default:
            guard let session = sessions.last, random.below(4) == 0 else {
                return .openSession(timeoutMilliseconds: 2_000)
            }
            return .closeSession(session.id)
        }
    }

    private mutating func alterPartition(_ topic: Topic) -> Command {
        let partition = somePartition(topic)
        let leader = partition.leader ?? partition.replicas[0]
        var isr = partition.replicas.filter { $0 == leader || random.below(3) > 0 }
        if isr.isEmpty { isr = [leader] }
        return .alterPartition(
            Command.AlterPartition(
                broker: leader, brokerEpoch: reference.machine.storage.broker(leader)?.epoch ?? BrokerEpoch(0),
                partition: partition.key, leaderEpoch: partition.leaderEpoch,
                partitionEpoch: partition.partitionEpoch, isr: isr))
    }

    /// What a broker leads, as it may see it.
    private mutating func alterPartitions(_ broker: Broker) -> Command {
        let led = reference.machine.storage.partitions(withReplica: broker.id, after: nil, limit: 20)
        let reports = led.map { partition in
            Command.ISRReport(
                partition: partition.key, leaderEpoch: partition.leaderEpoch, partitionEpoch: partition.partitionEpoch,
                isr: partition.replicas.filter { $0 == broker.id || random.below(4) > 0 })
        }
        return .alterPartitions(
            Command.AlterPartitions(broker: broker.id, brokerEpoch: broker.epoch, reports: reports))
    }

    // What exists, or something that does not.

    private mutating func someBroker() -> Broker {
        let all = reference.machine.storage.brokers()
        guard !all.isEmpty else {
            return Broker(
                id: BrokerID(1), epoch: BrokerEpoch(1), incarnation: IncarnationID(high: 1, low: 1), endpoints: [],
                rack: "", state: .fenced, version: .zero)
        }
        return all[random.below(all.count)]
    }

    private mutating func someTopic() -> Topic {
        let all = reference.machine.storage.topics(after: nil, limit: .max)
        guard !all.isEmpty else {
            return Topic(
                id: TopicID(high: 5, low: 5), name: "none", partitionCount: 1, replicationFactor: 1, version: .zero)
        }
        return all[random.below(all.count)]
    }

    private mutating func somePartition(_ topic: Topic) -> Partition {
        let all = reference.machine.storage.partitions(of: topic.id)
        guard !all.isEmpty else {
            let key = PartitionKey(topic: topic.id, index: PartitionIndex(0))
            return Partition(
                key: key, leader: nil, leaderEpoch: 0, partitionEpoch: 0, replicas: [BrokerID(1)],
                isr: [BrokerID(1)], version: .zero)
        }
        return all[random.below(all.count)]
    }

    // MARK: Questions

    /// Questions about everything there is, and about things that are not.
    mutating func queries() -> [Query] {
        var queries: [Query] = [
            .summary, .broker(BrokerID(77)), .topic(.name("missing")), .topics(after: nil, limit: 3),
        ]
        queries.append(.brokers(after: nil, limit: 0))
        queries.append(.brokers(after: BrokerID(2), limit: 2))
        for filter in PartitionFilter.allCases {
            queries.append(.clusterPartitions(filter, after: nil, limit: 1_000))
            let key = reference.machine.storage.partitions(filter, after: nil, limit: 2).last?.key
            queries.append(.clusterPartitions(filter, after: key, limit: 3))
        }
        queries.append(.configs(.cluster, after: nil, limit: 10))
        queries.append(.configs(.broker(BrokerID(77)), after: nil, limit: 10))
        for broker in reference.machine.storage.brokers() { queries.append(.broker(broker.id)) }
        for topic in reference.machine.storage.topics(after: nil, limit: .max) {
            queries.append(.topic(.id(topic.id)))
            queries.append(.topics(after: topic.name, limit: random.below(5)))
            queries.append(.partitions(.name(topic.name), after: nil, limit: 2))
            queries.append(.partitions(.id(topic.id), after: PartitionIndex(0), limit: 1_000))
            queries.append(.partition(.id(topic.id), PartitionIndex(Int32(random.below(6)))))
            queries.append(.configs(.topic(.name(topic.name)), after: nil, limit: 2))
            queries.append(.configs(.topic(.id(topic.id)), after: "user.k2", limit: 9))
        }
        let version = reference.machine.version.rawValue
        for filter in [
            WatchFilter(), WatchFilter(brokers: [BrokerID(1)]), WatchFilter(topicPrefixes: ["t."]),
            WatchFilter(brokers: [BrokerID(3)], topicPrefixes: ["t-1"]),
        ] {
            let after = Version(UInt64(random.below(Int(version) + 1)))
            queries.append(.changes(after: after, filter: filter, limit: random.below(50) + 1))
            queries.append(.changes(after: .zero, filter: filter, limit: 1_000))
        }
        queries.append(.changes(after: Version(version + 1), filter: WatchFilter(), limit: 5))
        return queries
    }
}
