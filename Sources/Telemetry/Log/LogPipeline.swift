import Logging

/// How a log event is written.
package enum LogFormat: String, CaseIterable, Hashable, Sendable {
    /// One JSON object a line, for a log store.
    case json
    /// One readable line, for a terminal.
    case console
}

/// A handler of swift-log that makes one line of each event and leaves it to a `LogWriter`.
struct LineLogHandler: LogHandler {
    var format: LogFormat
    var component: String
    var nodeID: String?
    var writer: LogWriter
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Metadata of the event beats that of the provider, which beats that of the logger.
    func log(event: LogEvent) {
        var merged = metadata
        if let provided = metadataProvider?.get() {
            merged.merge(provided) { _, new in new }
        }
        if let own = event.metadata {
            merged.merge(own) { _, new in new }
        }
        let line = LogLine(
            timestamp: .now(), level: event.level, message: event.message.description, component: component,
            nodeID: nodeID, error: event.error.map { "\($0)" }, metadata: merged)
        writer.write(format.line(line))
    }
}

extension LogFormat {
    func line(_ line: LogLine) -> String {
        switch self {
        case .json: line.json()
        case .console: line.console()
        }
    }
}

/// The logging of a process: one format, one level, one output, one writer.
package struct LogPipeline: Sendable {
    package let format: LogFormat
    package let level: Logger.Level
    package let nodeID: String?
    package let writer: LogWriter

    /// Opens the output.
    package init(
        format: LogFormat, level: Logger.Level, output: LogOutput, nodeID: String? = nil,
        pendingBytesMax: Int = LogWriter.pendingBytesMax
    ) throws(LogOutputError) {
        self.format = format
        self.level = level
        self.nodeID = nodeID
        writer = try LogWriter(output: output, pendingBytesMax: pendingBytesMax) { dropped in
            format.line(
                LogLine(
                    timestamp: .now(), level: .warning, message: "log events were dropped", component: "log",
                    nodeID: nodeID, error: nil, metadata: ["dropped": .stringConvertible(dropped)]))
        }
    }

    /// A logger whose label is the component that its lines name.
    package func logger(_ component: String) -> Logger {
        Logger(label: component) { handler(component: $0, provider: nil) }
    }

    /// Makes this the logging of all libraries of the process. Once a process, as swift-log has it.
    package func bootstrap() {
        LoggingSystem.bootstrap(
            { handler(component: $0, provider: $1) }, metadataProvider: nil)
    }

    /// Registers the number of lines that were lost.
    package func register(in registry: MetricsRegistry) {
        let dropped = registry.counter("log_events_dropped_total", help: "Log events that were never written.")
        let writer = writer
        registry.addCollector { dropped.raise(to: writer.droppedTotal) }
    }

    private func handler(component: String, provider: Logger.MetadataProvider?) -> any LogHandler {
        LineLogHandler(
            format: format, component: component, nodeID: nodeID, writer: writer, logLevel: level,
            metadataProvider: provider)
    }
}
