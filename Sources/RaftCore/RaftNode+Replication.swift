extension RaftNode {
    // The leader's side

    /// Appends `payloads` to the log, in order and next to each other, if this member leads.
    ///
    /// - Parameters:
    ///   - payloads: at least one; exactly one for a configuration.
    ///   - kind: `.command`, or `.configuration` with an encoded `Configuration`.
    /// - Returns: `.accepted` says that the entries are in the leader's log, not that they are committed. In every other case
    ///   nothing was appended. During a leadership transfer the answer is `.notLeader(leader: nil)` (Diss. §3.10).
    public mutating func propose(_ payloads: [[UInt8]], kind: Entry.Kind = .command) -> ProposeOutcome {
        precondition(!payloads.isEmpty, "a proposal without entries")
        precondition(kind != .noop, "only a new leader writes a no-op")
        guard case .leader = state else { return .notLeader(leader: leader) }
        guard leadership?.transfer == nil else { return .notLeader(leader: nil) }
        if kind == .configuration, let refusal = configurationRefusal(payloads) {
            return .configurationChangeRefused(refusal)
        }
        var cost = 0
        for payload in payloads { cost += payload.count + Entry.overheadBytes }
        let uncommitted = uncommittedBytes
        // One proposal alone may exceed the limit, or it could never be made.
        guard uncommitted == 0 || uncommitted + cost <= options.uncommittedBytesMax else { return .overloaded }
        let first = log.lastIndex.next
        appendOwn(payloads, kind: kind)
        return .accepted(first: first, term: term)
    }

    /// How many of the payloads, from the first on, a leader has room for: `propose` would not find it overloaded by them.
    public func fitting(_ payloads: [[UInt8]]) -> Int {
        var total = uncommittedBytes
        var count = 0
        for payload in payloads {
            // One proposal alone may exceed the limit, or it could never be made.
            let isAlone = total == 0
            total += payload.count + Entry.overheadBytes
            guard isAlone || total <= options.uncommittedBytesMax else { break }
            count += 1
        }
        return count
    }

    /// Appends entries of the leader's own term. They leave for the followers, and for the disk, with the next `Ready`.
    mutating func appendOwn(_ payloads: [[UInt8]], kind: Entry.Kind) {
        var cost = 0
        for payload in payloads {
            let entry = Entry(term: term, index: log.lastIndex.next, kind: kind, payload: payload)
            cost += entry.cost
            log.append(entry)
            if kind == .configuration, let configuration = Self.decodedConfiguration(entry) {
                configurations.append(configuration, at: entry.index)
                configurationChanged()
            }
        }
        leadership?.uncommittedBytes += cost
    }

    mutating func tickLeader() {
        guard var count = leadership?.progress.count else { preconditionFailure("a \(role.rawValue) ticks as leader") }
        while count > 0 {
            count -= 1
            leadership?.progress[count].silentTicks += 1
        }
        // CheckQuorum: a leader that a quorum does not answer is none (Diss. §6.2).
        guard configuration.hasMajority(where: { isHeard($0) }) else {
            becomeFollower(term: term, leader: nil)
            return
        }
        if let transfer = leadership?.transfer {
            leadership?.transfer?.elapsedTicks += 1
            if transfer.elapsedTicks + 1 >= options.electionTimeoutTicks { leadership?.transfer = nil }
        }
        leadership?.heartbeatElapsedTicks += 1
        if let elapsed = leadership?.heartbeatElapsedTicks, elapsed >= options.heartbeatTicks { broadcastHeartbeat() }
    }

    /// Heartbeats to everyone, in a new round.
    mutating func broadcastHeartbeat() {
        let commit = commitIndex
        guard let heartbeats = leadership?.heartbeats(commit: commit) else {
            preconditionFailure("a \(role.rawValue) sends heartbeats")
        }
        for heartbeat in heartbeats { send(heartbeat.kind, to: heartbeat.peer) }
    }

    /// Sends what has gathered since the last `Ready`: entries, commit index, and the heartbeats that reads wait for.
    mutating func flushLeader() {
        startReadRound()
        flushReplication()
        // Behind what tells it all that is committed.
        askSuccessor()
    }

    private mutating func flushReplication() {
        // What is read while the progress is changed: shared, not copied.
        let (log, commit, options) = (self.log, commitIndex, self.options)
        var appends: [(peer: NodeID, kind: Message.Kind)] = []
        let wanting = leadership?.sendAppends(log: log, commit: commit, options: options, into: &appends)
        for append in appends { send(append.kind, to: append.peer) }
        if let wanting { snapshotsWanted += wanting }
    }

    /// Checks a follower's answer and notes that it was heard.
    ///
    /// - Returns: where its progress is; nil when the answer is not for the leader of this term, or not from a member.
    mutating func offsetOfAnswering(_ message: Message) -> Int? {
        guard configuration.member(message.from) != nil else { return nil }
        if message.term > term {
            becomeFollower(term: message.term, leader: nil)
            return nil
        }
        guard message.term == term, let offset = leadership?.offset(of: message.from) else { return nil }
        leadership?.progress[offset].silentTicks = 0
        return offset
    }

    mutating func handleAppendAccepted(_ message: Message, match: LogIndex) {
        guard let offset = offsetOfAnswering(message), match <= log.lastIndex else { return }
        leadership?.progress[offset].accepted(match)
        commitAsLeader()
        continueTransfer(answered: message.from)
    }

    mutating func handleAppendRejected(_ message: Message, rejected: LogIndex, hint: LogPosition) {
        guard let offset = offsetOfAnswering(message) else { return }
        let candidate = log.lastIndex(notAfter: hint.index, termAtMost: hint.term)
        leadership?.progress[offset].rejected(rejected, backTo: candidate)
    }

    mutating func handleHeartbeatResponse(_ message: Message, round: UInt64) {
        guard let offset = offsetOfAnswering(message), let current = leadership, round <= current.round else { return }
        let isBehind = current.progress[offset].match < log.lastIndex
        leadership?.progress[offset].answeredHeartbeat(round: round, isBehind: isBehind)
        concludeReadRound()
        continueTransfer(answered: message.from)
    }

    /// Commits what a quorum has synced, if it is of this term (Raft §5.3, §5.4.2: an entry of an earlier term is never
    /// committed by counting). The leader's own log counts as far as it is synced, and only while it votes.
    mutating func commitAsLeader() {
        guard case .leader(let leadership) = state else { return }
        let synced = persistence.syncedIndex
        let index = configuration.quorumIndex { member in
            if member == id { return synced }
            return leadership.offset(of: member).map { leadership.progress[$0].match } ?? .zero
        }
        guard index > commitIndex, log.term(at: index) == term else { return }
        advanceCommitOfLeader(to: index)
    }

    private mutating func advanceCommitOfLeader(to index: LogIndex) {
        precondition(
            log.term(at: index) == term, "commits \(index) of another term than \(term) by counting (Raft §5.4.2)")
        advanceCommit(to: index)
        if configurations.currentIndex <= commitIndex && !configuration.isVoter(id) {
            // It has managed its own removal, or was elected as a learner. What it was needed for is committed: another one
            // leads (Diss. §4.2.2).
            flushReplication()
            if let successor = mostUpToDateVoter() { send(.timeoutNow, to: successor) }
            becomeFollower(term: term, leader: nil)
        }
    }

    // The follower's side

    /// Raft §5.3, receiver's rules.
    mutating func handleAppend(_ message: Message, previous: LogPosition, entries: [Entry], commit: LogIndex) {
        guard Self.isWellFormed(entries, after: previous, term: message.term) else { return }
        guard admitLeader(message) else { return }
        var previous = previous
        var fresh = entries[...]
        if previous.index < commitIndex {
            // What is committed here is what the leader has: start at the commit index.
            let known = min(Int(commitIndex.rawValue - previous.index.rawValue), entries.count)
            guard known > 0, previous.index.advanced(by: known) == commitIndex,
                log.term(at: commitIndex) == entries[known - 1].term
            else {
                sendOnceSynced(.appendAccepted(match: commitIndex), to: message.from)
                return
            }
            previous = entries[known - 1].position
            fresh = entries[known...]
        }
        guard log.contains(previous) else {
            reject(previous, to: message.from)
            return
        }
        let last = previous.index.advanced(by: fresh.count)
        appendReceived(fresh)
        sendOnceSynced(.appendAccepted(match: last), to: message.from)
        advanceCommit(to: max(commitIndex, min(commit, last)))
    }

    mutating func handleHeartbeat(_ message: Message, commit: LogIndex, round: UInt64) {
        guard admitLeader(message) else { return }
        // The leader named at most what this member acknowledged; a bound that costs nothing guards against a leader that erred.
        advanceCommit(to: max(commitIndex, min(commit, log.lastIndex)))
        if round > 0 { send(.heartbeatResponse(round: round), to: message.from) }
    }

    /// Takes note of the leader, or tells a deposed one the present term so that it steps down.
    private mutating func admitLeader(_ message: Message) -> Bool {
        guard message.term >= term else {
            send(.heartbeatResponse(round: 0), to: message.from)
            return false
        }
        return heardLeader(message.from, term: message.term)
    }

    /// Appends what is not there yet; what conflicts is removed first (Raft §5.3).
    private mutating func appendReceived(_ entries: ArraySlice<Entry>) {
        guard var next = entries.first?.index else { return }
        var rest = entries
        while let entry = rest.first, let known = log.term(at: next) {
            if known != entry.term {
                truncate(from: next)
                break
            }
            rest = rest.dropFirst()
            next = next.next
        }
        for entry in rest {
            log.append(entry)
            if entry.kind == .configuration, let configuration = Self.decodedConfiguration(entry) {
                configurations.append(configuration, at: entry.index)
            }
        }
    }

    private mutating func truncate(from index: LogIndex) {
        precondition(index > commitIndex, "truncation from \(index) reaches the committed \(commitIndex)")
        log.truncate(from: index)
        persistence.truncated(from: index)
        _ = configurations.truncate(from: index)
        precondition(handedOutIndex <= log.lastIndex, "\(handedOutIndex) was handed out and is gone")
    }

    private mutating func reject(_ previous: LogPosition, to leader: NodeID) {
        let hint = log.lastIndex(notAfter: previous.index, termAtMost: previous.term)
        // Below the base everything is committed, so the leader has it: no need to go back further than the base.
        let index = max(hint, log.base.index)
        let term = log.term(at: index) ?? log.base.term
        send(
            .appendRejected(rejected: previous.index, hint: LogPosition(index: index, term: term)), to: leader)
    }

    /// Without gaps, with terms that never fall and are not from the future, and with configurations that decode.
    private static func isWellFormed(_ entries: [Entry], after previous: LogPosition, term: Term) -> Bool {
        guard previous.index <= indexMax, previous.term <= term else { return false }
        var last = previous
        for entry in entries {
            guard entry.index == last.index.next, entry.term >= last.term, entry.term <= term else { return false }
            if entry.kind == .configuration && decodedConfiguration(entry) == nil { return false }
            last = entry.position
        }
        return true
    }

    /// An index above this is taken for garbage.
    static let indexMax = LogIndex(1 << 62)

    // Queries

    var uncommittedBytes: Int {
        guard case .leader(let leadership) = state else { return 0 }
        return leadership.uncommittedBytes
    }

    /// Counts for CheckQuorum.
    private func isHeard(_ member: NodeID) -> Bool {
        if member == id { return true }
        guard case .leader(let leadership) = state, let offset = leadership.offset(of: member) else { return false }
        return leadership.progress[offset].isActive(options)
    }
}
