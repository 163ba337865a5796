/// One entry of the replicated log.
public struct Entry: Hashable, Sendable {
    /// What an entry is for. The raw value is what log files and peer frames carry.
    public enum Kind: UInt8, Sendable {
        /// Written by a new leader so that it can commit the entries of earlier terms (Raft §5.4.2, §8). Empty payload.
        case noop = 0
        /// A command for the state machine. RaftCore does not look into its payload.
        case command = 1
        /// A `Configuration`, in effect from the moment it is in the log (Raft §6). Payload: `Configuration.encoded()`.
        case configuration = 2
    }

    /// The term of the leader that made the entry.
    public var term: Term
    /// Its place in the log.
    public var index: LogIndex
    /// What it is for.
    public var kind: Kind
    /// Its content, by kind.
    public var payload: [UInt8]

    /// Makes an entry.
    public init(term: Term, index: LogIndex, kind: Kind, payload: [UInt8]) {
        self.term = term
        self.index = index
        self.kind = kind
        self.payload = payload
    }

    /// Index and term: enough to name the entry.
    public var position: LogPosition { LogPosition(index: index, term: term) }

    /// The bytes that an entry is charged with against every byte limit: its payload and a fixed overhead.
    public var cost: Int { payload.count + Entry.overheadBytes }

    /// Charged for each entry on top of its payload.
    public static let overheadBytes = 32
}

/// What a member must never forget: it rests on stable storage before anything that depends on it leaves (Raft §5.1).
public struct HardState: Hashable, Sendable {
    /// The latest term that this member has seen.
    public var term: Term
    /// The candidate that got this member's vote in `term`.
    public var vote: NodeID?

    /// Makes a hard state.
    public init(term: Term, vote: NodeID?) {
        self.term = term
        self.vote = vote
    }

    /// That of a member that has never taken part.
    public static let initial = HardState(term: .zero, vote: nil)
}

extension HardState {
    /// What is on disk proves that the member was in `term` at least; a vote in an older term means nothing there.
    public mutating func raise(to term: Term) {
        guard term > self.term else { return }
        self = HardState(term: term, vote: nil)
    }
}
