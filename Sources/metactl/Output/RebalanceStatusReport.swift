import MetadataModel

/// `rebalance run`.
struct RebalanceRunReport: Report {
    var rebalance: UInt64
    var plan: RebalancePlanReport

    var table: String { plan.table + "\nrebalance \(rebalance) is under way: see rebalance status" }
}

/// `rebalance status`.
struct RebalanceStatusReport: Report {
    struct Latest: Encodable, Equatable {
        var id: UInt64
        /// `running`, `finished`, `cancelled` or `abandoned`.
        var state: String
        /// `request` or `automatic`.
        var origin: String
        var strategy: String
        var excluded: [Int32]
        /// How long it took; null while it runs.
        @OrNull var seconds: Double?
        var detail: String
    }

    struct Coordinator: Encodable, Equatable {
        var activity: String
        var detail: String
        @OrNull var imbalance: Double?
        var imbalanceAfter: Double
        var movesPlanned: Int
        var movesWaiting: Int
        var movesUnderWay: Int
        var movesEnded: Int
        var stuckCount: Int
        var stuck: [Stuck]
    }

    struct Stuck: Encodable, Equatable {
        var topic: String
        var partition: Int32
        var broker: Int32
        var reason: String
    }

    struct Move: Encodable, Equatable {
        var topic: String
        var partition: Int32
        var replicas: [Int32]
        var adding: [Int32]
        var removing: [Int32]
        /// Of the replicas that are added.
        var inSync: [Int32]
    }

    /// Null: there never was one.
    @OrNull var rebalance: Latest?
    /// Null: no leader answers.
    @OrNull var coordinator: Coordinator?
    /// Why it was paused by hand; null: it was not.
    @OrNull var paused: String?
    var underWay: [Move]
    /// What a plan would still move; null while no rebalance runs.
    @OrNull var remaining: RebalancePlanReport?
    private var rowsMax: Int

    private enum CodingKeys: String, CodingKey {
        case rebalance, coordinator, paused, underWay, remaining
    }

    init(
        _ latest: Rebalance?, _ status: CoordinatorStatus?, pause: String? = nil, underWay: [Partition],
        names: [TopicID: String],
        remaining: RebalancePlanReport?, rowsMax: Int
    ) {
        func name(_ key: PartitionKey) -> String { names[key.topic] ?? Names.topicID(key.topic) }
        rebalance = latest.map(Latest.init)
        paused = pause
        coordinator = status.map { status in
            Coordinator(
                activity: status.activity.rawValue, detail: status.detail,
                imbalance: status.imbalance.map(Numbers.fourDigits),
                imbalanceAfter: Numbers.fourDigits(status.imbalanceAfter),
                movesPlanned: status.movesPlanned, movesWaiting: status.movesWaiting,
                movesUnderWay: status.movesUnderWay, movesEnded: status.movesEnded, stuckCount: status.stuckCount,
                stuck: status.stuck.map {
                    Stuck(
                        topic: name($0.partition), partition: $0.partition.index.rawValue, broker: $0.broker.rawValue,
                        reason: $0.reason)
                })
        }
        self.underWay = underWay.map { partition in
            Move(
                topic: name(partition.key), partition: partition.key.index.rawValue,
                replicas: partition.replicas.map(\.rawValue), adding: partition.adding.map(\.rawValue),
                removing: partition.removing.map(\.rawValue),
                inSync: partition.adding.filter { partition.isr.contains($0) }.map(\.rawValue))
        }
        self.remaining = remaining
        self.rowsMax = rowsMax
    }

    var table: String {
        var lines = [rebalance?.line ?? "there was no rebalance"]
        if let paused { lines.append("PAUSED by hand: \(paused.printable)") }
        if let coordinator { lines += coordinator.lines } else { lines.append("COORDINATOR no leader answers") }
        if !underWay.isEmpty, rowsMax > 0 {
            var table = Table(["TOPIC", "PARTITION", "REPLICAS", "ADDING", "IN-SYNC", "REMOVING"])
            for move in underWay.prefix(rowsMax) {
                table.add([
                    move.topic, "\(move.partition)", list(move.replicas), list(move.adding), list(move.inSync),
                    list(move.removing),
                ])
            }
            lines.append(table.text)
        }
        for item in coordinator?.stuck.prefix(rowsMax) ?? [] {
            lines.append(
                "STUCK \(item.topic.printable) \(item.partition) (broker \(item.broker)): \(item.reason.printable)")
        }
        if let remaining { lines.append("what is left:\n" + remaining.table) }
        return lines.joined(separator: "\n")
    }

    private func list(_ brokers: [Int32]) -> String { brokers.map(String.init).joined(separator: ",") }
}

extension RebalanceStatusReport.Latest {
    init(_ rebalance: Rebalance) {
        id = rebalance.id.rawValue
        origin = rebalance.origin.rawValue
        strategy = rebalance.strategy.rawValue
        excluded = rebalance.excluded.map(\.rawValue)
        switch rebalance.state {
        case .running:
            state = "running"
            seconds = nil
            detail = ""
        case .ended(let ending, let milliseconds, let text):
            state = ending.rawValue
            seconds = Double(milliseconds - min(rebalance.startedMilliseconds, milliseconds)) / 1_000
            detail = text
        }
    }

    var line: String {
        "REBALANCE \(id)   STATE \(state)   STRATEGY \(strategy)   ORIGIN \(origin)"
            + (seconds.map { "   SECONDS \($0)" } ?? "") + (detail.isEmpty ? "" : "\nDETAIL \(detail.printable)")
    }
}

extension RebalanceStatusReport.Coordinator {
    var lines: [String] {
        [
            "COORDINATOR \(activity)" + (detail.isEmpty ? "" : ": \(detail.printable)"),
            "MOVES PLANNED \(movesPlanned)   WAITING \(movesWaiting)   UNDER-WAY \(movesUnderWay)   "
                + "ENDED \(movesEnded)   STUCK \(stuckCount)   IMBALANCE \(imbalance.map { "\($0)" } ?? "-") -> "
                + "\(imbalanceAfter)",
        ]
    }
}
