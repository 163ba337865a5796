/// What the caller has to do after an input, taken with `RaftNode.takeReady()`.
///
/// The order is the order of the fields. Nothing has to be waited for: `messages` leave now, `persist` goes to the disk in
/// the background and is reported with `RaftNode.persisted(_:)`, and whatever rests on it is held back inside the core until
/// then. Several persists may be under way; they are done in the order of their sequence numbers.
public struct Ready: Sendable, Equatable {
    /// Set when role, term or leader differ from what the last `Ready` said.
    public var status: Status?
    /// To be written to stable storage, in this order: reset or truncation, entries, hard state; then one sync.
    public var persist: Persist?
    /// To be sent now.
    public var messages: [Message] = []
    /// Entries newly known to be committed *and* synced locally, to be applied in order; empty or nil when there are none.
    public var committed: Range<LogIndex>?
    /// Reads whose index is known: serve each once the state machine has applied at least that far.
    public var reads: [ConfirmedRead] = []
    /// Reads that this member can no longer confirm (leadership lost, leader gone): ask again.
    public var droppedReads: [UInt64] = []
    /// Followers that need entries which this leader has compacted away: send each a snapshot, then report with
    /// `snapshotFinished(to:succeeded:)`. A follower is named once until it is reported.
    public var snapshotsWanted: [NodeID] = []
    /// This member holds again whatever it may have acknowledged before its log was lost, and votes from now on. To be noted
    /// durably, so that `RestoredState.isRecovering` is false at the next start; a note that is late costs only time.
    public var isRecovered = false

    /// Makes a `Ready` that asks for nothing.
    public init() {}

    /// True when there is nothing to do.
    public var isEmpty: Bool {
        // Each field, rather than a comparison with an empty value: asked after every input.
        status == nil && persist == nil && messages.isEmpty && committed?.isEmpty ?? true && reads.isEmpty
            && droppedReads.isEmpty && snapshotsWanted.isEmpty && !isRecovered
    }
}

/// One write to stable storage.
public struct Persist: Sendable, Equatable {
    /// Grows by one with each; reported back with `RaftNode.persisted(_:)`.
    public var sequence: UInt64
    /// The log is emptied and starts after this position (a snapshot was installed and its state is already durable).
    public var reset: LogPosition?
    /// Entries from this index on are removed before `entries` are appended (Raft §5.3: conflict).
    public var truncateFrom: LogIndex?
    /// To be appended after the truncation or reset, in order, without a gap.
    public var entries: [Entry]
    /// To be written when set; unchanged when nil.
    public var hardState: HardState?

    /// Makes a write.
    public init(
        sequence: UInt64, reset: LogPosition? = nil, truncateFrom: LogIndex? = nil, entries: [Entry] = [],
        hardState: HardState? = nil
    ) {
        self.sequence = sequence
        self.reset = reset
        self.truncateFrom = truncateFrom
        self.entries = entries
        self.hardState = hardState
    }
}

/// A read that may be served.
public struct ConfirmedRead: Hashable, Sendable {
    /// The id that was given to `RaftNode.read(id:)`.
    public var id: UInt64
    /// The state machine has to have applied this index before the read is served.
    public var index: LogIndex

    /// Makes a confirmed read.
    public init(id: UInt64, index: LogIndex) {
        self.id = id
        self.index = index
    }
}

/// What a member takes part as.
public enum Role: String, Sendable, Hashable {
    case follower
    case preCandidate = "pre_candidate"
    case candidate
    case leader
    case learner
}

/// Role, term and leader of a member.
public struct Status: Hashable, Sendable {
    /// What the member takes part as.
    public var role: Role
    /// Its term.
    public var term: Term
    /// The leader that it knows of, itself included; nil when it knows none.
    public var leader: NodeID?

    /// Makes a status.
    public init(role: Role, term: Term, leader: NodeID?) {
        self.role = role
        self.term = term
        self.leader = leader
    }
}

/// What a leader knows of another member.
public struct PeerProgress: Hashable, Sendable {
    /// The name of the member.
    public var id: NodeID
    /// Its log equals the leader's up to here, and is synced.
    public var match: LogIndex
    /// The first entry that will be sent next.
    public var next: LogIndex
    /// How entries are sent to it.
    public var state: State
    /// Heard from within the last election timeout.
    public var isActive: Bool

    /// How entries are sent to a member.
    public enum State: String, Sendable, Hashable {
        /// One append at a time until the common prefix is found.
        case probe
        /// Appends are sent ahead, within the inflight window.
        case replicate
        /// A snapshot is on its way; nothing else is sent.
        case snapshot
    }

    /// Makes a progress.
    public init(id: NodeID, match: LogIndex, next: LogIndex, state: State, isActive: Bool) {
        self.id = id
        self.match = match
        self.next = next
        self.state = state
        self.isActive = isActive
    }
}

/// What became of a proposal.
public enum ProposeOutcome: Hashable, Sendable {
    /// The entries stand in the leader's log from `first` on, in `term`. They are committed when `Ready.committed` covers
    /// them while the entry at that index still has that term.
    case accepted(first: LogIndex, term: Term)
    case notLeader(leader: NodeID?)
    /// The uncommitted part of the log has reached its limit; nothing was appended.
    case overloaded
    /// A configuration that must not be appended now, with the reason (Raft §6, Diss. §4.1); nothing was appended.
    case configurationChangeRefused(String)
}
