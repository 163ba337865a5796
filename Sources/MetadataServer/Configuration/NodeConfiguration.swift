import Logging
import MetadataModel
import RaftCore
import Telemetry

/// All settings of one node, nested as in its file. Every value is checked; `load` is the only way to get one.
///
/// `docs/operations/configuration.md` lists the keys with their meaning; a test compares that page with this code.
package struct NodeConfiguration: Equatable, Sendable {
    package var node: Node
    package var cluster: Cluster
    package var raft: Raft
    package var storage: Storage
    package var coordinator: Coordinator
    package var resilience: Resilience
    package var health: Health
    package var metrics: Metrics
    package var logging: Logging
    package var tracing: Tracing
    package var limits: Limits
    /// Things that are legal and probably not meant; to be logged at start.
    package var notices: [String] = []
    /// What each key comes to, as it is written.
    var texts: [String: String] = [:]

    package struct Node: Equatable, Sendable {
        package var id: NodeID
        /// Absolute; a relative path in the file is taken from the directory in which the program was started.
        package var dataDirectory: String
        /// Where brokers and tools connect. Port 0 lets the system choose.
        package var clientAddress: NetworkAddress
        /// Where the other nodes connect.
        package var peerAddress: NetworkAddress
        /// What others are told of `clientAddress` and `peerAddress`: something else where a proxy, a container or address
        /// translation stands in between.
        package var advertisedClientAddress: NetworkAddress
        package var advertisedPeerAddress: NetworkAddress
    }

    package struct Cluster: Equatable, Sendable {
        package var id: String
        /// The voters of a new cluster. Read by `metad format` alone: afterwards membership lives in the log. Empty for a
        /// node that joins a running cluster.
        package var initialMembers: [InitialMember]
    }

    package struct Raft: Equatable, Sendable {
        package var tick: Duration
        package var electionTimeout: Duration
        package var heartbeatInterval: Duration
        package var inflightMessagesMax: Int
        package var inflightBytesMax: Int
        package var appendBytesMax: Int
        package var uncommittedBytesMax: Int
        package var pendingReadsMax: Int
        package var segmentBytes: Int
        /// Applied entries that stay in the log for followers that lag, in bytes: a log that has grown to twice this is cut
        /// in half; on a leader later, up to eight times, while a follower takes a snapshot or catches up.
        package var logKeepBytes: Int
        /// As `logKeepBytes`, in entries. Whichever is reached first cuts, so the log's memory is bounded.
        package var logKeepEntries: Int
        /// How fast a leader sends snapshots, all together.
        package var snapshotBytesPerSecond: Int
        /// Pieces in which a snapshot is sent; heartbeats and entries wait behind one.
        package var snapshotChunkBytes: Int
    }

    package struct Storage: Equatable, Sendable {
        /// How often the members compare their digests, if anything was written.
        package var digestInterval: Duration
        /// How often a node compares its rows with its digest.
        package var scrubInterval: Duration
        /// With less room than this, writes that make the metadata larger are refused.
        package var diskLowBytes: Int
        /// With this much room they are taken again.
        package var diskHighBytes: Int
        /// Set aside for the moment when the log cannot grow any more; 0 for nothing.
        package var reserveBytes: Int
    }

    package struct Coordinator: Equatable, Sendable {
        /// As soon as every member understands more.
        package var raisesFeatureLevel: Bool
        package var rebalance: Rebalance
        package var leaders: Leaders

        package struct Rebalance: Equatable, Sendable {
            package var isAutomatic: Bool
            package var strategy: BalanceStrategy
            package var thresholdPercent: Int
            package var interval: Duration
            package var movesPerBrokerMax: Int
            package var movesMax: Int
        }

        package struct Leaders: Equatable, Sendable {
            package var isAutomatic: Bool
            package var thresholdPercent: Int
            package var interval: Duration
        }
    }

    package struct Resilience: Equatable, Sendable {
        package var circuitBreaker: CircuitBreaker
        package var keyedLock: KeyedLock
        package var timeouts: Timeouts

        package struct CircuitBreaker: Equatable, Sendable {
            package var failureThreshold: Int
            package var successThreshold: Int
            package var timeout: Duration
            package var requestsHalfOpenMax: Int
        }

        package struct KeyedLock: Equatable, Sendable {
            /// How long somebody waits for a turn.
            package var acquisitionTimeout: Duration
            /// How long a holder may show no life before it loses its turn.
            package var staleAfter: Duration
        }

        package struct Timeouts: Equatable, Sendable {
            package var proposal: Duration
            package var healthCheck: Duration
            package var rebalance: Duration
            /// What brokers are told to keep; Raft's own heartbeats are under `raft`.
            package var heartbeatInterval: Duration
            /// A broker that is silent for this long is fenced.
            package var heartbeatTimeout: Duration
            /// How long a request waits for a leader to appear.
            package var leaderElection: Duration
            package var snapshot: Duration
            /// Between SIGTERM and the end of the process.
            package var shutdown: Duration
        }
    }

    package struct Health: Equatable, Sendable {
        package var checkInterval: Duration
        /// How long a part has to fail before it counts, and how long it has to work before it counts again.
        package var failAfter: Duration
        package var recoverAfter: Duration
        /// How long the node loop has to be silent before the process is one that should be restarted.
        package var liveFailAfter: Duration
        package var http: HTTP

        package struct HTTP: Equatable, Sendable {
            package var isEnabled: Bool
            package var address: NetworkAddress
        }
    }

    package struct Metrics: Equatable, Sendable {
        package var isEnabled: Bool
        package var address: NetworkAddress
        package var path: String
    }

    package struct Logging: Equatable, Sendable {
        package var level: Logger.Level
        package var format: LogFormat
        package var output: LogOutput
    }

    package struct Tracing: Equatable, Sendable {
        /// Where spans go; nil records none.
        package var endpoint: HTTPEndpoint?
        /// The part of the traces begun here that is recorded, 0 to 1.
        package var sampling: Double
    }

    package struct Limits: Equatable, Sendable {
        package var clientConnectionsMax: Int
        /// Of one connection.
        package var inflightRequestsMax: Int
        package var inflightBytesMax: Int
        /// Of all connections.
        package var totalInflightRequestsMax: Int
        package var totalInflightBytesMax: Int
        /// What the process may use; 0: what its control group allows, or the machine has.
        package var memoryMaxBytes: Int
        /// In percent of that: from here on buffers and caches are given up...
        package var memoryShedPercent: Int
        /// ...and from here on work is refused.
        package var memoryRefusePercent: Int
    }
}

extension NodeConfiguration.Raft {
    /// At least two: randomization over fewer ticks elects nobody.
    package var electionTimeoutTicks: Int { max(2, ticks(electionTimeout)) }
    package var heartbeatTicks: Int { max(1, ticks(heartbeatInterval)) }

    /// These settings in the terms of the algorithm.
    package var options: Options {
        Options(
            electionTimeoutTicks: electionTimeoutTicks, heartbeatTicks: heartbeatTicks,
            inflightMessagesMax: inflightMessagesMax, inflightBytesMax: inflightBytesMax,
            appendBytesMax: appendBytesMax, uncommittedBytesMax: uncommittedBytesMax,
            pendingReadsMax: pendingReadsMax)
    }

    /// Rounded up: a timer never runs out earlier than configured.
    private func ticks(_ duration: Duration) -> Int {
        let ratio = duration / tick
        return Int(ratio.rounded(.up))
    }
}

/// A host (name or IP address) and a port.
package struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        precondition((0...65_535).contains(port), "not a port: \(port)")
        self.host = host
        self.port = port
    }

    /// Whether only this machine can reach it.
    package var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }

    /// Every address of this machine: fit to listen on, not to be dialled.
    package var isWildcard: Bool { host == "0.0.0.0" || host == "::" }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A voter of a new cluster, and where the others and the clients find it.
package struct InitialMember: Hashable, Sendable, CustomStringConvertible {
    package var id: NodeID
    package var peerAddress: NetworkAddress
    package var clientAddress: NetworkAddress

    package init(id: NodeID, peerAddress: NetworkAddress, clientAddress: NetworkAddress) {
        self.id = id
        self.peerAddress = peerAddress
        self.clientAddress = clientAddress
    }

    package var description: String { "\(id)=\(peerAddress),\(clientAddress)" }
}
