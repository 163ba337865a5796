import Synchronization

/// How one request of a benchmark ended.
enum BenchAnswer: Sendable {
    case success
    /// The code of the failure or refusal.
    case failure(String)
}

/// Sends request number `number` and calls back once, from any thread, with how it ended.
typealias BenchOperation = @Sendable (_ number: Int, _ done: @escaping @Sendable (BenchAnswer) -> Void) -> Void

/// A number of requests kept in flight over one client: a closed loop without a task per request. An answer sends the
/// next request from the thread that delivered it.
///
/// A failed request does not do so: its place is parked until `resumeParked`, for otherwise a client that fails at once
/// (no node reachable) would turn the loop into a recursion that burns a core.
final class BenchLane: Sendable {
    private struct State {
        /// Since the last `collect`.
        var latencies = Latencies()
        var errors: [String: Int] = [:]
        /// Places in the loop that wait for `resumeParked`.
        var parked = 0
        /// Requests whose answer is out.
        var inFlight = 0
        /// The number of the next request.
        var next: Int
        var stopped = false
    }

    /// Between two looks at what is in flight, at the end.
    fileprivate static let drainPause: Duration = .milliseconds(10)

    private let state: Mutex<State>
    private let stride: Int
    private let operation: BenchOperation
    private let succeeded: (@Sendable (ContinuousClock.Instant) -> Void)?

    /// - Parameters:
    ///   - first: The number of the first request; the others follow at `stride`, so that lanes share out the numbers.
    ///   - succeeded: Told the time of each successful answer.
    init(
        first: Int, stride: Int, succeeded: (@Sendable (ContinuousClock.Instant) -> Void)? = nil,
        operation: @escaping BenchOperation
    ) {
        precondition(stride > 0, "lanes share numbers at a stride of \(stride)")
        state = Mutex(State(next: first))
        self.stride = stride
        self.operation = operation
        self.succeeded = succeeded
    }

    /// Puts `count` more requests in flight.
    func start(_ count: Int) {
        for _ in 0..<count {
            guard let number = take() else { return }
            send(number)
        }
    }

    /// Sends again in the place of each request that failed since the last call.
    func resumeParked() {
        let parked = state.withLock { state in
            defer { state.parked = 0 }
            return state.parked
        }
        start(parked)
    }

    /// No request is sent from here on; the answers that are out still arrive.
    func stop() {
        state.withLock { $0.stopped = true }
    }

    var inFlight: Int { state.withLock { $0.inFlight } }

    /// What was recorded since the last call is added to `latencies` and `errors`.
    func collect(into latencies: inout Latencies, errors: inout [String: Int]) {
        let (newLatencies, newErrors) = state.withLock { state in
            defer {
                state.latencies.reset()
                state.errors = [:]
            }
            return (state.latencies, state.errors)
        }
        latencies.add(newLatencies)
        errors.merge(newErrors, uniquingKeysWith: +)
    }

    private func take() -> Int? {
        state.withLock { state in take(&state) }
    }

    private func take(_ state: inout State) -> Int? {
        guard !state.stopped else { return nil }
        defer { state.next += stride }
        state.inFlight += 1
        return state.next
    }

    private func send(_ number: Int) {
        let begun = ContinuousClock.now
        operation(number) { [self] answer in finished(answer, begun: begun) }
    }

    private func finished(_ answer: BenchAnswer, begun: ContinuousClock.Instant) {
        let now = ContinuousClock.now
        let next: Int? = state.withLock { state in
            precondition(state.inFlight > 0, "an answer without a request in flight")
            state.inFlight -= 1
            switch answer {
            case .success:
                state.latencies.record(now - begun)
                return take(&state)
            case .failure(let code):
                state.errors[code, default: 0] += 1
                state.parked += 1
                return nil
            }
        }
        if case .success = answer { succeeded?(now) }
        if let next { send(next) }
    }
}

extension [BenchLane] {
    /// Puts `clients` requests in flight, shared out evenly.
    func start(clients: Int) {
        for (index, lane) in enumerated() {
            lane.start(clients / count + (index < clients % count ? 1 : 0))
        }
    }

    func resumeParked() {
        for lane in self { lane.resumeParked() }
    }

    /// Stops sending, and waits for the answers that are out, within bounds: a write that is still under way would come
    /// after whatever is done next.
    func stop(grace: Duration) async throws {
        for lane in self { lane.stop() }
        let clock = ContinuousClock()
        let deadline = clock.now + grace
        while clock.now < deadline, contains(where: { $0.inFlight > 0 }) {
            try await clock.sleep(for: BenchLane.drainPause)
        }
    }
}
