import MetadataClient
import MetadataModel
import Synchronization

/// Writers that count, each in a configuration key of its own, and what they were told: how long none of them had success, and
/// what a read has to show at least.
final class CounterLoad: Sendable {
    struct Counter: Sendable {
        var begun = 0
        var acknowledged = 0
        /// Nobody knows whether, or when, these took effect.
        var unknown: Set<Int> = []
    }

    private struct State {
        var counters: [Counter]
        var isStopping = false
        var successes = 0
        var failures: [String: Int] = [:]
        var lastSuccess = ContinuousClock.now
        /// From when on pauses count.
        var from = ContinuousClock.now
        var longest = Duration.zero

        mutating func succeeds(_ value: Int, of writer: Int, at moment: ContinuousClock.Instant) {
            counters[writer].acknowledged = value
            successes += 1
            if moment > from { longest = max(longest, moment - lastSuccess) }
            lastSuccess = max(lastSuccess, moment)
        }
    }

    private let client: MetadataClient
    private let pace: Duration
    private let state: Mutex<State>

    /// - Parameter pace: a pause after each write.
    init(client: MetadataClient, writers: Int = 4, pace: Duration = .milliseconds(8)) {
        self.client = client
        self.pace = pace
        state = Mutex(State(counters: [Counter](repeating: Counter(), count: writers)))
    }

    static func key(of writer: Int) -> String { "user.counter-\(writer)" }

    var counters: [Counter] { state.withLock { $0.counters } }
    var successes: Int { state.withLock { $0.successes } }
    var failures: [String: Int] { state.withLock { $0.failures } }
    var lastSuccess: ContinuousClock.Instant { state.withLock { $0.lastSuccess } }

    func stop() { state.withLock { $0.isStopping = true } }

    /// Counts until `stop`.
    func run() async {
        let writers = state.withLock { $0.counters.count }
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<writers { group.addTask { await self.count(writer) } }
        }
    }

    private func count(_ writer: Int) async {
        while true {
            let next: Int? = state.withLock { state in
                guard !state.isStopping else { return nil }
                state.counters[writer].begun += 1
                return state.counters[writer].begun
            }
            guard let next else { return }
            do throws(MetadataError) {
                _ = try await client.alterConfigs(
                    .cluster, changes: [ConfigChange(name: Self.key(of: writer), value: "\(next)")])
                state.withLock { $0.succeeds(next, of: writer, at: .now) }
            } catch {
                state.withLock { state in
                    state.failures["\(error.code)", default: 0] += 1
                    if error.outcome == .indefinite { state.counters[writer].unknown.insert(next) }
                }
            }
            // Woken early by a cancellation it only writes sooner.
            try? await Task.sleep(for: pace)
        }
    }

    // MARK: Pauses

    /// From now on pauses count, also one that began before.
    func observe() {
        state.withLock { state in
            state.from = .now
            state.longest = .zero
        }
    }

    /// The longest time without success since `observe`, the one that still lasts included.
    var longestPause: Duration { state.withLock { max($0.longest, ContinuousClock.now - $0.lastSuccess) } }
}
