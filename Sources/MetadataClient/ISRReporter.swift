import MetadataModel
import Synchronization

/// Sends a broker's reports of in-sync replicas; `ISRBatcher` decides which and when.
final class ISRReporter: Sendable {
    private struct State {
        var batcher: ISRBatcher
        /// The registration in force.
        var epoch: BrokerEpoch?
        /// The cluster understands the epochs of members, as it said last (KIP-903).
        var saysEpochs = false
        var waiters: [ISRBatcher.Token: CheckedContinuation<ISRReportResult, Never>] = [:]
        var lastToken: ISRBatcher.Token = 0
        /// A task sends; it ends when nothing is left.
        var isRunning = false
    }

    private enum Step {
        case send(Command.AlterPartitions)
        case sleep(until: ContinuousClock.Instant)
        case stop
    }

    private let client: MetadataClient
    private let broker: BrokerID
    private let state: Mutex<State>

    init(client: MetadataClient, broker: BrokerID) {
        self.client = client
        self.broker = broker
        var generator = SystemRandomNumberGenerator()
        state = Mutex(State(batcher: ISRBatcher(seed: generator.next())))
    }

    // MARK: What happens

    func registered(_ epoch: BrokerEpoch) { state.withLock { $0.epoch = epoch } }

    func answered(featureLevel: UInt32) {
        state.withLock { $0.saysEpochs = featureLevel >= Limits.featureLevelOfSteps }
    }

    func unregistered() {
        resolve { state in
            state.epoch = nil
            return state.batcher.unregistered()
        }
    }

    func assigned(_ assignment: Assignment) {
        resolve { state in
            switch assignment {
            case .becomeLeader(let partition, _), .becomeFollower(let partition, _), .update(let partition, _):
                state.batcher.leaderEpochMoved(partition.key, to: partition.leaderEpoch)
            case .stopReplica(let key, _):
                state.batcher.dropped(key)
            }
        }
    }

    func end() { resolve { $0.batcher.end() } }

    // MARK: Reporting

    func report(_ report: Command.ISRReport) async -> ISRReportResult {
        let token = state.withLock { state in
            state.lastToken += 1
            return state.lastToken
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                add(report, token, continuation)
                // A cancellation that came before the report was noted down found nobody to wake.
                if Task.isCancelled { cancel(token) }
            }
        } onCancel: {
            cancel(token)
        }
    }

    private func add(
        _ report: Command.ISRReport, _ token: ISRBatcher.Token,
        _ continuation: CheckedContinuation<ISRReportResult, Never>
    ) {
        state.withLock { $0.waiters[token] = continuation }
        resolve { state in
            guard state.epoch != nil || state.batcher.state == .ended else { return [(token, .outdated)] }
            return state.batcher.add(report, token: token)
        }
        let mustRun = state.withLock { state in
            guard !state.isRunning, state.batcher.queuedCount > 0 else { return false }
            state.isRunning = true
            return true
        }
        if mustRun { Task { await run() } }
    }

    /// Nobody waits for the result any more; the report stays where it is.
    private func cancel(_ token: ISRBatcher.Token) {
        let failure = CallFailure(.cancelled, .indefinite, "the task was cancelled")
        state.withLock { $0.waiters.removeValue(forKey: token) }?
            .resume(returning: .failed(MetadataError(failure, operation: "reportISR")))
    }

    /// Sends what there is, one batch after the other.
    private func run() async {
        let clock = ContinuousClock()
        while true {
            let now = clock.now
            switch state.withLock({ ISRReporter.step(&$0, broker, now: now) }) {
            case .stop: return
            case .sleep(let until):
                do {
                    try await clock.sleep(until: until)
                } catch {
                    // Nobody cancels this task.
                    continue
                }
            case .send(let batch): await send(batch)
            }
        }
    }

    private static func step(_ state: inout State, _ broker: BrokerID, now: ContinuousClock.Instant) -> Step {
        if let epoch = state.epoch, var batch = state.batcher.takeBatch(of: broker, epoch: epoch, now: now) {
            if !state.saysEpochs { for place in batch.reports.indices { batch.reports[place].isrEpochs = [] } }
            return .send(batch)
        }
        if case .waiting(let until) = state.batcher.state, state.batcher.queuedCount > 0 { return .sleep(until: until) }
        state.isRunning = false
        return .stop
    }

    private func send(_ batch: Command.AlterPartitions) async {
        do {
            let results = try await client.alterPartitions(batch)
            resolve { $0.batcher.answered(results) }
        } catch {
            let now = ContinuousClock().now
            resolve { $0.batcher.failed(error, now: now) }
        }
    }

    private func resolve(_ body: (inout State) -> [ISRBatcher.Resolution]) {
        let answers = state.withLock { state in
            body(&state).map { (state.waiters.removeValue(forKey: $0.token), $0.result) }
        }
        for (waiter, result) in answers { waiter?.resume(returning: result) }
    }
}
