package import RaftCore

/// Shows the Raft checkers what members do: it takes plain values out of a core and its disk at the moments that matter.
package struct RaftObserver {
    private var elections = ElectionSafetyChecker()
    private var completeness = LeaderCompletenessChecker()
    private var matching = LogMatchingChecker()
    private var stateMachines = StateMachineSafetyChecker()
    private var durability = DurableCommitChecker()
    private var committed = CommittedEntriesChecker()
    private var states = MonotonicStateChecker()
    private var configurations = ConfigurationOverlapChecker()
    private var inEffect = ConfigurationInEffectChecker()
    private var disturbances: DisturbanceChecker
    private var digests = DigestChecker()
    private var leaderCommits = LeaderCommitChecker()
    private let bound: UncommittedBoundChecker
    private var silence: SilentDiskChecker
    private var recoveries = RecoveryChecker()
    private var seen = NodeTable<Seen>()
    private var groups = NodeTable<Groups>()
    /// The votes that a leader has asked for in favour of its successor.
    private var handedOver: Set<HandedOver> = []

    private struct Seen {
        /// Up to where its committed entries were shown.
        var commit: LogIndex
        var hardState: HardState
        var leads = false
        /// Where its log ended.
        var last = LogIndex.zero
        /// Who decided at the end of its last turn.
        var voters: VoterGroups?
    }

    /// Who decides by the configuration that a member goes by.
    private struct Groups {
        var voters: [NodeID]
        var outgoing: [NodeID]
        var groups: VoterGroups
    }

    private struct HandedOver: Hashable {
        var voter: NodeID
        var candidate: NodeID
        var term: Term
    }

    /// - Parameters:
    ///   - electionTimeoutMicroseconds: the shortest one.
    ///   - slackMicroseconds: how much a member's ticks may be apart from real time.
    ///   - diskSilenceMicroseconds: how long a leader waits for its disk before it hands over; it steps down after the double.
    ///   - uncommittedBytesMax: what a leader holds at most without having committed it.
    package init(
        electionTimeoutMicroseconds: UInt64, slackMicroseconds: UInt64, diskSilenceMicroseconds: UInt64,
        uncommittedBytesMax: Int
    ) {
        silence = SilentDiskChecker(boundMicroseconds: 2 * diskSilenceMicroseconds + 2 * slackMicroseconds)
        bound = UncommittedBoundChecker(bytesMax: uncommittedBytesMax)
        disturbances = DisturbanceChecker(
            electionTimeoutMicroseconds: electionTimeoutMicroseconds, slackMicroseconds: slackMicroseconds)
    }

    /// A process starts from its disk and its database.
    package mutating func starts(_ node: NodeID, durable: HardState, applied: LogIndex) throws(Violation) {
        try states.restarts(node, durable: durable, applied: applied)
        committed.restarts(node, applied: applied)
        stateMachines.stands(node, at: applied)
        disturbances.restarts(node)
        silence.restarts(node)
        seen[node] = Seen(commit: applied, hardState: durable)
    }

    /// A member has read its log: what is there is what was once written, whatever became of the disk.
    package mutating func reads(_ core: RaftNode) throws(Violation) {
        let log = core.entries(in: core.base.index.next..<core.lastIndex.next)
        try matching.writes(log, after: core.base.term, on: core.id)
    }

    /// The disk of a node was wiped: what it promised binds whoever is on it now no more.
    package mutating func forgets(_ node: NodeID) {
        states.forgets(node)
        recoveries.forgets(node)
    }

    /// A member gives up its log, which held these entries, synced, and begins it anew. Its database held what was committed up to
    /// `databaseThrough`.
    package mutating func losesLog(_ node: NodeID, _ positions: [LogPosition], databaseThrough: LogIndex) {
        let applied = committed.term(at: databaseThrough).map { LogPosition(index: databaseThrough, term: $0) }
        recoveries.loses(node, positions + [applied].compactMap(\.self))
    }

    /// A member says that it holds again whatever it may have acknowledged.
    package mutating func recovers(_ core: RaftNode, durableIndex: LogIndex) throws(Violation) {
        try recoveries.recovers(core.id, holding: min(core.commitIndex, durableIndex)) { committed.term(at: $0) }
    }

    /// A message is about to be taken in by a member that is in `term`.
    package mutating func receives(_ message: Message, on node: NodeID, in term: Term, at now: UInt64) {
        var isLeaders = false
        switch message.kind {
        case .append, .heartbeat, .installSnapshot: isLeaders = message.term >= term
        case .voteRequest(_, transfer: true):
            handedOver.insert(HandedOver(voter: node, candidate: message.from, term: message.term))
        case .voteRequest, .voteResponse, .preVoteRequest, .preVoteResponse, .appendAccepted, .appendRejected,
            .heartbeatResponse, .readIndexRequest, .readIndexResponse, .recoveryRequest, .recoveryResponse, .timeoutNow:
            break
        }
        disturbances.receives(node, from: message.from, term: message.term, isLeaders: isLeaders, at: now)
    }

    /// A member that was stopped goes on: it knows nobody's latest word.
    package mutating func resumes(_ node: NodeID) {
        disturbances.restarts(node)
        silence.restarts(node)
    }

    /// A member was told that the link to its leader is gone.
    package mutating func losesLeader(_ node: NodeID) { disturbances.losesLeader(node) }

    /// A member took an input and is about to act on it: to hand `writes` to its disk, among others. `holders` tells whose disks
    /// hold a position.
    package mutating func turnEnds(
        _ core: RaftNode, writes: [Persist], at now: UInt64, holders: (LogPosition) -> Set<NodeID>
    ) throws(Violation) {
        let node = core.id
        let voters = voters(of: core)
        let before = seen[node] ?? Seen(commit: .zero, hardState: .initial)
        let leads = core.status.role == .leader
        seen[node] = Seen(
            commit: max(before.commit, core.commitIndex), hardState: core.hardState, leads: leads, last: core.lastIndex,
            voters: voters)
        try judgeElections(core, before.hardState, voters, at: now)
        if leads, before.leads, before.hardState.term == core.hardState.term { try judgeLeader(core, before) }
        try states.observes(
            node, term: core.hardState.term, vote: core.hardState.vote, commit: core.commitIndex)
        try silence.observes(
            node, leads: leads, handedOut: writes.last?.sequence, inFlight: core.persistsInFlight, at: now)
        // First: what replaces the removed entries may be committed in the same turn.
        for write in writes { try persists(write, core) }
        // What is behind the base was replaced by a snapshot, which is made of what was committed.
        let first = max(before.commit, core.base.index).next
        guard first <= core.commitIndex, let term = core.term(at: core.commitIndex) else { return }
        let position = LogPosition(index: core.commitIndex, term: term)
        if position.index > durability.committed.index {
            // What was committed before the configuration changed in the same turn was so by those who decided then.
            let holders = holders(position)
            let isEarlier = core.configurationIndex > core.commitIndex && !voters.decides(holders)
            try durability.commits(
                position, on: node, holders: holders, voters: isEarlier ? before.voters ?? voters : voters)
        }
        completeness.commits(position)
        let entries = core.entries(in: first..<core.commitIndex.next)
        try committed.commits(entries, on: node)
        for entry in entries where entry.kind == .configuration {
            try configurations.commits(try self.voters(in: entry), at: entry.index)
            inEffect.commits(entry.payload, at: entry.index)
        }
    }

    /// A member that has led this term since its last turn.
    private func judgeLeader(_ core: RaftNode, _ before: Seen) throws(Violation) {
        if core.commitIndex > before.commit, let term = core.term(at: core.commitIndex) {
            try leaderCommits.commits(
                LogPosition(index: core.commitIndex, term: term), leading: core.hardState.term, on: core.id)
        }
        guard core.lastIndex > before.last else { return }
        let first = max(core.commitIndex, core.base.index).next
        var (uncommitted, added) = (0, 0)
        for entry in core.entries(in: first..<core.lastIndex.next) {
            if entry.index <= before.last {
                uncommitted += entry.cost
            } else if entry.kind == .command {
                added += entry.cost
            }
        }
        try bound.takes(added, beside: uncommitted, on: core.id)
    }

    private mutating func voters(of core: RaftNode) -> VoterGroups {
        // Once: it is a copy.
        let configuration = core.configuration
        let (voters, outgoing) = (configuration.voters, configuration.outgoing)
        if let known = groups[core.id], known.voters == voters, known.outgoing == outgoing { return known.groups }
        let made = VoterGroups(voters: voters, outgoing: outgoing)
        groups[core.id] = Groups(voters: voters, outgoing: outgoing, groups: made)
        return made
    }

    private mutating func judgeElections(
        _ core: RaftNode, _ before: HardState, _ voters: VoterGroups, at now: UInt64
    ) throws(Violation) {
        let node = core.id
        let state = core.hardState
        if state != before {
            switch state.vote {
            case node?:
                try disturbances.campaigns(node, in: state.term, isAlone: voters.groups == [[node]])
            case let candidate?:
                let isAsked = handedOver.contains(HandedOver(voter: node, candidate: candidate, term: state.term))
                if !isAsked { try disturbances.votes(node, for: candidate, in: state.term, at: now) }
                disturbances.losesLeader(node)
            case nil:
                // It was shown a later term, and owes its leader nothing more.
                disturbances.losesLeader(node)
            }
        }
        try disturbances.observes(node, leads: core.status.role == .leader, voters: voters, at: now)
    }

    private func voters(in entry: Entry) throws(Violation) -> VoterGroups {
        do throws(ConfigurationDecodingError) {
            let configuration = try Configuration(decoding: entry.payload)
            return VoterGroups(voters: configuration.voters, outgoing: configuration.outgoing)
        } catch {
            throw Violation(rule: "configurations overlap", detail: "\(entry.position) does not decode: \(error)")
        }
    }

    private mutating func persists(_ persist: Persist, _ core: RaftNode) throws(Violation) {
        if let index = persist.truncateFrom { try committed.truncates(from: index, on: core.id) }
        if persist.truncateFrom != nil || persist.reset != nil { try judgeConfiguration(core) }
        guard let first = persist.entries.first else { return }
        // Nil when the entry before is compacted already: it was judged when it was written.
        guard let previous = core.term(at: first.index.previous) else { return }
        try matching.writes(persist.entries, after: previous, on: core.id)
    }

    private func judgeConfiguration(_ core: RaftNode) throws(Violation) {
        let log = core.entries(in: core.base.index.next..<core.lastIndex.next)
        try inEffect.hasInEffect(
            core.configuration.encoded(), last: log.last { $0.kind == .configuration }?.payload, base: core.base.index,
            on: core.id)
    }

    /// A message leaves a member, whose disk holds `durable` and the log up to `durableIndex`.
    /// `heldBy` tells where the log of another member ends; nil where that is not what it acknowledged any more.
    package mutating func sends(
        _ message: Message, _ core: RaftNode, durable: HardState, durableIndex: LogIndex,
        heldBy: (NodeID) -> LogPosition?
    ) throws(Violation) {
        switch message.kind {
        case .voteRequest:
            try states.promises(message.from, term: message.term, vote: message.from, durable: durable)
            try recoveries.takesPart(message.from)
        case .voteResponse(granted: true):
            try states.promises(message.from, term: message.term, vote: message.to, durable: durable)
            try recoveries.takesPart(message.from)
        case .preVoteRequest, .preVoteResponse(granted: true):
            try recoveries.takesPart(message.from)
        case .appendAccepted(let match):
            try states.promises(message.from, term: message.term, vote: nil, durable: durable)
            // What a snapshot has replaced may still be on the disk, which learns of it later. A message of an earlier term
            // was true when it was said, and nobody counts it any more.
            let synced = message.term == core.hardState.term ? min(durableIndex, core.syncedIndex) : durableIndex
            try states.acknowledges(message.from, through: match, durable: synced)
        case .timeoutNow:
            // One that manages its own removal has stepped down by now, and asks the best there is.
            guard core.status.role == .leader, let term = core.term(at: core.lastIndex), let held = heldBy(message.to)
            else { return }
            try disturbances.transfers(
                to: message.to, holding: held, last: LogPosition(index: core.lastIndex, term: term))
        case .voteResponse, .preVoteResponse, .append, .appendRejected, .heartbeat, .heartbeatResponse,
            .readIndexRequest, .readIndexResponse, .recoveryRequest, .recoveryResponse, .installSnapshot:
            return
        }
    }

    /// A member has become the leader of its term.
    package mutating func leads(_ core: RaftNode) throws(Violation) {
        try elections.leads(core.id, in: core.hardState.term)
        try judgeConfiguration(core)
        try completeness.leads(core.id, in: core.hardState.term) { position in
            core.base.index >= position.index || core.term(at: position.index) == position.term
        }
    }

    /// The state machine of a member has applied `entries`, and has this digest now; nil where damage was planted in it.
    package mutating func applies(_ entries: [Entry], digest: UInt64?, on node: NodeID) throws(Violation) {
        try stateMachines.applies(entries, on: node)
        if let digest, let last = entries.last { try digests.reaches(digest, at: last.index, on: node) }
    }

    /// The state machine of a member was replaced by a snapshot, or stands there at a start.
    package mutating func installs(at index: LogIndex, digest: UInt64?, on node: NodeID) throws(Violation) {
        stateMachines.stands(node, at: index)
        leaderCommits.installs(at: index, on: node)
        if let digest { try digests.reaches(digest, at: index, on: node) }
    }

    /// At the end: the digest that a member keeps is that of its rows.
    package func scrubs(kept: UInt64, rows: UInt64, at index: LogIndex, on node: NodeID) throws(Violation) {
        try digests.scrubs(kept: kept, rows: rows, at: index, on: node)
    }
}
