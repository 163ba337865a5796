internal import MetadataModel
import MetadataSchema
internal import RaftCore

/// What the apply thread keeps between batches: the state machine with its prepared statements, and the `state` row as it is
/// to be written. Loaded from the database; thrown away after a failure.
final class ApplyState {
    private(set) var state: StateRow
    /// What the change feed is to say of the transaction that is open.
    private var events: [ChangeEvent] = []
    private var machine: StateMachine<DatabaseStorage>
    private let stateStatements: StateStatements
    private let feed: FeedWriter

    init(_ connection: Connection, options: StoreOptions) throws(StoreError) {
        let stateStatements = try StateStatements(connection)
        let state = try stateStatements.read()
        let storage = try DatabaseStorage(connection, state: state)
        let sessions = try storage.storedSessions()
        guard sessions.count == state.totals.sessions else {
            throw .corrupt(what: "\(sessions.count) sessions where \(state.totals.sessions) were counted")
        }
        self.stateStatements = stateStatements
        self.state = state
        feed = try FeedWriter(connection, options: options)
        machine = StateMachine(
            storage: storage, sessions: SessionTable(restoring: sessions), version: state.version,
            digest: state.digest, logTimeMilliseconds: state.logTimeMilliseconds)
    }

    var tally: PartitionTally { machine.storage.tally }

    /// Applies entries inside the open transaction, which `finish` completes. After a failure this object is spent.
    func apply(_ entries: [Entry]) throws(StoreError) -> AppliedBatch {
        var applied = state.applied
        var configuration = state.configuration
        var outcomes: [(index: LogIndex, outcome: CommandOutcome)] = []
        var events: [ChangeEvent] = []
        var digests: [DigestMark] = []
        outcomes.reserveCapacity(entries.count)
        events.reserveCapacity(entries.count)
        for entry in entries {
            precondition(
                entry.index == applied.index.next, "entry \(entry.index) was applied after entry \(applied.index)")
            precondition(
                entry.term >= applied.term, "entry \(entry.index) of term \(entry.term) follows term \(applied.term)")
            switch entry.kind {
            case .noop:
                break
            case .configuration:
                configuration = entry.payload
            case .command:
                let command = LogCommand(decoding: entry.payload)
                let done = try machine.apply(index: entry.index.rawValue, command)
                // Kept entry by entry, so it does not depend on where this node's batches begin and end.
                if command.command == .compareDigests {
                    digests.append(DigestMark(index: entry.index.rawValue, digest: machine.digest))
                }
                outcomes.append((index: entry.index, outcome: done.outcome))
                if let event = done.event { events.append(event) }
            }
            applied = entry.position
        }
        self.events += events
        state.applied = applied
        state.configuration = configuration
        state.version = machine.version
        state.digest = machine.digest
        state.logTimeMilliseconds = machine.logTimeMilliseconds
        state.featureLevel = try machine.featureLevel()
        state.totals = try machine.totals()
        state.configCount = machine.storage.configCount
        return AppliedBatch(
            applied: applied, version: state.version, digest: state.digest,
            logTimeMilliseconds: state.logTimeMilliseconds, outcomes: outcomes, events: events,
            digests: digests)
    }
    /// Writes what a transaction writes once, however many batches it holds. After a failure this object is spent.
    func finish() throws(StoreError) {
        let sessions = machine.takeSessionChanges()
        try machine.storage.finishTransaction(touched: sessions.touched, removed: sessions.removed)
        state.feedFloor = try feed.append(events, floor: state.feedFloor)
        events.removeAll()
        try stateStatements.write(state)
    }
}
