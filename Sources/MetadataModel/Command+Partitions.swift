extension Command {
    /// The ISRs of many partitions as the one broker sees them that leads them all. An unknown broker or epoch refuses the
    /// whole; everything else is decided for each partition by itself.
    public struct AlterPartitions: Hashable, Sendable {
        /// The broker that reports: the leader.
        public var broker: BrokerID
        /// That broker's current epoch.
        public var brokerEpoch: BrokerEpoch
        /// 1 to `Limits.partitionsPerCommandMax`; each partition once.
        public var reports: [ISRReport]

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(broker: BrokerID, brokerEpoch: BrokerEpoch, reports: [ISRReport]) {
            self.broker = broker
            self.brokerEpoch = brokerEpoch
            self.reports = reports
        }
    }

    /// The ISR of one partition.
    public struct ISRReport: Hashable, Sendable {
        /// The partition that the broker leads.
        public var partition: PartitionKey
        /// The leader epoch under which it leads.
        public var leaderEpoch: Int32
        /// The partition epoch that the report is based on.
        public var partitionEpoch: Int32
        /// The new ISR, in any order; contains the leader.
        public var isr: [BrokerID]
        /// The broker epoch under which each member of `isr` caught up, in the same order; 0 where the leader does not know it.
        /// The report is refused when a member has another one by now: what it had may be lost (KIP-903). Empty: not said.
        public var isrEpochs: [BrokerEpoch]

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(
            partition: PartitionKey, leaderEpoch: Int32, partitionEpoch: Int32, isr: [BrokerID],
            isrEpochs: [BrokerEpoch] = []
        ) {
            self.partition = partition
            self.leaderEpoch = leaderEpoch
            self.partitionEpoch = partitionEpoch
            self.isr = isr
            self.isrEpochs = isrEpochs
        }
    }

    /// Has the leaders of partitions elected, each by itself.
    public struct ElectLeaders: Hashable, Sendable {
        /// What kind of election.
        public var election: Election
        /// 1 to `Limits.partitionsPerCommandMax`; each once.
        public var partitions: [PartitionKey]

        /// Which replica may win (KIP-460 `ElectionType`).
        public enum Election: String, Hashable, Sendable, CaseIterable {
            /// The first of the replicas, when it is in sync.
            case preferred
            /// Any replica that is active, for partitions that have no leader. Loses what only others have.
            case unclean
        }

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(_ election: Election, partitions: [PartitionKey]) {
            self.election = election
            self.partitions = partitions
        }
    }

    /// Moves the replicas of partitions, each by itself.
    public struct ReassignPartitions: Hashable, Sendable {
        /// 1 to `Limits.partitionsPerCommandMax`; each partition once.
        public var reassignments: [Reassignment]

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(_ reassignments: [Reassignment]) {
            self.reassignments = reassignments
        }
    }

    /// Where the replicas of one partition are to be.
    public struct Reassignment: Hashable, Sendable {
        /// The partition.
        public var partition: PartitionKey
        /// The replicas when it is done, the preferred leader first. Nil cancels the reassignment that is under way.
        public var replicas: [BrokerID]?

        /// Takes the fields as they are; nothing is checked before the state machine decides.
        public init(partition: PartitionKey, replicas: [BrokerID]?) {
            self.partition = partition
            self.replicas = replicas
        }
    }
}
