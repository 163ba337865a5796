import Foundation
import MetadataModel
import Testing
import Wire

@testable import MetadataClient
@testable import metactl

@Suite("Reports")
struct ReportTests {
    private func status(
        _ id: UInt64, role: String, term: UInt64, leader: UInt64?, leaderTerm: UInt64? = nil, healthy: Bool = true
    ) -> NodeStatusAnswer {
        let members = (1...3).map {
            MemberAddress(
                nodeID: $0, clientAddress: "127.0.0.1:740\($0)", peerAddress: "127.0.0.1:750\($0)", isVoter: true)
        }
        let status = NodeStatus(
            clusterID: "local", nodeID: id, role: role, term: term,
            leader: leader.map { LeaderHint(nodeID: $0, address: "127.0.0.1:740\($0)", term: leaderTerm ?? term) },
            commitIndex: 1041, appliedIndex: 1041, version: Version(1040), digest: 0x9f3c, healthy: healthy,
            detail: healthy ? "" : "disk full", members: members)
        return NodeStatusAnswer(
            endpoint: .init(host: "127.0.0.1", port: UInt16(7400 + id)), status: .success(NodeStatusReport(status)))
    }

    private func unreachable(_ port: UInt16) -> NodeStatusAnswer {
        let error = MetadataError(
            code: .unavailable, category: .transient, operation: "nodeStatus", detail: "connection refused",
            outcome: .definite)
        return NodeStatusAnswer(endpoint: .init(host: "127.0.0.1", port: port), status: .failure(error))
    }

    @Test("status prints a line for each node, the unreachable one with its reason and its id")
    func statusTable() {
        let report = StatusReport([
            status(2, role: "leader", term: 5, leader: 2), unreachable(7403),
            status(1, role: "follower", term: 5, leader: 2, healthy: false),
        ])
        #expect(
            report.table == """
                CLUSTER local   LEADER node 2   TERM 5   VERSION 1040
                NODE  ROLE         ADDRESS         TERM  COMMIT  APPLIED  DIGEST            HEALTHY
                1     follower     127.0.0.1:7401  5     1041    1041     0000000000009f3c  no: disk full
                2     leader       127.0.0.1:7402  5     1041    1041     0000000000009f3c  yes
                3     unreachable  127.0.0.1:7403  -     -       -        -                 no: connection refused
                """)
    }

    @Test("status as JSON has every documented key, null where nothing is known")
    func statusJSON() throws {
        let report = StatusReport([status(1, role: "pre_candidate", term: 6, leader: nil), unreachable(9000)])
        #expect(
            try JSON.line(report)
                == #"{"cluster_id":"local","leader":null,"nodes":["#
                + #"{"address":"127.0.0.1:7401","applied_index":1041,"commit_index":1041,"detail":null,"#
                + #""digest":"0000000000009f3c","healthy":true,"id":1,"role":"pre_candidate","term":6,"version":1040},"#
                + unreachableJSON(2) + "," + unreachableJSON(3) + ","
                + #"{"address":"127.0.0.1:9000","applied_index":null,"commit_index":null,"detail":"connection refused","#
                + #""digest":null,"healthy":false,"id":null,"role":"unreachable","term":null,"version":null}"#
                + #"],"term":6,"version":1040}"#)
    }

    @Test("when no node answers, nothing is made up: null in JSON, a dash in the table")
    func statusOfNobody() throws {
        let report = StatusReport([unreachable(7401)])
        #expect(
            try JSON.line(report)
                == #"{"cluster_id":null,"leader":null,"nodes":["#
                + #"{"address":"127.0.0.1:7401","applied_index":null,"commit_index":null,"detail":"connection refused","#
                + #""digest":null,"healthy":false,"id":null,"role":"unreachable","term":null,"version":null}"#
                + #"],"term":null,"version":null}"#)
        #expect(report.table.hasPrefix("CLUSTER -   LEADER none   TERM -   VERSION -\n"))
    }

    private func unreachableJSON(_ id: Int) -> String {
        #"{"address":"127.0.0.1:740\#(id)","applied_index":null,"commit_index":null,"#
            + #""detail":"not asked: no answer named it in time","digest":null,"healthy":false,"id":\#(id),"#
            + #""role":"unreachable","term":null,"version":null}"#
    }

    @Test("a leader of a term that is over is no leader (Raft §5.1)")
    func staleLeader() {
        let answers = [
            status(1, role: "leader", term: 4, leader: 1), status(2, role: "candidate", term: 5, leader: nil),
        ]
        #expect(StatusReport(answers).leader == nil)
        let elected = answers + [status(3, role: "leader", term: 5, leader: 3)]
        #expect(StatusReport(elected).leader == 3)
    }

    private let partition = Partition(
        key: PartitionKey(topic: TopicID(high: 1, low: 2), index: PartitionIndex(0)), leader: nil, leaderEpoch: 4,
        partitionEpoch: 9, replicas: [BrokerID(1), BrokerID(2)], isr: [BrokerID(2)], version: Version(77))

    @Test("a partition without a leader says null in JSON and none in a table")
    func partitions() throws {
        let report = PartitionListReport([partition], topic: "orders")
        #expect(
            try JSON.line(report)
                == #"{"partitions":[{"adding":[],"eligible_leaders":[],"isr":[2],"leader":null,"leader_epoch":4,"partition":0,"partition_epoch":9,"#
                + #""removing":[],"replicas":[1,2],"topic":"orders","version":77}]}"#)
        #expect(
            report.table == """
                TOPIC   PARTITION  LEADER  LEADER-EPOCH  PARTITION-EPOCH  REPLICAS  ISR  ELR  ADDING  REMOVING
                orders  0          none    4             9                1,2       2    -    -       -
                """)
    }

    @Test("what became of each partition is told one by one, with the reason of those that were refused")
    func partitionResults() throws {
        let report = PartitionResultsReport([
            (partition.key, "orders", .done(leader: BrokerID(2), leaderEpoch: 5, partitionEpoch: 10)),
            (partition.key, "orders", .done(leader: nil, leaderEpoch: 5, partitionEpoch: 10)),
            (partition.key, "orders", .refused(Refusal(.notInISR, "broker 1 is not in sync"))),
        ])
        #expect(report.refusedCount == 1)
        #expect(
            report.table == """
                TOPIC   PARTITION  LEADER  LEADER-EPOCH  PARTITION-EPOCH  RESULT
                orders  0          2       5             10               done
                orders  0          none    5             10               done
                orders  0          -       -             -                not_in_isr: broker 1 is not in sync
                """)
        #expect(
            try JSON.line(PartitionResultsReport([(partition.key, "o", .refused(Refusal(.notInISR, "d")))]))
                == #"{"results":[{"detail":"d","leader":null,"leader_epoch":null,"partition":0,"partition_epoch":null,"#
                + #""refused":"not_in_isr","topic":"o"}]}"#)
    }

    @Test("a bar shows what stays, comes and goes")
    func bars() {
        let (stays, comes, goes) = ("#", "+", "-")
        func line(_ parts: (String, Int)...) -> String { parts.map { String(repeating: $0, count: $1) }.joined() }
        #expect(RebalancePlanReport.bar(4, 3, of: 4) == line((stays, 30), (goes, 10)))
        #expect(RebalancePlanReport.bar(0, 2, of: 4) == line((comes, 20)))
        #expect(RebalancePlanReport.bar(1, 1, of: 400) == stays, "little is not nothing")
        #expect(RebalancePlanReport.bar(0, 0, of: 1) == "")
    }

    private func drained(_ index: Int32, _ replicas: [Int32], adding: [Int32] = [], removing: [Int32] = []) -> Partition
    {
        Partition(
            key: PartitionKey(topic: TopicID(high: 1, low: 2), index: PartitionIndex(index)), leader: BrokerID(1),
            leaderEpoch: 0, partitionEpoch: 0, replicas: replicas.map { BrokerID($0) }, isr: [BrokerID(1)],
            adding: adding.map { BrokerID($0) }, removing: removing.map { BrokerID($0) }, version: Version(1))
    }

    @Test("of a draining broker every partition that is left says why (pitfall: a decommission that says nothing)")
    func drain() throws {
        var broker = Broker(
            id: BrokerID(4), epoch: BrokerEpoch(12), incarnation: IncarnationID(high: 1, low: 2), endpoints: [],
            rack: "", state: .active, isDraining: true, version: Version(13))
        let held = [
            drained(6, [1, 4]), drained(7, [4, 2, 1]), drained(8, [3, 1, 4], adding: [3], removing: [4]),
            drained(9, [1, 4]),
        ]
        var coordinator = CoordinatorStatus()
        coordinator.activity = .moving
        coordinator.stuck = [StuckReplica(partition: held[3].key, broker: BrokerID(5), reason: "broker 5 is fenced")]
        func report(_ status: CoordinatorStatus?, limit: Int = 9) -> DrainReport {
            DrainReport(
                broker, held: held, blocked: [held[1].key: "every broker holds one"], coordinator: status,
                names: [held[0].key.topic: "orders"], rowsMax: limit)
        }
        #expect(
            report(coordinator).table == """
                BROKER 4   STATE active   DRAINING yes   REPLICAS 4   LEADERS 0
                MOVING 1   WAITING 1   STUCK 1   BLOCKED 1
                TOPIC   PARTITION  REPLICAS  STATUS   REASON
                orders  7          4,2,1     blocked  every broker holds one
                orders  9          1,4       stuck    broker 5 is fenced
                orders  8          3,1,4     moving   not in sync yet: 3
                orders  6          1,4       waiting  others move before it
                """)
        #expect(report(coordinator, limit: 1).table.hasSuffix("holds one\n… and 3 more: see --limit"))
        #expect(report(nil).partitions[0].reason == "no leader answers")
        coordinator.activity = .paused
        coordinator.detail = "the quorum could not lose another member"
        #expect(report(coordinator).partitions[0].reason == "the quorum could not lose another member")
        broker.isDraining = false
        #expect(report(coordinator).table == "BROKER 4   STATE active   DRAINING no   REPLICAS 4   LEADERS 0")
    }

    @Test("a rebalance tells whether it runs, what moves, and what cannot")
    func rebalanceStatus() throws {
        let rebalance = Rebalance(
            id: Version(12), origin: .request, strategy: .balanced, excluded: [BrokerID(3)], startedMilliseconds: 1_000,
            state: .ended(.finished, milliseconds: 3_500, detail: "1 replicas could not move"))
        var coordinator = CoordinatorStatus()
        coordinator.activity = .stuck
        coordinator.detail = "what is left cannot move now"
        coordinator.imbalance = 0.123_456
        coordinator.movesPlanned = 3
        coordinator.movesEnded = 2
        let moving = drained(8, [3, 1, 4], adding: [3], removing: [4])
        coordinator.stuck = [StuckReplica(partition: moving.key, broker: BrokerID(3), reason: "broker 3 is fenced")]
        coordinator.stuckCount = 1
        let names = [moving.key.topic: "orders"]
        let report = RebalanceStatusReport(
            rebalance, coordinator, underWay: [moving], names: names, remaining: nil, rowsMax: 9)
        #expect(
            report.table == """
                REBALANCE 12   STATE finished   STRATEGY balanced   ORIGIN request   SECONDS 2.5
                DETAIL 1 replicas could not move
                COORDINATOR stuck: what is left cannot move now
                MOVES PLANNED 3   WAITING 0   UNDER-WAY 0   ENDED 2   STUCK 1   IMBALANCE 0.1235 -> 0.0
                TOPIC   PARTITION  REPLICAS  ADDING  IN-SYNC  REMOVING
                orders  8          3,1,4     3       -        4
                STUCK orders 8 (broker 3): broker 3 is fenced
                """)
        let empty = RebalanceStatusReport(nil, nil, underWay: [], names: [:], remaining: nil, rowsMax: 9)
        #expect(
            try JSON.line(empty)
                == #"{"coordinator":null,"paused":null,"rebalance":null,"remaining":null,"under_way":[]}"#)
        #expect(empty.table == "there was no rebalance\nCOORDINATOR no leader answers")
    }

    @Test("circuit breakers are shown by node, with the time until an open one is tried again")
    func breakers() throws {
        let endpoint = MetadataClient.Endpoint(host: "127.0.0.1", port: 7401)
        let breaker = NodeBreakers.Breaker(
            name: "store", state: "open", retryAfter: 25_000, failuresInARow: 0, successes: 7, failures: 5, neutrals: 1,
            rejections: 3, openings: 1)
        let error = MetadataError(
            code: .unavailable, category: .transient, operation: "nodeStatus", detail: "connection refused",
            outcome: .definite)
        let report = BreakersReport([
            NodeBreakers(endpoint: endpoint, nodeID: 1, breakers: .success([breaker])),
            NodeBreakers(endpoint: .init(host: "127.0.0.1", port: 7402), breakers: .failure(error)),
        ])
        #expect(
            report.table == """
                NODE  BREAKER  STATE  RETRY-IN  IN-A-ROW  SUCCESSES  FAILURES  REJECTED  OPENED
                1     store    open   25000ms   0         7          5         3         1
                node 127.0.0.1:7402: connection refused
                """)
        #expect(
            try JSON.line(BreakersReport([NodeBreakers(endpoint: endpoint, nodeID: 1, breakers: .success([breaker]))]))
                == #"{"nodes":[{"address":"127.0.0.1:7401","breakers":[{"failures":5,"failures_in_a_row":0,"name":"store","#
                + #""neutrals":1,"openings":1,"rejections":3,"retry_after_ms":25000,"state":"open","successes":7}],"#
                + #""error":null,"node":1}]}"#)
    }

    @Test("a topic is described with its partitions and its configuration")
    func topic() throws {
        let topic = Topic(
            id: TopicID(high: 1, low: 2), name: "orders", partitionCount: 1, replicationFactor: 2, version: Version(70))
        let config = ConfigEntry(resource: .topic(topic.id), name: "retention.ms", value: "1000", version: Version(71))
        let report = TopicDetailReport(topic, partitions: [partition], configs: [config])
        #expect(
            report.table == """
                TOPIC orders   PARTITIONS 1   REPLICATION 2   ID 00000000000000010000000000000002   VERSION 70
                TOPIC   PARTITION  LEADER  LEADER-EPOCH  PARTITION-EPOCH  REPLICAS  ISR  ELR  ADDING  REMOVING
                orders  0          none    4             9                1,2       2    -    -       -
                CONFIG        VALUE  VERSION
                retention.ms  1000   71
                """)
        #expect(
            try JSON.line(TopicListReport([topic]))
                == #"{"topics":[{"id":"00000000000000010000000000000002","name":"orders","partition_count":1,"#
                + #""replication_factor":2,"version":70}]}"#)
    }

    @Test("a broker's list entry holds its endpoints as objects")
    func broker() throws {
        let broker = Broker(
            id: BrokerID(3), epoch: BrokerEpoch(12), incarnation: IncarnationID(high: 1, low: 0xff),
            endpoints: [Endpoint(name: "PLAINTEXT", host: "::1", port: 9092)], rack: "", state: .active,
            version: Version(13))
        #expect(
            try JSON.line(BrokerListReport([broker]))
                == #"{"brokers":[{"capacity":100,"draining":false,"endpoints":[{"host":"::1","name":"PLAINTEXT","port":9092}],"#
                + #""epoch":12,"id":3,"incarnation":"000000000000000100000000000000ff","rack":null,"state":"active","#
                + #""tags":[],"version":13}]}"#)
        #expect(
            BrokerListReport([broker]).table == """
                BROKER  STATE   DRAINING  EPOCH  RACK  CAPACITY  ENDPOINTS               VERSION
                3       active  no        12     -     100       PLAINTEXT://[::1]:9092  13
                """)
    }

    @Test("watch prints one line or one object for each kind of change, without the keys of other kinds")
    func changes() throws {
        let topic = Topic(
            id: TopicID(high: 0, low: 7), name: "orders", partitionCount: 1, replicationFactor: 1, version: Version(8))
        let entry = ConfigEntry(resource: .cluster, name: "a", value: "b", version: Version(8))
        let observed: [(ObservedChange, String, String)] = [
            (
                .topicChanged(topic),
                "8  topic_changed  topic orders  partitions=1  replication=1  id=00000000000000000000000000000007",
                #"{"change":"topic_changed","topic":{"id":"00000000000000000000000000000007","name":"orders","#
                    + #""partition_count":1,"replication_factor":1,"version":8},"version":8}"#
            ),
            (
                .topicRemoved(id: topic.id, name: "orders"),
                "8  topic_removed  topic orders  id=00000000000000000000000000000007",
                #"{"change":"topic_removed","topic_id":"00000000000000000000000000000007","topic_name":"orders","version":8}"#
            ),
            (
                .brokerRemoved(BrokerID(3)), "8  broker_removed  broker 3",
                #"{"broker_id":3,"change":"broker_removed","version":8}"#
            ),
            (
                .configChanged(entry), "8  config_changed  cluster  a=b",
                #"{"change":"config_changed","config":{"name":"a","value":"b","version":8},"resource":"cluster","version":8}"#
            ),
            (
                .configRemoved(resource: .broker(BrokerID(2)), name: "a"), "8  config_removed  broker 2  a",
                #"{"change":"config_removed","config_name":"a","resource":"broker 2","version":8}"#
            ),
        ]
        for (change, line, json) in observed {
            let report = ChangeReport(change, version: Version(8))
            #expect(report.table == line)
            #expect(try JSON.line(report) == json)
        }
        let moved = ChangeReport(.partitionChanged(partition, topicName: "orders"), version: Version(77))
        #expect(moved.table == "77  partition_changed  orders/0  leader=none  leader_epoch=4  replicas=1,2  isr=2")
    }

    @Test("a demo broker prints lines with the time in UTC, the reason where there is one")
    func brokerEvents() throws {
        let time = Date(timeIntervalSince1970: 1_000_000_000.25)
        let fenced = BrokerEventReport(.fenced(.leaseExpired), broker: BrokerID(2), time: time)
        #expect(fenced.table == "2001-09-09T01:46:40.250Z broker 2: fenced (lease_expired)")
        #expect(
            try JSON.line(BrokerEventReport(.registered(BrokerEpoch(9)), broker: BrokerID(2), time: time))
                == #"{"broker":2,"epoch":9,"event":"registered","time":"2001-09-09T01:46:40.250Z"}"#)
        let change = BrokerEventReport(
            .brokerRemoved(BrokerID(3)), version: Version(8), broker: BrokerID(2), time: time)
        #expect(change.table == "2001-09-09T01:46:40.250Z broker 2: change 8  broker_removed  broker 3")
    }

    @Test("control characters from the network never reach the terminal")
    func controlCharacters() {
        var table = Table(["NAME"])
        table.add(["\u{1b}[2Jorders\n"])
        #expect(table.text == "NAME\n\\u{1B}[2Jorders\\n")
    }
}
