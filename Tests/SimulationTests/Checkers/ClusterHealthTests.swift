import MetadataModel
import Simulation
import Testing

@Suite("The checkers of what a coordinator leaves")
struct ClusterHealthTests {
    private let key = PartitionKey(topic: TopicID(high: 1, low: 1), index: PartitionIndex(0))

    private func broker(_ id: Int32, _ state: Broker.State = .active, isDraining: Bool = false) -> Broker {
        Broker(
            id: BrokerID(id), epoch: BrokerEpoch(1), incarnation: IncarnationID(high: 1, low: UInt64(id)),
            endpoints: [], rack: "", state: state, isDraining: isDraining, version: Version(1))
    }

    private func partition(
        leader: Int32?, isr: [Int32], replicas: [Int32] = [1, 2, 3], adding: [Int32] = [], eligible: [Int32] = []
    ) -> Partition {
        Partition(
            key: key, leader: leader.map { BrokerID($0) }, leaderEpoch: 1, partitionEpoch: 1,
            replicas: replicas.map { BrokerID($0) }, isr: isr.map { BrokerID($0) },
            eligibleLeaders: eligible.map { BrokerID($0) }, adding: adding.map { BrokerID($0) }, version: Version(1))
    }

    /// Brokers and the partition changed in the first second; `heard` beat every 200 ms until second 10.
    private func checker(heard: [Int32]) -> ClusterHealthChecker {
        var checker = ClusterHealthChecker(fencingMicrosecondsMax: 3_000_000)
        checker.happens((1...3).map { .brokerChanged(broker($0)) }, at: 900_000)
        checker.happens([.partitionChanged(partition(leader: 1, isr: [1, 2, 3]), topicName: "t")], at: 1_000_000)
        for time in stride(from: UInt64(1_000_000), through: 10_000_000, by: 200_000) {
            for id in heard { checker.hears(BrokerID(id), at: time) }
        }
        return checker
    }

    private func moment(
        leadingSince: UInt64 = 0, isCoordinated: Bool = true, isQuorumWhole: Bool = true, rebalance: Rebalance? = nil
    ) -> ClusterHealthChecker.Moment {
        .init(
            now: 10_000_000, leadingSince: leadingSince, isCoordinated: isCoordinated, isQuorumWhole: isQuorumWhole,
            rebalance: rebalance)
    }

    @Test("a broker that is silent for long enough of one leader has to be fenced")
    func silence() throws {
        let checker = checker(heard: [1, 2])
        let rows = [broker(1), broker(2), broker(3)]
        finds("a silent broker is fenced") { try checker.judge(brokers: rows, partitions: [], at: moment()) }
        try checker.judge(brokers: rows, partitions: [], at: moment(leadingSince: 7_500_000))
        try checker.judge(brokers: [broker(1), broker(2), broker(3, .fenced)], partitions: [], at: moment())
        finds("a silent broker is fenced") {
            try checker.judge(brokers: [broker(3, .fencing)], partitions: [], at: moment())
        }
    }

    @Test("a broker that is heard all the time has to be unfenced")
    func returns() throws {
        let checker = checker(heard: [1, 2, 3])
        let rows = [broker(1), broker(2), broker(3, .fenced)]
        finds("a broker that lives is unfenced") { try checker.judge(brokers: rows, partitions: [], at: moment()) }
        try checker.judge(brokers: rows, partitions: [], at: moment(leadingSince: 9_500_000))
        try self.checker(heard: [1, 2]).judge(brokers: rows, partitions: [], at: moment())
    }

    @Test("a partition that somebody may lead has to have a leader")
    func offline() throws {
        let checker = checker(heard: [1, 2])
        let rows = [broker(1), broker(2), broker(3, .fenced)]
        for able in [partition(leader: nil, isr: [2]), partition(leader: nil, isr: [3], eligible: [1])] {
            finds("a partition that can be led is led") {
                try checker.judge(brokers: rows, partitions: [able], at: moment())
            }
        }
        try checker.judge(brokers: rows, partitions: [partition(leader: nil, isr: [3])], at: moment())
    }

    @Test("a reassignment whose brokers are all there has to end")
    func reassignment() throws {
        let moving = partition(leader: 1, isr: [1], replicas: [1, 2], adding: [2])
        let rows = [broker(1), broker(2)]
        let checker = checker(heard: [1, 2])
        finds("a reassignment comes to its end") {
            try checker.judge(brokers: rows, partitions: [moving], at: moment())
        }
        try checker.judge(brokers: rows, partitions: [moving], at: moment(isCoordinated: false))
        try checker.judge(brokers: rows, partitions: [moving], at: moment(leadingSince: 9_000_000))
        try self.checker(heard: [1]).judge(
            brokers: [broker(1), broker(2, .fenced)], partitions: [moving], at: moment())
        // The leader leaves, and who stays is not there to take over.
        var leaving = partition(leader: 1, isr: [1], replicas: [1, 2])
        leaving.removing = [BrokerID(1)]
        finds("a reassignment comes to its end") {
            try checker.judge(brokers: rows, partitions: [leaving], at: moment())
        }
        try self.checker(heard: [1]).judge(
            brokers: [broker(1), broker(2, .fenced)], partitions: [leaving], at: moment())
    }

    private func rebalance(_ id: UInt64, _ state: Rebalance.State = .running) -> Rebalance {
        Rebalance(
            id: Version(id), origin: .request, strategy: .balanced, excluded: [], startedMilliseconds: 1, state: state)
    }

    private let finished = Rebalance.State.ended(.finished, milliseconds: 9, detail: "")

    @Test("a rebalance that nothing stands in the way of has to end")
    func stall() throws {
        let checker = checker(heard: [1, 2, 3])
        let rows = [broker(1), broker(2), broker(3)]
        let led = partition(leader: 1, isr: [1, 2, 3])
        func judge(_ rows: [Broker], _ partition: Partition, _ moment: ClusterHealthChecker.Moment) throws {
            try checker.judge(brokers: rows, partitions: [partition], at: moment)
        }
        finds("a rebalance comes to its end") { try judge(rows, led, moment(rebalance: rebalance(7))) }
        try judge(rows, led, moment(rebalance: rebalance(7, finished)))
        try judge(rows, led, moment(isQuorumWhole: false, rebalance: rebalance(7)))
        try judge(rows, led, moment(leadingSince: 8_000_000, rebalance: rebalance(7)))
        try judge([broker(1, .shuttingDown)], led, moment(leadingSince: 9_000_000, rebalance: rebalance(7)))
    }

    @Test("one rebalance at a time, which begins and ends once")
    func rebalances() throws {
        func become(_ steps: (Rebalance, UInt64)...) throws {
            var checker = RebalanceChecker()
            for (rebalance, version) in steps { try checker.becomes(rebalance, at: Version(version)) }
        }
        try become((rebalance(3), 3), (rebalance(3, finished), 5), (rebalance(6), 6))
        finds("one rebalance at a time") { try become((rebalance(3), 3), (rebalance(4), 4)) }
        finds("a rebalance begins and ends once") { try become((rebalance(3), 3), (rebalance(2, finished), 5)) }
        finds("a rebalance begins and ends once") {
            try become((rebalance(3), 3), (rebalance(3, finished), 5), (rebalance(3, finished), 6))
        }
        finds("a rebalance begins and ends once") { try become((rebalance(3), 4)) }
    }

    @Test("a step belongs to the rebalance that runs, or takes replicas off a broker that drains")
    func steps() throws {
        var checker = RebalanceChecker()
        let before = partition(leader: 1, isr: [1, 2, 3])
        let target = [1, 2, 4].map { BrokerID($0) }
        func move(_ id: UInt64?, draining: Int32 = 0) throws {
            try checker.moves(before, to: target, becauseOf: id.map { Version($0) }, at: Version(9)) {
                $0 == BrokerID(draining)
            }
        }
        finds("steps belong to what runs") { try move(3) }
        try checker.becomes(rebalance(3), at: Version(3))
        try move(3)
        finds("steps belong to what runs") { try move(2) }
        try move(nil, draining: 3)
        finds("steps belong to what runs") { try move(nil, draining: 2) }
        try checker.moves(before, to: nil, becauseOf: nil, at: Version(9)) { _ in false }
        try checker.becomes(rebalance(3, finished), at: Version(8))
        finds("steps belong to what runs") { try move(3) }
    }
}
