package import MetadataModel
package import RaftCore

/// One request of a client. Requests on a connection are pipelined; answers carry the request's `id` and come in any order.
package struct ClientRequestFrame: Hashable, Sendable {
    /// Chosen by the client, unique among its requests that are open on this connection.
    package var id: UInt64
    package var request: ClientRequest
    /// The span that the request belongs to, as W3C Trace Context writes it; nil when it is not traced.
    package var traceparent: String?

    package init(id: UInt64, request: ClientRequest, traceparent: String? = nil) {
        self.id = id
        self.request = request
        self.traceparent = traceparent
    }
}

package enum ClientRequest: Hashable, Sendable {
    /// The first frame on a connection.
    case hello(ClientHello)
    case write(WriteRequest)
    case read(ReadRequest)
    /// Answered by `watchEvents`, `watchProgress` and `watchTooOld` with this request's id, until `cancel`.
    case watch(after: Version, filter: WatchFilter)
    /// Ends the watch with this request id; answered with nothing.
    case cancelWatch(requestID: UInt64)
    case heartbeat(BrokerHeartbeat)
    /// How the answering node is; served without a quorum.
    case nodeStatus
    /// The members as the leader sees them.
    case members
    case changeMembers(MembershipRequest)
    /// Nil: to the voter that is furthest.
    case transferLeadership(to: NodeID?)
    /// The circuit breakers of the node that is asked.
    case breakers
    case controlBreaker(BreakerControl)
    case control(NodeControl)
}

/// What is asked of one node about itself.
package enum NodeControl: Hashable, Sendable {
    /// Nil: of all components.
    case setLogLevel(String, component: String?)
    /// Read the settings again, and take over what can be changed while the node runs.
    case reload
}

package struct NodeControlAnswer: Hashable, Sendable {
    /// False: nothing was changed.
    package var isDone: Bool
    /// What was done, or why nothing was.
    package var detail: String

    package init(isDone: Bool, detail: String) {
        self.isDone = isDone
        self.detail = detail
    }
}

package struct ClientHello: Hashable, Sendable {
    /// The cluster that the client means; empty accepts any.
    package var clusterID: String
    /// Names the client in logs.
    package var clientName: String

    package init(clusterID: String, clientName: String) {
        self.clusterID = clusterID
        self.clientName = clientName
    }
}

package struct WriteRequest: Hashable, Sendable {
    /// Nil: a write outside of any session, which must not be retried when its outcome is unknown.
    package var session: SessionID?
    package var sequence: UInt64
    /// The client has the answers to all sequence numbers below this one.
    package var acknowledgedBelow: UInt64
    /// The encoded command (`MetadataSchema`): it goes into the log as it stands.
    package var command: [UInt8]
    /// How long the client still waits, in milliseconds.
    package var timeoutMilliseconds: UInt32

    package init(
        session: SessionID?, sequence: UInt64, acknowledgedBelow: UInt64, command: [UInt8], timeoutMilliseconds: UInt32
    ) {
        self.session = session
        self.sequence = sequence
        self.acknowledgedBelow = acknowledgedBelow
        self.command = command
        self.timeoutMilliseconds = timeoutMilliseconds
    }
}

package struct ReadRequest: Hashable, Sendable {
    package var query: Query
    package var consistency: ReadConsistency
    package var timeoutMilliseconds: UInt32

    package init(query: Query, consistency: ReadConsistency, timeoutMilliseconds: UInt32) {
        self.query = query
        self.consistency = consistency
        self.timeoutMilliseconds = timeoutMilliseconds
    }
}

package struct BrokerHeartbeat: Hashable, Sendable {
    package var broker: BrokerID
    package var epoch: BrokerEpoch
    /// The version up to which the broker has followed the metadata.
    package var caughtUpVersion: Version
    /// The broker asks to stay fenced (it is not ready to lead).
    package var wantsFence: Bool
    /// The broker is about to stop, and asks that leadership moves off it first.
    package var wantsShutdown: Bool
    /// What its replicas take on its disks; nil when it does not say.
    package var usedBytes: UInt64?

    package init(
        broker: BrokerID, epoch: BrokerEpoch, caughtUpVersion: Version, wantsFence: Bool, wantsShutdown: Bool = false,
        usedBytes: UInt64? = nil
    ) {
        self.usedBytes = usedBytes
        self.broker = broker
        self.epoch = epoch
        self.caughtUpVersion = caughtUpVersion
        self.wantsFence = wantsFence
        self.wantsShutdown = wantsShutdown
    }
}

/// One answer of a node.
package struct ClientResponseFrame: Hashable, Sendable {
    package var id: UInt64
    package var response: ClientResponse

    package init(id: UInt64, response: ClientResponse) {
        self.id = id
        self.response = response
    }
}

package enum ClientResponse: Hashable, Sendable {
    case hello(ServerHello)
    case write(CommandOutcome)
    /// `appliedIndex` is what the answering node had applied, read in the same transaction as the result.
    case read(QueryResult, appliedIndex: UInt64)
    /// Events after the last that was sent, in order, each whole; `through` is where a resumed watch goes on.
    case watchEvents([ChangeEvent], through: Version)
    /// Nothing that the filter lets pass happened up to this version. Sent when the position has moved without an event.
    case watchProgress(through: Version)
    /// The feed does not reach back to the version asked for. The watch has ended.
    case watchTooOld(oldest: Version)
    case heartbeat(HeartbeatAnswer)
    case nodeStatus(NodeStatus)
    /// Also the answer to a change that was made, and to a transfer.
    case members(MemberList)
    case membershipRefused(MembershipRefusal)
    /// By name. Also the answer to a control that was carried out.
    case breakers([BreakerReading])
    case control(NodeControlAnswer)
    case failure(ServiceFailure)
}

package struct ServerHello: Hashable, Sendable {
    package var clusterID: String
    package var nodeID: UInt64
    /// The leader as this node knows it.
    package var leader: LeaderHint?
    /// Every member, so that a client which knew one endpoint learns all.
    package var members: [MemberAddress]
    /// How long a caller is to wait for a leader, unless it has a mind of its own; zero: not said.
    package var leaderWaitMilliseconds: UInt32

    package init(
        clusterID: String, nodeID: UInt64, leader: LeaderHint?, members: [MemberAddress],
        leaderWaitMilliseconds: UInt32 = 0
    ) {
        self.clusterID = clusterID
        self.nodeID = nodeID
        self.leader = leader
        self.members = members
        self.leaderWaitMilliseconds = leaderWaitMilliseconds
    }
}

package struct LeaderHint: Hashable, Sendable {
    package var nodeID: UInt64
    /// `host:port` for clients.
    package var address: String
    package var term: UInt64

    package init(nodeID: UInt64, address: String, term: UInt64) {
        self.nodeID = nodeID
        self.address = address
        self.term = term
    }
}

package struct MemberAddress: Hashable, Sendable {
    package var nodeID: UInt64
    package var clientAddress: String
    package var peerAddress: String
    package var isVoter: Bool

    package init(nodeID: UInt64, clientAddress: String, peerAddress: String, isVoter: Bool) {
        self.nodeID = nodeID
        self.clientAddress = clientAddress
        self.peerAddress = peerAddress
        self.isVoter = isVoter
    }
}

package struct HeartbeatAnswer: Hashable, Sendable {
    package var state: Broker.State
    /// How long the broker's lease lasts from the sending of the heartbeat.
    package var leaseMilliseconds: UInt32
    package var version: Version
    /// The broker leads nothing any more and may stop, as it or its operator asked.
    package var shouldShutDown: Bool
    /// The feature level in force: what may be said in commands.
    package var featureLevel: UInt32

    package init(
        state: Broker.State, leaseMilliseconds: UInt32, version: Version, shouldShutDown: Bool = false,
        featureLevel: UInt32 = 0
    ) {
        self.state = state
        self.featureLevel = featureLevel
        self.shouldShutDown = shouldShutDown
        self.leaseMilliseconds = leaseMilliseconds
        self.version = version
    }
}

package struct NodeStatus: Hashable, Sendable {
    package var clusterID: String
    package var nodeID: UInt64
    /// `leader`, `follower`, `candidate`, `pre_candidate`, `learner`.
    package var role: String
    package var term: UInt64
    package var leader: LeaderHint?
    package var commitIndex: UInt64
    package var appliedIndex: UInt64
    package var version: Version
    package var digest: UInt64
    package var healthy: Bool
    /// Why not, in a few words; empty when healthy.
    package var detail: String
    package var members: [MemberAddress]
    /// The disk that the node runs on.
    package var disk: DiskID
    /// Where the node's own settings say that it listens; the members may know it under other addresses.
    package var clientAddress: String
    package var peerAddress: String
    /// The level of features in force.
    package var featureLevel: UInt32
    /// Nil on a node that does not lead.
    package var coordinator: CoordinatorStatus?

    /// Where its health pages are, as `http://host:port`, and its metrics, with the path; empty when they are switched off.
    package var healthURL: String
    package var metricsURL: String

    package init(
        clusterID: String, nodeID: UInt64, role: String, term: UInt64, leader: LeaderHint?, commitIndex: UInt64,
        appliedIndex: UInt64, version: Version, digest: UInt64, healthy: Bool, detail: String, members: [MemberAddress],
        disk: DiskID = .unknown, clientAddress: String = "", peerAddress: String = "", featureLevel: UInt32 = 0,
        coordinator: CoordinatorStatus? = nil, healthURL: String = "", metricsURL: String = ""
    ) {
        self.clusterID = clusterID
        self.nodeID = nodeID
        self.role = role
        self.term = term
        self.leader = leader
        self.commitIndex = commitIndex
        self.appliedIndex = appliedIndex
        self.version = version
        self.digest = digest
        self.healthy = healthy
        self.detail = detail
        self.members = members
        self.disk = disk
        self.clientAddress = clientAddress
        self.peerAddress = peerAddress
        self.featureLevel = featureLevel
        self.coordinator = coordinator
        self.healthURL = healthURL
        self.metricsURL = metricsURL
    }
}

/// Why a request got no answer of its kind.
package struct ServiceFailure: Hashable, Sendable, Error {
    package var code: Code
    package var detail: String
    /// False: the request may have been carried out, or may yet be. A session's retry finds out.
    package var isDefinite: Bool
    package var leader: LeaderHint?
    /// When to try again, if the node can tell; zero: at once.
    package var retryAfterMilliseconds: UInt32
    /// The circuit breaker that lets nothing through; empty when none is the reason. The code says what it guards.
    package var openBreaker: String
    /// Nil: not said.
    package var context: FailureContext?
    /// Under which the node's log has the request; empty when the node gave none.
    package var requestID: String

    package enum Code: String, Hashable, Sendable, CaseIterable {
        case notLeader = "not_leader"
        /// No leader is known.
        case noLeader = "no_leader"
        case overloaded
        case deadlineExceeded = "deadline_exceeded"
        case shuttingDown = "shutting_down"
        case wrongCluster = "wrong_cluster"
        case invalidRequest = "invalid_request"
        /// Leadership was lost while the write was under way.
        case leadershipLost = "leadership_lost"
        case storageFailed = "storage_failed"
        case unsupportedProtocol = "unsupported_protocol"
        /// A heartbeat of a broker that is not registered, or under another epoch.
        case unknownBroker = "unknown_broker"
        /// The write would make the state larger, and the disks are nearly full.
        case diskFull = "disk_full"
    }

    package init(
        code: Code, detail: String, isDefinite: Bool, leader: LeaderHint? = nil, retryAfterMilliseconds: UInt32 = 0,
        openBreaker: String = "", context: FailureContext? = nil, requestID: String = ""
    ) {
        self.code = code
        self.detail = detail
        self.isDefinite = isDefinite
        self.leader = leader
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.openBreaker = openBreaker
        self.context = context
        self.requestID = requestID
    }
}
