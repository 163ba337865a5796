/// The replicated state machine: entries of the log in, rows, answers and events out. The same log gives the same state on
/// every node, whatever the storage and wherever the batches begin and end.
package struct StateMachine<Storage: MetadataStorage> {
    package var storage: Storage
    package private(set) var sessions: SessionTable
    /// The index of the last entry that changed something clients can see. Sessions do not count.
    package private(set) var version: Version
    /// The part of `digest` that the storage's rows make.
    private var rowsDigest: UInt64
    /// The latest time found in the log. It never goes back, whatever a leader's clock says.
    package private(set) var logTimeMilliseconds: UInt64

    /// Goes on from a stored state; the defaults are the empty one.
    package init(
        storage: Storage, sessions: SessionTable = SessionTable(), version: Version = .zero, digest: UInt64 = 0,
        logTimeMilliseconds: UInt64 = 0
    ) {
        self.storage = storage
        self.sessions = sessions
        self.version = version
        rowsDigest = digest &- sessions.digest
        self.logTimeMilliseconds = logTimeMilliseconds
    }

    /// The sum of `StateDigest` over all rows, the sessions and their results.
    package var digest: UInt64 { rowsDigest &+ sessions.digest }

    /// Applies a committed entry. A refusal is an outcome; only the storage fails, and then this value is spent
    /// (`MetadataStorage.apply`).
    package mutating func apply(index: UInt64, _ entry: LogCommand) throws(Storage.Failure) -> Applied {
        precondition(index > version.rawValue, "entry \(index) was applied after version \(version)")
        logTimeMilliseconds = max(logTimeMilliseconds, entry.timeMilliseconds)
        guard let session = entry.session else {
            return try execute(index: index, entry.command)
        }
        let admission = sessions.admit(
            session, sequence: entry.sequence, acknowledgedBelow: entry.acknowledgedBelow,
            timeMilliseconds: logTimeMilliseconds)
        switch admission {
        case .replay(let outcome):
            return Applied(outcome: outcome, event: nil, wasReplay: true)
        case .refused(let refusal):
            return Applied(outcome: .refused(refusal), event: nil, wasReplay: false)
        case .decline(let refusal):
            sessions.record(session, sequence: entry.sequence, outcome: .refused(refusal))
            return Applied(outcome: .refused(refusal), event: nil, wasReplay: false)
        case .execute:
            let applied = try execute(index: index, entry.command)
            sessions.record(session, sequence: entry.sequence, outcome: applied.outcome)
            return applied
        }
    }

    /// The sessions whose rows have changed since the last call, and those that ended: `SessionTable.takeTouched`.
    package mutating func takeSessionChanges() -> (touched: [SessionState], removed: [SessionID]) {
        (sessions.takeTouched(), sessions.takeRemoved())
    }

    package func totals() throws(Storage.Failure) -> MetadataTotals {
        var totals = try storage.totals()
        totals.sessions = sessions.count
        return totals
    }

    package func featureLevel() throws(Storage.Failure) -> UInt32 { try storage.featureLevel() }

    private mutating func execute(index: UInt64, _ command: Command?) throws(Storage.Failure) -> Applied {
        guard let command else {
            return Applied(outcome: .refused(.unknownCommand(index: index)), event: nil, wasReplay: false)
        }
        switch try decision(index: index, command) {
        case .refused(let refusal):
            return Applied(outcome: .refused(refusal), event: nil, wasReplay: false)
        case .done(let changes, let result):
            let event = try carryOut(changes, index: index)
            return Applied(outcome: .done(result ?? .changed(version)), event: event, wasReplay: false)
        }
    }

    /// A function of its own, so that the view's copy of the storage is gone before the rows are written (copy on write).
    private func decision(index: UInt64, _ command: Command) throws(Storage.Failure) -> Decision {
        try decide(
            command, index: index, timeMilliseconds: logTimeMilliseconds,
            view: SessionOverlay(storage: storage, table: sessions))
    }

    private mutating func carryOut(_ changes: [Change], index: UInt64) throws(Storage.Failure) -> ChangeEvent? {
        var isVisible = false
        for change in changes {
            switch change {
            case .sessionOpened(let session):
                sessions.open(session)
            case .sessionClosed(let id):
                sessions.close(id)
            case .broker, .topic, .partition, .config, .featureLevel:
                isVisible = true
                rowsDigest &+= StateDigest.delta(of: change)
                try storage.apply(change)
            }
        }
        guard isVisible else { return nil }
        version = Version(index)
        let storage = storage
        return try ChangeEvent(version: version, changes: changes) { id throws(Storage.Failure) in
            try storage.topic(id)?.name
        }
    }
}

extension StateMachine: Sendable where Storage: Sendable {}
