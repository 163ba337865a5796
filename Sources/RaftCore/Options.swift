/// Timers and limits of a `RaftNode`. Times are in ticks; the caller decides how long a tick is.
public struct Options: Hashable, Sendable {
    /// A follower that has not heard from a leader for this many ticks, plus a random number of ticks below the same
    /// number, asks for pre-votes (Raft §5.2).
    public var electionTimeoutTicks: Int
    /// A leader sends a heartbeat every so many ticks. Well below `electionTimeoutTicks`.
    public var heartbeatTicks: Int
    /// Appends under way to one follower, at most.
    public var inflightMessagesMax: Int
    /// Bytes under way to one follower, at most; one message may exceed it alone.
    public var inflightBytesMax: Int
    /// Bytes of entries in one append, at most; one entry may exceed it alone.
    public var appendBytesMax: Int
    /// Bytes of entries that a leader holds uncommitted before it refuses proposals as overloaded.
    public var uncommittedBytesMax: Int
    /// Reads waiting for confirmation before `read` refuses.
    public var pendingReadsMax: Int

    /// Makes options; the defaults suit ticks of 50 to 100 ms.
    public init(
        electionTimeoutTicks: Int = 10, heartbeatTicks: Int = 2, inflightMessagesMax: Int = 64,
        inflightBytesMax: Int = 8 << 20, appendBytesMax: Int = 1 << 20, uncommittedBytesMax: Int = 64 << 20,
        pendingReadsMax: Int = 65_536
    ) {
        self.electionTimeoutTicks = electionTimeoutTicks
        self.heartbeatTicks = heartbeatTicks
        self.inflightMessagesMax = inflightMessagesMax
        self.inflightBytesMax = inflightBytesMax
        self.appendBytesMax = appendBytesMax
        self.uncommittedBytesMax = uncommittedBytesMax
        self.pendingReadsMax = pendingReadsMax
    }
}

/// What a member knows when it starts: its disk, read back.
public struct RestoredState: Sendable {
    /// Term and vote.
    public var hardState: HardState
    /// The position before the first entry of `entries`: what compaction or a snapshot left.
    public var base: LogPosition
    /// All entries after `base`, without a gap, all synced.
    public var entries: [Entry]
    /// What the state machine has applied, durably; at least `base.index`, at most the last entry's index.
    public var applied: LogIndex
    /// The configuration in effect at `base`. Configuration entries after it are found in `entries`.
    public var configuration: Configuration
    /// The log was lost or damaged and begun anew, and `Ready.isRecovered` was not seen since. Term and vote are those of
    /// before: without them a member must not start under its old name. `configuration` is then the last one known.
    public var isRecovering: Bool
    /// The disk was made empty, to join a cluster that there was already; false on those that a cluster began with. To be known
    /// for as long as there is the disk: a start finds in the log what was received since.
    public var hasJoined: Bool

    /// Describes a disk that was read back. Check it with `problem()` before a member starts with it.
    public init(
        hardState: HardState, base: LogPosition, entries: [Entry], applied: LogIndex, configuration: Configuration,
        isRecovering: Bool = false, hasJoined: Bool = false
    ) {
        self.hardState = hardState
        self.base = base
        self.entries = entries
        self.applied = applied
        self.configuration = configuration
        self.isRecovering = isRecovering
        self.hasJoined = hasJoined
    }
}
