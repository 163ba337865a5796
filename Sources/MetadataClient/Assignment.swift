import MetadataModel

/// What a broker has to do with one of its replicas.
public enum Assignment: Sendable, Hashable {
    /// Lead the partition under its leader epoch, from now on. Serve as leader only while `BrokerSession.mayLead`, and refuse
    /// whoever comes with another leader epoch.
    case becomeLeader(Partition, topic: String)
    /// Hold a replica and fetch from the partition's leader, under its leader epoch. While the leader is nil nobody leads it.
    case becomeFollower(Partition, topic: String)
    /// Go on in the same role, under the same leader and leader epoch: replicas, ISR or partition epoch are others now. What
    /// a leader reports next has to be based on this partition epoch.
    case update(Partition, topic: String)
    /// Hold no replica of this partition any more.
    case stopReplica(PartitionKey, StopReason)

    /// Why a replica is to go.
    public enum StopReason: String, Sendable, Hashable {
        /// The topic was deleted.
        case deleted
        /// The replica lives on other brokers now (KIP-455).
        case movedAway = "moved_away"
    }

    /// The partition that it is about.
    public var key: PartitionKey {
        switch self {
        case .becomeLeader(let partition, _), .becomeFollower(let partition, _), .update(let partition, _):
            partition.key
        case .stopReplica(let key, _): key
        }
    }
}
