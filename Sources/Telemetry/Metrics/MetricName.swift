/// The rules of Prometheus for names, and the way from a swift-metrics label to such a name.
enum MetricName {
    /// `[a-zA-Z_][a-zA-Z0-9_]*`. Colons are legal but reserved for recording rules.
    static func isValid(_ name: String) -> Bool {
        guard let first = name.utf8.first, !isDigit(first) else { return false }
        return name.utf8.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "_") }
    }

    /// As a metric name; names that begin with two underscores and the name of the bucket bound are reserved.
    static func isValidLabel(_ name: String) -> Bool {
        isValid(name) && !name.hasPrefix("__") && name != "le"
    }

    /// Snake case of a label like `http.requestDuration`, with a suffix unless it is there already.
    static func converted(_ label: String, suffix: String = "") -> String {
        var name = ""
        var previousIsLower = false
        for byte in label.utf8 {
            if isUpper(byte) {
                if previousIsLower { name.append("_") }
                name.unicodeScalars.append(Unicode.Scalar(byte | 0x20))
            } else if isLetter(byte) || isDigit(byte) {
                name.unicodeScalars.append(Unicode.Scalar(byte))
            } else if !name.hasSuffix("_") {
                name.append("_")
            }
            previousIsLower = isLetter(byte) && !isUpper(byte)
        }
        if name.isEmpty || name.utf8.first.map(isDigit) == true { name = "_" + name }
        return name.hasSuffix(suffix) ? name : name + suffix
    }

    private static func isUpper(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    private static func isLetter(_ byte: UInt8) -> Bool {
        isUpper(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }
}
