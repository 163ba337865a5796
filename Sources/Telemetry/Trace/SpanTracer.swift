import Synchronization
import Tracing

/// Begins spans and passes their contexts on, by W3C Trace Context. A trace that comes from elsewhere is recorded if whoever
/// began it wants so; of those that begin here a part is.
package final class SpanTracer: Tracer {
    package typealias Span = RecordedSpan

    package let buffer = SpanBuffer()
    /// A trace begins when a random number is below it; zero while there is nobody to export to.
    private let threshold = Atomic<UInt64>(0)
    private let isConfigured = Atomic<Bool>(false)
    /// The state of SplitMix64 (Steele et al., OOPSLA 2014), whose increment is one atomic addition.
    private let random: Atomic<UInt64>

    /// What stands above the spans that have nothing above them here.
    private let root: TraceContext?

    package init(root: TraceContext? = nil) {
        self.root = root
        var generator = SystemRandomNumberGenerator()
        random = Atomic(generator.next())
    }

    /// - Parameter sampling: the part of the traces begun here that is recorded, 0 to 1; nil switches tracing off.
    package func configure(sampling: Double?) {
        buffer.open(sampling != nil)
        let part = min(1, max(0, sampling ?? 0))
        threshold.store(part >= 1 ? .max : UInt64(part * 0x1p64), ordering: .relaxed)
        isConfigured.store(sampling != nil, ordering: .relaxed)
    }

    /// Whether there is anybody to export to.
    package var isOn: Bool { isConfigured.load(ordering: .relaxed) }

    /// The span of a request that came in; nil when its way is not recorded. Costs a few nanoseconds then.
    ///
    /// - Parameter traceparent: of the caller; text of a stranger.
    package func request(_ name: @autoclosure () -> String, traceparent: String?) -> RecordedSpan? {
        guard isOn else { return nil }
        let parent = traceparent.flatMap { TraceContext(traceparent: $0) }
        guard parent?.isSampled ?? draws() else { return nil }
        return span(
            name(), parent: parent, isSampled: true, kind: .server, start: DefaultTracerClock.now.nanosecondsSinceEpoch)
    }

    package func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> ServiceContext, ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
    ) -> RecordedSpan {
        let parent = context().trace ?? root
        return span(
            operationName, parent: parent, isSampled: parent?.isSampled ?? draws(), kind: kind,
            start: instant().nanosecondsSinceEpoch)
    }

    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let text = extractor.extract(key: TraceContext.key, from: carrier),
            let trace = TraceContext(traceparent: text)
        else { return }
        context.trace = trace
    }

    package func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let trace = context.trace else { return }
        injector.inject(trace.traceparent, forKey: TraceContext.key, into: &carrier)
    }

    /// Exports go on by themselves.
    package func forceFlush() {}

    private func span(
        _ name: String, parent: TraceContext?, isSampled: Bool, kind: SpanKind, start: UInt64
    ) -> RecordedSpan {
        let trace = TraceContext(
            traceHigh: parent?.traceHigh ?? next(), traceLow: parent?.traceLow ?? next() | 1, span: next() | 1,
            isSampled: isSampled)
        return RecordedSpan(name, trace: trace, parent: parent?.span, kind: kind, start: start, buffer: buffer)
    }

    private func draws() -> Bool {
        let threshold = threshold.load(ordering: .relaxed)
        return threshold == .max || next() < threshold
    }

    private func next() -> UInt64 {
        var mixed = random.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
