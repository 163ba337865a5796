/// JSON while it is written (RFC 8259), for what is written often: values one after the other, with the commas between them.
struct JSONText {
    private(set) var bytes: [UInt8] = []
    /// Whether something stands before what comes next in the same object or array.
    private var isPreceded = false

    mutating func object(_ members: (inout JSONText) -> Void) { enclose("{", "}", members) }

    mutating func array<Elements: Sequence>(
        _ elements: Elements, _ write: (inout JSONText, Elements.Element) -> Void
    ) {
        enclose("[", "]") { json in
            for element in elements { write(&json, element) }
        }
    }

    /// The name of a member of an object; its value comes next.
    mutating func key(_ name: String) {
        string(name)
        bytes.append(UInt8(ascii: ":"))
        isPreceded = false
    }

    mutating func string(_ text: String) {
        begin()
        bytes.appendQuoted(text)
    }

    mutating func integer(_ number: some FixedWidthInteger) { bare("\(number)") }
    /// - Parameter number: finite; JSON has no other.
    mutating func number(_ number: Double) { bare("\(number)") }
    mutating func truth(_ truth: Bool) { bare(truth ? "true" : "false") }

    private mutating func bare(_ text: String) {
        begin()
        bytes.append(contentsOf: text.utf8)
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
