import Synchronization
import Tracing

/// A span that has ended, ready for export.
package struct FinishedSpan: Sendable {
    package var context: TraceContext
    /// The span above it; nil at the root.
    package var parent: UInt64?
    package var name: String
    package var kind: SpanKind
    package var startNanoseconds: UInt64
    package var endNanoseconds: UInt64
    package var attributes: SpanAttributes
    package var events: [SpanEvent]
    package var status: SpanStatus?
}

/// A span under way. One of a trace that is not sampled records nothing and only passes its context on.
package final class RecordedSpan: Span {
    private struct State {
        var name: String
        var attributes: SpanAttributes = [:]
        var events: [SpanEvent] = []
        var status: SpanStatus?
        var isEnded = false
    }

    /// Events of one span, at most.
    static let eventsMax = 32

    package let trace: TraceContext
    private let parent: UInt64?
    private let kind: SpanKind
    private let startNanoseconds: UInt64
    private let state: Mutex<State>
    private let buffer: SpanBuffer

    init(_ name: String, trace: TraceContext, parent: UInt64?, kind: SpanKind, start: UInt64, buffer: SpanBuffer) {
        self.trace = trace
        self.parent = parent
        self.kind = kind
        self.startNanoseconds = start
        self.buffer = buffer
        state = Mutex(State(name: name))
    }

    package var context: ServiceContext { ServiceContext(trace) }

    package var isRecording: Bool { trace.isSampled && state.withLock { !$0.isEnded } }

    package var operationName: String {
        get { state.withLock(\.name) }
        set { change { $0.name = newValue } }
    }

    package var attributes: SpanAttributes {
        get { state.withLock(\.attributes) }
        set { change { $0.attributes = newValue } }
    }

    package func setStatus(_ status: SpanStatus) { change { $0.status = status } }

    package func addEvent(_ event: SpanEvent) {
        change { if $0.events.count < RecordedSpan.eventsMax { $0.events.append(event) } }
    }

    package func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {
        var attributes = attributes
        // By the semantic conventions of OpenTelemetry.
        attributes["exception.type"] = "\(type(of: error))"
        attributes["exception.message"] = "\(error)"
        addEvent(SpanEvent(name: "exception", at: instant(), attributes: attributes))
    }

    /// Spans of other traces have no use here.
    package func addLink(_ link: SpanLink) {}

    /// The first end counts.
    package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        guard trace.isSampled else { return }
        let ended = state.withLock { state -> State? in
            guard !state.isEnded else { return nil }
            state.isEnded = true
            return state
        }
        guard let ended else { return }
        buffer.add(
            FinishedSpan(
                context: trace, parent: parent, name: ended.name, kind: kind, startNanoseconds: startNanoseconds,
                endNanoseconds: max(startNanoseconds, instant().nanosecondsSinceEpoch), attributes: ended.attributes,
                events: ended.events, status: ended.status))
    }

    private func change(_ body: (inout State) -> Void) {
        guard trace.isSampled else { return }
        state.withLock { if !$0.isEnded { body(&$0) } }
    }
}
