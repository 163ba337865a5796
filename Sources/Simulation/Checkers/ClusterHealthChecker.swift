package import MetadataModel

/// What has become of brokers and partitions when one leader had time enough: judged by the outcome, whatever entries it took.
package struct ClusterHealthChecker {
    /// Who lives, who leads and what is moved, at the end of a run.
    package struct Moment {
        package var now: UInt64
        /// One member has led since.
        package var leadingSince: UInt64
        /// Leaders of partitions report who is in sync, and a coordinator moves replicas.
        package var isCoordinated: Bool
        /// No voter is missing, and the members are not being changed.
        package var isQuorumWhole: Bool
        package var rebalance: Rebalance?

        package init(
            now: UInt64, leadingSince: UInt64, isCoordinated: Bool, isQuorumWhole: Bool, rebalance: Rebalance?
        ) {
            self.now = now
            self.leadingSince = leadingSince
            self.isCoordinated = isCoordinated
            self.isQuorumWhole = isQuorumWhole
            self.rebalance = rebalance
        }
    }

    private struct Times {
        var changed: UInt64 = 0
        var heard: UInt64 = 0
        /// Heard without a pause since then.
        var heardSince: UInt64 = 0
    }

    private let fencingMicrosecondsMax: UInt64
    private var brokers: [BrokerID: Times] = [:]
    private var partitions: [PartitionKey: UInt64] = [:]
    /// Of brokers, partitions or a rebalance.
    private var lastChange: UInt64 = 0

    /// An election of a leader for a partition, or a broker's return.
    private static let turnMicrosecondsMax: UInt64 = 1_000_000
    /// A replica gets in sync, and its leader says so.
    private static let syncMicrosecondsMax: UInt64 = 1_500_000
    /// Two looks of a coordinator that has paused, and a little.
    package static let coordinatorMicrosecondsMax: UInt64 = 4_700_000
    /// Heartbeats without a pause are no further apart.
    private static let beatMicrosecondsMax: UInt64 = 600_000

    /// - Parameter fencingMicrosecondsMax: a broker's timeout and the grace of a new leader, on the slowest clock.
    package init(fencingMicrosecondsMax: UInt64) { self.fencingMicrosecondsMax = fencingMicrosecondsMax }

    // MARK: Inputs

    package mutating func happens(_ changes: [ObservedChange], at now: UInt64) {
        for change in changes {
            switch change {
            case .brokerChanged(let broker): brokers[broker.id, default: Times()].changed = now
            case .brokerRemoved(let id): brokers[id] = nil
            case .partitionChanged(let partition, _): partitions[partition.key] = now
            case .configChanged(let entry): if Rebalance(entry) == nil { continue }
            case .topicChanged, .topicRemoved, .configRemoved: continue
            }
            lastChange = now
        }
    }

    /// The leader has taken a heartbeat of the present process of a broker for a sign of life.
    package mutating func hears(_ broker: BrokerID, at now: UInt64) {
        var times = brokers[broker, default: Times()]
        if now > times.heard + ClusterHealthChecker.beatMicrosecondsMax { times.heardSince = now }
        times.heard = now
        brokers[broker] = times
    }

    // MARK: The end

    package func judge(
        brokers rows: [Broker], partitions: [Partition], at moment: Moment
    ) throws(Violation) {
        let states = Dictionary(uniqueKeysWithValues: rows.map { ($0.id, $0) })
        for broker in rows { try judge(broker, moment) }
        for partition in partitions {
            try judge(partition, states, moment)
            if moment.isCoordinated { try judgeReassignment(partition, states, moment) }
        }
        try judgeRebalance(rows, partitions, moment)
    }

    private func judge(_ broker: Broker, _ moment: Moment) throws(Violation) {
        let times = brokers[broker.id] ?? Times()
        let quiet = moment.now - max(times.heard, times.changed, moment.leadingSince)
        guard broker.state == .fenced || quiet <= fencingMicrosecondsMax else {
            throw Violation(
                rule: "a silent broker is fenced",
                detail: "broker \(broker.id) is \(broker.state) and was not heard for \(quiet / 1_000) ms of one leader"
            )
        }
        let isHeard = moment.now - times.heard <= ClusterHealthChecker.beatMicrosecondsMax
        let waits = moment.now - max(times.heardSince, times.changed, moment.leadingSince)
        guard broker.state != .fenced || !isHeard || waits <= ClusterHealthChecker.turnMicrosecondsMax else {
            throw Violation(
                rule: "a broker that lives is unfenced",
                detail: "broker \(broker.id) was heard all the time for \(waits / 1_000) ms and is fenced")
        }
    }

    /// Who may lead does (KIP-631: offline partitions come back by themselves).
    private func judge(
        _ partition: Partition, _ states: [BrokerID: Broker], _ moment: Moment
    ) throws(Violation) {
        guard partition.leader == nil else { return }
        let able = (partition.isr + partition.eligibleLeaders).filter { states[$0]?.state == .active }
        guard !able.isEmpty else { return }
        let waits = moment.now - lastChange(of: partition, able)
        guard waits <= ClusterHealthChecker.turnMicrosecondsMax else {
            throw Violation(
                rule: "a partition that can be led is led",
                detail: "\(partition) has no leader for \(waits / 1_000) ms, \(able) are active")
        }
    }

    private func judgeReassignment(
        _ partition: Partition, _ states: [BrokerID: Broker], _ moment: Moment
    ) throws(Violation) {
        guard partition.isReassigning, let leader = partition.leader else { return }
        let staying = partition.replicas.filter { !partition.removing.contains($0) }
        let concerned = [leader] + staying
        func isThere(_ id: BrokerID) -> Bool {
            states[id]?.state == .active
                && moment.now - (brokers[id]?.heard ?? 0) <= ClusterHealthChecker.beatMicrosecondsMax
        }
        // One of those that stay has to lead in the end.
        let areThere = ([leader] + partition.adding).allSatisfy(isThere) && staying.contains(where: isThere)
        let waits = moment.now - max(lastChange(of: partition, concerned), moment.leadingSince)
        guard !areThere || waits <= ClusterHealthChecker.syncMicrosecondsMax else {
            throw Violation(
                rule: "a reassignment comes to its end",
                detail: "\(partition) waits for \(waits / 1_000) ms, and \(concerned) are there")
        }
    }

    private func judgeRebalance(
        _ brokers: [Broker], _ partitions: [Partition], _ moment: Moment
    ) throws(Violation) {
        guard let rebalance = moment.rebalance, rebalance.isRunning, moment.isQuorumWhole,
            brokers.allSatisfy({ $0.state == .active || $0.isDraining }),
            partitions.allSatisfy({ $0.leader != nil })
        else { return }
        let waits = moment.now - max(lastChange, moment.leadingSince)
        guard waits <= ClusterHealthChecker.coordinatorMicrosecondsMax else {
            throw Violation(
                rule: "a rebalance comes to its end",
                detail: "nothing stands in the way of \(rebalance), and nothing happened for \(waits / 1_000) ms")
        }
    }

    private func lastChange(of partition: Partition, _ concerned: [BrokerID]) -> UInt64 {
        concerned.reduce(partitions[partition.key] ?? 0) { max($0, brokers[$1]?.changed ?? 0) }
    }
}
