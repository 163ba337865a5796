extension MetadataClient {
    /// Where a node listens for clients.
    public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
        /// A name or an address, without the brackets that an IPv6 address has in text.
        public var host: String
        /// 1 to 65,535.
        public var port: UInt16

        /// Takes the parts as they are.
        public init(host: String, port: UInt16) {
            self.host = host
            self.port = port
        }

        /// Reads `host:port`; an IPv6 address stands in brackets, as in `[::1]:9092` (RFC 3986 §3.2.2).
        ///
        /// Answers nil when there is no port, it is not within 1 to 65,535, the host is empty, longer than 255 bytes,
        /// or an IPv6 address without brackets.
        public init?(parsing text: String) {
            guard let colon = text.lastIndex(of: ":") else { return nil }
            let digits = text[text.index(after: colon)...]
            guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits),
                port != 0
            else { return nil }
            var host = text[..<colon]
            if host.first == "[" {
                guard host.last == "]" else { return nil }
                host = host.dropFirst().dropLast()
            } else if host.contains(":") {
                return nil
            }
            guard !host.isEmpty, host.utf8.count <= Endpoint.hostBytesMax,
                !host.contains(where: { $0 == "[" || $0 == "]" || $0.isWhitespace })
            else { return nil }
            self.init(host: String(host), port: port)
        }

        /// The form that `init(parsing:)` reads.
        public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

        static let hostBytesMax = 255
    }
}
