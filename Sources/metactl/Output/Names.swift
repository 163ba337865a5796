import MetadataModel

/// How identifiers, numbers and names of the model are written, in tables and JSON alike.
enum Names {
    /// 16 hexadecimal digits.
    static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// 32 hexadecimal digits.
    static func topicID(_ id: TopicID) -> String { hex(id.high) + hex(id.low) }

    /// 32 hexadecimal digits.
    static func incarnation(_ id: IncarnationID) -> String { hex(id.high) + hex(id.low) }

    /// Reads what `topicID` writes; nil for anything else.
    static func parseTopicID(_ text: String) -> TopicID? {
        guard text.utf8.count == 32, text.utf8.allSatisfy(isHexDigit),
            let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        return TopicID(high: high, low: low)
    }

    static func list(_ brokers: [BrokerID]) -> String {
        brokers.map(\.description).joined(separator: ",")
    }

    static func topic(_ reference: TopicReference) -> String {
        switch reference {
        case .name(let name): name
        case .id(let id): topicID(id)
        }
    }

    static func resource(_ resource: ConfigResource) -> String {
        switch resource {
        case .cluster: "cluster"
        case .broker(let id): "broker \(id)"
        case .topic(let id): "topic \(topicID(id))"
        }
    }

    static func resource(_ resource: ResourceReference) -> String {
        switch resource {
        case .cluster: "cluster"
        case .broker(let id): "broker \(id)"
        case .topic(let reference): "topic \(topic(reference))"
        }
    }

    static func endpoint(_ endpoint: Endpoint) -> String {
        let host = endpoint.host.contains(":") ? "[\(endpoint.host)]" : endpoint.host
        return "\(endpoint.name)://\(host):\(endpoint.port)"
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }
}
