internal import MetadataModel
internal import RaftCore

/// What brokers report of the partitions that they lead, and what operators ask for. Requests speak of what a client has learnt,
/// which may be over by the time that they arrive, and some of an epoch that has passed for certain.
extension SimulatedCluster {
    static let brokerCount = 4
    private static let partitionsPerRequestMax = 6

    /// A topic of one to three replicas.
    func creation(named name: String, id: TopicID) -> Command.CreateTopic {
        var configs: [ConfigChange] = []
        if clientGenerator.below(3) == 0 { configs.append(ConfigChange(name: "min.insync.replicas", value: "2")) }
        if clientGenerator.below(8) == 0 {
            configs.append(ConfigChange(name: "unclean.leader.election.enable", value: "true"))
        }
        return Command.CreateTopic(
            name: name, id: id, partitionCount: 2, replicationFactor: Int16(1 + clientGenerator.below(3)),
            configs: configs)
    }

    /// Nil while the client knows of no partitions.
    func administration(by client: Int) -> Command? {
        let known = clients[client].known
        guard !known.partitions.isEmpty else { return nil }
        if plan.coordinator != nil, clientGenerator.below(20) == 0 { return rebalance() }
        let partition = known.partitions[clientGenerator.below(known.partitions.count)]
        switch clientGenerator.below(16) {
        case 0, 1, 2:
            guard let leader = partition.leader else {
                return .electLeaders(.init(.unclean, partitions: [partition.key]))
            }
            let report = report(partition, by: leader, known)
            return .alterPartition(
                .init(
                    broker: leader, brokerEpoch: epoch(of: leader, known), partition: report.partition,
                    leaderEpoch: report.leaderEpoch, partitionEpoch: report.partitionEpoch, isr: report.isr))
        case 3, 4, 5, 6:
            guard let leader = partition.leader else {
                return .electLeaders(.init(.unclean, partitions: [partition.key]))
            }
            let led = several(known.partitions.filter { $0.leader == leader })
            return .alterPartitions(
                .init(
                    broker: leader, brokerEpoch: epoch(of: leader, known),
                    reports: led.map { report($0, by: leader, known) }))
        case 7, 8:
            let replica = partition.replicas[clientGenerator.below(partition.replicas.count)]
            return .changePartitionLeader(
                .init(
                    topic: .id(partition.key.topic), partition: partition.key.index, leader: replica,
                    ifPartitionEpoch: clientGenerator.below(2) == 0 ? nil : aged(partition.partitionEpoch)))
        case 9, 10:
            return .electLeaders(.init(.preferred, partitions: several(known.partitions).map(\.key)))
        case 11:
            return .electLeaders(.init(.unclean, partitions: several(known.partitions).map(\.key)))
        case 12:
            return .reassignPartitions(
                .init(several(known.partitions).map { .init(partition: $0.key, replicas: someBrokers()) }))
        case 13:
            return .reassignPartitions(.init([.init(partition: partition.key, replicas: nil)]))
        default:
            return administration(of: BrokerID(Int32(clientGenerator.below(brokers.count))), known)
        }
    }

    /// Somebody wants the cluster to be even, or does not any more.
    private func rebalance() -> Command {
        guard clientGenerator.below(3) > 0 else { return .endRebalance(.init(rebalance: nil, ending: .cancelled)) }
        let strategies = BalanceStrategy.allCases
        let excluded = clientGenerator.below(4) == 0 ? [BrokerID(Int32(clientGenerator.below(brokers.count)))] : []
        return .startRebalance(
            .init(
                strategy: strategies[clientGenerator.below(strategies.count)], origin: .request, excluded: excluded))
    }

    /// A fence moves all partitions of a broker, so those with the present epoch are few.
    private func administration(of broker: BrokerID, _ known: KnownMetadata) -> Command {
        let isStale = isStale()
        let epoch = known.epoch(of: broker, isStale: isStale)
        if isStale || clientGenerator.below(8) == 0 { return .fenceBroker(id: broker, epoch: epoch) }
        switch clientGenerator.below(4) {
        case 0: return .drainBroker(id: broker, epoch: epoch)
        case 1: return .unfenceBroker(id: broker, epoch: epoch)
        default: return .cancelDrain(id: broker, epoch: epoch)
        }
    }

    /// The leader itself and others, mostly such as may be in an ISR.
    private func report(_ partition: Partition, by leader: BrokerID, _ known: KnownMetadata) -> Command.ISRReport {
        let takesAnybody = clientGenerator.below(16) == 0
        let isr = partition.replicas.filter { replica in
            replica == leader || (takesAnybody || known.isActive(replica)) && clientGenerator.below(4) > 0
        }
        return Command.ISRReport(
            partition: partition.key, leaderEpoch: aged(partition.leaderEpoch),
            partitionEpoch: aged(partition.partitionEpoch), isr: isr)
    }

    private func several(_ partitions: [Partition]) -> [Partition] {
        let count = min(partitions.count, 1 + clientGenerator.below(SimulatedCluster.partitionsPerRequestMax))
        let first = clientGenerator.below(partitions.count - count + 1)
        return Array(partitions[first..<first + count])
    }

    /// One to three of them, in any order.
    private func someBrokers() -> [BrokerID] {
        var rest = brokers.map(\.id)
        return (0...clientGenerator.below(3)).map { _ in rest.remove(at: clientGenerator.below(rest.count)) }
    }

    private func epoch(of broker: BrokerID, _ known: KnownMetadata) -> BrokerEpoch {
        known.epoch(of: broker, isStale: isStale())
    }

    private func aged(_ epoch: Int32) -> Int32 { isStale() ? max(0, epoch - 1) : epoch }

    private func isStale() -> Bool {
        guard plan.strikes(.staleEpochs) else { return false }
        report.happened(.staleEpochs)
        return true
    }
}
