package import Coordination
package import RaftCore
package import Resilience

/// Timers and limits of a `Replica`.
package struct ReplicaOptions: Hashable, Sendable {
    package var raft: Options
    /// The log is cut when it holds more entries than this after its base...
    package var logEntriesMax: Int
    /// ...or more bytes than this. What is cut is half, so that a follower that was away for a moment catches up by entries. A
    /// leader waits with it, up to four times these, while a follower that answers needs entries of that half.
    package var logBytesMax: Int
    /// A checkpoint is asked for when this many bytes of entries were applied since the last.
    package var checkpointBytes: Int
    /// Entries of one apply, at most.
    package var applyEntriesMax: Int
    /// Bytes of entries of one apply, at most; one entry may exceed it alone.
    package var applyBytesMax: Int
    /// A broker that was not heard from for this long is fenced.
    package var brokerTimeoutMilliseconds: UInt64
    /// A new leader fences nobody before this long, so that brokers can find it.
    package var brokerGraceMilliseconds: UInt64
    /// How often a leader proposes to expire sessions.
    package var sessionSweepMilliseconds: UInt64
    /// Linearizable and `atLeast` reads that could not be served for this long are refused.
    package var readWaitMilliseconds: UInt64
    /// A leader whose disk has not answered for this long hands over, and after twice as long steps down.
    package var diskSilenceMilliseconds: UInt64
    /// An election timeout: a leader whose clock has gone on by more between two inputs was stopped, and asks the others
    /// whether it still leads before it grants a lease.
    package var pauseMilliseconds: UInt64
    /// Entries in the log that are not applied here, at most; beyond it writes are refused as overloaded.
    package var unappliedEntriesMax: Int
    /// How often a leader has the digests of all members compared, if anything was written.
    package var digestIntervalMilliseconds: UInt64
    /// With less free than this, writes that make the state larger are refused...
    package var diskLowBytes: UInt64
    /// ...until this much is free again.
    package var diskHighBytes: UInt64
    /// A learner has caught up when it holds within this long what the log held before.
    package var catchUpRoundMilliseconds: UInt64
    /// A learner that has kept up for this long is promoted, if the configuration says so.
    package var promotionWindowMilliseconds: UInt64
    /// What a leader does about replicas and leaders by itself; nil: nothing.
    package var coordinator: CoordinatorOptions?
    /// How long the start of a rebalance waits for its turn, and after which time without progress a rebalance loses it.
    package var turns: KeyedLockOptions
    /// A leader raises the feature level as soon as every member understands more.
    package var raisesFeatureLevel: Bool

    package init(
        raft: Options = Options(), logEntriesMax: Int = 50_000, logBytesMax: Int = 16 << 20,
        checkpointBytes: Int = 4 << 20, applyEntriesMax: Int = 1_024, applyBytesMax: Int = 1 << 20,
        brokerTimeoutMilliseconds: UInt64 = 30_000, brokerGraceMilliseconds: UInt64 = 30_000,
        sessionSweepMilliseconds: UInt64 = 10_000, readWaitMilliseconds: UInt64 = 2_000,
        diskSilenceMilliseconds: UInt64 = 300, pauseMilliseconds: UInt64 = 300, unappliedEntriesMax: Int = 100_000,
        digestIntervalMilliseconds: UInt64 = 60_000, diskLowBytes: UInt64 = 0, diskHighBytes: UInt64 = 0,
        catchUpRoundMilliseconds: UInt64 = 300, promotionWindowMilliseconds: UInt64 = 1_000,
        coordinator: CoordinatorOptions? = nil, turns: KeyedLockOptions = KeyedLockOptions(),
        raisesFeatureLevel: Bool = false
    ) {
        self.raft = raft
        self.logEntriesMax = logEntriesMax
        self.logBytesMax = logBytesMax
        self.checkpointBytes = checkpointBytes
        self.applyEntriesMax = applyEntriesMax
        self.applyBytesMax = applyBytesMax
        self.brokerTimeoutMilliseconds = brokerTimeoutMilliseconds
        self.brokerGraceMilliseconds = brokerGraceMilliseconds
        self.sessionSweepMilliseconds = sessionSweepMilliseconds
        self.readWaitMilliseconds = readWaitMilliseconds
        self.diskSilenceMilliseconds = diskSilenceMilliseconds
        self.pauseMilliseconds = pauseMilliseconds
        self.unappliedEntriesMax = unappliedEntriesMax
        self.digestIntervalMilliseconds = digestIntervalMilliseconds
        self.diskLowBytes = diskLowBytes
        self.diskHighBytes = diskHighBytes
        self.catchUpRoundMilliseconds = catchUpRoundMilliseconds
        self.promotionWindowMilliseconds = promotionWindowMilliseconds
        self.coordinator = coordinator
        self.turns = turns
        self.raisesFeatureLevel = raisesFeatureLevel
    }
}
