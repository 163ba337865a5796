import DequeModule

/// One member of a Raft quorum, as a value: inputs are methods, the output is a `Ready`.
///
/// It has no clock, socket, disk or thread. The caller feeds it what happened (`tick`, `step`, `propose`, `read`,
/// `persisted`, `applied`, ...), takes a `Ready` with `takeReady()` after one input or after a batch of them, and does what that
/// says. The same inputs give the same outputs, always: the only randomness comes from the seed.
///
/// The algorithm is that of the Raft paper (Ongaro and Ousterhout, 2014) and of Ongaro's dissertation, with PreVote
/// (Diss. §9.6), CheckQuorum and follower stickiness (Diss. §4.2.3), leadership transfer (Diss. §3.10), ReadIndex (Diss. §6.4)
/// and joint consensus (Raft §6). `docs/raft.md` maps each rule to its function and its test.
public struct RaftNode: Sendable {
    /// The name of this member.
    public let id: NodeID
    /// The disk of this member; `unknown` where nobody tells disks apart.
    let disk: DiskID
    /// The disk was not there when the cluster was made: it was made to join it, or was empty when this life began.
    let hasJoined: Bool
    /// Timers and limits, fixed for the life of the value.
    public let options: Options

    /// Term and vote, as far as they are known in memory; `persistence` knows what of it is synced. The term never falls, and
    /// the vote changes at most once in a term (Raft §5.2).
    public internal(set) var hardState: HardState
    /// The highest index known to be committed: at least `base.index`, at most `lastIndex`. Never falls.
    public internal(set) var commitIndex: LogIndex
    /// What the caller reported as applied: at most `handedOutIndex`. Never falls.
    public internal(set) var appliedIndex: LogIndex

    /// All entries after the base.
    var log: EntryLog
    var state: State
    /// In effect is the last configuration in the log, committed or not.
    var configurations: ConfigurationHistory
    var persistence: PersistPipeline
    /// The last index that a `Ready` handed out for applying: at most `commitIndex` and at most what is synced. Each
    /// index is handed out once.
    var handedOutIndex: LogIndex
    var generator: SeededGenerator
    /// The id of the next read attempt sent to a leader. It starts at a random number, so that an answer to an
    /// attempt made before a restart does not fit one made after it.
    var nextReadAttempt: UInt64
    /// Nil on a member that holds everything that it ever acknowledged. Then, and only then, it votes and campaigns.
    var recovery: Recovery?

    // Collected for the next `Ready`.

    /// Messages that rest on nothing unsynced.
    var outbox: [Message] = []
    /// Messages that rest on the state as it is now; `takeReady` ties them to the write that makes it stable.
    var resting: [Message] = []
    /// Messages tied to a write that is under way; sequences never fall.
    var held: Deque<HeldMessage> = []
    var confirmedReads: [ConfirmedRead] = []
    var droppedReads: [UInt64] = []
    var snapshotsWanted: [NodeID] = []
    var isRecovered = false
    /// What the last `Ready` said; nil before the first.
    var reportedStatus: Status?

    /// Makes a member from what its disk holds. It starts as a follower, or as a learner if it does not vote.
    ///
    /// - Parameters:
    ///   - disk: this member's own. By a configuration that names another disk for `id` it has no vote; `unknown` is any.
    ///   - restored: has to be sound: `restored.problem()` is nil. Check that first and refuse to start with its reason.
    ///   - seed: spreads the election timeouts. It has to differ between members, and between two starts of one member.
    public init(
        id: NodeID, disk: DiskID = .unknown, options: Options, restored: RestoredState, seed: UInt64
    ) {
        if let problem = restored.problem() { preconditionFailure("restored state is not sound: \(problem)") }
        if let problem = options.problem() { preconditionFailure("options are not sound: \(problem)") }
        self.id = id
        self.disk = disk
        hasJoined =
            restored.hasJoined || !restored.isRecovering && restored.base == .zero && restored.entries.isEmpty
        self.options = options
        hardState = restored.hardState
        log = EntryLog(base: restored.base, entries: restored.entries)
        commitIndex = restored.applied
        appliedIndex = restored.applied
        handedOutIndex = restored.applied
        persistence = PersistPipeline(lastIndex: log.lastIndex, hardState: restored.hardState)
        configurations = ConfigurationHistory(base: restored.base.index, configuration: restored.configuration)
        for entry in restored.entries where entry.kind == .configuration {
            // `problem()` has shown that each one decodes.
            if let configuration = Self.decodedConfiguration(entry) {
                configurations.append(configuration, at: entry.index)
            }
        }
        generator = SeededGenerator(seed: seed, stream: id.rawValue)
        nextReadAttempt = generator.next()
        recovery = restored.isRecovering ? Recovery() : nil
        let timeout = options.electionTimeoutTicks + generator.below(options.electionTimeoutTicks)
        state = .follower(Following(leader: nil, elapsedTicks: 0, timeoutTicks: timeout))
    }

    // Inputs

    /// One tick of the caller's clock has passed. Ticks must not wait for disk, apply or network.
    public mutating func tick() {
        recovery?.elapsedTicks += 1
        switch state {
        case .follower: tickFollower()
        case .preCandidate, .candidate: tickCanvass()
        case .leader: tickLeader()
        }
    }

    /// A message has arrived. Anything may arrive: what is malformed, late, or not for this member has no effect.
    public mutating func step(_ message: Message) {
        guard message.to == id, message.from != id, isPlausible(message.term) else { return }
        switch message.kind {
        case .preVoteRequest(let last):
            handlePreVoteRequest(message, last: last)
        case .preVoteResponse(let granted):
            handlePreVoteResponse(message, granted: granted)
        case .voteRequest(let last, let transfer):
            handleVoteRequest(message, last: last, transfer: transfer)
        case .voteResponse(let granted):
            handleVoteResponse(message, granted: granted)
        case .append(let previous, let entries, let commit):
            handleAppend(message, previous: previous, entries: entries, commit: commit)
        case .appendAccepted(let match):
            handleAppendAccepted(message, match: match)
        case .appendRejected(let rejected, let hint):
            handleAppendRejected(message, rejected: rejected, hint: hint)
        case .heartbeat(let commit, let round):
            handleHeartbeat(message, commit: commit, round: round)
        case .heartbeatResponse(let round):
            handleHeartbeatResponse(message, round: round)
        case .readIndexRequest(let attempt):
            handleReadIndexRequest(message, attempt: attempt)
        case .readIndexResponse(let attempt, let index):
            handleReadIndexResponse(message, attempt: attempt, index: index)
        case .timeoutNow:
            handleTimeoutNow(message)
        case .recoveryRequest(let attempt, let held):
            handleRecoveryRequest(message, attempt: attempt, held: held)
        case .recoveryResponse(let attempt, let target):
            handleRecoveryResponse(message, attempt: attempt, target: target)
        case .installSnapshot(let position, let configuration):
            handleInstallSnapshot(message, position: position, configuration: configuration)
        }
    }

    /// Why `step` would ignore a message that no working member sends; nil when it would not. For the log, and for closing
    /// the connection that it came on.
    public func objection(to message: Message) -> String? {
        isPlausible(message.term) ? nil : "it speaks of term \(message.term), and term \(term) is now"
    }

    /// The state machine has applied everything up to `index`. An index below an earlier one is late and has no effect.
    public mutating func applied(to index: LogIndex) {
        precondition(index <= handedOutIndex, "\(index) was applied, but only \(handedOutIndex) was handed out")
        appliedIndex = max(appliedIndex, index)
    }

    /// What has to be done now. Cheap when there is nothing.
    public mutating func takeReady() -> Ready {
        switch state {
        case .leader: flushLeader()
        case .follower: flushForwardedReads()
        case .preCandidate, .candidate: break
        }
        if recovery != nil {
            concludeRecovery()
            askForTarget()
        }
        var ready = Ready()
        let status = self.status
        if status != reportedStatus {
            ready.status = status
            reportedStatus = status
        }
        ready.persist = persistence.issue(log: log, hardState: hardState)
        tieRestingMessages()
        swap(&ready.messages, &outbox)
        let applicable = min(commitIndex, persistence.syncedIndex)
        if applicable > handedOutIndex {
            ready.committed = handedOutIndex.next..<applicable.next
            handedOutIndex = applicable
        }
        swap(&ready.reads, &confirmedReads)
        swap(&ready.droppedReads, &droppedReads)
        swap(&ready.snapshotsWanted, &snapshotsWanted)
        swap(&ready.isRecovered, &isRecovered)
        return ready
    }

    // Queries

    /// Role, term and leader as they are now.
    public var status: Status { Status(role: role, term: hardState.term, leader: leader) }

    /// The position before the first entry in memory.
    public var base: LogPosition { log.base }

    /// The index of the last entry, synced or not; that of `base` when there is none.
    public var lastIndex: LogIndex { log.lastIndex }

    /// The log in memory up to this index is on stable storage.
    public var syncedIndex: LogIndex { persistence.syncedIndex }

    /// The configuration in effect: the last one in the log, committed or not (Raft §6).
    public var configuration: Configuration { configurations.current }

    /// The entries of `range`, which has to lie after `base` and at most at `lastIndex`.
    public func entries(in range: Range<LogIndex>) -> [Entry] { log.slice(range) }

    /// What the entries of `range` cost together, in bytes (`Entry.cost`).
    public func cost(of range: Range<LogIndex>) -> Int { log.cost(of: range) }

    /// The term of the entry at `index` or of `base`; nil when it is compacted away or not there.
    public func term(at index: LogIndex) -> Term? { log.term(at: index) }

    /// What a leader knows of the other members, ordered by id; empty on any other member.
    public var progress: [PeerProgress] {
        guard case .leader(let leadership) = state else { return [] }
        return leadership.progress.map { $0.published(options) }
    }

    /// What the followers that answer are known to hold, all of them: the entries behind it are still needed. One that takes a
    /// snapshot counts with what it will hold afterwards, at least. Nil when none answers, and on any member that does not lead.
    public var heldByActiveFollowers: LogIndex? {
        guard case .leader(let leadership) = state else { return nil }
        return leadership.progress.lazy.filter { $0.isActive(options) }.map(\.held).min()
    }

    /// Writes that were handed out and are not synced yet.
    public var persistsInFlight: Int { Int(persistence.lastSequence - persistence.doneSequence) }

    // Limits

    /// A term above this is taken for garbage: it would leave too little room to count on.
    static let termMax = Term(1 << 62)
    /// So is one that is further ahead than this: no cluster holds so many elections while a member is away, and a broken
    /// member must not use up everybody's terms with one message.
    static let termStepMax: UInt64 = 1 << 32

    func isPlausible(_ other: Term) -> Bool {
        other <= Self.termMax && other.rawValue <= term.rawValue + Self.termStepMax
    }

    // Helpers

    var term: Term { hardState.term }

    var role: Role {
        switch state {
        case .follower: votes(by: configuration) ? .follower : .learner
        case .preCandidate: .preCandidate
        case .candidate: .candidate
        case .leader: .leader
        }
    }

    var leader: NodeID? {
        switch state {
        case .follower(let following): following.leader?.id
        case .preCandidate, .candidate: nil
        case .leader: id
        }
    }

    /// Sends a message that rests on nothing unsynced.
    mutating func send(_ kind: Message.Kind, to peer: NodeID) {
        outbox.append(Message(from: id, to: peer, term: hardState.term, kind: kind))
    }

    /// Sends a message once everything that is in memory now is synced (Raft §5.1, Diss. §3.8).
    mutating func sendOnceSynced(_ kind: Message.Kind, to peer: NodeID) {
        resting.append(Message(from: id, to: peer, term: hardState.term, kind: kind))
    }

    mutating func randomTimeout() -> Int {
        options.electionTimeoutTicks + generator.below(options.electionTimeoutTicks)
    }

    /// The commit index moves up.
    mutating func advanceCommit(to index: LogIndex) {
        precondition(index <= log.lastIndex, "cannot commit \(index), the log ends at \(log.lastIndex)")
        guard index > commitIndex else { return }
        if case .leader = state {
            let committed = log.cost(of: commitIndex.next..<index.next)
            leadership?.uncommittedBytes -= committed
        }
        commitIndex = index
    }
}
