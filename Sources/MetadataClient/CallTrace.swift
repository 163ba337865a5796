import Tracing

/// The span of one call, in whatever tracer the application has.
struct CallTrace: Sendable {
    let span: any Span
    /// What the cluster is told of it; nil when it is not recorded, so that calls that are not traced cost nothing on the wire.
    let traceparent: String?

    /// Nil without a tracer.
    init?(_ operation: String, _ tracer: any Tracer) {
        if tracer is NoOpTracer { return nil }
        span = tracer.startSpan(operation, ofKind: .client)
        var carrier: [String: String] = [:]
        tracer.inject(span.context, into: &carrier, using: HeaderInjector())
        // The last two digits are flags, the lowest of them says "sampled" (W3C Trace Context, §3.2.2.5).
        traceparent = carrier["traceparent"].flatMap { text in
            text.last?.hexDigitValue.map { $0 & 1 == 1 } == true ? text : nil
        }
    }

    func end<Value>(_ result: Result<Value, MetadataError>) {
        if case .failure(let error) = result {
            span.recordError(error)
            span.setStatus(SpanStatus(code: .error, message: error.code.rawValue))
        }
        span.end()
    }

    private struct HeaderInjector: Injector {
        func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) { carrier[key] = value }
    }
}
