/// What one member says to another. Every message carries the sender's term, except where its kind says otherwise.
public struct Message: Hashable, Sendable {
    /// The sender.
    public var from: NodeID
    /// The receiver; every other member ignores the message.
    public var to: NodeID
    /// The sender's term, except where the kind says otherwise.
    public var term: Term
    /// What is said.
    public var kind: Kind

    /// Makes a message.
    public init(from: NodeID, to: NodeID, term: Term, kind: Kind) {
        self.from = from
        self.to = to
        self.term = term
        self.kind = kind
    }

    /// What one member can say to another.
    public enum Kind: Hashable, Sendable {
        /// "Would you vote for me in `Message.term`?" (Diss. §9.6). The message carries the term that the candidate would
        /// ask for; neither side changes its own.
        case preVoteRequest(last: LogPosition)
        /// `Message.term` is the term asked for when granted, the responder's own when not.
        case preVoteResponse(granted: Bool)
        /// Raft §5.2, §5.4.1. `transfer` is set by a candidate that the leader asked to take over: stickiness does not
        /// apply to it (Diss. §4.2.3).
        case voteRequest(last: LogPosition, transfer: Bool)
        case voteResponse(granted: Bool)
        /// Raft §5.3. `previous` is the position before the first entry; an empty list probes.
        case append(previous: LogPosition, entries: [Entry], commit: LogIndex)
        /// The follower's log equals the leader's up to `match`, and its disk has it synced.
        case appendAccepted(match: LogIndex)
        /// The entry at `rejected` did not match. `hint` is the last position of the follower's log that may match: the
        /// leader goes back to it at once instead of one by one (Raft §5.3, last paragraph).
        case appendRejected(rejected: LogIndex, hint: LogPosition)
        /// Keeps followers and confirms reads. `commit` never exceeds what the follower is known to hold. `round`
        /// grows by one with each broadcast of a leader, so that an answer tells which reads it confirms (Diss. §6.4). In round
        /// zero it only tells the commit index, and is not answered by who follows.
        case heartbeat(commit: LogIndex, round: UInt64)
        case heartbeatResponse(round: UInt64)
        /// A follower asks the leader for a read index. `id` is unique for each attempt (pitfall: a reused context).
        case readIndexRequest(id: UInt64)
        /// Answer to `readIndexRequest`; nil when the receiver leads no more.
        case readIndexResponse(id: UInt64, index: LogIndex?)
        /// The leader asks the receiver to campaign at once (Diss. §3.10).
        case timeoutNow
        /// A member that lost its log asks its leader how far it has to catch up before it may vote again. `id` is unique for
        /// each attempt; `held` is what is committed and synced at the sender, so the leader forgets any acknowledgement
        /// beyond it.
        case recoveryRequest(id: UInt64, held: LogIndex)
        /// Answer to `recoveryRequest`: the leader's last index, from a leader that has committed an entry of its term.
        case recoveryResponse(id: UInt64, target: LogIndex)
        /// A whole snapshot has arrived and was verified on the receiver's disk; it stands in for an append up to
        /// `position`. The runtime hands it to `RaftNode.step` with the term of the leader that sent it.
        case installSnapshot(position: LogPosition, configuration: Configuration)
    }
}
