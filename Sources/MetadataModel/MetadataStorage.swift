/// The rows of the state machine: what `decide` reads, and what its changes are written to. A database or a dictionary.
///
/// Sessions are not rows of the storage: `SessionTable` owns them, and `Change.sessionOpened` and `.sessionClosed` never
/// arrive here. What a storage answers to `sessions()` and in `totals().sessions` is not consulted by `StateMachine`.
package protocol MetadataStorage: MetadataView {
    /// Writes one row. `before` is the row that the view shows now, nil when there is none.
    ///
    /// After a failure the state machine has done a part of an entry: it must be thrown away and restored from what the
    /// storage holds.
    mutating func apply(_ change: Change) throws(Failure)
}

/// A command entry of the log, decoded.
package struct LogCommand: Hashable, Sendable {
    /// The log's own time, put in by the leader that proposed the entry. Time passes nowhere else.
    package var timeMilliseconds: UInt64
    /// Nil: a write outside of any session, which is done each time it is found in the log.
    package var session: SessionID?
    package var sequence: UInt64
    /// The client has the answers to all sequence numbers below this one.
    package var acknowledgedBelow: UInt64
    /// Nil when the entry cannot be understood: answered `unknownCommand` on every node, never a crash on all of them.
    package var command: Command?

    package init(
        timeMilliseconds: UInt64, session: SessionID?, sequence: UInt64, acknowledgedBelow: UInt64, command: Command?
    ) {
        self.timeMilliseconds = timeMilliseconds
        self.session = session
        self.sequence = sequence
        self.acknowledgedBelow = acknowledgedBelow
        self.command = command
    }
}

/// What an entry did.
package struct Applied: Hashable, Sendable {
    package var outcome: CommandOutcome
    /// What watchers are told; nil when nothing that they can see changed.
    package var event: ChangeEvent?
    /// The outcome is the remembered one of an earlier attempt, and nothing was done.
    package var wasReplay: Bool

    package init(outcome: CommandOutcome, event: ChangeEvent?, wasReplay: Bool) {
        self.outcome = outcome
        self.event = event
        self.wasReplay = wasReplay
    }
}

/// The storage with the sessions as they are in the middle of a batch, when their rows are not yet written.
struct SessionOverlay<Storage: MetadataStorage>: MetadataView {
    typealias Failure = Storage.Failure

    let storage: Storage
    let table: SessionTable

    func broker(_ id: BrokerID) throws(Failure) -> Broker? { try storage.broker(id) }
    func brokers() throws(Failure) -> [Broker] { try storage.brokers() }
    func brokerLoads() throws(Failure) -> [BrokerLoad] { try storage.brokerLoads() }
    func topic(_ id: TopicID) throws(Failure) -> Topic? { try storage.topic(id) }
    func topic(named name: String) throws(Failure) -> Topic? { try storage.topic(named: name) }
    func topic(collidingWith name: String) throws(Failure) -> Topic? { try storage.topic(collidingWith: name) }
    func partition(_ key: PartitionKey) throws(Failure) -> Partition? { try storage.partition(key) }
    func partitions(of topic: TopicID) throws(Failure) -> [Partition] { try storage.partitions(of: topic) }
    func partitions(
        withReplica broker: BrokerID, after key: PartitionKey?, limit: Int
    ) throws(Failure) -> [Partition] {
        try storage.partitions(withReplica: broker, after: key, limit: limit)
    }
    func partitions(relyingOn broker: BrokerID, limit: Int) throws(Failure) -> [Partition] {
        try storage.partitions(relyingOn: broker, limit: limit)
    }
    func partitions(
        _ filter: PartitionFilter, after key: PartitionKey?, limit: Int
    ) throws(Failure) -> [Partition] {
        try storage.partitions(filter, after: key, limit: limit)
    }
    func config(_ resource: ConfigResource, name: String) throws(Failure) -> ConfigEntry? {
        try storage.config(resource, name: name)
    }
    func configs(of resource: ConfigResource) throws(Failure) -> [ConfigEntry] { try storage.configs(of: resource) }
    func configCount(of resource: ConfigResource) throws(Failure) -> Int { try storage.configCount(of: resource) }
    func featureLevel() throws(Failure) -> UInt32 { try storage.featureLevel() }

    func session(_ id: SessionID) throws(Failure) -> Session? { table.session(id) }
    func sessions() throws(Failure) -> [Session] { table.sessions() }
    func totals() throws(Failure) -> MetadataTotals {
        var totals = try storage.totals()
        totals.sessions = table.count
        return totals
    }
}
