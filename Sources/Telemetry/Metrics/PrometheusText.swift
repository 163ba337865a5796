/// Writes the Prometheus text exposition format 0.0.4.
struct PrometheusText {
    /// What the `Content-Type` header of the answer says.
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var output = ""

    mutating func append(name: String, family: MetricsRegistry.Family) {
        output += "# HELP \(name) \(Self.escapedHelp(family.help))\n"
        output += "# TYPE \(name) \(Self.typeName(name, family.kind))\n"
        let inOrder = family.series.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        for (values, series) in inOrder {
            let labels = Array(zip(family.labelNames, values))
            switch series {
            case .counter(let handle):
                appendSample(name, labels, "\(handle.current)")
            case .floatingCounter(let handle):
                appendSample(name, labels, Self.number(handle.current))
            case .gauge(let handle):
                appendSample(name, labels, Self.number(handle.current))
            case .histogram(let handle):
                append(name: name, labels: labels, histogram: handle)
            }
        }
    }

    /// The endings of a counter and of a histogram's samples are reserved for them (`promtool check metrics` warns). A gauge
    /// whose name is fixed by tradition, such as `raft_peers_count`, is declared untyped, which Prometheus stores and reads
    /// the same.
    private static func typeName(_ name: String, _ kind: MetricsRegistry.Kind) -> String {
        let isReserved = ["_count", "_sum", "_bucket", "_total"].contains { name.hasSuffix($0) }
        return kind == .gauge && isReserved ? "untyped" : kind.rawValue
    }

    private mutating func append(name: String, labels: [(String, String)], histogram: HistogramHandle) {
        let snapshot = histogram.current
        var cumulated: UInt64 = 0
        for (bound, count) in zip(histogram.bounds, snapshot.counts) {
            cumulated += count
            appendSample(name + "_bucket", labels + [("le", Self.number(bound))], "\(cumulated)")
        }
        appendSample(name + "_bucket", labels + [("le", "+Inf")], "\(snapshot.count)")
        appendSample(name + "_sum", labels, Self.number(snapshot.sum))
        appendSample(name + "_count", labels, "\(snapshot.count)")
    }

    private mutating func appendSample(_ name: String, _ labels: [(String, String)], _ value: String) {
        output += name
        if !labels.isEmpty {
            output += "{"
            output += labels.map { "\($0)=\"\(Self.escapedLabelValue($1))\"" }.joined(separator: ",")
            output += "}"
        }
        output += " \(value)\n"
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return "\(whole)" }
        return "\(value)"
    }

    static func escapedLabelValue(_ value: String) -> String {
        escaped(value, quotes: true)
    }

    static func escapedHelp(_ help: String) -> String {
        escaped(help, quotes: false)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension MetricsRegistry {
    /// The media type of `exposition()`.
    package static var contentType: String { PrometheusText.contentType }
}
