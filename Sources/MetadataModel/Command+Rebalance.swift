extension Command {
    /// Begins a rebalance: from this entry on the coordinator plans and moves, until an `endRebalance`.
    public struct StartRebalance: Hashable, Sendable {
        /// How replicas are to be spread.
        public var strategy: BalanceStrategy
        /// Who asked.
        public var origin: Rebalance.Origin
        /// Brokers that keep what they have and are given nothing; at most `Limits.excludedBrokersMax`.
        public var excluded: [BrokerID]

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(strategy: BalanceStrategy, origin: Rebalance.Origin, excluded: [BrokerID] = []) {
            self.strategy = strategy
            self.origin = origin
            self.excluded = excluded
        }
    }

    /// Steps of a rebalance or a drain, each decided by itself.
    public struct MoveReplicas: Hashable, Sendable {
        /// The rebalance whose steps these are: refused as a whole when it has ended. Nil: replicas leave brokers that
        /// drain; each step is refused when no broker that it takes replicas from drains any more.
        public var rebalance: Version?
        /// 1 to `Limits.partitionsPerCommandMax`; each partition once.
        public var moves: [ReplicaMove]

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(rebalance: Version?, moves: [ReplicaMove]) {
            self.rebalance = rebalance
            self.moves = moves
        }
    }

    /// Where the replicas of one partition are to be, as planned from what was known of it.
    public struct ReplicaMove: Hashable, Sendable {
        /// The partition.
        public var partition: PartitionKey
        /// The replicas when it is done, the preferred leader first. Nil cancels the reassignment that is under way.
        public var replicas: [BrokerID]?
        /// The partition epoch that the step was planned from: whatever else happened to the partition comes first.
        public var partitionEpoch: Int32

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(partition: PartitionKey, replicas: [BrokerID]?, partitionEpoch: Int32) {
            self.partition = partition
            self.replicas = replicas
            self.partitionEpoch = partitionEpoch
        }
    }

    /// Ends a rebalance. Moves that are under way go on to their end.
    public struct EndRebalance: Hashable, Sendable {
        /// The rebalance; nil: the one that is under way.
        public var rebalance: Version?
        /// How it ends.
        public var ending: Rebalance.Ending
        /// A sentence for people, at most `Limits.rebalanceDetailBytesMax`.
        public var detail: String

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(rebalance: Version?, ending: Rebalance.Ending, detail: String = "") {
            self.rebalance = rebalance
            self.ending = ending
            self.detail = detail
        }
    }
}
