import NIOCore
import Telemetry

/// Counts and times what clients ask for. Confined to the node's event loop; the handles are made when they are first needed. A value, so
/// that whoever holds it is accessed once for each request, however many of its parts are.
struct OperationMetrics {
    private let registry: MetricsRegistry
    /// By operation and status.
    private var counts: [CounterHandle?]
    private var durations: [HistogramHandle?]
    private var proposals: [CounterHandle?]
    private let proposalDuration: HistogramHandle
    /// How late the node's timers come: what the loop was busy with otherwise.
    private let loopDelay: HistogramHandle
    private let retries: [RetriedWork: CounterHandle]
    /// Kept, since to count the cases makes an array of them.
    private let statusCount = OperationStatus.allCases.count

    init(registry: MetricsRegistry) {
        self.registry = registry
        counts = Array(repeating: nil, count: Operation.names.count * statusCount)
        durations = Array(repeating: nil, count: Operation.names.count)
        proposals = Array(repeating: nil, count: statusCount)
        proposalDuration = registry.histogram(
            "raft_proposal_duration_seconds",
            help: "From the arrival of a write at the leader to its outcome, committed and applied.")
        loopDelay = registry.histogram(
            "metad_loop_delay_seconds", help: "How late a timer of the node loop came, 50 times a second.")
        retries = Dictionary(
            uniqueKeysWithValues: RetriedWork.allCases.map { work in
                let counter = registry.counter(
                    "metad_retries_total", help: "What the node itself tried again, and why it had to.",
                    labels: ["operation": work.rawValue])
                return (work, counter)
            })
    }

    /// A timer of the loop came so late.
    func ticked(late delay: TimeAmount) { loopDelay.observe(Double(delay.nanoseconds) * 1e-9) }

    /// The node tries this again, since it failed.
    func retried(_ work: RetriedWork) { retries[work]?.increment() }

    /// A request was answered.
    mutating func ended(_ operation: Operation, _ status: OperationStatus, after duration: TimeAmount) {
        count(operation, status).increment()
        let seconds = Double(duration.nanoseconds) * 1e-9
        self.duration(of: operation).observe(seconds)
        guard operation.isWrite else { return }
        proposal(status).increment()
        if status == .ok || status == .refused { proposalDuration.observe(seconds) }
    }

    private mutating func count(_ operation: Operation, _ status: OperationStatus) -> CounterHandle {
        let place = operation.number * statusCount + status.rawValue
        if let known = counts[place] { return known }
        let made = registry.counter(
            "metadata_operations_total", help: "Requests of clients that were answered.",
            labels: ["operation": operation.name, "status": status.name])
        counts[place] = made
        return made
    }

    private mutating func duration(of operation: Operation) -> HistogramHandle {
        if let known = durations[operation.number] { return known }
        let made = registry.histogram(
            "metadata_operation_duration_seconds", help: "From the arrival of a request to its answer.",
            labels: ["operation": operation.name])
        durations[operation.number] = made
        return made
    }

    private mutating func proposal(_ status: OperationStatus) -> CounterHandle {
        if let known = proposals[status.rawValue] { return known }
        let made = registry.counter(
            "raft_proposals_total",
            help: "Writes of clients by what became of them: ok and refused ones were committed.",
            labels: ["result": status.name])
        proposals[status.rawValue] = made
        return made
    }
}

/// What a node tries again by itself.
enum RetriedWork: String, CaseIterable, Sendable {
    /// A peer was not reached.
    case dialPeer = "dial_peer"
    /// The database could not take a batch: no room, or a lock that somebody holds.
    case apply
    /// The log could not grow.
    case writeLog = "write_log"
    /// A snapshot did not get to its follower.
    case snapshot
    /// The coordinator could not read the state.
    case survey
    /// A watch could not read the change feed.
    case readFeed = "read_feed"
}
