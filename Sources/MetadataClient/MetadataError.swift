import FoundationEssentials
import MetadataModel
import Wire

/// Why a call of `MetadataClient` got no result.
///
/// Look at `outcome` first: after an `indefinite` error nobody knows whether the write was carried out, and only reading
/// the state tells. Then at `category` for what to do, and at `code` for what happened.
public struct MetadataError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What happened. Stable: the raw value is what logs and scripts may rely on.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// The cluster decided against the command or query; `refusal` says why.
        case refused
        /// No node that could serve the request was found in time. It was not carried out.
        case unavailable
        /// The deadline passed after the request was sent. A write may have been carried out.
        case timedOut = "timed_out"
        /// The cluster has too much to do and the client's retries are used up.
        case overloaded
        /// Too many calls wait in this client (`Options.queuedMax`).
        case clientOverloaded = "client_overloaded"
        /// A circuit breaker lets nothing through: of a node, or of all nodes in this client. `retryAfter` says when it will.
        case circuitOpen = "circuit_open"
        /// The session of the write ended before its answer was known.
        case sessionLost = "session_lost"
        /// The nodes belong to another cluster than `Options.clusterID`.
        case wrongCluster = "wrong_cluster"
        /// The nodes speak no protocol version that this client speaks.
        case unsupportedProtocol = "unsupported_protocol"
        /// A node could not read the request, or the client refused to send it (too large, for example).
        case invalidRequest = "invalid_request"
        /// The node that should answer could not read or write its store.
        case storageFailed = "storage_failed"
        /// A heartbeat of a broker that is not registered, or under an old epoch.
        case unknownBroker = "unknown_broker"
        /// The write would make the metadata larger, and no disk that could lead has room. Deletes still work.
        case diskFull = "disk_full"
        /// A node answered something that does not fit the request.
        case protocolViolation = "protocol_violation"
        /// The task that made the call was cancelled.
        case cancelled
        /// `close()` was called.
        case clientClosed = "client_closed"
    }

    /// What a caller can do about it.
    public enum Category: String, Sendable, Hashable, CaseIterable {
        /// The same call may succeed at once.
        case retriable
        /// The same call may succeed when a condition has passed; wait first.
        case transient
        /// No retry helps: somebody has to repair or reconfigure something.
        case fatal
        /// The request has to be changed: read the state again, or correct the arguments.
        case invalidInput = "invalid_input"
    }

    /// Whether it is known what became of a write.
    public enum Outcome: String, Sendable, Hashable, CaseIterable {
        /// It was not carried out and will not be.
        case definite
        /// It may have been carried out, or may yet be.
        case indefinite
    }

    /// What happened.
    public var code: Code
    /// What can be done about it.
    public var category: Category
    /// The call that failed, for example `createTopic`.
    public var operation: String
    /// One sentence with the names and numbers of the case.
    public var detail: String
    /// Whether it is known what became of a write.
    public var outcome: Outcome
    /// Set when `code` is `refused`.
    public var refusal: Refusal?
    /// When the error was made, by the clock of this host.
    public var timestamp: Date
    /// When the cluster suggests to try again; nil when it did not say.
    public var retryAfter: Duration?
    /// What lies behind it, in the words of the node that found it; nil when that is not known.
    public var cause: String?
    /// More of the case, by name: `node_id`, `term`, `node_operation`, `node_time` (milliseconds since 1970 there).
    public var metadata: [String: String]
    /// Under which name the log of the node that answered has the request (`request_id`); nil when no node answered.
    public var requestID: String?

    /// Makes an error; the client makes its own.
    public init(
        code: Code, category: Category, operation: String, detail: String, outcome: Outcome, refusal: Refusal? = nil,
        timestamp: Date = Date(), retryAfter: Duration? = nil, cause: String? = nil, metadata: [String: String] = [:]
    ) {
        self.code = code
        self.category = category
        self.operation = operation
        self.detail = detail
        self.outcome = outcome
        self.refusal = refusal
        self.timestamp = timestamp
        self.retryAfter = retryAfter
        self.cause = cause
        self.metadata = metadata
    }

    /// One line for logs.
    public var description: String {
        let reason = refusal.map { " (\($0.reason.rawValue))" } ?? ""
        let request = requestID.map { " (request \($0))" } ?? ""
        return "\(operation): \(code.rawValue)\(reason), \(category.rawValue), \(outcome.rawValue): \(detail)\(request)"
    }
}

extension MetadataError {
    /// Adds what only the edge of the library knows: the name of the call and the time.
    init(_ failure: CallFailure, operation: String) {
        self.init(
            code: failure.code, category: failure.category, operation: operation, detail: failure.detail,
            outcome: failure.outcome, refusal: failure.refusal, retryAfter: failure.retryAfter)
        requestID = failure.requestID
        guard let context = failure.context else { return }
        if !context.cause.isEmpty { cause = context.cause }
        metadata = Dictionary(context.facts.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        metadata["node_operation"] = context.operation
        metadata["node_time"] = "\(context.timestampMilliseconds)"
    }
}
