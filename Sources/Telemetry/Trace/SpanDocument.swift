import Tracing

/// What is sent to a collector: `ExportTraceServiceRequest` of OTLP 1.x in its JSON form, where ids are hexadecimal, 64-bit
/// numbers are texts and enum values are numbers (opentelemetry-proto, "JSON Protobuf Encoding"). What is empty is left out.
enum SpanDocument {
    /// - Parameter resource: who sends it, by the semantic conventions: `service.name` and so on.
    static func json(_ spans: [FinishedSpan], resource: [(key: String, value: String)]) -> [UInt8] {
        JSONText.object { json in
            json.member("resourceSpans", CollectionOfOne(spans)) { json, spans in
                json.object { json in
                    json.member("resource") { json in
                        json.member("attributes", resource) { $0.attribute($1.key, .string($1.value)) }
                    }
                    json.member("scopeSpans", CollectionOfOne(spans)) { json, spans in
                        json.object { json in
                            json.member("scope") { $0.member("name", "streambus") }
                            json.member("spans", spans) { $0.span($1) }
                        }
                    }
                }
            }
        }
    }
}

extension JSONText {
    fileprivate mutating func span(_ span: FinishedSpan) {
        object { json in
            json.member("traceId", hexadecimal: span.context.traceHigh, span.context.traceLow)
            json.member("spanId", hexadecimal: span.context.span)
            if let parent = span.parent { json.member("parentSpanId", hexadecimal: parent) }
            json.member("name", span.name)
            json.member("kind", span.kind.number)
            json.member("startTimeUnixNano", "\(span.startNanoseconds)")
            json.member("endTimeUnixNano", "\(span.endNanoseconds)")
            json.attributes(span.attributes)
            if !span.events.isEmpty { json.member("events", span.events) { $0.event($1) } }
            guard let status = span.status else { return }
            json.member("status") { json in
                json.member("code", status.number)
                if let message = status.message { json.member("message", message) }
            }
        }
    }

    private mutating func event(_ event: SpanEvent) {
        object { json in
            json.member("timeUnixNano", "\(event.nanosecondsSinceEpoch)")
            json.member("name", event.name)
            json.attributes(event.attributes)
        }
    }

    /// By name.
    private mutating func attributes(_ attributes: SpanAttributes) {
        guard !attributes.isEmpty else { return }
        var all: [(key: String, value: SpanAttribute)] = []
        attributes.forEach { key, value in all.append((key, value)) }
        member("attributes", all.sorted { $0.key < $1.key }) { $0.attribute($1.key, $1.value) }
    }

    /// `KeyValue` with an `AnyValue`: one member, named for the type. Lists are written as text: none of ours has any.
    fileprivate mutating func attribute(_ key: String, _ value: SpanAttribute) {
        object { json in
            json.member("key", key)
            json.member("value") { json in
                switch value {
                case .string(let text): json.member("stringValue", text)
                case .stringConvertible(let value): json.member("stringValue", "\(value)")
                case .bool(let truth): json.member("boolValue", truth)
                case .int32(let number): json.member("intValue", "\(number)")
                case .int64(let number): json.member("intValue", "\(number)")
                case .double(let number) where number.isFinite: json.member("doubleValue", number)
                default: json.member("stringValue", "\(value)")
                }
            }
        }
    }
}

extension SpanKind {
    /// `Span.SpanKind` in trace.proto.
    fileprivate var number: Int {
        switch self {
        case .internal: 1
        case .server: 2
        case .client: 3
        case .producer: 4
        case .consumer: 5
        }
    }
}

extension SpanStatus {
    /// `Status.StatusCode` in trace.proto.
    fileprivate var number: Int {
        switch code {
        case .ok: 1
        case .error: 2
        }
    }
}
