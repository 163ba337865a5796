import NIOCore
import Resilience
import Wire

/// Decides which requests of clients are taken and which are refused before they cost anything: bounds on what is under way,
/// the memory that is left, and whether writes come through at all. Confined to the node's event loop.
final class RequestGate {
    struct Settings: Sendable {
        /// Of one connection, and of all.
        var perConnection: Admission.Bounds
        var total: Admission.Bounds
        /// A write that has no outcome after this is answered without one.
        var proposalTimeout: Duration
        /// What clients are told of how long to wait for a leader.
        var leaderWait: Duration
        var breaker: CircuitBreaker.Options
        var memory: MemoryPressure.Marks
        /// 0: what the control group allows, or the machine has.
        var memoryMaxBytes: UInt64

        init(_ configuration: NodeConfiguration) {
            let limits = configuration.limits
            perConnection = Admission.Bounds(
                requestsMax: limits.inflightRequestsMax, bytesMax: limits.inflightBytesMax)
            total = Admission.Bounds(
                requestsMax: limits.totalInflightRequestsMax, bytesMax: limits.totalInflightBytesMax)
            proposalTimeout = configuration.resilience.timeouts.proposal
            leaderWait = configuration.resilience.timeouts.leaderElection
            breaker = CircuitBreaker.Options(configuration.resilience.circuitBreaker)
            memory = MemoryPressure.Marks(shed: limits.memoryShedPercent, refuse: limits.memoryRefusePercent)
            memoryMaxBytes = UInt64(limits.memoryMaxBytes)
        }
    }

    /// Why a request is not taken.
    enum Obstacle: String, CaseIterable, Sendable {
        case connectionRequests = "connection_requests"
        case connectionBytes = "connection_bytes"
        case totalRequests = "total_requests"
        case totalBytes = "total_bytes"
        case memory
        /// The breaker around proposals is open.
        case breaker
    }

    /// What metrics show.
    struct Reading: Sendable {
        var requests = 0
        var bytes = 0
        var level = MemoryPressure.Level.calm
        var memoryBytes: UInt64 = 0
        var memoryMaxBytes: UInt64 = 0
        var shed: [Obstacle: UInt64] = [:]
        var refusedConnections: UInt64 = 0
        /// By operation.
        var timeouts: [String: UInt64] = [:]
    }

    let settings: Settings
    /// Writes through the log of this node while it leads. It opens when they get no outcome in time, and never because this
    /// node does not lead, is overloaded, or lost its leadership.
    let proposals: SharedCircuitBreaker
    private var total: Admission
    private(set) var pressure: MemoryPressure
    private var memory: (used: UInt64, limit: UInt64) = (0, 0)
    private var shed: [Obstacle: UInt64] = [:]
    private var timeouts: [String: UInt64] = [:]
    /// Since that was last logged.
    private var unloggedTimeouts: [String: UInt64] = [:]
    private var nextTimeoutLog = NIODeadline.uptimeNanoseconds(0)
    private var refusedConnections: UInt64 = 0
    private var loggedConnections: UInt64 = 0
    private var nextConnectionLog = NIODeadline.uptimeNanoseconds(0)
    /// No write can be late before this.
    var nextExpiry = NIODeadline.distantFuture

    static let logPause: TimeAmount = .seconds(1)
    /// How long clients are asked to wait when there is too much to do, and when there is no memory for more.
    static let overloadPauseMilliseconds: UInt32 = 100
    static let memoryPauseMilliseconds: UInt32 = 1_000

    init(_ settings: Settings, breakers: CircuitBreakers) {
        self.settings = settings
        proposals = breakers.breaker("proposals", options: settings.breaker)
        total = Admission(settings.total)
        pressure = MemoryPressure(settings.memory)
    }

    // MARK: Admission

    /// Why a request of this size is not taken now; nil when it is.
    ///
    /// - Parameter connection: what the same client has under way.
    func obstacle(bytes: Int, connection: Admission) -> Obstacle? {
        if pressure.level == .refusing { return noted(.memory) }
        switch connection.obstacle(toBytes: bytes) {
        case .requests: return noted(.connectionRequests)
        case .bytes: return noted(.connectionBytes)
        case nil: break
        }
        switch total.obstacle(toBytes: bytes) {
        case .requests: return noted(.totalRequests)
        case .bytes: return noted(.totalBytes)
        case nil: return nil
        }
    }

    func began(bytes: Int) { total.begin(bytes: bytes) }
    func ended(requests: Int = 1, bytes: Int) { total.end(requests: requests, bytes: bytes) }

    /// Counts what is refused.
    @discardableResult
    func noted(_ obstacle: Obstacle) -> Obstacle {
        shed[obstacle, default: 0] += 1
        return obstacle
    }

    /// What the client is told.
    func refusal(_ obstacle: Obstacle) -> ServiceFailure {
        let (detail, pause): (String, UInt32) =
            switch obstacle {
            case .connectionRequests: ("too many open requests on this connection", Self.overloadPauseMilliseconds)
            case .connectionBytes:
                ("the open requests of this connection take too many bytes", Self.overloadPauseMilliseconds)
            case .totalRequests: ("the node has too many open requests", Self.overloadPauseMilliseconds)
            case .totalBytes: ("the open requests of the node take too many bytes", Self.overloadPauseMilliseconds)
            case .memory: ("the node is short of memory", Self.memoryPauseMilliseconds)
            case .breaker: ("writes get no outcome", Self.overloadPauseMilliseconds)
            }
        return ServiceFailure(code: .overloaded, detail: detail, isDefinite: true, retryAfterMilliseconds: pause)
    }

    /// What a write is told that the breaker does not let through.
    func refusal(_ rejection: CircuitBreaker.Rejection) -> ServiceFailure {
        noted(.breaker)
        return ServiceFailure(
            code: .overloaded, detail: "writes through this leader got no outcome in time; \(rejection)",
            isDefinite: true, retryAfterMilliseconds: rejection.retryAfterMilliseconds, openBreaker: proposals.name)
    }

    // MARK: Connections

    /// A connection was closed at once, since there are as many as there may be.
    func refusedConnection() { refusedConnections += 1 }

    /// How many were refused since that was last logged, at most once a second; nil when there is nothing to log.
    func takeRefusedConnectionsToLog(now: NIODeadline) -> UInt64? {
        guard refusedConnections > loggedConnections, now >= nextConnectionLog else { return nil }
        nextConnectionLog = now + RequestGate.logPause
        defer { loggedConnections = refusedConnections }
        return refusedConnections - loggedConnections
    }

    // MARK: Deadlines

    func late(_ operation: String) {
        timeouts[operation, default: 0] += 1
        unloggedTimeouts[operation, default: 0] += 1
    }

    /// What is to be logged of deadlines that passed, at most once a second; nil when nothing is.
    func takeTimeoutsToLog(now: NIODeadline) -> String? {
        guard !unloggedTimeouts.isEmpty, now >= nextTimeoutLog else { return nil }
        nextTimeoutLog = now + RequestGate.logPause
        defer { unloggedTimeouts.removeAll(keepingCapacity: true) }
        return unloggedTimeouts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }

    // MARK: Memory

    /// - Returns: whether the level has changed.
    func memoryMeasured(used: UInt64, limit: UInt64) -> Bool {
        memory = (used, limit)
        return pressure.measured(used: used, limit: limit)
    }

    var reading: Reading {
        Reading(
            requests: total.requests, bytes: total.bytes, level: pressure.level, memoryBytes: memory.used,
            memoryMaxBytes: memory.limit, shed: shed, refusedConnections: refusedConnections, timeouts: timeouts)
    }
}

extension CircuitBreaker.Rejection {
    /// Rounded up: a breaker that is open for a moment longer never says zero.
    var retryAfterMilliseconds: UInt32 {
        UInt32(clamping: (max(0, retryAfter.wholeNanoseconds) + 999_999) / 1_000_000)
    }
}
