import Tracing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What is sent to a collector: `ExportTraceServiceRequest` of OTLP 1.x in its JSON form, where ids are hexadecimal, 64-bit
/// numbers are texts and enum values are numbers (opentelemetry-proto, "JSON Protobuf Encoding").
struct SpanDocument: Encodable {
    var resourceSpans: [ResourceSpans]

    struct ResourceSpans: Encodable {
        var resource: Resource
        var scopeSpans: [ScopeSpans]
    }

    struct Resource: Encodable {
        var attributes: [Attribute]
    }

    struct ScopeSpans: Encodable {
        var scope: Scope
        var spans: [Item]
    }

    struct Scope: Encodable {
        var name: String
    }

    struct Item: Encodable {
        var traceId: String
        var spanId: String
        var parentSpanId: String?
        var name: String
        var kind: Int
        var startTimeUnixNano: String
        var endTimeUnixNano: String
        var attributes: [Attribute]
        var events: [Event]
        var status: Status
    }

    struct Event: Encodable {
        var timeUnixNano: String
        var name: String
        var attributes: [Attribute]
    }

    struct Status: Encodable {
        var code: Int
        var message: String?
    }

    struct Attribute: Encodable {
        var key: String
        var value: Value
    }

    /// `AnyValue`: one member, named for the type.
    enum Value: Encodable {
        case string(String)
        case integer(Int64)
        case number(Double)
        case truth(Bool)

        private enum Key: String, CodingKey {
            case stringValue, intValue, doubleValue, boolValue
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            switch self {
            case .string(let text): try container.encode(text, forKey: .stringValue)
            case .integer(let number): try container.encode(String(number), forKey: .intValue)
            case .number(let number): try container.encode(number, forKey: .doubleValue)
            case .truth(let truth): try container.encode(truth, forKey: .boolValue)
            }
        }
    }

    /// - Parameter resource: who sends it, by the semantic conventions: `service.name` and so on.
    init(_ spans: [FinishedSpan], resource: [(key: String, value: String)]) {
        resourceSpans = [
            ResourceSpans(
                resource: Resource(attributes: resource.map { Attribute(key: $0.key, value: .string($0.value)) }),
                scopeSpans: [ScopeSpans(scope: Scope(name: "streambus"), spans: spans.map(Item.init))])
        ]
    }

    func json() throws -> [UInt8] { [UInt8](try JSONEncoder().encode(self)) }
}

extension SpanDocument.Item {
    init(_ span: FinishedSpan) {
        self.init(
            traceId: span.context.traceID, spanId: span.context.spanID,
            parentSpanId: span.parent.map(TraceContext.spanID),
            name: span.name, kind: span.kind.number, startTimeUnixNano: String(span.startNanoseconds),
            endTimeUnixNano: String(span.endNanoseconds), attributes: SpanDocument.attributes(span.attributes),
            events: span.events.map { event in
                SpanDocument.Event(
                    timeUnixNano: String(event.nanosecondsSinceEpoch), name: event.name,
                    attributes: SpanDocument.attributes(event.attributes))
            },
            status: SpanDocument.Status(code: span.status?.number ?? 0, message: span.status?.message))
    }
}

extension SpanDocument {
    fileprivate static func attributes(_ attributes: SpanAttributes) -> [Attribute] {
        var all: [Attribute] = []
        attributes.forEach { key, value in all.append(Attribute(key: key, value: Value(value))) }
        return all.sorted { $0.key < $1.key }
    }
}

extension SpanDocument.Value {
    /// Lists are written as text: none of ours has any.
    fileprivate init(_ attribute: SpanAttribute) {
        switch attribute {
        case .string(let text): self = .string(text)
        case .stringConvertible(let value): self = .string("\(value)")
        case .bool(let truth): self = .truth(truth)
        case .int32(let number): self = .integer(Int64(number))
        case .int64(let number): self = .integer(number)
        case .double(let number) where number.isFinite: self = .number(number)
        default: self = .string("\(attribute)")
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
