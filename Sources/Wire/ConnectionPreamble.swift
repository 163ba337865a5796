package import NIOCore

/// The first bytes that the dialling end sends, before any frame: whoever dialled the wrong port or speaks another version
/// is told from the first bytes, before anything of it is taken for a length. The listening end sends frames only.
///
/// ```
/// offset  bytes
///      0      4  "SBMC" on a client connection, "SBMP" on a peer connection
///      4      1  protocol version, 1
/// ```
package enum ConnectionPreamble {
    package static let version: UInt8 = 1
    package static let byteCount = 5

    /// What the dialling end sends.
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
    static func guess(_ bytes: some Collection<UInt8>, kind: ConnectionKind) -> String {
        let start = Array(bytes.prefix(8))
        for other in ConnectionKind.allCases where other != kind && start.starts(with: magic(of: other)) {
            return "a \(other) connection on the \(kind) port"
        }
        // A record of type handshake or alert, then the major version.
        if start.count >= 3, start[0] == 0x16 || start[0] == 0x15, start[1] == 0x03 { return "TLS" }
        if httpStarts.contains(where: { start.starts(with: $0.utf8) }) { return "HTTP" }
        let shown = start.map { byte in byte < 16 ? "0" + String(byte, radix: 16) : String(byte, radix: 16) }
        return "bytes \(shown.joined(separator: " "))"
    }

    /// Methods, the HTTP/2 preface, and answers.
    private static let httpStarts = [
        "GET ", "POST", "PUT ", "HEAD", "DELE", "OPTI", "PATC", "CONN", "PRI ", "HTTP",
    ]
}
