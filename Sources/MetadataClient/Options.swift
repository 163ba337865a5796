import MetadataModel

extension MetadataClient {
    /// What a client is told when it is made. The defaults suit a broker in the same region as the quorum.
    public struct Options: Sendable {
        /// Nodes to start from, at least one; the client learns the others from any of them.
        public var endpoints: [Endpoint]
        /// The cluster that is meant; a node of another cluster is not used. Empty accepts any.
        public var clusterID: String = ""
        /// Names this client in the logs of the nodes.
        public var clientName: String = "metadata-client"
        /// How long a call waits for its answer, retries included, unless the call says otherwise.
        public var timeout: Duration = .seconds(5)
        /// How long a call waits, within its timeout, while no leader can be found before it fails as `unavailable`.
        public var leaderWait: Duration = .seconds(10)
        /// How long the cluster remembers the answers for retries after the last write; see `Limits` for the range.
        public var sessionTimeout: Duration = .milliseconds(Int64(Limits.sessionTimeoutMillisecondsDefault))
        /// Requests that are under way at a time; more wait in the client. 1 or more. Writes are also bound by
        /// `Limits.sessionWindow`.
        public var inFlightMax: Int = 1_024
        /// Calls that wait in the client because `inFlightMax` is reached or no leader is known. One more fails at once
        /// with the code `clientOverloaded`.
        public var queuedMax: Int = 65_536
        /// How long connecting to one node, or its greeting, may take.
        public var connectTimeout: Duration = .seconds(1)
        /// How long a node may stay silent while requests wait for it before another node is tried.
        public var attemptTimeout: Duration = .seconds(1)
        /// When and how often to try again.
        public var retry: RetryPolicy = .init()

        /// The defaults, for a cluster that one of these endpoints belongs to.
        public init(endpoints: [Endpoint]) { self.endpoints = endpoints }
    }

    /// When to try again. Redirects and a change of the leader are followed at once and are not retries in this sense.
    public struct RetryPolicy: Sendable, Hashable {
        /// The bound of the random wait before the first retry or reconnection; it doubles with each failure.
        public var backoffBase: Duration = .milliseconds(50)
        /// The bound never exceeds this.
        public var backoffCap: Duration = .seconds(1)
        /// The longest pause between two rounds in which all nodes are asked for the leader, at first.
        public var leaderSearchBase: Duration = .milliseconds(20)
        /// And when the search has taken some time.
        public var leaderSearchCap: Duration = .milliseconds(250)
        /// Retries of overloaded or failing nodes that may be made at once; refilled by calls (a tenth each) and time
        /// (one a second).
        public var budget: Int = 100

        /// The defaults.
        public init() {}
    }
}
