import MetadataClient
import MetadataModel
import Testing

@testable import metactl

@Suite("simulate-brokers")
struct FleetTests {
    private let start = ContinuousClock().now
    private let key = PartitionKey(topic: TopicID(high: 1, low: 1), index: PartitionIndex(0))
    private let one = BrokerID(1)
    private let two = BrokerID(2)
    private let three = BrokerID(3)

    private func at(_ milliseconds: Int) -> ContinuousClock.Instant { start.advanced(by: .milliseconds(milliseconds)) }

    private func partition(
        leader: BrokerID?, leaderEpoch: Int32 = 1, partitionEpoch: Int32 = 1, isr: [BrokerID]
    ) -> Partition {
        Partition(
            key: key, leader: leader, leaderEpoch: leaderEpoch, partitionEpoch: partitionEpoch,
            replicas: [one, two, three], isr: isr, version: Version(1))
    }

    /// One leads, two and three follow, from 0 ms on; a follower is in sync after 500 ms.
    private func following() -> FleetReplicas {
        var replicas = FleetReplicas(delay: .milliseconds(500))
        let partition = partition(leader: one, isr: [one])
        replicas.assigned(one, .becomeLeader(partition, topic: "t"), now: at(0))
        for broker in [two, three] { replicas.assigned(broker, .becomeFollower(partition, topic: "t"), now: at(0)) }
        return replicas
    }

    private func report(_ isr: [BrokerID], leaderEpoch: Int32 = 1, partitionEpoch: Int32 = 1) -> Command.ISRReport {
        .init(partition: key, leaderEpoch: leaderEpoch, partitionEpoch: partitionEpoch, isr: isr)
    }

    @Test("a leader reports its followers in sync after the delay, once until the result is there")
    func reports() {
        var replicas = following()
        #expect(replicas.takeReports(now: at(499)) { _ in true }.isEmpty)
        let due = replicas.takeReports(now: at(500)) { _ in true }
        #expect(due.map(\.0) == [one])
        #expect(due.map(\.1) == [report([one, two, three])])
        #expect(replicas.takeReports(now: at(900)) { _ in true }.isEmpty)
        replicas.reported(due[0].1, .accepted(leaderEpoch: 1, partitionEpoch: 2), now: at(900))
        #expect(replicas.takeReports(now: at(9_000)) { _ in true }.isEmpty)
    }

    @Test("a refused report is made again, from what the leader knows by then")
    func refused() {
        var replicas = following()
        let due = replicas.takeReports(now: at(500)) { _ in true }
        replicas.reported(due[0].1, .refused(Refusal(.stalePartitionEpoch, "")), now: at(600))
        let update = partition(leader: one, partitionEpoch: 7, isr: [one, three])
        replicas.assigned(one, .update(update, topic: "t"), now: at(650))
        #expect(
            replicas.takeReports(now: at(900)) { _ in true }.map(\.1) == [report([one, two, three], partitionEpoch: 7)])
    }

    @Test("a follower that is not active yet is waited for; a dead one and one under another epoch do not count")
    func notInSync() {
        var replicas = following()
        #expect(replicas.takeReports(now: at(500)) { $0 == three }.map(\.1) == [report([one, three])])
        var dead = following()
        dead.died(two)
        #expect(dead.takeReports(now: at(500)) { _ in true }.map(\.1) == [report([one, three])])
        var elected = following()
        let later = partition(leader: two, leaderEpoch: 2, partitionEpoch: 2, isr: [one, two])
        elected.assigned(two, .becomeLeader(later, topic: "t"), now: at(400))
        #expect(elected.takeReports(now: at(950)) { _ in true }.isEmpty, "three still follows one")
        elected.assigned(three, .becomeFollower(later, topic: "t"), now: at(1_000))
        #expect(
            elected.takeReports(now: at(1_500)) { _ in true }.map(\.1)
                == [report([one, two, three], leaderEpoch: 2, partitionEpoch: 2)])
    }

    @Test("a leader that dies, steps down or loses the replica reports nothing")
    func stopsLeading() {
        var replicas = following()
        replicas.died(one)
        #expect(replicas.ledCount == 0)
        replicas = following()
        replicas.assigned(one, .stopReplica(key, .movedAway), now: at(10))
        #expect(replicas.takeReports(now: at(9_000)) { _ in true }.isEmpty)
    }

    @Test("a broker has on its disk what it was told to hold, once, whether it leads or follows")
    func bytes() {
        var replicas = FleetReplicas(delay: .zero, replicaBytes: 1_000)
        let size = replicas.bytes(of: key)
        #expect((500..<1_500).contains(size))
        let partition = partition(leader: one, isr: [one])
        replicas.assigned(one, .becomeLeader(partition, topic: "t"), now: at(0))
        replicas.assigned(two, .becomeFollower(partition, topic: "t"), now: at(0))
        let later = self.partition(leader: two, leaderEpoch: 2, partitionEpoch: 2, isr: [two])
        replicas.assigned(two, .becomeLeader(later, topic: "t"), now: at(1))
        replicas.assigned(one, .becomeFollower(later, topic: "t"), now: at(1))
        #expect([one, two, three].map { replicas.bytes(of: $0) } == [size, size, 0])
        replicas.assigned(one, .stopReplica(key, .movedAway), now: at(2))
        replicas.assigned(one, .stopReplica(key, .movedAway), now: at(3))
        replicas.died(two)
        #expect([one, two].map { replicas.bytes(of: $0) } == [0, 0])
    }

    @Test("orders are read, and what is none is refused")
    func orders() {
        #expect(FleetOrder(line: "kill 3") == .kill(.range(3...3)))
        #expect(FleetOrder(line: "  revive   3-8 ") == .revive(.range(3...8)))
        #expect(FleetOrder(line: "kill all") == .kill(.all))
        #expect(FleetOrder(line: "stop") == .stop)
        for line in ["", "kill", "kill x", "kill 8-3", "kill -3", "kill 1-2-3", "kill 1 2", "stop 3", "die 3"] {
            #expect(FleetOrder(line: line) == nil, "\(line)")
        }
    }

    @Test("a status line says what is wrong, and that nothing is")
    func status() {
        var report = FleetReport(
            elapsedSeconds: 12.2, brokers: 10, alive: 9, active: 10, instructions: 300, isrReports: 200, isrRefused: 0,
            partitions: 100, version: 55, lagMs: 3)
        #expect(
            report.table
                == "  12 s   brokers 9 of 10 alive, 10 active   partitions 100: all in sync   told 300, reported 200   version 55"
        )
        report.ledByDead = 10
        report.underReplicated = 30
        #expect(report.table.contains("100: 10 led by dead brokers, 30 under-replicated"))
    }
}
