import Foundation
import Logging
import NIOHTTP1
import Resilience
import Testing
import Tracing

@testable import Telemetry

@Suite("Export of traces")
struct SpanExporterTests {
    private let tracer = SpanTracer()

    private func exporter(
        to collector: Collector?, _ options: CircuitBreaker.Options = CircuitBreaker.Options()
    ) -> (SpanExporter, SharedCircuitBreaker) {
        let breaker = SharedCircuitBreaker(name: "trace-export", options: options, clock: ContinuousClock())
        let exporter = SpanExporter(
            buffer: tracer.buffer, resource: [("service.name", "test"), ("service.instance.id", "7")], breaker: breaker,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        exporter.send(to: collector.flatMap { HTTPEndpoint(collector: $0.address) })
        return (exporter, breaker)
    }

    @Test("spans arrive with their place in the tree, their kind, their times and their status")
    func arrive() async throws {
        let collector = try await Collector.started()
        let (exporter, _) = exporter(to: collector)
        tracer.configure(sampling: 1)
        let root = tracer.startSpan("root", ofKind: .client)
        let child = tracer.startSpan("child", context: root.context, ofKind: .server)
        child.attributes["number"] = 5
        child.setStatus(SpanStatus(code: .error, message: "no"))
        child.end()
        child.end()
        root.end()
        await exporter.export()
        #expect(collector.problems == [])
        let spans = collector.spans
        #expect(spans.map(\.name) == ["child", "root"])
        #expect(spans.map(\.kind) == [2, 3])
        #expect(spans.map(\.isError) == [true, false])
        #expect(Set(spans.map(\.trace)).count == 1)
        #expect(spans[0].parent == spans[1].id && spans[1].parent == nil)
        #expect(spans[1].start <= spans[0].start && spans[0].end <= spans[1].end)
        #expect(spans.map(\.sender) == ["7", "7"])
        try await collector.stop()
    }

    @Test("each kind of attribute has the form that OTLP gives it, whatever its text, and events come along")
    func attributes() throws {
        tracer.configure(sampling: 1)
        let span = tracer.startSpan("a \"name\" with \\ and \n \u{1} \u{7f} é 🙂")
        span.attributes["text"] = "tab\tquote\""
        span.attributes["whole"] = Int64.max
        span.attributes["part"] = 0.5
        span.attributes["endless"] = Double.infinity
        span.attributes["truth"] = true
        span.addEvent(SpanEvent(name: "event", attributes: ["of": "event"]))
        span.end()
        let json = SpanDocument.json(tracer.buffer.take(1), resource: [("service.name", "test")])
        let document = try JSONDecoder().decode(Document.self, from: Data(json))
        let written = try #require(document.resourceSpans.first?.scopeSpans.first?.spans.first)
        #expect(written.name == "a \"name\" with \\ and \n \u{1} \u{7f} é 🙂")
        #expect(
            written.attributes == [
                Document.Attribute(key: "endless", value: ["stringValue": .text("\(SpanAttribute.double(.infinity))")]),
                Document.Attribute(key: "part", value: ["doubleValue": .number(0.5)]),
                Document.Attribute(key: "text", value: ["stringValue": .text("tab\tquote\"")]),
                Document.Attribute(key: "truth", value: ["boolValue": .truth(true)]),
                Document.Attribute(key: "whole", value: ["intValue": .text("9223372036854775807")]),
            ])
        #expect(written.events.map(\.name) == ["event"])
        #expect(
            written.events.first?.attributes == [
                Document.Attribute(key: "of", value: ["stringValue": .text("event")])
            ])
    }

    @Test("a trace that is not sampled records nothing, and neither do the spans below it")
    func notSampled() throws {
        tracer.configure(sampling: 0)
        let root = tracer.startSpan("root")
        #expect(!root.isRecording && !root.trace.isSampled)
        let child = tracer.startSpan("child", context: root.context)
        #expect(!child.isRecording && child.trace.traceID == root.trace.traceID)
        child.end()
        root.end()
        #expect(tracer.request("write", traceparent: nil) == nil)
        #expect(tracer.request("write", traceparent: root.trace.traceparent) == nil)
        #expect(tracer.buffer.count == 0)
        // The caller wants it: then it is recorded, whatever is drawn here.
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let asked = try #require(tracer.request("write", traceparent: traceparent))
        #expect(asked.trace.traceID == "4bf92f3577b34da6a3ce929d0e0e4736")
        // Text of a stranger begins a trace of its own, by chance like any other.
        #expect(tracer.request("write", traceparent: "00-zz") == nil)
    }

    @Test("about the configured part of the traces is recorded")
    func sampling() {
        tracer.configure(sampling: 0.25)
        let recorded = (0..<20_000).count { _ in tracer.request("write", traceparent: nil) != nil }
        // Six standard deviations of 61.
        #expect((4_630...5_370).contains(recorded), "\(recorded)")
    }

    @Test("without a collector nothing is kept")
    func off() {
        tracer.configure(sampling: nil)
        #expect(tracer.request("write", traceparent: nil) == nil)
        tracer.startSpan(
            "x", context: ServiceContext(TraceContext(traceHigh: 1, traceLow: 1, span: 1, isSampled: true))
        ).end()
        #expect(tracer.buffer.count == 0 && tracer.buffer.droppedTotal == 0)
    }

    @Test("what does not fit is dropped and counted, and the oldest stay")
    func overflow() {
        tracer.configure(sampling: 1)
        for _ in 0..<(SpanBuffer.spansMax + 10) { tracer.startSpan("x").end() }
        #expect(tracer.buffer.count == SpanBuffer.spansMax && tracer.buffer.droppedTotal == 10)
        let batch = tracer.buffer.take(3)
        tracer.startSpan("x").end()
        tracer.buffer.giveBack(batch)
        #expect(tracer.buffer.count == SpanBuffer.spansMax && tracer.buffer.droppedTotal == 11)
    }

    @Test("a collector that is busy gets the same spans later; one that refuses them loses them, counted")
    func refusals() async throws {
        let collector = try await Collector.started()
        let (exporter, _) = exporter(to: collector)
        tracer.configure(sampling: 1)
        collector.answer([.serviceUnavailable, .ok, .badRequest])
        tracer.startSpan("first").end()
        await exporter.export()
        #expect(collector.spans.isEmpty && tracer.buffer.count == 1)
        await exporter.export()
        #expect(collector.spans.map(\.name) == ["first"])
        tracer.startSpan("second").end()
        await exporter.export()
        #expect(tracer.buffer.count == 0 && tracer.buffer.droppedTotal == 1 && collector.spans.count == 1)
        try await collector.stop()
    }

    @Test("a collector that is not there opens the breaker, and is left in peace while it is open")
    func breaker() async throws {
        let collector = try await Collector.started()
        let (exporter, breaker) = exporter(
            to: collector, CircuitBreaker.Options(failureThreshold: 2, timeout: .seconds(3_600)))
        tracer.configure(sampling: 1)
        try await collector.stop()
        tracer.startSpan("x").end()
        await exporter.export()
        await exporter.export()
        #expect(breaker.stats.state == .open)
        await exporter.export()
        #expect(breaker.stats.counts.rejections == 1 && tracer.buffer.count == 1)
    }

    @Test("many spans leave in batches")
    func batches() async throws {
        let collector = try await Collector.started()
        let (exporter, _) = exporter(to: collector)
        tracer.configure(sampling: 1)
        for number in 0..<(2 * SpanExporter.batchMax + 1) { tracer.startSpan("\(number)").end() }
        await exporter.export()
        #expect(collector.requests == 3)
        #expect(collector.spans.map(\.name) == (0..<(2 * SpanExporter.batchMax + 1)).map(String.init))
        try await collector.stop()
    }
}

/// What a collector reads of a document.
private struct Document: Decodable {
    enum Value: Decodable, Hashable {
        case text(String)
        case number(Double)
        case truth(Bool)

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let truth = try? container.decode(Bool.self) {
                self = .truth(truth)
            } else if let number = try? container.decode(Double.self) {
                self = .number(number)
            } else {
                self = .text(try container.decode(String.self))
            }
        }
    }

    struct Attribute: Decodable, Hashable {
        var key: String
        var value: [String: Value]
    }

    struct Event: Decodable {
        var name: String
        var attributes: [Attribute]
    }

    struct Span: Decodable {
        var name: String
        var attributes: [Attribute]
        var events: [Event]
    }

    struct Scope: Decodable { var spans: [Span] }
    struct OfResource: Decodable { var scopeSpans: [Scope] }

    var resourceSpans: [OfResource]
}
