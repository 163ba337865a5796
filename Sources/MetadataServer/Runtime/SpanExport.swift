import ServiceLifecycle
import Telemetry

/// Sends spans as long as the node runs, and once more when it has stopped.
package struct SpanExport: Service {
    let exporter: SpanExporter

    package func run() async throws {
        await cancelWhenGracefulShutdown { await exporter.run() }
        await exporter.export()
    }
}
