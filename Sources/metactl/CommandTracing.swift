import Logging
import Telemetry

/// Records what a command asks of the cluster, if the environment names a collector, by the variables of OpenTelemetry: each
/// call is a span, below that of whoever runs the command if there is one, and above those of the nodes.
struct CommandTracing {
    static let endpointVariable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    static let parentVariable = "TRACEPARENT"

    let tracer: SpanTracer
    private let exporter: SpanExporter

    /// Nil without a collector.
    init?(_ environment: [String: String], logger: Logger) throws(CommandFailure) {
        guard let text = environment[CommandTracing.endpointVariable], !text.isEmpty else { return nil }
        guard let endpoint = HTTPEndpoint(collector: text) else {
            throw .usage("\(CommandTracing.endpointVariable) is \"\(text)\", not http://host:port/path")
        }
        tracer = SpanTracer(
            root: environment[CommandTracing.parentVariable].flatMap { TraceContext(traceparent: $0) })
        tracer.configure(sampling: 1)
        exporter = SpanExporter(buffer: tracer.buffer, resource: [("service.name", "metactl")], logger: logger)
        exporter.send(to: endpoint)
    }

    /// Before the process ends. A collector that is not there takes nothing from the command's result.
    func export() async { await exporter.export() }
}
