import Synchronization

/// Spans that wait for their export. Whoever ends a span never waits: what does not fit is dropped and counted.
package final class SpanBuffer: Sendable {
    /// Some megabytes, and at 512 spans a second eight seconds.
    package static let spansMax = 4_096

    private struct State {
        var spans: [FinishedSpan] = []
        /// Without an endpoint nothing is kept.
        var isOpen = false
    }

    private let state = Mutex(State())
    private let dropped = Atomic<UInt64>(0)

    package init() {}

    /// Spans that were never exported, since the start.
    package var droppedTotal: UInt64 { dropped.load(ordering: .relaxed) }

    package var count: Int { state.withLock(\.spans.count) }

    func add(_ span: FinishedSpan) {
        let fits = state.withLock { state in
            guard state.isOpen else { return true }
            guard state.spans.count < SpanBuffer.spansMax else { return false }
            state.spans.append(span)
            return true
        }
        if !fits { countDropped(1) }
    }

    /// Takes the oldest out.
    func take(_ most: Int) -> [FinishedSpan] {
        state.withLock { state in
            let taken = Array(state.spans.prefix(most))
            state.spans.removeFirst(taken.count)
            return taken
        }
    }

    /// Gives back what could not be exported; the oldest are dropped where there is no room any more.
    func giveBack(_ spans: [FinishedSpan]) {
        let lost = state.withLock { state in
            guard state.isOpen else { return 0 }
            let lost = max(0, state.spans.count + spans.count - SpanBuffer.spansMax)
            state.spans.insert(contentsOf: spans.dropFirst(min(lost, spans.count)), at: 0)
            return min(lost, spans.count)
        }
        countDropped(lost)
    }

    /// Whether anything is kept from now on.
    func open(_ isOpen: Bool) {
        state.withLock { state in
            state.isOpen = isOpen
            if !isOpen { state.spans = [] }
        }
    }

    func countDropped(_ count: Int) { dropped.wrappingAdd(UInt64(count), ordering: .relaxed) }
}
