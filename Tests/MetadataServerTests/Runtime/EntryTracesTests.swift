import MetadataModel
import NIOCore
import RaftCore
import Replica
import Testing
import Tracing
import Wire

@testable import MetadataServer
@testable import Telemetry

/// What keeps the lists short when writes go nowhere; that spans make a tree is shown by `TraceTreeTests`.
@Suite("The way of traced writes through the log")
struct EntryTracesTests {
    private let tracer = SpanTracer()

    private let position = LogPosition(index: LogIndex(7), term: Term(2))

    private func token(_ number: Int) -> RequestToken { RequestToken(connection: 1, request: UInt64(number)) }

    @Test("no more writes are followed at a time than there is room for, and room comes back with each answer")
    func room() {
        tracer.configure(sampling: 1)
        var traces = EntryTraces(tracer)
        let request = tracer.startSpan("request", ofKind: .server)
        for number in 0..<EntryTraces.entriesMax + 300 { traces.gathered(token(number), under: request) }
        for number in 0..<EntryTraces.entriesMax + 300 { traces.answered(token(number)) }
        #expect(traces.isEmpty)
        #expect(
            tracer.buffer.take(SpanBuffer.spansMax).filter { $0.name == "raft.propose" }.count == EntryTraces.entriesMax
        )
        traces.gathered(token(1), under: request)
        traces.answered(token(1))
        #expect(tracer.buffer.take(SpanBuffer.spansMax).map(\.name) == ["raft.propose"])
    }

    @Test("what comes to no end is forgotten after a while, on the leader and on the others")
    func patience() throws {
        tracer.configure(sampling: 1)
        var traces = EntryTraces(tracer)
        let request = tracer.startSpan("request", ofKind: .server)
        let begun = NIODeadline.now()
        traces.gathered(token(1), under: request)
        traces.received([
            TracedEntry(position: position, traceparent: request.trace.traceparent)
        ])
        traces.expire(now: begun + EntryTraces.patience)
        #expect(!traces.isEmpty)
        traces.expire(now: .now() + EntryTraces.patience + .seconds(1))
        #expect(traces.isEmpty)
    }

    @Test("what a leader says of an entry is followed only while tracing is on, and only where the trace is sampled")
    func notSampled() {
        let parent = TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: false)
        tracer.configure(sampling: 1)
        var traces = EntryTraces(tracer)
        traces.received([TracedEntry(position: position, traceparent: parent.traceparent)])
        traces.received([TracedEntry(position: position, traceparent: "nonsense")])
        #expect(traces.isEmpty)
    }
}
