import MetadataModel
import Resilience

@testable import MetadataClient

/// The real state machine in memory with its change feed, and commands that keep it moving.
struct ModelledCluster: Sendable {
    private var machine = StateMachine(storage: ReferenceStorage())
    private var index: UInt64 = 0
    private(set) var feed: ChangeFeed
    private var random: SplitMix64
    private var topicsMade: UInt64 = 0

    init(seed: UInt64, feedMax: Int = 10_000) {
        random = SplitMix64(seed: seed)
        feed = ChangeFeed(eventsMax: feedMax)
        for id in Int32(0)..<6 { apply(.registerBroker(registration(of: id))) }
        for id in Int32(0)..<6 { apply(.unfenceBroker(id: BrokerID(id), epoch: epoch(id))) }
    }

    var version: Version { machine.version }
    var storage: ReferenceStorage { machine.storage }
    var partitions: [Partition] { storage.partitions(.all, after: nil, limit: .max) }
    var topics: [Topic] { storage.topics(after: nil, limit: .max) }

    @discardableResult
    mutating func apply(_ command: Command) -> CommandOutcome {
        index += 1
        let entry = LogCommand(
            timeMilliseconds: index, session: nil, sequence: 0, acknowledgedBelow: 0, command: command)
        let applied = machine.apply(index: index, entry)
        if let event = applied.event { feed.append(event) }
        return applied.outcome
    }

    /// What a watch delivers after a version, as the nodes answer it.
    func events(after version: Version, limit: Int = 1_000) -> [WatchEvent] {
        switch feed.page(after: version, filter: WatchFilter(), limit: limit, current: self.version) {
        case .events(let events, let through):
            events.map { .changes($0) } + (through > version ? [.progress(through)] : [])
        case .tooOld(let oldest): [.restart(oldest: oldest)]
        case .notYet: []
        }
    }

    func answer(_ query: Query) -> QueryResult { machine.answer(query, appliedIndex: index, feed: feed) }

    mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

    func epoch(_ id: Int32) -> BrokerEpoch { storage.broker(BrokerID(id))?.epoch ?? BrokerEpoch(1) }

    func registration(of id: Int32, incarnation: UInt64 = 1) -> Command.RegisterBroker {
        Command.RegisterBroker(
            id: BrokerID(id), incarnation: IncarnationID(high: 1, low: incarnation), endpoints: [], rack: "")
    }

    /// One random command after the other, until something has changed.
    mutating func step() {
        let before = version
        while version == before { apply(command()) }
    }

    private mutating func command() -> Command {
        let id = Int32(number(0..<6))
        let broker = BrokerID(id)
        let topics = topics
        let topic = topics.isEmpty ? nil : topics[number(0..<topics.count)]
        let partition = topic.flatMap { topic in
            storage.partition(
                PartitionKey(topic: topic.id, index: PartitionIndex(Int32(number(0..<Int(topic.partitionCount))))))
        }
        switch number(0..<16) {
        case 0: return .registerBroker(registration(of: id, incarnation: UInt64(number(1..<4))))
        case 1: return .fenceBroker(id: broker, epoch: epoch(id))
        case 2..<5: return .unfenceBroker(id: broker, epoch: epoch(id))
        case 5: return .unregisterBroker(id: broker, epoch: nil, force: true)
        case 6..<8:
            topicsMade += 1
            return .createTopic(
                .init(
                    name: "topic\(number(0..<8))", id: TopicID(high: UInt64(number(1..<Int.max)), low: topicsMade),
                    partitionCount: Int32(number(1..<150)), replicationFactor: Int16(number(1..<4))))
        case 8: return topic.map { .deleteTopic(topic: .id($0.id), ifVersion: nil) } ?? .expireSessions
        case 9:
            guard let topic else { return .expireSessions }
            return .createPartitions(.init(topic: .id(topic.id), totalCount: topic.partitionCount + 3))
        case 10..<13:
            guard let partition, let leader = partition.leader else { return .expireSessions }
            return .alterPartition(
                .init(
                    broker: leader, brokerEpoch: epoch(leader.rawValue), partition: partition.key,
                    leaderEpoch: partition.leaderEpoch, partitionEpoch: partition.partitionEpoch,
                    isr: partition.replicas.filter { $0 == leader || number(0..<2) == 0 }))
        default:
            guard let partition else { return .expireSessions }
            let replicas = (0..<number(1..<4)).map { BrokerID((id + Int32($0)) % 6) }
            return .reassignPartitions(.init([.init(partition: partition.key, replicas: replicas)]))
        }
    }
}
