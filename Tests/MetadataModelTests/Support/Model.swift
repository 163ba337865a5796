import MetadataModel

/// A state machine in memory with a log position and a clock.
struct Model: Sendable {
    var machine = StateMachine(storage: ReferenceStorage())
    var index: UInt64 = 0
    var timeMilliseconds: UInt64 = 1_000
    var feed = ChangeFeed(eventsMax: 10_000)
    private(set) var log: [LogCommand] = []

    var storage: ReferenceStorage { machine.storage }

    /// Applies a command as the next entry of the log.
    @discardableResult
    mutating func apply(_ command: Command?) -> CommandOutcome {
        applyEntry(command).outcome
    }

    @discardableResult
    mutating func applyEntry(
        _ command: Command?, session: SessionID? = nil, sequence: UInt64 = 0, acknowledgedBelow: UInt64 = 0
    ) -> Applied {
        index += 1
        let entry = LogCommand(
            timeMilliseconds: timeMilliseconds, session: session, sequence: sequence,
            acknowledgedBelow: acknowledgedBelow, command: command)
        log.append(entry)
        let applied = machine.apply(index: index, entry)
        if let event = applied.event { feed.append(event) }
        return applied
    }

    func answer(_ query: Query) -> QueryResult {
        machine.answer(query, appliedIndex: index, feed: feed)
    }

    /// Why the command would be refused; nil when it would be done.
    func refusal(_ command: Command) -> Refusal.Reason? {
        var copy = self
        return copy.apply(command).refusal?.reason
    }

    // Short cuts for what tests set up.

    @discardableResult
    mutating func register(_ id: Int32, rack: String = "", incarnation: UInt64 = 1) -> CommandOutcome {
        apply(.registerBroker(.sample(id, rack: rack, incarnation: incarnation)))
    }

    mutating func addBrokers(_ ids: ClosedRange<Int32>, racks: Int = 0) {
        for id in ids {
            register(id, rack: racks == 0 ? "" : "rack-\(Int(id) % racks)")
            unfence(id)
        }
    }

    func epoch(_ id: Int32) -> BrokerEpoch { storage.broker(BrokerID(id))?.epoch ?? BrokerEpoch(0) }

    @discardableResult
    mutating func fence(_ id: Int32) -> CommandOutcome { apply(.fenceBroker(id: BrokerID(id), epoch: epoch(id))) }

    @discardableResult
    mutating func unfence(_ id: Int32) -> CommandOutcome { apply(.unfenceBroker(id: BrokerID(id), epoch: epoch(id))) }

    @discardableResult
    mutating func createTopic(
        _ name: String, id: UInt64, partitions: Int32 = 1, replicationFactor: Int16 = 1, assignment: [[Int32]] = []
    ) -> CommandOutcome {
        apply(
            .createTopic(
                .sample(
                    name, id: id, partitions: partitions, replicationFactor: replicationFactor, assignment: assignment))
        )
    }

    func partition(_ topic: UInt64, _ index: Int32) -> Partition? {
        storage.partition(PartitionKey(topic: TopicID(topic), index: PartitionIndex(index)))
    }
}

extension TopicID {
    init(_ number: UInt64) { self.init(high: 7, low: number) }
}

extension CommandOutcome {
    var refusal: Refusal? {
        switch self {
        case .done: nil
        case .refused(let refusal): refusal
        }
    }
}

extension [BrokerID] {
    init(_ ids: Int32...) { self = ids.map { BrokerID($0) } }
}

extension Command.RegisterBroker {
    static func sample(_ id: Int32, rack: String = "", incarnation: UInt64 = 1) -> Command.RegisterBroker {
        Command.RegisterBroker(
            id: BrokerID(id), incarnation: IncarnationID(high: UInt64(bitPattern: Int64(id)), low: incarnation),
            endpoints: [Endpoint(name: "PLAINTEXT", host: "broker-\(id)", port: 9092)], rack: rack)
    }
}

extension Command.CreateTopic {
    static func sample(
        _ name: String, id: UInt64, partitions: Int32 = 1, replicationFactor: Int16 = 1, assignment: [[Int32]] = [],
        configs: [ConfigChange] = [], validateOnly: Bool = false
    ) -> Command.CreateTopic {
        Command.CreateTopic(
            name: name, id: TopicID(id), partitionCount: assignment.isEmpty ? partitions : 0,
            replicationFactor: assignment.isEmpty ? replicationFactor : 0,
            assignment: assignment.map { $0.map { BrokerID($0) } }, configs: configs, validateOnly: validateOnly)
    }
}

extension Command {
    static func configure(
        _ resource: ResourceReference, _ name: String, _ value: String?, ifVersion: Version? = nil,
        validateOnly: Bool = false
    ) -> Command {
        .alterConfigs(
            AlterConfigs(
                resource: resource, changes: [ConfigChange(name: name, value: value)], ifVersion: ifVersion,
                validateOnly: validateOnly))
    }

    static func move(_ topic: UInt64, _ partition: Int32, to leader: Int32, ifPartitionEpoch: Int32? = nil) -> Command {
        .changePartitionLeader(
            ChangePartitionLeader(
                topic: .id(TopicID(topic)), partition: PartitionIndex(partition), leader: BrokerID(leader),
                ifPartitionEpoch: ifPartitionEpoch))
    }
}

extension Model {
    /// A report of the partition's current leader with the current epochs, which the caller may spoil.
    func report(
        _ topic: UInt64, _ index: Int32, isr: [Int32], spoil: (inout Command.AlterPartition) -> Void = { _ in }
    ) -> Command {
        let partition = partition(topic, index)
        let leader = partition?.leader ?? BrokerID(0)
        var report = Command.AlterPartition(
            broker: leader, brokerEpoch: epoch(leader.rawValue),
            partition: PartitionKey(topic: TopicID(topic), index: PartitionIndex(index)),
            leaderEpoch: partition?.leaderEpoch ?? 0, partitionEpoch: partition?.partitionEpoch ?? 0,
            isr: isr.map { BrokerID($0) })
        spoil(&report)
        return .alterPartition(report)
    }
}
