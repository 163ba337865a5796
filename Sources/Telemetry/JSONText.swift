/// JSON while it is written (RFC 8259), for what is written often: for spans a general encoder took six times the instructions.
package struct JSONText {
    package private(set) var bytes: [UInt8] = []
    /// Whether something stands before what comes next in the same object or array.
    private var isPreceded = false

    package init() {}

    /// A document that is one object.
    package static func object(_ members: (inout JSONText) -> Void) -> [UInt8] {
        var json = JSONText()
        json.object(members)
        return json.bytes
    }

    package mutating func object(_ members: (inout JSONText) -> Void) { enclose("{", "}", members) }

    package mutating func array<Elements: Sequence>(
        _ elements: Elements, _ write: (inout JSONText, Elements.Element) -> Void
    ) {
        enclose("[", "]") { json in
            for element in elements { write(&json, element) }
        }
    }

    /// A member of an object. What is nil is written as null: a reader should not have to tell an absent member from a renamed one.
    package mutating func member(_ key: String, _ value: (some JSONValue)?) {
        name(key)
        if let value { value.write(to: &self) } else { bare("null") }
    }

    package mutating func member(_ key: String, _ members: (inout JSONText) -> Void) {
        name(key)
        object(members)
    }

    package mutating func member<Elements: Sequence>(
        _ key: String, _ elements: Elements, _ write: (inout JSONText, Elements.Element) -> Void
    ) {
        name(key)
        array(elements, write)
    }

    fileprivate mutating func string(_ text: String) {
        begin()
        bytes.appendQuoted(text)
    }

    fileprivate mutating func bare(_ text: String) {
        begin()
        bytes.append(contentsOf: text.utf8)
    }

    private mutating func name(_ key: String) {
        string(key)
        bytes.append(UInt8(ascii: ":"))
        isPreceded = false
    }

    private mutating func begin() {
        if isPreceded { bytes.append(UInt8(ascii: ",")) }
        isPreceded = true
    }

    private mutating func enclose(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ fill: (inout JSONText) -> Void) {
        begin()
        bytes.append(UInt8(ascii: open))
        isPreceded = false
        fill(&self)
        bytes.append(UInt8(ascii: close))
        isPreceded = true
    }
}

/// What JSON has values of its own for.
package protocol JSONValue {
    func write(to json: inout JSONText)
}

extension String: JSONValue {
    package func write(to json: inout JSONText) { json.string(self) }
}

extension Bool: JSONValue {
    package func write(to json: inout JSONText) { json.bare(self ? "true" : "false") }
}

extension Double: JSONValue {
    /// JSON has no infinity.
    package func write(to json: inout JSONText) { json.bare(isFinite ? "\(self)" : "null") }
}

extension Int: JSONValue {
    package func write(to json: inout JSONText) { json.bare("\(self)") }
}

extension Int64: JSONValue {
    package func write(to json: inout JSONText) { json.bare("\(self)") }
}

extension UInt64: JSONValue {
    package func write(to json: inout JSONText) { json.bare("\(self)") }
}

extension [UInt8] {
    /// A JSON string (RFC 8259 §7).
    mutating func appendQuoted(_ text: String) {
        append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): append(contentsOf: #"\""#.utf8)
            case UInt8(ascii: "\\"): append(contentsOf: #"\\"#.utf8)
            case UInt8(ascii: "\n"): append(contentsOf: #"\n"#.utf8)
            case UInt8(ascii: "\r"): append(contentsOf: #"\r"#.utf8)
            case UInt8(ascii: "\t"): append(contentsOf: #"\t"#.utf8)
            case 0..<0x20, 0x7F: append(contentsOf: "\\u00\(byte < 0x10 ? "0" : "")\(String(byte, radix: 16))".utf8)
            default: append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }
}
