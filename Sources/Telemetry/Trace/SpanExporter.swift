import Logging
import NIOCore
import Resilience
import Synchronization

/// Sends spans that have ended to a collector, in batches, from a task of its own. The node never waits for it: while the
/// collector does not answer, its breaker keeps us away from it, spans gather up to a bound, and beyond it they are dropped and
/// counted.
package final class SpanExporter: Sendable {
    /// Spans in one request.
    static let batchMax = 512
    static let pause = Duration.seconds(1)
    static let deadline = Duration.seconds(5)

    private let buffer: SpanBuffer
    private let resource: [(key: String, value: String)]
    private let breaker: SharedCircuitBreaker
    private let logger: Logger
    private let endpoint = Mutex<HTTPEndpoint?>(nil)
    private let exported = Atomic<UInt64>(0)
    /// So that trouble is said once, and its end too.
    private let isFailing = Atomic<Bool>(false)

    /// - Parameter resource: who sends the spans, by OpenTelemetry's conventions.
    package init(
        buffer: SpanBuffer, resource: [(key: String, value: String)], breaker: SharedCircuitBreaker, logger: Logger
    ) {
        self.buffer = buffer
        self.resource = resource
        self.breaker = breaker
        self.logger = logger
    }

    /// With a breaker of its own, for a program that has no others.
    package convenience init(buffer: SpanBuffer, resource: [(key: String, value: String)], logger: Logger) {
        let breaker = SharedCircuitBreaker(
            name: "trace-export", options: CircuitBreaker.Options(), clock: ContinuousClock())
        self.init(buffer: buffer, resource: resource, breaker: breaker, logger: logger)
    }

    /// Where to send from now on; nil: nowhere.
    package func send(to endpoint: HTTPEndpoint?) {
        let isOther = self.endpoint.withLock { current in
            defer { current = endpoint }
            return current != endpoint
        }
        if isOther { breaker.reset() }
    }

    /// Registers what became of spans.
    package func register(in registry: MetricsRegistry) {
        let sent = registry.counter("trace_spans_exported_total", help: "Spans that a collector took.")
        let lost = registry.counter("trace_spans_dropped_total", help: "Spans that were never exported.")
        let waiting = registry.gauge("trace_spans_waiting", help: "Spans that wait for their export.")
        registry.addCollector { [self] _ in
            sent.raise(to: exported.load(ordering: .relaxed))
            lost.raise(to: buffer.droppedTotal)
            waiting.set(buffer.count)
        }
    }

    /// Exports about once a second, until the task is cancelled.
    package func run() async {
        while !Task.isCancelled {
            await export()
            do { try await Task.sleep(for: SpanExporter.pause) } catch { return }
        }
    }

    /// Exports what waits now, as far as the collector takes it.
    package func export() async {
        guard let endpoint = endpoint.withLock(\.self) else { return }
        for _ in 0...(SpanBuffer.spansMax / SpanExporter.batchMax) {
            guard buffer.count > 0, await send(to: endpoint) else { return }
        }
    }

    /// Sends one batch.
    /// - Returns: false when it is better to wait.
    private func send(to endpoint: HTTPEndpoint) async -> Bool {
        let batch = buffer.take(SpanExporter.batchMax)
        do {
            try await breaker.call(deadline: SpanExporter.deadline, judge: Refused.saysOfCollector) { [resource] in
                let json = SpanDocument.json(batch, resource: resource)
                let answer = try await HTTPExchange.post(json, to: endpoint, timeout: SpanExporter.deadline)
                guard (200..<300).contains(answer.status) else { throw Refused(status: answer.status) }
            }
            exported.wrappingAdd(UInt64(batch.count), ordering: .relaxed)
            if isFailing.exchange(false, ordering: .relaxed) { logger.notice("spans are exported again") }
            return true
        } catch let error as Refused where !error.isRetryable {
            buffer.countDropped(batch.count)
            complain("the collector at \(endpoint) \(error)")
            return true
        } catch {
            buffer.giveBack(batch)
            if !(error is CircuitBreaker.Rejection) { complain("the collector at \(endpoint): \(error)") }
            return false
        }
    }

    /// The collector answered, and did not take the spans.
    private struct Refused: Error, CustomStringConvertible {
        let status: Int

        /// By OTLP's rules. After any other answer the collector is there and may take other spans.
        var isRetryable: Bool { [429, 502, 503, 504].contains(status) }

        var description: String { "refuses spans with \(status)" }

        static func saysOfCollector(_ error: any Error) -> CircuitBreaker.Outcome {
            (error as? Refused)?.isRetryable ?? true ? .failure : .neutral
        }
    }

    private func complain(_ reason: String) {
        if isFailing.exchange(true, ordering: .relaxed) { return }
        logger.warning("spans are not exported", metadata: ["error": "\(reason)"])
    }
}
