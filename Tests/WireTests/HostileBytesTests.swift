import MetadataModel
import MetadataSchema
import NIOCore
import RaftCore
import Testing
import Wire

/// Bytes from a network may be anything. Decoding them either gives a value, which then can be encoded again, or an
/// error; it never traps, which would end the test process.
@Suite("Hostile bytes")
struct HostileBytesTests {
    private enum Kind: CaseIterable { case request, response, peer }

    /// Decodes, and encodes what was understood. Nil when the bytes are refused.
    private func decode(_ kind: Kind, _ bytes: [UInt8]) -> AnyHashable? {
        let buffer = ByteBuffer(bytes: bytes)
        do {
            switch kind {
            case .request:
                let frame = try ClientRequestFrame(decoding: buffer)
                _ = try frame.frame()
                return AnyHashable(frame)
            case .response:
                let frame = try ClientResponseFrame(decoding: buffer)
                _ = frame.frame()
                return AnyHashable(frame)
            case .peer:
                let frame = try PeerFrame(decoding: buffer)
                _ = frame.frame()
                return AnyHashable(frame)
            }
        } catch {
            return nil
        }
    }

    /// One frame body of each kind.
    private func examples(seed: UInt64) throws -> [(kind: Kind, body: [UInt8])] {
        var values = RandomValues(seed: seed)
        var examples: [(kind: Kind, body: [UInt8])] = []
        for request in values.clientRequests() {
            examples.append((.request, try ClientRequestFrame(id: 7, request: request).frame()))
        }
        for response in values.clientResponses() {
            examples.append((.response, ClientResponseFrame(id: 7, response: response).frame()))
        }
        for frame in values.peerFrames() { examples.append((.peer, frame.frame())) }
        return examples.map { ($0.kind, Array($0.body.dropFirst(WireLimits.lengthPrefixBytes))) }
    }

    @Test("a frame cut at any length is refused or means something else, never the same", arguments: 0..<2)
    func cuts(seed: UInt64) throws {
        for (kind, body) in try examples(seed: seed) {
            let whole = try #require(decode(kind, body))
            for count in body.indices {
                #expect(decode(kind, Array(body.prefix(count))) != whole, "seed \(seed): \(kind) cut at \(count)")
            }
        }
    }

    @Test("a flipped bit at any offset is refused or decodes, and never traps", arguments: 0..<2)
    func flips(seed: UInt64) throws {
        var refused = 0
        for (kind, original) in try examples(seed: seed) {
            var body = original
            for offset in body.indices {
                for bit in 0..<8 {
                    body[offset] ^= 1 << UInt8(bit)
                    if decode(kind, body) == nil { refused += 1 }
                    body[offset] ^= 1 << UInt8(bit)
                }
            }
            #expect(body == original)
        }
        #expect(refused > 0)
    }

    @Test("random bytes never trap a decoder", arguments: 0..<4)
    func randomBytes(seed: UInt64) throws {
        var values = RandomValues(seed: seed)
        for _ in 0..<500 {
            let bytes = values.bytes(upTo: 96)
            for kind in Kind.allCases { _ = decode(kind, bytes) }
            _ = LogCommand(decoding: bytes)
        }
    }

    @Test("spliced frames never trap a decoder", arguments: 0..<4)
    func splices(seed: UInt64) throws {
        var values = RandomValues(seed: seed)
        let bodies = try examples(seed: seed)
        for _ in 0..<300 {
            let first = values.pick(bodies)
            let second = values.pick(bodies)
            let head = first.body.prefix(values.generator.below(first.body.count + 1))
            let tail = second.body.suffix(values.generator.below(second.body.count + 1))
            for kind in Kind.allCases { _ = decode(kind, Array(head + tail)) }
        }
    }

    @Test("messages nested without end are refused before the stack is exhausted")
    func nesting() {
        // Groups within groups: field 15, start group, never ended.
        #expect(decode(.peer, [UInt8](repeating: 0x7b, count: 1 << 20)) == nil)
    }

    @Test("a batch of more messages than a sender may send is refused before they are parsed (pitfall: length prefix)")
    func tooManyMessages() {
        func error(messages count: Int) -> WireError? {
            // messages { messages {} ... }
            let length = varint(UInt64(count * 2))
            var bytes: [UInt8] = [0x12] + length
            for _ in 0..<count { bytes += [0x0a, 0x00] }
            do {
                _ = try PeerFrame(decoding: ByteBuffer(bytes: bytes))
                return nil
            } catch {
                return error
            }
        }
        let countMax = WireLimits.messagesPerFrameMax
        #expect(error(messages: countMax) == .unknownValue("raft message"))
        #expect(error(messages: countMax + 1) == .malformed("more than \(countMax) messages in a frame"))
    }

    @Test("a frame of more entries than a sender may send is refused")
    func tooManyEntries() throws {
        /// A frame of messages, each an append of so many empty entries.
        func frame(entries counts: Int...) -> ByteBuffer {
            let batch = counts.flatMap(message)
            return ByteBuffer(bytes: [0x12] + varint(UInt64(batch.count)) + batch)
        }
        func message(entries count: Int) -> [UInt8] {
            let column = varint(UInt64(count)) + [UInt8](repeating: 1, count: count)
            let lengths = varint(UInt64(count)) + [UInt8](repeating: 0, count: count)
            let append: [UInt8] = [0x22] + column + [0x2a] + column + [0x32] + lengths
            let message: [UInt8] = [0x42] + varint(UInt64(append.count)) + append
            return [0x0a] + varint(UInt64(message.count)) + message
        }
        let countMax = WireLimits.entriesPerFrameMax
        #expect(throws: WireError.malformed("more than \(countMax) entries in a frame")) {
            try PeerFrame(decoding: frame(entries: countMax + 1))
        }
        #expect(throws: WireError.malformed("more than \(countMax) entries in a frame")) {
            try PeerFrame(decoding: frame(entries: countMax / 2 + 1, countMax / 2))
        }
        guard case .messages(let messages, _) = try PeerFrame(decoding: frame(entries: countMax)) else {
            Issue.record("not messages")
            return
        }
        #expect(messages.count == 1)
    }

    private func varint(_ value: UInt64) -> [UInt8] {
        var rest = value
        var bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    @Test("an append whose columns do not fit each other is refused")
    func unevenColumns() throws {
        func append(_ fields: [UInt8]) -> [UInt8] {
            let message: [UInt8] = [0x42, UInt8(fields.count)] + fields
            let batch: [UInt8] = [0x0a, UInt8(message.count)] + message
            return [0x12, UInt8(batch.count)] + batch
        }
        func error(_ fields: [UInt8]) -> WireError? {
            do {
                _ = try PeerFrame(decoding: ByteBuffer(bytes: append(fields)))
                return nil
            } catch {
                return error
            }
        }
        // terms = [1], kinds = [1], lengths = [2], payloads = "ab"
        #expect(error([0x22, 1, 1, 0x2a, 1, 1, 0x32, 1, 2, 0x3a, 2, 0x61, 0x62]) == nil)
        #expect(
            error([0x22, 2, 1, 1, 0x2a, 1, 1, 0x32, 1, 2, 0x3a, 2, 0x61, 0x62])
                == .malformed("append of 2 terms, 1 kinds, 1 lengths"))
        #expect(
            error([0x22, 1, 1, 0x2a, 1, 1, 0x32, 1, 3, 0x3a, 2, 0x61, 0x62])
                == .malformed("append lengths sum up to 3 of 2 bytes"))
        #expect(
            error([0x22, 1, 1, 0x2a, 1, 1, 0x32, 1, 1, 0x3a, 2, 0x61, 0x62])
                == .malformed("append lengths sum up to 1 of 2 bytes"))
        #expect(error([0x22, 1, 1, 0x2a, 1, 9, 0x32, 1, 2, 0x3a, 2, 0x61, 0x62]) == .unknownValue("entry kind 9"))
        // previous_index = 2^64 - 1: the entry after it has no index.
        let last: [UInt8] = [0x08] + [UInt8](repeating: 0xff, count: 9) + [0x01]
        #expect(
            error(last + [0x22, 1, 1, 0x2a, 1, 1, 0x32, 1, 2, 0x3a, 2, 0x61, 0x62])
                == .malformed("append of 1 entries after index 18446744073709551615"))
    }

    @Test("a configuration that breaks its promises is refused")
    func badConfigurations() throws {
        func error(_ configuration: [UInt8]) -> WireError? {
            // snapshot_chunk { position {}, configuration }
            let chunk: [UInt8] = [0x1a, 0, 0x22, UInt8(configuration.count)] + configuration
            do {
                _ = try PeerFrame(decoding: ByteBuffer(bytes: [0x1a, UInt8(chunk.count)] + chunk))
                return nil
            } catch {
                return error
            }
        }
        let members: [UInt8] = [0x0a, 2, 0x08, 1, 0x0a, 2, 0x08, 2]
        #expect(error(members + [0x12, 2, 1, 2]) == nil)
        #expect(
            error(members + [0x12, 2, 2, 1]) == .malformed("configuration voters are not in ascending order"))
        #expect(error(members + [0x12, 2, 1, 1]) == .malformed("configuration voters are not in ascending order"))
        #expect(error(members + [0x12, 1, 3]) == .malformed("configuration names an id that is no member"))
        #expect(
            error(members + [0x12, 1, 1, 0x22, 1, 1]) == .malformed("configuration has a voter that is a learner"))
    }

    @Test("a chunk that reaches beyond its snapshot is refused")
    func badChunk() {
        // position {}, configuration {}, offset = 5, total_bytes = 6, bytes = "ab"
        let chunk: [UInt8] = [0x1a, 0, 0x22, 0, 0x28, 5, 0x30, 6, 0x42, 2, 0x61, 0x62]
        #expect(throws: WireError.malformed("chunk of 2 bytes at 5 of 6")) {
            try PeerFrame(decoding: ByteBuffer(bytes: [0x1a, UInt8(chunk.count)] + chunk))
        }
    }

    @Test("an unknown kind of frame is refused by name, an unknown field is overlooked")
    func unknownKinds() throws {
        #expect(throws: WireError.unknownValue("client request")) {
            try ClientRequestFrame(decoding: ByteBuffer(bytes: [0x08, 1, 0xe2, 0x03, 0]))
        }
        #expect(throws: WireError.unknownValue("client response")) {
            try ClientResponseFrame(decoding: ByteBuffer(bytes: [0x08, 1, 0xe2, 0x03, 0]))
        }
        #expect(throws: WireError.unknownValue("peer frame")) {
            try PeerFrame(decoding: ByteBuffer(bytes: [0xe2, 0x03, 0]))
        }
        let frame = ClientRequestFrame(id: 5, request: .nodeStatus)
        let newer = try frame.frame().dropFirst(WireLimits.lengthPrefixBytes) + [0xe2, 0x03, 0]
        #expect(try ClientRequestFrame(decoding: ByteBuffer(bytes: newer)) == frame)
    }

    @Test("traced entries whose columns do not fit each other, or too many of them, are refused")
    func tracedEntries() throws {
        func frame(_ count: Int, traceparentBytes: Int) -> ByteBuffer {
            let column = varint(UInt64(count)) + [UInt8](repeating: 1, count: count)
            let text = [UInt8](repeating: UInt8(ascii: "0"), count: traceparentBytes)
            let traced: [UInt8] = [0x0a] + column + [0x12] + column + [0x1a] + varint(UInt64(text.count)) + text
            let batch: [UInt8] = [0x12] + varint(UInt64(traced.count)) + traced
            return ByteBuffer(bytes: [0x12] + varint(UInt64(batch.count)) + batch)
        }
        let size = TracedEntry.traceparentBytes
        let most = WireLimits.tracedPerFrameMax
        guard case .messages([], let traced) = try PeerFrame(decoding: frame(most, traceparentBytes: most * size))
        else {
            Issue.record("not messages")
            return
        }
        #expect(traced.count == most)
        for (count, bytes) in [(most + 1, (most + 1) * size), (2, 2 * size - 1), (2, 2 * size + 1), (1, 0)] {
            #expect(throws: WireError.self) { try PeerFrame(decoding: frame(count, traceparentBytes: bytes)) }
        }
    }
}
