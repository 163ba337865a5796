import MetadataModel

/// What happens to a broker's registration.
public enum BrokerSessionEvent: Sendable, Hashable {
    /// The broker is registered, fenced, under this epoch.
    case registered(BrokerEpoch)
    /// It had to be registered again, under this new epoch: everything that rests on an earlier epoch is outdated.
    case reregistered(BrokerEpoch)
    /// The cluster lets the broker lead partitions, and its lease runs.
    case unfenced
    /// The broker must not lead anything. It goes on by itself; `unfenced` follows when it may lead again.
    case fenced(FenceReason)
    /// The broker must not lead anything any more: leadership has moved off it, as it or its operator asked, and it may
    /// stop (KIP-631 controlled shutdown).
    case shuttingDown
    /// The cluster refuses the broker; the session has ended. The reason is in the error.
    case failed(MetadataError)

    /// Why the broker must not lead.
    public enum FenceReason: String, Sendable, Hashable {
        /// No heartbeat was answered for as long as the lease lasts. The broker found this out by itself: the cluster may
        /// or may not know.
        case leaseExpired = "lease_expired"
        /// The leader said so.
        case fencedByCluster = "fenced_by_cluster"
        /// The leader does not know this registration (any more).
        case unknownToCluster = "unknown_to_cluster"
        /// The session was closed.
        case closed
    }
}
