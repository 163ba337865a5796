import Dispatch
import Foundation
import NIOCore
import Synchronization

/// A thread of its own for blocking work. Whatever is submitted while it is busy becomes its next batch, so that one sync, one
/// transaction, one wake-up serve many requests.
final class BatchWorker<Item: Sendable>: Sendable {
    private struct Queue {
        var items: [Item] = []
        /// Each is called when the items before it are done.
        var probes: [@Sendable () -> Void] = []
        var isStopping = false

        var isEmpty: Bool { items.isEmpty && probes.isEmpty }
    }

    private let queue = Mutex(Queue())
    private let wake = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    /// Nanoseconds on the clock of `NIODeadline`; zero while there is nothing to do.
    private let busyNanoseconds = Atomic<UInt64>(0)

    /// - Parameter work: called on the thread, with at least one item, in the order of submission.
    init(name: String, work: @escaping @Sendable ([Item]) -> Void) {
        let thread = Thread { [self] in
            while let (batch, probes) = nextBatch() {
                busyNanoseconds.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
                if !batch.isEmpty { work(batch) }
                for probe in probes { probe() }
                busyNanoseconds.store(0, ordering: .relaxed)
            }
            ended.signal()
        }
        thread.name = name
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Never blocks. Items submitted after `stop` are dropped.
    func submit(_ item: Item) { submit(contentsOf: CollectionOfOne(item)) }

    func submit(contentsOf items: some Collection<Item>) {
        guard !items.isEmpty else { return }
        let shouldWake = queue.withLock { queue in
            guard !queue.isStopping else { return false }
            let wasEmpty = queue.isEmpty
            queue.items.append(contentsOf: items)
            return wasEmpty
        }
        if shouldWake { wake.signal() }
    }

    /// Calls `answer` on the thread, behind what was submitted before: tells whether the thread does its work, and in what
    /// time. Never blocks; nothing is answered after `stop`.
    func probe(_ answer: @escaping @Sendable () -> Void) {
        let shouldWake = queue.withLock { queue in
            guard !queue.isStopping else { return false }
            defer { queue.probes.append(answer) }
            return queue.isEmpty
        }
        if shouldWake { wake.signal() }
    }

    /// How much waits now.
    var depth: Int { queue.withLock { $0.items.count } }

    /// Since when the present batch is under way; nil when none is.
    var busySince: NIODeadline? {
        let nanoseconds = busyNanoseconds.load(ordering: .relaxed)
        return nanoseconds == 0 ? nil : .uptimeNanoseconds(nanoseconds)
    }

    /// Takes nothing more, and leaves the thread to itself: for one that hangs.
    func abandon() {
        queue.withLock { queue in
            queue.isStopping = true
            queue.items.removeAll()
            queue.probes.removeAll()
        }
        wake.signal()
    }

    /// Does what was submitted before, then ends the thread; returns when it has ended. Call once.
    func stop() {
        queue.withLock { $0.isStopping = true }
        wake.signal()
        ended.wait()
    }

    private func nextBatch() -> (items: [Item], probes: [@Sendable () -> Void])? {
        while true {
            wake.wait()
            let (batch, probes, isStopping) = queue.withLock { queue in
                var taken = Queue()
                swap(&taken.items, &queue.items)
                swap(&taken.probes, &queue.probes)
                return (taken.items, taken.probes, queue.isStopping)
            }
            if !batch.isEmpty || !probes.isEmpty {
                // The last batch before the end: the wake-up that `stop` sent must be there for the next round.
                if isStopping { wake.signal() }
                return (batch, probes)
            }
            if isStopping { return nil }
        }
    }
}
