import MetadataModel

/// Commands that often make sense and sometimes do not, for a small cluster.
struct RandomCommands {
    var generator: SeededGenerator
    private var nextTopicID: UInt64 = 1

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func next(_ model: Model) -> Command {
        switch number(0..<147) {
        case 0..<10: register(model)
        case 10..<22: .fenceBroker(id: BrokerID(broker()), epoch: epoch(model))
        case 22..<40: .unfenceBroker(id: BrokerID(broker()), epoch: epoch(model))
        case 40..<43: .unregisterBroker(id: BrokerID(broker()), epoch: nil, force: number(0..<2) == 0)
        case 43..<53: createTopic()
        case 53..<56: .deleteTopic(topic: topic(model), ifVersion: nil)
        case 56..<60: createPartitions(model)
        case 60..<68: alterConfigs(model)
        case 68..<76: changeLeader(model)
        case 76..<90: alterPartition(model)
        case 90..<94: .openSession(timeoutMilliseconds: UInt64(number(500..<5_000)))
        case 94..<96: .closeSession(SessionID(UInt64(number(0..<Int(model.index) + 2))))
        case 96..<99: .expireSessions
        case 99: .setFeatureLevel(UInt32(number(0..<5)))
        case 100..<104: .beginShutdown(id: BrokerID(broker()), epoch: epoch(model))
        case 104: .drainBroker(id: BrokerID(broker()), epoch: nil)
        case 105..<107: .cancelDrain(id: BrokerID(broker()), epoch: nil)
        case 107..<115: alterPartitions(model)
        case 115..<119: electLeaders(model)
        case 119..<125: rebalance(model)
        case 142..<145: noteSilence(model)
        case 145..<147: .takeStep
        default: reassign(model)
        }
    }

    mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &generator) }

    private mutating func noteSilence(_ model: Model) -> Command {
        .noteSilence(
            (0..<number(1..<4)).map { _ in
                BrokerSilence(
                    broker: BrokerID(broker()), epoch: epoch(model), milliseconds: UInt64(number(0..<3)) * 5_000)
            })
    }

    /// Nearly always right, and not always said.
    private mutating func epochs(_ isr: [BrokerID], _ model: Model) -> [BrokerEpoch] {
        guard number(0..<3) == 0 else { return [] }
        return isr.map { number(0..<20) == 0 ? BrokerEpoch(2) : model.epoch($0.rawValue) }
    }

    private mutating func rebalance(_ model: Model) -> Command {
        let latest = model.storage.config(.cluster, name: Rebalance.configName).flatMap { Rebalance($0) }
        switch number(0..<4) {
        case 0:
            let excluded = number(0..<2) == 0 ? [] : [BrokerID(broker())]
            return .startRebalance(.init(strategy: .sticky, origin: .automatic, excluded: excluded))
        case 1:
            return .endRebalance(
                .init(rebalance: number(0..<2) == 0 ? nil : latest?.id, ending: .cancelled, detail: "a b=c "))
        default:
            guard let partition = partition(model) else { return .expireSessions }
            let replicas = number(0..<5) == 0 ? nil : (0..<number(1..<4)).map { _ in BrokerID(broker()) }
            let move = Command.ReplicaMove(
                partition: partition.key, replicas: replicas,
                partitionEpoch: partition.partitionEpoch - (number(0..<8) == 0 ? 1 : 0))
            return .moveReplicas(.init(rebalance: number(0..<3) == 0 ? nil : latest?.id, moves: [move]))
        }
    }

    private var lastBroker: Int32 = 0

    private mutating func broker() -> Int32 {
        lastBroker = Int32(number(0..<7))
        return lastBroker
    }

    /// Nearly always that of the broker chosen last.
    private mutating func epoch(_ model: Model) -> BrokerEpoch {
        number(0..<10) == 0 ? BrokerEpoch(3) : model.epoch(lastBroker)
    }

    private mutating func topic(_ model: Model) -> TopicReference {
        let topics = model.storage.topics(after: nil, limit: 100)
        guard number(0..<20) > 0, !topics.isEmpty else { return .name("missing") }
        let topic = topics[number(0..<topics.count)]
        return number(0..<2) == 0 ? .name(topic.name) : .id(topic.id)
    }

    private mutating func partition(_ model: Model) -> Partition? {
        switch topic(model) {
        case .name(let name): return model.storage.topic(named: name).flatMap { partition(model, $0) }
        case .id(let id): return model.storage.topic(id).flatMap { partition(model, $0) }
        }
    }

    private mutating func partition(_ model: Model, _ topic: Topic) -> Partition? {
        let index = PartitionIndex(Int32(number(0..<Int(topic.partitionCount))))
        return model.storage.partition(PartitionKey(topic: topic.id, index: index))
    }

    private mutating func register(_ model: Model) -> Command {
        var command = Command.RegisterBroker.sample(
            broker(), rack: "r\(number(0..<3))", incarnation: UInt64(number(1..<3)))
        if number(0..<3) == 0 { command.previousEpoch = epoch(model) }
        if number(0..<3) == 0 { command.capacity = UInt32(number(1..<5) * 50) }
        if number(0..<3) == 0 {
            command.tags = ["z", "a"].map { BrokerTag(name: $0, value: "\(number(0..<3))") }
        }
        return .registerBroker(command)
    }

    private mutating func createTopic() -> Command {
        nextTopicID += 1
        let name = "topic\(["-", "_", "."][number(0..<3)])\(number(0..<12))"
        if number(0..<3) == 0 {
            let assignment = (0..<number(1..<4)).map { _ in [broker(), broker()] }
            return .createTopic(.sample(name, id: nextTopicID, assignment: assignment))
        }
        return .createTopic(
            .sample(
                name, id: nextTopicID, partitions: Int32(number(1..<6)), replicationFactor: Int16(number(1..<4)),
                configs: [ConfigChange(name: "user.owner", value: "team-\(number(0..<3))")]))
    }

    private mutating func createPartitions(_ model: Model) -> Command {
        .createPartitions(Command.CreatePartitions(topic: topic(model), totalCount: Int32(number(1..<10))))
    }

    private mutating func alterConfigs(_ model: Model) -> Command {
        let resource: ResourceReference =
            switch number(0..<3) {
            case 0: .cluster
            case 1: .broker(BrokerID(broker()))
            default: .topic(topic(model))
            }
        let value = number(0..<3) == 0 ? nil : "\(number(1..<4))"
        switch resource {
        case .cluster, .topic:
            switch number(0..<6) {
            case 0, 1: return .configure(resource, "min.insync.replicas", value)
            case 2:
                return .configure(
                    resource, "unclean.leader.election.enable", value.map { $0 == "1" ? "true" : "false" })
            default: break
            }
        case .broker: break
        }
        return .configure(resource, "user.\(number(0..<5))", value)
    }

    private mutating func changeLeader(_ model: Model) -> Command {
        guard let partition = partition(model) else { return .expireSessions }
        return .changePartitionLeader(
            Command.ChangePartitionLeader(
                topic: .id(partition.key.topic), partition: partition.key.index,
                leader: partition.replicas[number(0..<partition.replicas.count)]))
    }

    /// Reports of one leader, most of them right.
    private mutating func alterPartitions(_ model: Model) -> Command {
        guard let leader = partition(model)?.leader else { return .expireSessions }
        var reports: [Command.ISRReport] = []
        for partition in model.storage.partitions(.all, after: nil, limit: .max)
        where partition.leader == leader && number(0..<3) > 0 {
            let isr = partition.replicas.filter {
                $0 == leader || number(0..<4) > 0 && model.storage.broker($0)?.isActive == true
            }
            reports.append(
                Command.ISRReport(
                    partition: partition.key, leaderEpoch: partition.leaderEpoch,
                    partitionEpoch: partition.partitionEpoch - Int32(number(0..<20) == 0 ? 1 : 0), isr: isr,
                    isrEpochs: epochs(isr, model)))
        }
        return .alterPartitions(
            Command.AlterPartitions(broker: leader, brokerEpoch: model.epoch(leader.rawValue), reports: reports))
    }

    private mutating func electLeaders(_ model: Model) -> Command {
        let keys = (0..<number(1..<6)).compactMap { _ in partition(model)?.key }
        return .electLeaders(Command.ElectLeaders(number(0..<3) == 0 ? .unclean : .preferred, partitions: keys))
    }

    private mutating func reassign(_ model: Model) -> Command {
        let reassignments = (0..<number(1..<4)).compactMap { _ -> Command.Reassignment? in
            let isRunning = model.storage.partitions(.reassigning, after: nil, limit: .max)
            if number(0..<4) == 0, !isRunning.isEmpty {
                return Command.Reassignment(partition: isRunning[number(0..<isRunning.count)].key, replicas: nil)
            }
            guard let key = partition(model)?.key else { return nil }
            return Command.Reassignment(
                partition: key, replicas: (0..<number(1..<4)).map { _ in BrokerID(broker()) })
        }
        return .reassignPartitions(Command.ReassignPartitions(reassignments))
    }

    private mutating func alterPartition(_ model: Model) -> Command {
        guard let partition = partition(model), let leader = partition.leader else { return .expireSessions }
        var isr = partition.replicas.filter { _ in number(0..<2) == 0 }
        if !isr.contains(leader), number(0..<10) > 0 { isr.append(leader) }
        return .alterPartition(
            Command.AlterPartition(
                broker: leader, brokerEpoch: model.epoch(leader.rawValue), partition: partition.key,
                leaderEpoch: partition.leaderEpoch + Int32(number(0..<20) == 0 ? 1 : 0),
                partitionEpoch: partition.partitionEpoch, isr: isr, isrEpochs: epochs(isr, model)))
    }
}
