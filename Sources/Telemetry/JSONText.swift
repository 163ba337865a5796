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

    /// A member whose value is the hexadecimal digits of these numbers, 16 of each.
    package mutating func member(_ key: String, hexadecimal numbers: UInt64...) {
        name(key)
        begin()
        bytes.append(UInt8(ascii: "\""))
        for number in numbers { bytes.append(hexadecimal: number) }
        bytes.append(UInt8(ascii: "\""))
    }

    fileprivate mutating func string(_ text: String) {
        begin()
        bytes.appendQuoted(text)
    }

    fileprivate mutating func bare(_ text: String) {
        begin()
        bytes.append(contentsOf: text.utf8)
    }

    /// Names of members are ours and need no escape.
    private mutating func name(_ key: String) {
        var key = key
        begin()
        bytes.append(UInt8(ascii: "\""))
        key.withUTF8 { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "\""))
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
    /// 16 digits in lower case.
    mutating func append(hexadecimal number: UInt64) {
        append(contentsOf: repeatElement(0, count: 16))
        withUnsafeMutableBytes { bytes in
            var rest = number
            for place in 1...16 {
                let digit = UInt8(truncatingIfNeeded: rest & 0xF)
                bytes[bytes.count - place] = digit + (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10)
                rest >>= 4
            }
        }
    }

    /// A JSON string (RFC 8259 §7). What needs no escape, nearly everything, is copied at once.
    mutating func appendQuoted(_ text: String) {
        var text = text
        append(UInt8(ascii: "\""))
        text.withUTF8 { bytes in
            if !bytes.contains(where: Self.isEscaped) { return append(contentsOf: bytes) }
            for byte in bytes {
                if Self.isEscaped(byte) { appendEscaped(byte) } else { append(byte) }
            }
        }
        append(UInt8(ascii: "\""))
    }

    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7F
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append(contentsOf: #"\""#.utf8)
        case UInt8(ascii: "\\"): append(contentsOf: #"\\"#.utf8)
        case UInt8(ascii: "\n"): append(contentsOf: #"\n"#.utf8)
        case UInt8(ascii: "\r"): append(contentsOf: #"\r"#.utf8)
        case UInt8(ascii: "\t"): append(contentsOf: #"\t"#.utf8)
        default: append(contentsOf: "\\u00\(byte < 0x10 ? "0" : "")\(String(byte, radix: 16))".utf8)
        }
    }
}
