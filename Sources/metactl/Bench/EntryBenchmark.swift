import MetadataModel
import MetadataSchema
import MetadataStore
import RaftCore

/// Times the commands that concern very many partitions at once, each entry by itself: other writes wait for as long.
struct EntryBenchmark {
    /// How many partitions each of them concerns.
    let partitions: Int
    private let store: MetadataStore
    private var index: UInt64 = 0
    private var epochs: [BrokerID: BrokerEpoch] = [:]
    private var states: [BrokerID: Broker.State] = [:]
    private var unfinished = UnfinishedWork()
    private var rows: [EntriesReport.Row] = []

    /// - Parameter folder: for the database, empty.
    init(partitions: Int, folder: String) throws {
        self.partitions = partitions
        store = try MetadataStore(path: folder + "/bench.db")
    }

    /// Each row with the command that it begins with, in the order in which they were run.
    mutating func run() throws -> [EntriesReport.Row] {
        _ = try apply(.setFeatureLevel(Limits.featureLevelMax))
        for id in Int32(1)...4 {
            _ = try apply(registration(id, incarnation: 1))
            _ = try apply(.unfenceBroker(id: BrokerID(id), epoch: epoch(id)))
        }
        let three: [[Int32]] = (0..<partitions).map { [[1, 2, 3], [2, 3, 1], [3, 1, 2]][$0 % 3] }
        try measure("topic of three replicas is created", creation(1, three))
        try measure("and deleted", deletion(1))
        _ = try apply(creation(2, three))
        try measure("broker with these replicas is fenced", fence(1))
        try measure("and forced out", .unregisterBroker(id: BrokerID(1), epoch: nil, force: true))
        let alone = [[Int32]](repeating: [4], count: partitions)
        try measure("topic of one replica is created", creation(3, alone))
        try measure("its broker is fenced: all are offline", fence(4))
        try measure("and returns", .unfenceBroker(id: BrokerID(4), epoch: epoch(4)))
        try measure("it is fenced again", fence(4))
        try measure("and registers as another process", registration(4, incarnation: 2))
        try measure("topic of one replica is deleted", deletion(3))
        try store.close()
        return rows
    }

    /// The command and the steps that the leader takes behind it.
    private mutating func measure(_ name: String, _ command: Command) throws {
        var row = EntriesReport.Row(command: name, entries: 0, totalMs: 0, longestMs: 0)
        var next: Command? = command
        while let step = next {
            let took = try apply(step).inMilliseconds
            row.entries += 1
            row.totalMs += took
            row.longestMs = max(row.longestMs, took)
            next = unfinished.isEmpty ? nil : .takeStep
            if case .fenceBroker(let id, _) = step, states[id] == .fencing { next = step }
        }
        row.totalMs = Numbers.rounded(row.totalMs)
        row.longestMs = Numbers.rounded(row.longestMs)
        rows.append(row)
    }

    private mutating func apply(_ command: Command) throws -> Duration {
        index += 1
        let payload = LogEnvelope(
            timeMilliseconds: index, session: nil, sequence: 0, acknowledgedBelow: 0,
            commandBytes: command.schemaBytes()
        ).encoded()
        let entry = Entry(term: Term(1), index: LogIndex(index), kind: .command, payload: payload)
        let clock = ContinuousClock()
        let begun = clock.now
        let batch = try store.apply([entry])
        let took = begun.duration(to: clock.now)
        if case .refused(let refusal)? = batch.outcomes.first?.outcome {
            throw CommandFailure.notFound(code: refusal.reason.rawValue, refusal.detail)
        }
        for change in batch.events.flatMap(\.changes) {
            if let latest = UnfinishedWork(change) { unfinished = latest }
            guard case .brokerChanged(let broker) = change else { continue }
            states[broker.id] = broker.state
            epochs[broker.id] = broker.epoch
        }
        return took
    }

    private func epoch(_ id: Int32) -> BrokerEpoch { epochs[BrokerID(id)] ?? BrokerEpoch(0) }

    private func fence(_ id: Int32) -> Command { .fenceBroker(id: BrokerID(id), epoch: epoch(id)) }

    private func registration(_ id: Int32, incarnation: UInt64) -> Command {
        .registerBroker(
            .init(id: BrokerID(id), incarnation: IncarnationID(high: 1, low: incarnation), endpoints: [], rack: ""))
    }

    private func creation(_ id: UInt64, _ assignment: [[Int32]]) -> Command {
        .createTopic(
            .init(
                name: "topic-\(id)", id: TopicID(high: 1, low: id), partitionCount: 0, replicationFactor: 0,
                assignment: assignment.map { $0.map { BrokerID($0) } }))
    }

    private func deletion(_ id: UInt64) -> Command {
        .deleteTopic(topic: .id(TopicID(high: 1, low: id)), ifVersion: nil)
    }
}

/// The result of `bench entries`.
struct EntriesReport: Report {
    var benchmark = "entries"
    var partitions: Int
    var rows: [Row]

    struct Row: Encodable, Sendable {
        var command: String
        /// The command's own, and those of the steps behind it.
        var entries: Int
        var totalMs: Double
        var longestMs: Double
    }

    var table: String {
        var table = Table(["COMMAND", "ENTRIES", "TOTAL MS", "LONGEST MS"])
        for row in rows { table.add([row.command, "\(row.entries)", "\(row.totalMs)", "\(row.longestMs)"]) }
        return "with \(partitions) partitions\n" + table.text
    }
}
