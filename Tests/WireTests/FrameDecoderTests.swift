import NIOCore
import RaftCore
import Testing
import Wire

@Suite("A stream of bytes becomes frames")
struct FrameDecoderTests {
    /// Frames with these bodies, after the preamble.
    private func stream(_ bodies: [[UInt8]], kind: ConnectionKind = .client) -> [UInt8] {
        var buffer = ByteBuffer()
        ConnectionPreamble.write(for: kind, into: &buffer)
        for body in bodies {
            buffer.writeInteger(UInt32(body.count))
            buffer.writeBytes(body)
        }
        return Array(buffer.readableBytesView)
    }

    private func drain(_ decoder: inout FrameDecoder) throws(WireError) -> [[UInt8]] {
        var bodies: [[UInt8]] = []
        while let body = try decoder.next() { bodies.append(Array(body.readableBytesView)) }
        return bodies
    }

    private let bodies: [[UInt8]] = [[1], [2, 3], [UInt8](repeating: 4, count: 300), [5]]

    @Test("all frames of one read come out in order, in one loop")
    func oneRead() throws {
        var decoder = FrameDecoder(kind: .client, side: .listener)
        var buffer = ByteBuffer(bytes: stream(bodies))
        decoder.append(&buffer)
        #expect(buffer.readableBytes == 0)
        #expect(try drain(&decoder) == bodies)
        #expect(decoder.pendingBytes == 0)
    }

    @Test("a stream cut anywhere gives the same frames, none of them early")
    func cutAnywhere() throws {
        let bytes = stream(bodies)
        for cut in 0...bytes.count {
            var decoder = FrameDecoder(kind: .client, side: .listener)
            var first = ByteBuffer(bytes: bytes[..<cut])
            decoder.append(&first)
            let early = try drain(&decoder)
            #expect(early == Array(bodies.prefix(early.count)))
            var second = ByteBuffer(bytes: bytes[cut...])
            decoder.append(&second)
            #expect(try early + drain(&decoder) == bodies, "cut at \(cut)")
        }
    }

    @Test("a stream that comes byte by byte gives the same frames")
    func byteByByte() throws {
        var decoder = FrameDecoder(kind: .peer, side: .listener)
        var collected: [[UInt8]] = []
        for byte in stream(bodies, kind: .peer) {
            var buffer = ByteBuffer(bytes: [byte])
            decoder.append(&buffer)
            collected += try drain(&decoder)
        }
        #expect(collected == bodies)
    }

    @Test("frames stay as they were when more bytes arrive behind them")
    func slicesAreStable() throws {
        var decoder = FrameDecoder(kind: .client, side: .listener)
        let bytes = stream(bodies)
        var first = ByteBuffer(bytes: bytes.dropLast())
        decoder.append(&first)
        var frames: [ByteBuffer] = []
        while let frame = try decoder.next() { frames.append(frame) }
        var second = ByteBuffer(bytes: bytes.suffix(1))
        decoder.append(&second)
        while let frame = try decoder.next() { frames.append(frame) }
        #expect(frames.map { Array($0.readableBytesView) } == bodies)
    }

    @Test(
        "a length beyond the cap is refused as soon as it is read, before memory is taken (pitfall: length prefix)",
        arguments: ConnectionKind.allCases)
    func oversizedLength(kind: ConnectionKind) throws {
        var decoder = FrameDecoder(kind: kind, side: .listener)
        var buffer = ByteBuffer(bytes: stream([[1]], kind: kind))
        buffer.writeInteger(UInt32(kind.frameBytesMax))
        decoder.append(&buffer)
        #expect(try drain(&decoder) == [[1]])
        #expect(decoder.pendingBytes == WireLimits.lengthPrefixBytes)

        decoder = FrameDecoder(kind: kind, side: .listener)
        buffer = ByteBuffer(bytes: stream([[1]], kind: kind))
        buffer.writeInteger(UInt32(kind.frameBytesMax + 1))
        decoder.append(&buffer)
        _ = try decoder.next()
        let error = WireError.frameTooLarge(bytes: kind.frameBytesMax + 1, bytesMax: kind.frameBytesMax)
        #expect(throws: error) { try decoder.next() }
        #expect(decoder.pendingBytes == 0)
    }

    @Test("before hello a stranger is held to a small frame")
    func oversizedHello() throws {
        var decoder = FrameDecoder(kind: .peer, side: .listener)
        var buffer = ByteBuffer(bytes: stream([], kind: .peer))
        buffer.writeInteger(UInt32(WireLimits.helloBytesMax + 1))
        decoder.append(&buffer)
        let error = WireError.frameTooLarge(
            bytes: WireLimits.helloBytesMax + 1, bytesMax: WireLimits.helloBytesMax)
        #expect(throws: error) { try decoder.next() }
    }

    @Test("after an error the stream stays lost")
    func errorsStay() throws {
        var decoder = FrameDecoder(kind: .client, side: .listener)
        var buffer = ByteBuffer(bytes: stream([[]]))
        decoder.append(&buffer)
        #expect(throws: WireError.malformed("empty")) { try decoder.next() }
        buffer = ByteBuffer(bytes: stream(bodies))
        decoder.append(&buffer)
        #expect(throws: WireError.malformed("empty")) { try decoder.next() }
    }

    @Test("a decoder that never finds a frame holds what arrived, not what was announced")
    func memoryFollowsArrival() throws {
        var decoder = FrameDecoder(kind: .client, side: .listener)
        var buffer = ByteBuffer(bytes: stream([[1]]))
        buffer.writeInteger(UInt32(WireLimits.clientFrameBytesMax))
        buffer.writeBytes([UInt8](repeating: 0, count: 10))
        decoder.append(&buffer)
        #expect(try drain(&decoder) == [[1]])
        #expect(decoder.pendingBytes == WireLimits.lengthPrefixBytes + 10)
        #expect(decoder.pendingCapacity < 1024)
    }

    @Test("random streams in random pieces are cut alike or refused, and never trap", arguments: 0..<50)
    func randomStreams(seed: UInt64) throws {
        var values = RandomValues(seed: seed)
        let bodies = values.list(upTo: 8) { values in [UInt8(1)] + values.bytes(upTo: 200) }
        var bytes = stream(bodies, kind: .peer)
        let isDamaged = values.flag()
        if isDamaged { bytes[values.generator.below(bytes.count)] ^= UInt8(1 << values.generator.below(8)) }
        var decoder = FrameDecoder(kind: .peer, side: .listener)
        var collected: [[UInt8]] = []
        do {
            while !bytes.isEmpty {
                let count = min(bytes.count, 1 + values.generator.below(64))
                var piece = ByteBuffer(bytes: bytes.prefix(count))
                bytes.removeFirst(count)
                decoder.append(&piece)
                collected += try drain(&decoder)
            }
        } catch {
            #expect(isDamaged, "seed \(seed): \(error)")
        }
        if !isDamaged { #expect(collected == bodies, "seed \(seed)") }
    }
}
