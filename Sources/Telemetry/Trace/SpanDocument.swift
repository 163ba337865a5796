import Tracing

/// What is sent to a collector: `ExportTraceServiceRequest` of OTLP 1.x in its JSON form, where ids are hexadecimal, 64-bit
/// numbers are texts and enum values are numbers (opentelemetry-proto, "JSON Protobuf Encoding").
enum SpanDocument {
    /// - Parameter resource: who sends it, by the semantic conventions: `service.name` and so on.
    static func json(_ spans: [FinishedSpan], resource: [(key: String, value: String)]) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.key("resourceSpans")
            json.array([resource]) { json, resource in
                json.object { json in
                    json.key("resource")
                    json.object { json in
                        json.key("attributes")
                        json.array(resource) { $0.attribute($1.key, .string($1.value)) }
                    }
                    json.key("scopeSpans")
                    json.array([spans]) { json, spans in
                        json.object { json in
                            json.key("scope")
                            json.object { $0.member("name", "streambus") }
                            json.key("spans")
                            json.array(spans) { $0.span($1) }
                        }
                    }
                }
            }
        }
        return json.bytes
    }
}

extension JSONText {
    fileprivate mutating func member(_ key: String, _ text: String) {
        self.key(key)
        string(text)
    }

    fileprivate mutating func span(_ span: FinishedSpan) {
        object { json in
            json.member("traceId", span.context.traceID)
            json.member("spanId", span.context.spanID)
            if let parent = span.parent { json.member("parentSpanId", TraceContext.spanID(parent)) }
            json.member("name", span.name)
            json.key("kind")
            json.integer(span.kind.number)
            json.member("startTimeUnixNano", "\(span.startNanoseconds)")
            json.member("endTimeUnixNano", "\(span.endNanoseconds)")
            json.attributes(span.attributes)
            json.key("events")
            json.array(span.events) { json, event in
                json.object { json in
                    json.member("timeUnixNano", "\(event.nanosecondsSinceEpoch)")
                    json.member("name", event.name)
                    json.attributes(event.attributes)
                }
            }
            json.key("status")
            json.object { json in
                json.key("code")
                json.integer(span.status?.number ?? 0)
                if let message = span.status?.message { json.member("message", message) }
            }
        }
    }

    /// The member `attributes`, by name.
    private mutating func attributes(_ attributes: SpanAttributes) {
        var all: [(key: String, value: SpanAttribute)] = []
        attributes.forEach { key, value in all.append((key, value)) }
        key("attributes")
        array(all.sorted { $0.key < $1.key }) { $0.attribute($1.key, $1.value) }
    }

    /// `KeyValue` with an `AnyValue`: one member, named for the type. Lists are written as text: none of ours has any.
    fileprivate mutating func attribute(_ key: String, _ value: SpanAttribute) {
        object { json in
            json.member("key", key)
            json.key("value")
            json.object { json in
                switch value {
                case .string(let text): json.member("stringValue", text)
                case .stringConvertible(let value): json.member("stringValue", "\(value)")
                case .bool(let truth):
                    json.key("boolValue")
                    json.truth(truth)
                case .int32(let number): json.member("intValue", "\(number)")
                case .int64(let number): json.member("intValue", "\(number)")
                case .double(let number) where number.isFinite:
                    json.key("doubleValue")
                    json.number(number)
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
