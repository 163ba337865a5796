/// Reads that wait at a leader for a round of heartbeats (Diss. §6.4).
struct ReadQueue: Sendable {
    enum Origin: Sendable {
        /// A read of this member's caller, by the caller's id.
        case local(UInt64)
        /// An attempt that another member forwarded.
        case peer(NodeID, attempt: UInt64)
    }

    struct Round: Sendable {
        /// Answers to this round of heartbeats, or to a later one, confirm it.
        let number: UInt64
        /// The commit index when the round left; at least that of the time when each of its reads arrived.
        let index: LogIndex
        let reads: [Origin]
    }

    /// Arrived after the round in flight left: they must not join it.
    var waiting: [Origin] = []
    /// At most one at a time, so that reads gather while it travels.
    var inFlight: Round?

    var count: Int { waiting.count + (inFlight?.reads.count ?? 0) }

    var all: [Origin] { (inFlight?.reads ?? []) + waiting }
}

/// Reads that a follower has forwarded, or is about to forward, to its leader.
struct ForwardedReads: Sendable {
    struct Attempt: Sendable {
        /// Unique for each attempt, so that a late answer to an earlier one is not taken for this one's (etcd-io/raft 397).
        let id: UInt64
        let reads: [UInt64]
        var elapsedTicks = 0
    }

    /// Callers' ids that no attempt covers yet.
    var waiting: [UInt64] = []
    /// One request stands for all reads that were waiting when it left.
    var inFlight: Attempt?

    var count: Int { waiting.count + (inFlight?.reads.count ?? 0) }

    var all: [UInt64] { (inFlight?.reads ?? []) + waiting }
}
