/// Kafka's rules for topic names (`org.apache.kafka.common.internals.Topic`).
package enum TopicName {
    /// Why the name is not legal; nil when it is.
    package static func problem(with name: String) -> String? {
        let bytes = name.utf8
        if bytes.isEmpty { return "a topic name cannot be empty" }
        if bytes.count > Limits.topicNameBytesMax {
            return "the topic name has \(bytes.count) bytes, \(Limits.topicNameBytesMax) are allowed"
        }
        if bytes.elementsEqual(".".utf8) || bytes.elementsEqual("..".utf8) {
            return "a topic cannot be named '\(name)'"
        }
        guard bytes.allSatisfy(isLegal) else {
            return "the topic name '\(name.excerpt)' contains a character other than a-z, A-Z, 0-9, '.', '_' and '-'"
        }
        return nil
    }

    /// Two names collide when they differ only in `.` and `_`: metric names turn one into the other (Kafka's
    /// `Topic.hasCollision`).
    package static func collisionKey(_ name: String) -> String {
        String(decoding: name.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
    }

    /// Letters, digits, `.`, `_` and `-` of ASCII.
    static func isLegal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

extension String {
    /// Equal byte for byte. `==` would take strings for equal that only look alike (canonical equivalence), and a
    /// database would not.
    package func hasSameBytes(as other: String) -> Bool {
        utf8.elementsEqual(other.utf8)
    }

    /// Enough of what somebody sent to recognise it: a refusal is replicated, kept and logged.
    package var excerpt: String {
        let shown = unicodeScalars.prefix(64)
        return shown.endIndex == unicodeScalars.endIndex ? self : String(String.UnicodeScalarView(shown)) + "…"
    }
}
