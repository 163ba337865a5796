import Coordination
import MetadataModel

/// `rebalance plan`.
struct RebalancePlanReport: Report {
    struct Move: Encodable, Equatable {
        var topic: String
        var partition: Int32
        /// The preferred leader first.
        var replicas: [Int32]
        /// The replicas when the plan is carried out.
        var target: [Int32]
    }

    struct BrokerRow: Encodable, Equatable {
        var broker: Int32
        var rack: String
        var capacity: UInt32
        /// `open`, `closed` (keeps what it has) or `draining`.
        var role: String
        var replicas: Int
        var replicasAfter: Int
        /// Partitions of which it is the preferred leader.
        var leaders: Int
        var leadersAfter: Int
    }

    struct Blocked: Encodable, Equatable {
        var topic: String
        var partition: Int32
        var broker: Int32
        var reason: String
    }

    var strategy: String
    var partitions: Int
    /// Replicas that have to be copied.
    var replicaMoves: Int
    var leaderChanges: Int
    /// Standard deviation of replicas by capacity, as a part of their mean: 0 is even.
    var imbalance: Double
    var imbalanceAfter: Double
    var leaderImbalance: Double
    var leaderImbalanceAfter: Double
    var moves: [Move]
    var brokers: [BrokerRow]
    var blocked: [Blocked]
    private var rowsMax: Int

    private enum CodingKeys: String, CodingKey {
        case strategy, partitions, replicaMoves, leaderChanges, imbalance, imbalanceAfter, leaderImbalance
        case leaderImbalanceAfter, moves, brokers, blocked
    }

    /// - Parameter rowsMax: rows of moves in the table.
    init(
        _ plan: RebalancePlan, of survey: ClusterSurvey, strategy: BalanceStrategy, names: [TopicID: String],
        rowsMax: Int
    ) {
        func name(_ partition: Int) -> String {
            let topic = survey.keys[partition].topic
            return names[topic] ?? Names.topicID(topic)
        }
        self.strategy = strategy.rawValue
        self.rowsMax = rowsMax
        partitions = survey.keys.count
        replicaMoves = plan.replicaMoves
        leaderChanges = plan.leaderChanges
        imbalance = Numbers.fourDigits(plan.before.imbalance)
        imbalanceAfter = Numbers.fourDigits(plan.after.imbalance)
        leaderImbalance = Numbers.fourDigits(plan.before.leaderImbalance)
        leaderImbalanceAfter = Numbers.fourDigits(plan.after.leaderImbalance)
        moves = plan.changes.map { change in
            Move(
                topic: name(change.partition), partition: survey.keys[change.partition].index.rawValue,
                replicas: survey.layout.replicas(of: change.partition).map(\.rawValue),
                target: change.replicas.map(\.rawValue))
        }
        brokers = zip(survey.layout.brokers, zip(plan.before.loads, plan.after.loads)).map { broker, loads in
            BrokerRow(
                broker: broker.id.rawValue, rack: broker.rack, capacity: broker.capacity, role: "\(broker.role)",
                replicas: loads.0.replicas, replicasAfter: loads.1.replicas, leaders: loads.0.leaders,
                leadersAfter: loads.1.leaders)
        }
        blocked = plan.blocked.map {
            Blocked(
                topic: name($0.partition), partition: survey.keys[$0.partition].index.rawValue,
                broker: $0.broker.rawValue, reason: $0.reason)
        }
    }

    var table: String {
        var parts = [
            "STRATEGY \(strategy)   PARTITIONS \(partitions)   REPLICA-MOVES \(replicaMoves)   "
                + "LEADER-CHANGES \(leaderChanges)",
            "IMBALANCE \(imbalance) -> \(imbalanceAfter)   LEADER-IMBALANCE \(leaderImbalance) -> \(leaderImbalanceAfter)",
        ]
        if !moves.isEmpty, rowsMax > 0 { parts.append(moveTable) }
        parts.append(brokerTable)
        for item in blocked {
            parts.append(
                "BLOCKED \(item.topic.printable) \(item.partition) stays on broker \(item.broker): \(item.reason)")
        }
        return parts.joined(separator: "\n")
    }

    private var moveTable: String {
        func list(_ brokers: [Int32]) -> String { brokers.map(String.init).joined(separator: ",") }
        var table = Table(["TOPIC", "PARTITION", "REPLICAS", "TARGET"])
        for move in moves.prefix(rowsMax) {
            table.add([move.topic, "\(move.partition)", list(move.replicas), list(move.target)])
        }
        let more = moves.count - rowsMax
        return table.text + (more > 0 ? "\n… and \(more) more: see --limit" : "")
    }

    private var brokerTable: String {
        var table = Table(["BROKER", "RACK", "CAPACITY", "ROLE", "REPLICAS", "AFTER", "LEADERS", "AFTER", "LOAD"])
        let most = brokers.reduce(1) { max($0, $1.replicas, $1.replicasAfter) }
        for row in brokers {
            table.add([
                "\(row.broker)", row.rack, "\(row.capacity)", row.role, "\(row.replicas)", "\(row.replicasAfter)",
                "\(row.leaders)", "\(row.leadersAfter)",
                RebalancePlanReport.bar(row.replicas, row.replicasAfter, of: most),
            ])
        }
        return table.text
    }

    private static let barWidth = 40

    /// `#` for what stays, then `+` for what comes or `-` for what goes.
    static func bar(_ before: Int, _ after: Int, of most: Int) -> String {
        func width(_ count: Int) -> Int { (count * barWidth + most - 1) / most }
        let (stays, all) = (width(min(before, after)), width(max(before, after)))
        return String(repeating: "#", count: stays)
            + String(repeating: after > before ? "+" : "-", count: all - stays)
    }
}
