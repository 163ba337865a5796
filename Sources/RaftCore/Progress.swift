/// What a leader knows of one other member, and the decision what to send to it next.
struct Progress: Sendable {
    enum State: Sendable, Equatable {
        /// One append at a time until the common prefix is found. `isPaused` while its answer is outstanding.
        /// Exits: an acknowledgement to `replicate`; a needed entry that is compacted to `snapshot`. A heartbeat's answer
        /// lifts the pause, so that a lost probe is repeated.
        case probe(isPaused: Bool)
        /// Appends are sent ahead. `checkDue` asks for an empty append although there is nothing new: a follower that
        /// answers heartbeats and is behind may have lost the appends that are counted as in flight.
        /// Exits: a rejection to `probe`; a needed entry that is compacted to `snapshot`.
        case replicate(checkDue: Bool)
        /// Nothing is sent until a snapshot that reaches at least `index` has arrived.
        /// Exits: an acknowledgement at or after `index` to `replicate`; the caller's report to `probe`.
        case snapshot(LogIndex)
    }

    let id: NodeID
    /// Everything up to here is in the follower's log, synced, and equal to ours. Falls only when it lost its log.
    private(set) var match: LogIndex
    /// The first entry to be sent next; always after `match`.
    private(set) var next: LogIndex
    private(set) var state: State
    /// Appends on their way; empty unless the state is `replicate`.
    private(set) var inflight = Inflight()
    /// Ticks since the last message from this member.
    var silentTicks = 0
    /// The highest round of heartbeats that it has answered (Diss. §6.4).
    var ackedRound: UInt64 = 0
    /// The commit index that it learns from what was sent to it, if nothing is lost.
    private(set) var sentCommit: LogIndex = .zero
    /// True from naming this member in `Ready.snapshotsWanted` to the caller's report: one install is under way at a time.
    private(set) var awaitsReport = false

    init(_ id: NodeID, next: LogIndex) {
        self.id = id
        self.match = .zero
        self.next = next
        self.state = .probe(isPaused: false)
    }

    // Inputs

    /// The follower holds everything up to `index`, synced.
    mutating func accepted(_ index: LogIndex) {
        guard index >= match else { return }
        match = index
        next = max(next, index.next)
        switch state {
        case .probe:
            becomeReplicate()
        case .replicate:
            inflight.free(through: index)
        case .snapshot(let pending):
            if match >= pending { becomeReplicate() }
        }
    }

    /// The follower did not find `rejected`; the common prefix ends at `candidate` at the latest.
    mutating func rejected(_ rejected: LogIndex, backTo candidate: LogIndex) {
        switch state {
        case .probe:
            // Anything but the answer to the outstanding probe is late.
            guard rejected == next.previous else { return }
        case .replicate:
            guard rejected > match else { return }
        case .snapshot:
            return
        }
        next = max(match.next, min(rejected, candidate.next))
        becomeProbe(isPaused: false)
    }

    /// The follower lost its log and holds nothing beyond `held`, whatever it acknowledged before.
    mutating func lostLog(after held: LogIndex) {
        guard match > held else { return }
        match = held
        switch state {
        case .probe, .replicate:
            next = held.next
            sentCommit = held
            becomeProbe(isPaused: false)
        case .snapshot:
            break
        }
    }

    /// The follower answered a heartbeat. `isBehind`: it has not acknowledged our last entry.
    mutating func answeredHeartbeat(round: UInt64, isBehind: Bool) {
        ackedRound = max(ackedRound, round)
        switch state {
        case .probe:
            if isBehind { state = .probe(isPaused: false) }
        case .replicate:
            if isBehind { state = .replicate(checkDue: true) }
        case .snapshot:
            break
        }
    }

    /// The caller's snapshot transfer is over. After a failure the next heartbeat's answer starts another attempt.
    mutating func snapshotReported(succeeded: Bool) {
        awaitsReport = false
        guard case .snapshot(let pending) = state else { return }
        next = succeeded ? max(match, pending).next : match.next
        becomeProbe(isPaused: !succeeded)
    }

    // Outputs

    /// Adds everything that may leave for this member now. `commit` is the leader's commit index.
    ///
    /// - Returns: true when the member has to be named in `Ready.snapshotsWanted`.
    mutating func sendAppends(
        log: EntryLog, commit: LogIndex, options: Options, into kinds: inout [Message.Kind]
    ) -> Bool {
        switch state {
        case .probe(isPaused: true), .snapshot:
            return false
        case .probe(isPaused: false):
            guard let previous = previous(in: log) else { return wantSnapshot(log: log, options: options) }
            sendOne(previous, log: log, commit: commit, options: options, into: &kinds)
            state = .probe(isPaused: true)
            return false
        case .replicate(let checkDue):
            var sent = false
            while next <= log.lastIndex && !inflight.isFull(options) {
                guard let previous = previous(in: log) else { return wantSnapshot(log: log, options: options) }
                let (last, bytes) = sendOne(previous, log: log, commit: commit, options: options, into: &kinds)
                inflight.add(last: last, bytes: bytes)
                next = last.next
                sent = true
            }
            if checkDue && !sent {
                guard let previous = previous(in: log) else { return wantSnapshot(log: log, options: options) }
                kinds.append(.append(previous: previous, entries: [], commit: commit))
                sentCommit = max(sentCommit, min(commit, previous.index))
            }
            if sentCommit < min(match, commit) { kinds.append(heartbeat(commit: commit, round: 0)) }
            if checkDue { state = .replicate(checkDue: false) }
            return false
        }
    }

    /// Tells it the commit index, as far as it is known to hold what is committed.
    mutating func heartbeat(commit: LogIndex, round: UInt64) -> Message.Kind {
        let commit = min(match, commit)
        sentCommit = max(sentCommit, commit)
        return .heartbeat(commit: commit, round: round)
    }

    /// What it holds, or is about to by a snapshot.
    var held: LogIndex {
        guard case .snapshot(let pending) = state else { return match }
        return max(match, pending)
    }

    func isActive(_ options: Options) -> Bool { silentTicks < options.electionTimeoutTicks }

    /// What the public sees of it.
    func published(_ options: Options) -> PeerProgress {
        let published: PeerProgress.State =
            switch state {
            case .probe: .probe
            case .replicate: .replicate
            case .snapshot: .snapshot
            }
        return PeerProgress(id: id, match: match, next: next, state: published, isActive: isActive(options))
    }

    // Helpers

    /// The position before `next`; nil when it is compacted away.
    private func previous(in log: EntryLog) -> LogPosition? {
        log.term(at: next.previous).map { LogPosition(index: next.previous, term: $0) }
    }

    @discardableResult
    private mutating func sendOne(
        _ previous: LogPosition, log: EntryLog, commit: LogIndex, options: Options, into kinds: inout [Message.Kind]
    ) -> (last: LogIndex, bytes: Int) {
        let (entries, bytes) = log.batch(from: next, bytesMax: options.appendBytesMax)
        let last = previous.index.advanced(by: entries.count)
        kinds.append(.append(previous: previous, entries: entries, commit: commit))
        sentCommit = max(sentCommit, min(commit, last))
        return (last, bytes)
    }

    /// A member that is silent gets no snapshot: it could not take it, and building one costs the caller a lot.
    private mutating func wantSnapshot(log: EntryLog, options: Options) -> Bool {
        guard isActive(options) else { return false }
        inflight.removeAll()
        state = .snapshot(log.base.index)
        guard !awaitsReport else { return false }
        awaitsReport = true
        return true
    }

    private mutating func becomeReplicate() {
        inflight.removeAll()
        next = match.next
        state = .replicate(checkDue: false)
    }

    private mutating func becomeProbe(isPaused: Bool) {
        inflight.removeAll()
        sentCommit = min(sentCommit, match)
        state = .probe(isPaused: isPaused)
    }
}
