internal import MetadataModel

/// Reads all rows and adds them up anew: the digest as the rows themselves give it, and what is kept beside the rows to find
/// them faster.
struct DigestScan {
    private let rows: RowReader
    private let state: StateRow
    private let pace: () -> Void
    private var count = 0
    private var digest: UInt64
    private var totals = MetadataTotals(brokers: 0, topics: 0, partitions: 0, sessions: 0)
    private var configCount = 0
    private var loads: [BrokerID: BrokerLoad] = [:]
    /// The sum of a hash of each replica, as the partitions name them.
    private var replicas: UInt64 = 0

    /// - Parameter pace: called now and then, to take the time that the scan should leave to others.
    static func run(_ connection: Connection, pace: @escaping () -> Void) throws(StoreError) -> ScrubResult {
        var scan = try DigestScan(connection, pace: pace)
        try scan.addRows()
        return ScrubResult(
            applied: scan.state.applied, digest: scan.state.digest, recomputed: scan.digest,
            problem: try scan.problem(connection))
    }

    private init(_ connection: Connection, pace: @escaping () -> Void) throws(StoreError) {
        rows = try RowReader(connection)
        state = try StateStatements(connection).read()
        self.pace = pace
        digest = StateDigest.of(featureLevel: state.featureLevel)
    }

    private mutating func addRows() throws(StoreError) {
        try rows.forEachBroker(after: nil) { (broker) throws(StoreError) in
            add(StateDigest.of(broker))
            totals.brokers += 1
            return true
        }
        try rows.forEachTopicByID { (topic) throws(StoreError) in
            add(StateDigest.of(topic))
            totals.topics += 1
            return true
        }
        try rows.forEachPartition { (partition) throws(StoreError) in
            add(StateDigest.of(partition))
            totals.partitions += 1
            for broker in partition.replicas {
                replicas &+= Self.hash(broker, partition.key)
                loads[broker, default: BrokerLoad(id: broker, replicas: 0, leaders: 0)].replicas += 1
            }
            if let leader = partition.leader {
                loads[leader, default: BrokerLoad(id: leader, replicas: 0, leaders: 0)].leaders += 1
            }
            return true
        }
        try rows.forEachConfig { (config) throws(StoreError) in
            add(StateDigest.of(config))
            configCount += 1
            return true
        }
        try rows.forEachSession { (id, body) throws(StoreError) in
            add(StateDigest.of(try RowCoding.session(id, body)))
            totals.sessions += 1
            return true
        }
    }

    /// What is wrong beside the rows of the digest; nil when nothing is.
    private mutating func problem(_ connection: Connection) throws(StoreError) -> String? {
        guard totals == state.totals, configCount == state.configCount else {
            return "there are \(totals) and \(configCount) configs where \(state.totals) and \(state.configCount) were "
                + "counted"
        }
        var indexed: UInt64 = 0
        try rows.forEachReplica { (broker, key) throws(StoreError) in
            rest()
            indexed &+= Self.hash(broker, key)
            return true
        }
        guard indexed == replicas else { return "the index of replicas does not fit the partitions" }
        guard try rows.brokerLoads() == loads.values.sorted(by: { $0.id < $1.id }) else {
            return "the loads of the brokers do not fit the partitions"
        }
        // The structure of the file, its indexes included.
        let answer = try connection.text("PRAGMA quick_check(1)", "check the database")
        return answer == "ok" ? nil : answer
    }

    private mutating func add(_ hash: UInt64) {
        digest &+= hash
        rest()
    }

    private mutating func rest() {
        count += 1
        if count % Self.rowsBetweenRests == 0 { pace() }
    }

    private static func hash(_ broker: BrokerID, _ key: PartitionKey) -> UInt64 {
        var hasher = StateHasher(kind: replicaKind)
        hasher.combine(broker.rawValue)
        hasher.combine(key.topic.high)
        hasher.combine(key.topic.low)
        hasher.combine(key.index.rawValue)
        return hasher.finish()
    }

    /// Far from the kinds of `StateDigest`; nothing that leaves this process depends on it.
    private static let replicaKind: UInt64 = 1_000
    /// A slice of the scan takes a few milliseconds.
    static let rowsBetweenRests = 2_048
}
