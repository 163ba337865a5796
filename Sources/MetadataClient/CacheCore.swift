import MetadataModel
import Synchronization

/// What a `MetadataCache` shows, who waits for a version, and which brokers want to know what concerns them. Any thread.
final class CacheCore: Sendable {
    /// One reference, so that a lookup holds the lock for no longer than it takes to count it.
    private final class Shown: Sendable {
        let image: MetadataImage
        /// False: nothing was read yet, which is not the same as a cluster without anything in it.
        let isRead: Bool

        init(_ image: MetadataImage, isRead: Bool) {
            self.image = image
            self.isRead = isRead
        }
    }

    private struct Waiter {
        var version: Version
        /// Called once, without a lock; nil: the version is reached.
        var resume: @Sendable (CallFailure?) -> Void
    }

    private struct State {
        var waiters: [UInt64: Waiter] = [:]
        var lastWaiter: UInt64 = 0
        var subscribers: [BrokerID: [AssignmentBuffer]] = [:]
        /// The watch that keeps the image current, and when the one before it was last heard.
        var watch: WatchBuffer?
        var heardBefore: ContinuousClock.Instant?
        var hasEnded = false
    }

    private let shown = Mutex(Shown(MetadataImage(), isRead: false))
    private let state = Mutex(State())

    var image: MetadataImage { shown.withLock { $0 }.image }

    private func hasReached(_ version: Version) -> Bool {
        let shown = shown.withLock { $0 }
        return shown.isRead && shown.image.version >= version
    }

    // MARK: The feeder's side

    /// The next version. `touched`: each partition that changed, with every broker that holds or held it.
    func publish(_ image: MetadataImage, touched: [(BrokerID, PartitionKey)]) {
        show(image)
        // Whoever subscribes after this has the new image to begin from.
        let subscribers = state.withLock { $0.subscribers }
        if !subscribers.isEmpty, !touched.isEmpty {
            var keys: [BrokerID: [PartitionKey]] = [:]
            for (broker, key) in touched where subscribers[broker] != nil { keys[broker, default: []].append(key) }
            for (broker, keys) in keys { for buffer in subscribers[broker] ?? [] { buffer.touched(keys) } }
        }
        wake(image.version)
    }

    /// An image that was made anew: nobody knows what is different.
    func replace(_ image: MetadataImage) {
        show(image)
        let subscribers = state.withLock { $0.subscribers }
        if !subscribers.isEmpty {
            var keys: [BrokerID: [PartitionKey]] = [:]
            image.forEachPartition { partition in
                for broker in partition.replicas where subscribers[broker] != nil {
                    keys[broker, default: []].append(partition.key)
                }
            }
            for (broker, buffers) in subscribers {
                for buffer in buffers { buffer.replaced(keys[broker] ?? []) }
            }
        }
        wake(image.version)
    }

    private func show(_ image: MetadataImage) {
        let next = Shown(image, isRead: true)
        // What is shown now may be freed by this, which takes time: not under the lock.
        let before = shown.withLock { current in
            let before = current
            current = next
            return before
        }
        precondition(image.version >= before.image.version, "\(image.version) would follow \(before.image.version)")
    }

    private func wake(_ version: Version) {
        let due = state.withLock { state in
            guard !state.waiters.isEmpty else { return [Waiter]() }
            let due = state.waiters.filter { $0.value.version <= version }
            for id in due.keys { state.waiters[id] = nil }
            return due.sorted { $0.key < $1.key }.map(\.value)
        }
        for waiter in due { waiter.resume(nil) }
    }

    /// From now on this watch is what is heard of the cluster; nil: none, for now.
    func follow(_ watch: WatchBuffer?) {
        state.withLock { state in
            if let heard = state.watch?.heardAt { state.heardBefore = heard }
            state.watch = watch
        }
    }

    func lag(at now: ContinuousClock.Instant) -> Duration? {
        guard hasReached(.zero) else { return nil }
        let (watch, before) = state.withLock { ($0.watch, $0.heardBefore) }
        return (watch?.heardAt ?? before).map { max(.zero, $0.duration(to: now)) }
    }

    /// Nothing more will be shown.
    func end() {
        let (waiters, subscribers) = state.withLock { state in
            state.hasEnded = true
            defer {
                state.waiters = [:]
                state.subscribers = [:]
            }
            return (state.waiters.sorted { $0.key < $1.key }.map(\.value), state.subscribers)
        }
        for waiter in waiters { waiter.resume(CacheCore.ended) }
        for buffers in subscribers.values { for buffer in buffers { buffer.end() } }
    }

    // MARK: Waiting for a version

    /// Version zero: any image at all.
    func reached(_ version: Version, timeout: Duration?) async throws(MetadataError) {
        guard !hasReached(version) else { return }
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        let timer = timeout.map { timeout in
            Task { [self] in
                do {
                    try await Task.sleep(for: timeout)
                } catch {
                    return
                }
                resume(id, CallFailure(.timedOut, .definite, "version \(version) was not reached in \(timeout)"))
            }
        }
        let failure = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<CallFailure?, Never>) in
                add(id, Waiter(version: version) { continuation.resume(returning: $0) })
                // A cancellation that came before found nobody to wake.
                if Task.isCancelled { resume(id, CacheCore.cancelled) }
            }
        } onCancel: {
            resume(id, CacheCore.cancelled)
        }
        timer?.cancel()
        if let failure { throw MetadataError(failure, operation: "reached") }
    }

    /// Calls back when the version is shown, or the cache has ended.
    func whenReached(_ version: Version, _ body: @escaping @Sendable (CallFailure?) -> Void) {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        add(id, Waiter(version: version, resume: body))
    }

    private func add(_ id: UInt64, _ waiter: Waiter) {
        let hasEnded = state.withLock { state in
            if !state.hasEnded { state.waiters[id] = waiter }
            return state.hasEnded
        }
        if hasEnded { return waiter.resume(CacheCore.ended) }
        // It may have been shown just before the waiter was noted down.
        if hasReached(waiter.version) { resume(id, nil) }
    }

    private func resume(_ id: UInt64, _ failure: CallFailure?) {
        state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(failure)
    }

    // MARK: Subscribers

    func subscribe(_ buffer: AssignmentBuffer) {
        let hasEnded = state.withLock { state in
            if !state.hasEnded { state.subscribers[buffer.broker, default: []].append(buffer) }
            return state.hasEnded
        }
        if hasEnded { return buffer.end() }
        var keys: [PartitionKey] = []
        image.forEachPartition { if $0.replicas.contains(buffer.broker) { keys.append($0.key) } }
        buffer.touched(keys)
    }

    func unsubscribe(_ buffer: AssignmentBuffer) {
        state.withLock { state in
            state.subscribers[buffer.broker]?.removeAll { $0 === buffer }
            if state.subscribers[buffer.broker]?.isEmpty == true { state.subscribers[buffer.broker] = nil }
        }
    }

    private static let ended = CallFailure(.clientClosed, .definite, "the cache has ended")
    private static let cancelled = CallFailure(.cancelled, .definite, "the task was cancelled")
}
