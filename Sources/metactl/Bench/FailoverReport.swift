/// How the leader is brought to its end.
enum LeaderEnd: String, Encodable {
    /// Without a word (SIGKILL).
    case killed
    /// Asked to stop, as a restart of the node does (SIGTERM).
    case stopped
}

/// One leader that was killed or stopped.
struct FailoverRound: Report, Equatable {
    /// From 1.
    var round: Int
    var end = LeaderEnd.killed
    var killedNode: UInt64
    /// Who led afterwards, in which term.
    var newLeader: UInt64
    var newTerm: UInt64
    /// The longest time between two successful writes, of all writers together.
    var gapMs: Double
    /// Successful writes while the round was observed.
    var writes: Int

    var table: String {
        "round \(round): \(end.rawValue) node \(killedNode), node \(newLeader) leads in term \(newTerm), "
            + "\(Numbers.milliseconds(gapMs)) without a write, \(writes) writes since"
    }
}

/// The result of `bench failover`.
struct FailoverReport: Report, Equatable {
    var benchmark = "failover"
    /// Writes in flight.
    var clients: Int
    var connections: Int
    var valueSize: Int
    var rounds: [FailoverRound]
    var medianMs: Double
    var p99Ms: Double
    var maxMs: Double
    /// Writes that failed, over all rounds. Those that were answered late are not among them.
    var errors: Int
    var errorsByCode: [String: Int]

    init(clients: Int, connections: Int, valueSize: Int, rounds: [FailoverRound], errors: [String: Int]) {
        self.clients = clients
        self.connections = connections
        self.valueSize = valueSize
        self.rounds = rounds
        let gaps = rounds.map(\.gapMs)
        medianMs = Numbers.rounded(Numbers.median(gaps))
        p99Ms = Numbers.percentile(gaps, 99)
        maxMs = gaps.max() ?? 0
        self.errors = errors.values.reduce(0, +)
        errorsByCode = errors
    }

    private enum CodingKeys: String, CodingKey {
        case benchmark, clients, connections, valueSize, rounds, errors, errorsByCode
        case medianMs = "median_ms"
        case p99Ms = "p99_ms"
        case maxMs = "max_ms"
    }

    /// The rounds were printed as they happened.
    var table: String {
        let what = rounds.first?.end == .stopped ? "graceful stops of the leader" : "failover"
        let codes = errorsByCode.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        return """
            \(what): \(rounds.count) rounds, \(clients) writers over \(connections) connections
            without a write: median \(Numbers.milliseconds(medianMs))   p99 \(Numbers.milliseconds(p99Ms))   \
            max \(Numbers.milliseconds(maxMs))
            failed writes: \(errors)\(codes.isEmpty ? "" : " (\(codes))")
            """
    }
}

extension Numbers {
    /// The middle value, or the mean of the two in the middle; zero of nothing.
    static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// The smallest value that at least `percentile` percent of the values do not exceed (nearest rank); zero of nothing.
    static func percentile(_ values: [Double], _ percentile: Double) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let rank = Int((percentile / 100 * Double(sorted.count)).rounded(.up))
        return sorted[min(sorted.count, max(1, rank)) - 1]
    }
}
