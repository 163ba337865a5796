import MetadataModel
import Resilience

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
        /// How long a call waits, within its timeout, while no leader can be found before it fails as `unavailable`. Nil: as
        /// the nodes are configured (`resilience.timeouts.leader_election`), 10 s until one has said so.
        public var leaderWait: Duration?
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
        /// When a node is left alone because it keeps failing.
        public var breaker: BreakerPolicy = .init()

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
        /// The bound of the random wait before an overloaded or failing node is asked again; it doubles with each try of the
        /// call. A node that says how long it wants to be left alone is left alone for that long besides.
        public var callBase: Duration = .milliseconds(20)
        /// The bound never exceeds this.
        public var callCap: Duration = .milliseconds(1_280)
        /// Tries of one call at overloaded or failing nodes, the first included.
        public var attemptsMax: Int = 16
        /// Retries of overloaded or failing nodes that may be made at once; refilled by calls (a tenth each) and time
        /// (one a second).
        public var budget: Int = 100

        /// The defaults.
        public init() {}
    }

    /// When a node is left alone: its circuit breaker opens when so many connections or reads in a row have failed, and lets a
    /// few through after a while to see whether the node is well again. Being told to ask another node, to wait, or no, is no
    /// failure. A node that another names as the leader is tried at once, and so are all when all have failed.
    public struct BreakerPolicy: Sendable, Hashable {
        /// Failures in a row that open it. 1 or more.
        public var failureThreshold: Int = 5
        /// Successes in a row that close it again. 1 or more.
        public var successThreshold: Int = 2
        /// How long it stays open before it probes. More than zero.
        public var timeout: Duration = .seconds(1)
        /// Probes at a time. 1 or more.
        public var halfOpenRequestsMax: Int = 3

        /// The defaults.
        public init() {}
    }
}

extension MetadataClient.RetryPolicy {
    /// Of calls that a node turned down.
    var calls: RetryRules {
        RetryRules(base: callBase, cap: max(callBase, callCap), attemptsMax: max(1, attemptsMax))
    }
}

extension MetadataClient.BreakerPolicy {
    var options: CircuitBreaker.Options {
        CircuitBreaker.Options(
            failureThreshold: failureThreshold, successThreshold: successThreshold, timeout: timeout,
            halfOpenRequestsMax: halfOpenRequestsMax)
    }
}
