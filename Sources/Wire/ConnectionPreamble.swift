package import NIOCore

/// The first bytes that each end sends on a connection, before any frame: whoever dialled the wrong port learns it at
/// once, and so does whoever speaks another version.
///
/// ```
/// offset  bytes
///      0      4  "SBMC" on a client connection, "SBMP" on a peer connection
///      4      1  protocol version, 1
/// ```
package enum ConnectionPreamble {
    package static let version: UInt8 = 1
    package static let byteCount = 5

    /// What this end sends.
    package static func bytes(for kind: ConnectionKind) -> [UInt8] { magic(of: kind) + [version] }

    package static func write(for kind: ConnectionKind, into buffer: inout ByteBuffer) {
        buffer.writeBytes(bytes(for: kind))
    }

    package enum Parsed: Hashable, Sendable {
        /// The preamble is there; frames begin after `byteCount` bytes.
        case ok
        /// Right so far; the rest has not arrived.
        case needMore
        /// Not our protocol, or not this kind of connection; the reason is for the log.
        case garbage(reason: String)
        case unsupportedVersion(UInt8)
    }

    /// Judges the bytes at the start of a connection, as many as have arrived. Garbage is told from the first byte that
    /// differs: a stranger that sends little and waits is not waited for.
    package static func parse(_ bytes: some Collection<UInt8>, kind: ConnectionKind) -> Parsed {
        let start = Array(bytes.prefix(byteCount))
        let magic = magic(of: kind)
        for (received, expected) in zip(start, magic) where received != expected {
            return .garbage(reason: guess(bytes, kind: kind))
        }
        guard start.count == byteCount else { return .needMore }
        return start[magic.count] == version ? .ok : .unsupportedVersion(start[magic.count])
    }

    private static func magic(of kind: ConnectionKind) -> [UInt8] {
        switch kind {
        case .client: Array("SBMC".utf8)
        case .peer: Array("SBMP".utf8)
        }
    }

    /// What the bytes look like instead, in words for the operator's log.
    private static func guess(_ bytes: some Collection<UInt8>, kind: ConnectionKind) -> String {
        let start = Array(bytes.prefix(8))
        for other in ConnectionKind.allCases where other != kind && start.starts(with: magic(of: other)) {
            return "a \(other) connection on the \(kind) port"
        }
        if start.count >= 3, start[0] == 0x16, start[1] == 0x03 { return "a TLS handshake on a plaintext port" }
        if httpStarts.contains(where: {
            start.starts(with: $0.utf8) || ($0.utf8.starts(with: start) && start.count > 2)
        }) {
            return "an HTTP request"
        }
        let shown = start.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }
        return "a connection that starts with the bytes \(shown.joined(separator: " "))"
    }

    private static let httpStarts = [
        "GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "PRI * HT", "HTTP/",
    ]
}
