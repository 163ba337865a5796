/// What the coordinator of the leader is about, for people.
public struct CoordinatorStatus: Hashable, Sendable {
    /// What it does.
    public enum Activity: String, Hashable, Sendable, CaseIterable {
        /// Nothing is to be moved.
        case idle
        /// It finds out what to move.
        case planning
        /// Moves are under way, or about to be.
        case moving
        /// There is something to move, and the cluster is not healthy enough.
        case paused
        /// What is left cannot move, and is tried again later.
        case stuck
    }

    /// What it does.
    public var activity = Activity.idle
    /// Why it waits; empty when it does not.
    public var detail = ""
    /// The standard deviation of replicas in proportion to capacity, as a part of their mean; nil before it is measured.
    public var imbalance: Double?
    /// As it is to be when the latest plan is carried out.
    public var imbalanceAfter = 0.0
    /// Partitions of the latest plan.
    public var movesPlanned = 0
    /// Partitions that wait for their turn.
    public var movesWaiting = 0
    /// Partitions with a reassignment under way, whoever began it.
    public var movesUnderWay = 0
    /// Not under way any more, since this node leads.
    public var movesEnded = 0
    /// Partitions whose new replicas were not in sync in time, since this node leads.
    public var stepTimeouts = 0
    /// The first of the replicas that do not move, with the reason of each.
    public var stuck: [StuckReplica] = []
    /// All of them.
    public var stuckCount = 0
    /// What draining brokers held when that was last looked at; by id.
    public var drains: [BrokerDrain] = []

    /// Nothing is to be moved.
    public init() {}

    /// Replicas that are listed.
    package static let stuckMax = 200
}

/// What is left on a broker that drains.
public struct BrokerDrain: Hashable, Sendable {
    /// The broker.
    public var id: BrokerID
    /// Replicas on it.
    public var replicas: Int
    /// Partitions of which it is the preferred leader.
    public var leaders: Int
    /// What its replicas take, by its last heartbeat; nil when it does not say, or the leader has not heard it yet.
    public var bytes: UInt64?

    /// Takes the fields as they are.
    public init(id: BrokerID, replicas: Int, leaders: Int, bytes: UInt64? = nil) {
        self.id = id
        self.replicas = replicas
        self.leaders = leaders
        self.bytes = bytes
    }
}

/// A replica that is to leave its broker, or to come to it, and why it does not.
public struct StuckReplica: Hashable, Sendable {
    /// The partition.
    public var partition: PartitionKey
    /// Whom the replica is to leave, or who holds it up.
    public var broker: BrokerID
    /// A sentence for people.
    public var reason: String

    /// Takes the fields as they are.
    public init(partition: PartitionKey, broker: BrokerID, reason: String) {
        self.partition = partition
        self.broker = broker
        self.reason = reason
    }
}
