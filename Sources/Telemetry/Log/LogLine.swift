import Logging

/// The parts of one log event, formatted as one line.
struct LogLine {
    /// Longer messages and values are cut: a log line is not a place for a payload.
    static let textBytesMax = 8_192
    /// Nested metadata beyond this depth is written as text.
    static let metadataDepthMax = 4
    /// Keys that metadata cannot take over; theirs gets the prefix `metadata_`.
    static let reservedKeys: Set<String> = ["timestamp", "level", "message", "component", "node_id"]

    var timestamp: Timestamp
    var level: Logger.Level
    var message: String
    var component: String
    var nodeID: String?
    var error: String?
    var metadata: Logger.Metadata

    /// One JSON object; the known keys first, then metadata by name.
    func json() -> String {
        var line = "{\"timestamp\":\"\(timestamp)\",\"level\":\"\(level.rawValue)\",\"message\":"
        line += Self.quoted(message)
        line += ",\"component\":" + Self.quoted(component)
        if let nodeID { line += ",\"node_id\":" + Self.quoted(nodeID) }
        if let error { line += ",\"error\":" + Self.quoted(error) }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            // Most callers pass the error as metadata; the key is taken only when the event carries one of its own.
            let isTaken = Self.reservedKeys.contains(key) || (key == "error" && error != nil)
            let name = isTaken ? "metadata_" + key : key
            line += ",\(Self.quoted(name)):" + Self.json(value, depth: 1)
        }
        return line + "}"
    }

    /// For people: time, level, component, message, then `key=value`. Control characters are escaped, so that one event
    /// is one line and cannot pretend to be two.
    func console() -> String {
        let levelName = level.rawValue.uppercased()
        let padding = String(repeating: " ", count: max(0, 8 - levelName.count))
        var line = "\(timestamp) \(levelName)\(padding) [\(component)] \(Self.plain(message))"
        if let nodeID { line += " node_id=\(Self.plain(nodeID))" }
        if let error { line += " error=\(Self.quoted(error))" }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let text = Self.plain("\(value)")
            line += " \(Self.plain(key))=" + (text.contains(" ") ? Self.quoted("\(value)") : text)
        }
        return line
    }

    private static func json(_ value: Logger.MetadataValue, depth: Int) -> String {
        guard depth < metadataDepthMax else { return quoted("\(value)") }
        switch value {
        case .string(let text): return quoted(text)
        case .stringConvertible(let convertible): return scalar(convertible)
        case .array(let values): return "[" + values.map { json($0, depth: depth + 1) }.joined(separator: ",") + "]"
        case .dictionary(let values):
            let members = values.sorted { $0.key < $1.key }
                .map { "\(quoted($0.key)):\(json($0.value, depth: depth + 1))" }
            return "{" + members.joined(separator: ",") + "}"
        }
    }

    /// Numbers and truth values keep their type, so that a log store can compare them. JSON has no infinity.
    private static func scalar(_ value: any CustomStringConvertible & Sendable) -> String {
        switch value {
        case let truth as Bool: truth ? "true" : "false"
        case let number as Double where number.isFinite: "\(number)"
        case let number as any FixedWidthInteger: "\(number)"
        default: quoted(value.description)
        }
    }

    /// A JSON string (RFC 8259 §7), cut at `textBytesMax`.
    static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.appendQuoted(cut(text))
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func plain(_ text: String) -> String {
        var result = ""
        for scalar in cut(text).unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F: result += unicodeEscape(scalar)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func unicodeEscape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > textBytesMax else { return text }
        return String(decoding: text.utf8.prefix(textBytesMax), as: UTF8.self) + "…"
    }
}
