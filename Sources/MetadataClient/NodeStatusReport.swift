import MetadataModel
import RaftCore
import Wire

/// What one node says of itself, without asking the others: it may be wrong about who leads.
public struct NodeStatusReport: Sendable, Hashable {
    /// A member of the quorum as the node knows it.
    public struct Member: Sendable, Hashable {
        /// The member, whatever its addresses are.
        public var nodeID: UInt64
        /// `host:port` for clients.
        public var clientAddress: String
        /// `host:port` for the other members.
        public var peerAddress: String
        /// False for a learner.
        public var isVoter: Bool
    }

    /// Who leads as the node knows it.
    public struct Leader: Sendable, Hashable {
        /// The leading node.
        public var nodeID: UInt64
        /// `host:port` for clients.
        public var address: String
        /// The term in which it leads.
        public var term: UInt64
    }

    /// The cluster that the node belongs to.
    public var clusterID: String
    /// The answering node.
    public var nodeID: UInt64
    /// `leader`, `follower`, `candidate`, `pre_candidate` or `learner`.
    public var role: String
    /// The highest term that the node has seen.
    public var term: UInt64
    /// Nil while the node knows no leader.
    public var leader: Leader?
    /// The log index up to which entries are known to be committed.
    public var commitIndex: UInt64
    /// The log index up to which the node has applied the log.
    public var appliedIndex: UInt64
    /// The version of the metadata on the node.
    public var version: Version
    /// Equal on two nodes at equal `appliedIndex`, or one of them is damaged.
    public var digest: UInt64
    /// Whether the node can do its work.
    public var healthy: Bool
    /// Why not, in a few words; empty when healthy.
    public var detail: String
    /// Every member as the node knows them.
    public var members: [Member]
    /// The identity of the node's disk, 32 hexadecimal digits.
    public var diskID: String
    /// `host:port` for clients, by the node's own settings.
    public var clientAddress: String
    /// `host:port` for the other members, by the node's own settings.
    public var peerAddress: String
    /// The level of features in force, as the node has applied it.
    public var featureLevel: UInt32
    /// What the node's coordinator is about; nil on a node that does not lead.
    public var coordinator: CoordinatorStatus?
    /// Where the node's health pages are, as `http://host:port`; empty when they are switched off.
    public var healthURL: String
    /// Where the node's metrics are; empty when they are switched off.
    public var metricsURL: String

    init(_ status: NodeStatus) {
        clusterID = status.clusterID
        nodeID = status.nodeID
        role = status.role
        term = status.term
        leader = status.leader.map { Leader(nodeID: $0.nodeID, address: $0.address, term: $0.term) }
        commitIndex = status.commitIndex
        appliedIndex = status.appliedIndex
        version = status.version
        digest = status.digest
        healthy = status.healthy
        detail = status.detail
        members = status.members.map {
            Member(
                nodeID: $0.nodeID, clientAddress: $0.clientAddress, peerAddress: $0.peerAddress, isVoter: $0.isVoter)
        }
        diskID = status.disk.text
        clientAddress = status.clientAddress
        peerAddress = status.peerAddress
        featureLevel = status.featureLevel
        coordinator = status.coordinator
        healthURL = status.healthURL
        metricsURL = status.metricsURL
    }
}

/// The answer of one node to `MetadataClient.nodeStatuses(timeout:)`, or why there is none.
public struct NodeStatusAnswer: Sendable {
    /// Who was asked.
    public var endpoint: MetadataClient.Endpoint
    /// What it said, or why nothing came.
    public var status: Result<NodeStatusReport, MetadataError>
}
