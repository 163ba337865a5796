import Logging
import Tracing

/// How a log event is written.
package enum LogFormat: String, CaseIterable, Hashable, Sendable {
    /// One JSON object a line, for a log store.
    case json
    /// One readable line, for a terminal.
    case console
}

/// A handler of swift-log that makes one line of each event and leaves it to a `LogWriter`.
struct LineLogHandler: LogHandler {
    /// The metadata key that names another component; see `Logger.component`.
    static let componentKey = "component"

    private let control: LogControl
    private let nodeID: String?
    private let writer: LogWriter
    private(set) var component: String
    /// The component's, shared with its other loggers.
    private var level: LogLevelCell
    /// Set by whoever holds this one logger.
    private var ownLevel: Logger.Level?
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(
        control: LogControl, component: String, nodeID: String?, writer: LogWriter,
        metadataProvider: Logger.MetadataProvider?
    ) {
        self.control = control
        self.component = component
        self.nodeID = nodeID
        self.writer = writer
        self.metadataProvider = metadataProvider
        level = control.cell(of: component)
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? level.level }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { key == LineLogHandler.componentKey ? .string(component) : metadata[key] }
        set {
            guard key == LineLogHandler.componentKey else {
                metadata[key] = newValue
                return
            }
            guard case .string(let name)? = newValue else { return }
            component = name
            level = control.cell(of: name)
        }
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
        writer.write(control.format.line(line))
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

/// The logging of a process: one output, one writer, and what can be changed meanwhile.
package struct LogPipeline: Sendable {
    package let control: LogControl
    package let nodeID: String?
    package let writer: LogWriter

    /// Opens the output.
    package init(
        format: LogFormat, level: Logger.Level, output: LogOutput, nodeID: String? = nil,
        pendingBytesMax: Int = LogWriter.pendingBytesMax
    ) throws(LogOutputError) {
        let control = LogControl(level: level, format: format)
        self.control = control
        self.nodeID = nodeID
        writer = try LogWriter(output: output, pendingBytesMax: pendingBytesMax) { dropped in
            control.format.line(
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
            { handler(component: $0, provider: $1) },
            metadataProvider: Logger.MetadataProvider {
                guard let trace = ServiceContext.current?.trace else { return [:] }
                return ["trace_id": "\(trace.traceID)"]
            })
    }

    /// Registers the number of lines that were lost.
    package func register(in registry: MetricsRegistry) {
        let dropped = registry.counter("log_dropped_total", help: "Log events that were never written.")
        let writer = writer
        registry.addCollector { _ in dropped.raise(to: writer.droppedTotal) }
    }

    private func handler(component: String, provider: Logger.MetadataProvider?) -> any LogHandler {
        LineLogHandler(
            control: control, component: component, nodeID: nodeID, writer: writer, metadataProvider: provider)
    }
}
