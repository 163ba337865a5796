import Testing

@testable import Telemetry

@Suite("Trace context")
struct TraceContextTests {
    private static let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test("the example of the W3C recommendation is read and written back")
    func example() throws {
        let trace = try #require(TraceContext(traceparent: Self.text))
        #expect(trace.traceID == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(trace.span == 0x00f0_67aa_0ba9_02b7)
        #expect(trace.isSampled)
        #expect(trace.traceparent == Self.text)
    }

    @Test("flags that are not known do not count, a later version is read as far as this one goes")
    func later() throws {
        #expect(try #require(TraceContext(traceparent: Self.text.dropLast(2) + "fe")).isSampled == false)
        #expect(TraceContext(traceparent: "cc" + Self.text.dropFirst(2) + "-what.the.future.brings") != nil)
    }

    @Test("anything else begins a trace anew")
    func refused() {
        let zero = String(repeating: "0", count: 32)
        let wrong = [
            "", "00", Self.text + "-", Self.text + "-00", "ff" + Self.text.dropFirst(2),
            "cc" + Self.text.dropFirst(2) + "x",
            Self.text.uppercased(), "00-\(zero)-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", Self.text.replacing("-", with: "_"),
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ]
        for text in wrong { #expect(TraceContext(traceparent: text) == nil, "\(text)") }
    }

    @Test("a text that is cut anywhere is no traceparent")
    func cut() {
        for count in 0..<Self.text.count { #expect(TraceContext(traceparent: String(Self.text.prefix(count))) == nil) }
    }

    @Test(
        "collectors are named by http, host, port and path",
        arguments: [
            ("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces"),
            ("http://otel", "http://otel:4318/v1/traces"), ("http://[::1]:99/", "http://[::1]:99/v1/traces"),
            ("https://otel/v1/traces", nil), ("http://user:secret@otel/", nil), ("http://", nil),
            ("http://otel:0/", nil),
            ("http://otel:x/", nil), ("http://o tel/", nil), ("otel:4318", nil), ("http://[::1/", nil),
            ("http://otel/v1\r\nHost: x", nil),
        ] as [(String, String?)])
    func endpoints(text: String, expected: String?) {
        #expect(HTTPEndpoint(collector: text)?.description == expected)
    }
}
