import NIOCore
import Testing
import Wire

@Suite("The first bytes of a connection")
struct PreambleTests {
    private func firstError(
        _ bytes: [UInt8], kind: ConnectionKind, side: FrameDecoder.Side = .listener
    ) -> WireError? {
        var decoder = FrameDecoder(kind: kind, side: side)
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
        #expect(firstError(tls, kind: .peer) == .notOurProtocol("TLS"))
        for request in ["GET /metrics HTTP/1.1\r\n\r\n", "POST /v1/topics HTTP/1.1", "PRI * HTTP/2.0\r\n", "HEAD"] {
            #expect(firstError(Array(request.utf8), kind: .client) == .notOurProtocol("HTTP"))
        }
        #expect(
            firstError([0, 0, 0, 12, 0xff], kind: .client)
                == .notOurProtocol("bytes 00 00 00 0c ff"))
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

    @Test("a dialler that reached a stranger is told what answered")
    func strangersAnswer() {
        let tlsAlert: [UInt8] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46]
        #expect(firstError(tlsAlert, kind: .peer, side: .dialler) == .notOurProtocol("TLS"))
        let answer = Array("HTTP/1.1 400 Bad Request\r\n".utf8)
        #expect(firstError(answer, kind: .client, side: .dialler) == .notOurProtocol("HTTP"))
        #expect(
            firstError([0xff, 0xfe, 0xfd, 0xfc], kind: .client, side: .dialler) == .notOurProtocol("bytes ff fe fd fc"))
    }

    @Test("a dialler reads frames from the first byte on", arguments: ConnectionKind.allCases)
    func dialler(kind: ConnectionKind) throws {
        var decoder = FrameDecoder(kind: kind, side: .dialler)
        var buffer = ByteBuffer(bytes: [0, 0, 0, 2, 8, 9, 0, 0, 0, 1, 7])
        decoder.append(&buffer)
        var bodies: [[UInt8]] = []
        while let body = try decoder.next() { bodies.append(Array(body.readableBytesView)) }
        #expect(bodies == [[8, 9], [7]])
    }
}
