import NIOCore
import Testing
import Wire

@Suite("The first bytes of a connection")
struct PreambleTests {
    private func firstError(_ bytes: [UInt8], kind: ConnectionKind) -> WireError? {
        var decoder = FrameDecoder(kind: kind)
        var buffer = ByteBuffer(bytes: bytes)
        decoder.append(&buffer)
        do {
            _ = try decoder.next()
            return nil
        } catch {
            return error
        }
    }

    @Test("the preamble is the magic of the connection and the version")
    func bytes() {
        #expect(ConnectionPreamble.bytes(for: .client) == [0x53, 0x42, 0x4d, 0x43, 1])
        #expect(ConnectionPreamble.bytes(for: .peer) == [0x53, 0x42, 0x4d, 0x50, 1])
        #expect(ConnectionPreamble.bytes(for: .client).count == ConnectionPreamble.byteCount)
    }

    @Test("a preamble that has not all arrived is waited for", arguments: ConnectionKind.allCases)
    func incomplete(kind: ConnectionKind) {
        let bytes = ConnectionPreamble.bytes(for: kind)
        for count in 0..<bytes.count {
            #expect(ConnectionPreamble.parse(bytes.prefix(count), kind: kind) == .needMore)
        }
        #expect(ConnectionPreamble.parse(bytes, kind: kind) == .ok)
        #expect(ConnectionPreamble.parse(bytes + [9, 9, 9], kind: kind) == .ok)
    }

    @Test("another protocol version is refused by its number", arguments: [0, 2, 255])
    func otherVersion(version: UInt8) {
        let bytes = Array("SBMC".utf8) + [version]
        #expect(ConnectionPreamble.parse(bytes, kind: .client) == .unsupportedVersion(version))
        #expect(firstError(bytes, kind: .client) == .unsupportedVersion(theirs: version, ours: 1))
    }

    @Test("a stranger is refused with a guess at what it speaks")
    func strangers() {
        let tls: [UInt8] = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]
        #expect(firstError(tls, kind: .peer) == .notOurProtocol("a TLS handshake on a plaintext port"))
        for request in ["GET /metrics HTTP/1.1\r\n\r\n", "POST /v1/topics HTTP/1.1", "PRI * HTTP/2.0\r\n", "HEAD"] {
            #expect(firstError(Array(request.utf8), kind: .client) == .notOurProtocol("an HTTP request"))
        }
        #expect(
            firstError([0, 0, 0, 12, 0xff], kind: .client)
                == .notOurProtocol("a connection that starts with the bytes 00 00 00 0c ff"))
    }

    @Test("a client on the peer port is told so, and the other way round")
    func mixedUp() {
        #expect(
            firstError(ConnectionPreamble.bytes(for: .client), kind: .peer)
                == .notOurProtocol("a client connection on the peer port"))
        #expect(
            firstError(ConnectionPreamble.bytes(for: .peer), kind: .client)
                == .notOurProtocol("a peer connection on the client port"))
    }

    @Test("garbage is refused at its first wrong byte, however little follows")
    func earlyRefusal() {
        let bytes = ConnectionPreamble.bytes(for: .client)
        for offset in 0..<4 {
            var wrong = Array(bytes.prefix(offset + 1))
            wrong[offset] ^= 0x20
            guard case .garbage = ConnectionPreamble.parse(wrong, kind: .client) else {
                Issue.record("accepted \(wrong)")
                continue
            }
        }
    }
}
