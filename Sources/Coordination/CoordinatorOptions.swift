package import MetadataModel

/// When and how fast a coordinator moves leaders and replicas.
package struct CoordinatorOptions: Hashable, Sendable {
    /// Starts rebalances by itself.
    package var startsRebalances: Bool
    /// How those spread replicas.
    package var strategy: BalanceStrategy
    /// They start when the spread of replicas (`RebalancePlan.Spread.imbalance`) is above this.
    package var imbalanceMax: Double
    /// How often that is looked at.
    package var rebalanceIntervalMilliseconds: UInt64
    /// Partitions under way that bring replicas to one broker or take them from it, at most.
    package var movesPerBrokerMax: Int
    /// Partitions under way in the cluster, at most.
    package var movesMax: Int
    /// A move of which no new replica got in sync for this long is given up.
    package var stepMilliseconds: UInt64
    /// Has preferred leaders elected by itself (Kafka `auto.leader.rebalance.enable`).
    package var electsPreferredLeaders: Bool
    /// It does for brokers that lead less than they are preferred for, by more than this part of it (Kafka
    /// `leader.imbalance.per.broker.percentage`).
    package var leaderImbalanceMax: Double
    /// How often that is looked at (Kafka `leader.imbalance.check.interval.seconds`).
    package var leaderIntervalMilliseconds: UInt64

    package init(
        startsRebalances: Bool = false, strategy: BalanceStrategy = .balanced, imbalanceMax: Double = 0.1,
        rebalanceIntervalMilliseconds: UInt64 = 300_000, movesPerBrokerMax: Int = 5, movesMax: Int = 50,
        stepMilliseconds: UInt64 = 30_000, electsPreferredLeaders: Bool = true, leaderImbalanceMax: Double = 0.1,
        leaderIntervalMilliseconds: UInt64 = 300_000
    ) {
        precondition(movesPerBrokerMax > 0 && movesMax > 0, "\(movesPerBrokerMax) and \(movesMax) moves at once")
        precondition(movesMax <= CoordinatorOptions.movesLimit, "\(movesMax) moves at once are too many")
        precondition(stepMilliseconds > 0, "a step of 0 ms")
        self.startsRebalances = startsRebalances
        self.strategy = strategy
        self.imbalanceMax = imbalanceMax
        self.rebalanceIntervalMilliseconds = rebalanceIntervalMilliseconds
        self.movesPerBrokerMax = movesPerBrokerMax
        self.movesMax = movesMax
        self.stepMilliseconds = stepMilliseconds
        self.electsPreferredLeaders = electsPreferredLeaders
        self.leaderImbalanceMax = leaderImbalanceMax
        self.leaderIntervalMilliseconds = leaderIntervalMilliseconds
    }

    /// What `movesMax` may be: one command, and one page, hold them all.
    package static let movesLimit = 1_000

    /// A rebalance that begins by itself must promise this much more than the last one left.
    static let imbalanceMargin = 0.01
    /// Between two looks at moves that are under way.
    static let pollMilliseconds: UInt64 = 250
    /// Between two looks at a cluster that is not healthy enough for moves.
    static let pauseMilliseconds: UInt64 = 2_000
    /// Leaders elected at once, and the pause behind them: they are not to come all at the same time (KIP-1358).
    static let electionsMax = 100
    static let electionPauseMilliseconds: UInt64 = 1_000
    /// Plans in a row that leave no less to do; then a rebalance is given up.
    static let fruitlessPlansMax = 3
    /// Moves that wait for their turn and are looked at for the next steps.
    static let lookAhead = 2_000
    /// What cannot leave a draining broker is tried again after so many step times.
    static let drainRetrySteps: UInt64 = 10
}
