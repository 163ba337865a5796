import Coordination
import MetadataClient
import MetadataModel

/// `brokers status`: what a broker holds, and where it drains, what becomes of each replica.
///
/// The metadata does not say how large a partition is, so progress is counted in partitions.
struct DrainReport: Report {
    struct Row: Encodable, Equatable {
        var topic: String
        var partition: Int32
        var replicas: [Int32]
        /// `stays` (the broker does not drain), `moving`, `waiting`, `stuck` or `blocked`.
        var status: String
        var reason: String
    }

    var broker: Int32
    var state: String
    var draining: Bool
    var replicas: Int
    /// Partitions that it leads.
    var leaders: Int
    /// What its replicas take, as the broker says; nil when it does not, or does not drain.
    @OrNull var bytes: UInt64?
    /// Rows of each status.
    var moving: Int
    var waiting: Int
    var stuck: Int
    var blocked: Int
    var partitions: [Row]
    private var rowsMax: Int

    private enum CodingKeys: String, CodingKey {
        case broker, state, draining, replicas, leaders, bytes, moving, waiting, stuck, blocked, partitions
    }

    /// - Parameters:
    ///   - held: every partition with a replica on the broker.
    ///   - blocked: why a plan finds no place for a replica of the broker.
    ///   - coordinator: nil when no leader answers.
    init(
        _ broker: Broker, held: [Partition], blocked reasons: [PartitionKey: String], coordinator: CoordinatorStatus?,
        names: [TopicID: String], rowsMax: Int
    ) {
        self.broker = broker.id.rawValue
        self.rowsMax = rowsMax
        state = broker.state.rawValue
        draining = broker.isDraining
        replicas = held.count
        leaders = held.count { $0.leader == broker.id }
        bytes = coordinator?.drains.first { $0.id == broker.id }?.bytes
        var stuckReasons: [PartitionKey: String] = [:]
        for item in coordinator?.stuck ?? [] where reasons[item.partition] == nil {
            stuckReasons[item.partition] = item.reason
        }
        let rows = held.map { partition in
            let (status, reason) = DrainReport.status(
                of: partition, on: broker, reasons[partition.key], stuckReasons[partition.key], coordinator)
            return Row(
                topic: names[partition.key.topic] ?? Names.topicID(partition.key.topic),
                partition: partition.key.index.rawValue, replicas: partition.replicas.map(\.rawValue), status: status,
                reason: reason)
        }
        func count(_ status: String) -> Int { rows.count { $0.status == status } }
        partitions = rows
        moving = count("moving")
        waiting = count("waiting")
        stuck = count("stuck")
        blocked = count("blocked")
    }

    private static func status(
        of partition: Partition, on broker: Broker, _ blocked: String?, _ stuck: String?,
        _ coordinator: CoordinatorStatus?
    ) -> (status: String, reason: String) {
        guard broker.isDraining || partition.removing.contains(broker.id) else { return ("stays", "") }
        if let stuck { return ("stuck", stuck) }
        if partition.removing.contains(broker.id) {
            let missing = partition.adding.filter { !partition.isr.contains($0) }.map(\.description)
            return ("moving", missing.isEmpty ? "" : "not in sync yet: \(missing.joined(separator: ", "))")
        }
        if let blocked { return ("blocked", blocked) }
        guard let coordinator else { return ("waiting", "no leader answers") }
        switch coordinator.activity {
        case .paused: return ("waiting", coordinator.detail)
        case .idle, .planning: return ("waiting", "it is being planned")
        case .moving: return ("waiting", "others move before it")
        case .stuck: return ("waiting", "it is tried again later")
        }
    }

    var table: String {
        var lines = [
            "BROKER \(broker)   STATE \(state)   DRAINING \(draining ? "yes" : "no")   REPLICAS \(replicas)   "
                + "LEADERS \(leaders)" + (bytes.map { "   BYTES \($0)" } ?? "")
        ]
        guard draining else { return lines[0] }
        if replicas == 0 { return lines[0] + "\nit is empty and can be unregistered" }
        lines.append("MOVING \(moving)   WAITING \(waiting)   STUCK \(stuck)   BLOCKED \(blocked)")
        if rowsMax > 0 {
            // What somebody has to look at comes first.
            let order = ["blocked", "stuck", "moving", "waiting", "stays"]
            let sorted = order.flatMap { status in partitions.filter { $0.status == status } }
            var table = Table(["TOPIC", "PARTITION", "REPLICAS", "STATUS", "REASON"])
            for row in sorted.prefix(rowsMax) {
                table.add([
                    row.topic, "\(row.partition)", row.replicas.map(String.init).joined(separator: ","), row.status,
                    row.reason,
                ])
            }
            lines.append(table.text)
            if sorted.count > rowsMax { lines.append("… and \(sorted.count - rowsMax) more: see --limit") }
        }
        return lines.joined(separator: "\n")
    }
}

extension MetadataClient {
    func drainReport(of id: BrokerID, nodeTimeout: Duration?, rowsMax: Int) async throws -> DrainReport {
        let broker = try await existingBroker(id)
        let survey = try await ClusterSurvey(self, holder: id)
        var blocked: [PartitionKey: String] = [:]
        if broker.isDraining {
            for item in RebalancePlanner.plan(survey.layout, strategy: .sticky).blocked where item.broker == id {
                blocked[survey.keys[item.partition]] = item.reason
            }
        }
        return DrainReport(
            broker, held: survey.held, blocked: blocked, coordinator: await coordinator(timeout: nodeTimeout),
            names: try await topicNames(of: survey.held.map(\.key)), rowsMax: rowsMax)
    }
}
