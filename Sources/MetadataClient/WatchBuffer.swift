import DequeModule
import Synchronization

/// Carries events from the event loop to the one task that iterates a watch, and says when it is too full.
final class WatchBuffer: Sendable {
    /// Events that are held before the stream is stopped. One frame may come on top.
    static let eventsMax = 1_024
    /// The stream is resumed when no more than this are left.
    static let eventsLow = 256

    private struct State {
        var events: Deque<WatchEvent> = []
        /// Set while the consumer waits; then `events` is empty.
        var consumer: CheckedContinuation<Result<WatchEvent?, CallFailure>, Never>?
        /// Set when no more events will come: what to answer when `events` is empty.
        var end: Result<WatchEvent?, CallFailure>?
        /// The stream was stopped because the buffer is full, and nobody has asked to resume it yet.
        var isPaused = false
        /// When a node last said anything of this watch, if only that nothing has changed.
        var heardAt: ContinuousClock.Instant?
    }

    private let state = Mutex(State())
    private let resume: @Sendable () -> Void
    private let cancel: @Sendable () -> Void

    /// - Parameters:
    ///   - resume: Asks for more events after `offer` answered false. Called from the consumer's task.
    ///   - cancel: Nobody will read any more.
    init(resume: @escaping @Sendable () -> Void, cancel: @escaping @Sendable () -> Void) {
        self.resume = resume
        self.cancel = cancel
    }

    // MARK: The event loop's side

    /// Takes what a node said of the watch, which may be nothing new; false when the stream has to stop until `resume` is
    /// called.
    func offer(_ events: [WatchEvent]) -> Bool {
        let now = ContinuousClock().now
        guard let first = events.first else {
            state.withLock { $0.heardAt = now }
            return true
        }
        let (waiting, goOn) = state.withLock { state in
            state.heardAt = now
            guard state.end == nil else { return (state.consumer.take(), true) }
            var fresh = events[...]
            let waiting = state.consumer.take()
            if waiting != nil { fresh = fresh.dropFirst() }
            state.events.append(contentsOf: fresh)
            state.isPaused = state.events.count >= WatchBuffer.eventsMax
            return (waiting, !state.isPaused)
        }
        waiting?.resume(returning: .success(first))
        return goOn
    }

    /// No more events will come after those that are held.
    func finish(_ failure: CallFailure? = nil) {
        let end: Result<WatchEvent?, CallFailure> = failure.map { .failure($0) } ?? .success(nil)
        let waiting = state.withLock { state in
            if state.end == nil { state.end = end }
            return state.consumer.take()
        }
        waiting?.resume(returning: end)
    }

    /// When a node last said anything of this watch; nil before the first time.
    var heardAt: ContinuousClock.Instant? { state.withLock { $0.heardAt } }

    // MARK: The consumer's side

    func next() async throws(MetadataError) -> WatchEvent? {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation {
                (continuation: CheckedContinuation<Result<WatchEvent?, CallFailure>, Never>) in
                let (answer, mayResume) = state.withLock { state -> (Result<WatchEvent?, CallFailure>?, Bool) in
                    if let event = state.events.popFirst() {
                        let mayResume = state.isPaused && state.events.count <= WatchBuffer.eventsLow
                        if mayResume { state.isPaused = false }
                        return (.success(event), mayResume)
                    }
                    if let end = state.end {
                        // An error is told once; after it the sequence is over.
                        state.end = .success(nil)
                        return (end, false)
                    }
                    precondition(state.consumer == nil, "a MetadataWatch is iterated by one task at a time")
                    state.consumer = continuation
                    return (nil, false)
                }
                if mayResume { resume() }
                if let answer { continuation.resume(returning: answer) }
                // A cancellation that came before the consumer was noted down found nobody to wake.
                if Task.isCancelled { abandon() }
            }
        } onCancel: {
            abandon()
        }
        return try result.mapError { MetadataError($0, operation: "watch") }.get()
    }

    /// Nobody reads any more: the watch is cancelled and the sequence ends.
    func abandon() {
        let (waiting, wasOpen) = state.withLock { state in
            let wasOpen = state.end == nil
            state.end = .success(nil)
            state.events.removeAll()
            return (state.consumer.take(), wasOpen)
        }
        waiting?.resume(returning: .success(nil))
        if wasOpen { cancel() }
    }
}
