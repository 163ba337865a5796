import DequeModule

/// The answer to one write of a session, kept until the client acknowledges it.
package struct SessionResult: Hashable, Sendable {
    package var sequence: UInt64
    package var outcome: CommandOutcome

    package init(sequence: UInt64, outcome: CommandOutcome) {
        self.sequence = sequence
        self.outcome = outcome
    }
}

/// A session as it is stored: one row.
package struct SessionState: Hashable, Sendable {
    package var session: Session
    /// The client has the answers to all sequence numbers below this one; none of them is in `results`.
    package var acknowledgedBelow: UInt64
    /// By sequence number, at most `Limits.sessionWindow`, and none is added beyond `Limits.sessionResultsWeightMax`.
    package var results: [SessionResult]

    package init(session: Session, acknowledgedBelow: UInt64, results: [SessionResult]) {
        self.session = session
        self.acknowledgedBelow = acknowledgedBelow
        self.results = results
    }
}

/// Client sessions: a write that carries `(session, sequence)` is done once, however often it is found in the log, and each
/// time answered alike (Diss. §6.3).
package struct SessionTable: Sendable {
    package enum Admission: Hashable, Sendable {
        /// The write is new: do it, then `record` its outcome.
        case execute
        /// The write is new, and the session keeps too much already: `record` this as its outcome without doing it.
        case decline(Refusal)
        case replay(CommandOutcome)
        /// Not done, and not remembered.
        case refused(Refusal)
    }

    private struct StoredResult {
        var result: SessionResult
        var digest: UInt64
    }

    private struct Stored {
        var session: Session
        var acknowledgedBelow: UInt64
        /// By sequence number; all in the window that begins at `acknowledgedBelow`.
        var results: Deque<StoredResult>
        /// Of all outcomes in `results`.
        var weight = 0
        /// Of `session` and `acknowledgedBelow`, without the results.
        var digest: UInt64

        /// The place of `sequence`, or where it belongs. Writes come nearly in order, so the search starts at the end.
        func position(of sequence: UInt64) -> (index: Int, found: Bool) {
            if let last = results.last, last.result.sequence < sequence { return (results.count, false) }
            var low = 0
            var high = results.count
            while low < high {
                let middle = low + (high - low) / 2
                if results[middle].result.sequence < sequence { low = middle + 1 } else { high = middle }
            }
            return (low, low < results.count && results[low].result.sequence == sequence)
        }
    }

    private var entries: [SessionID: Stored]
    private var touched: Set<SessionID> = []
    private var removed: Set<SessionID> = []
    /// The sum of `StateDigest.of` over all sessions.
    package private(set) var digest: UInt64

    /// Takes over sessions as they were stored; none counts as touched.
    package init(restoring states: [SessionState] = []) {
        entries = Dictionary(minimumCapacity: states.count)
        digest = 0
        for state in states {
            let id = state.session.id
            precondition(entries[id] == nil, "session \(id) was restored twice")
            var results = Deque<StoredResult>(minimumCapacity: state.results.count)
            var weight = 0
            for result in state.results {
                let hash = StateDigest.of(result, in: id)
                results.append(StoredResult(result: result, digest: hash))
                digest &+= hash
                weight += result.outcome.weight
            }
            let header = StateDigest.of(state.session, acknowledgedBelow: state.acknowledgedBelow)
            digest &+= header
            entries[id] = Stored(
                session: state.session, acknowledgedBelow: state.acknowledgedBelow, results: results, weight: weight,
                digest: header)
        }
    }

    package var count: Int { entries.count }

    /// What becomes of a write, before it is decided. The session counts as alive now, whatever the answer; results that
    /// the client acknowledges are dropped.
    ///
    /// A session whose time has run out but which `expireSessions` has not removed yet still works: its results are there,
    /// so the promise holds.
    package mutating func admit(
        _ id: SessionID, sequence: UInt64, acknowledgedBelow: UInt64, timeMilliseconds: UInt64
    ) -> Admission {
        guard let position = entries.index(forKey: id) else {
            return .refused(.sessionExpired(id))
        }
        touched.insert(id)
        digest &+= SessionTable.refresh(
            &entries.values[position], timeMilliseconds: timeMilliseconds,
            acknowledgedBelow: acknowledgedBelow <= sequence ? acknowledgedBelow : 0)
        guard acknowledgedBelow <= sequence else {
            return .refused(
                Refusal(
                    .sequenceOutOfWindow,
                    "write \(sequence) of session \(id) acknowledges its own answer (acknowledged below "
                        + "\(acknowledgedBelow))"))
        }
        let first = entries.values[position].acknowledgedBelow
        guard sequence >= first else {
            return .refused(
                Refusal(
                    .sequenceOutOfWindow,
                    "the answer to write \(sequence) of session \(id) was already acknowledged (all below \(first) were)"
                ))
        }
        guard sequence - first < Limits.sessionWindow else {
            return .refused(
                Refusal(
                    .sequenceOutOfWindow,
                    "write \(sequence) of session \(id) is beyond its window of \(Limits.sessionWindow) writes from "
                        + "\(first): acknowledge answers first"))
        }
        let place = entries.values[position].position(of: sequence)
        let weight = entries.values[position].weight
        if !place.found, weight >= Limits.sessionResultsWeightMax {
            return .decline(
                Refusal(
                    .limitExceeded,
                    "session \(id) keeps answers of about \(weight) bytes, from write \(first) on, the limit is "
                        + "\(Limits.sessionResultsWeightMax): acknowledge answers first"))
        }
        return place.found ? .replay(entries.values[position].results[place.index].result.outcome) : .execute
    }

    /// Remembers the outcome of a write that is to be executed or declined, as `CommandOutcome.remembered`. Does nothing when the write closed its own session.
    package mutating func record(_ id: SessionID, sequence: UInt64, outcome: CommandOutcome) {
        guard let position = entries.index(forKey: id) else { return }
        let result = SessionResult(sequence: sequence, outcome: outcome.remembered)
        let hash = StateDigest.of(result, in: id)
        let place = entries.values[position].position(of: sequence)
        precondition(!place.found, "write \(sequence) of session \(id) was recorded twice")
        entries.values[position].results.insert(StoredResult(result: result, digest: hash), at: place.index)
        precondition(
            entries.values[position].results.count <= Int(Limits.sessionWindow),
            "session \(id) holds \(entries.values[position].results.count) results")
        entries.values[position].weight += result.outcome.weight
        digest &+= hash
        touched.insert(id)
    }

    package mutating func open(_ session: Session) {
        precondition(entries[session.id] == nil, "session \(session.id) was opened twice")
        let header = StateDigest.of(session, acknowledgedBelow: 0)
        entries[session.id] = Stored(session: session, acknowledgedBelow: 0, results: [], digest: header)
        digest &+= header
        touched.insert(session.id)
    }

    package mutating func close(_ id: SessionID) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        digest &-= entry.results.reduce(entry.digest) { $0 &+ $1.digest }
        touched.remove(id)
        removed.insert(id)
    }

    /// The sessions that changed since the last call, by id: each row is written once a batch.
    package mutating func takeTouched() -> [SessionState] {
        defer { touched.removeAll(keepingCapacity: true) }
        return touched.sorted().compactMap { state($0) }
    }

    /// The sessions that ended since the last call, by id. Some of them may never have been written.
    package mutating func takeRemoved() -> [SessionID] {
        defer { removed.removeAll(keepingCapacity: true) }
        return removed.sorted()
    }

    package func session(_ id: SessionID) -> Session? { entries[id]?.session }

    package func state(_ id: SessionID) -> SessionState? {
        entries[id].map { entry in
            SessionState(
                session: entry.session, acknowledgedBelow: entry.acknowledgedBelow, results: entry.results.map(\.result)
            )
        }
    }

    /// By id.
    package func sessions() -> [Session] {
        entries.values.map(\.session).sorted { $0.id < $1.id }
    }

    /// All sessions with their results, by id.
    package func states() -> [SessionState] {
        entries.keys.sorted().compactMap { state($0) }
    }

    /// Notes a sign of life and an acknowledgement; returns what it adds to the digest. Neither goes back.
    private static func refresh(_ entry: inout Stored, timeMilliseconds: UInt64, acknowledgedBelow: UInt64) -> UInt64 {
        var delta: UInt64 = 0
        if acknowledgedBelow > entry.acknowledgedBelow {
            entry.acknowledgedBelow = acknowledgedBelow
            while let first = entry.results.first, first.result.sequence < acknowledgedBelow {
                delta &-= first.digest
                entry.weight -= first.result.outcome.weight
                entry.results.removeFirst()
            }
        }
        entry.session.lastActiveMilliseconds = max(entry.session.lastActiveMilliseconds, timeMilliseconds)
        delta &-= entry.digest
        entry.digest = StateDigest.of(entry.session, acknowledgedBelow: entry.acknowledgedBelow)
        return delta &+ entry.digest
    }
}
