import MetadataModel
import MetadataSchema
import NIOCore
import RaftCore
import Testing
import Wire

@Suite("Frames")
struct FrameRoundTripTests {
    @Test("every request comes back as it was sent", arguments: 0..<30)
    func requests(seed: UInt64) throws {
        var values = RandomValues(seed: seed)
        for request in values.clientRequests() {
            let traceparent = values.maybe { String(repeating: "a", count: 1 + Int($0.number() as UInt8)) }
            let frame = ClientRequestFrame(id: values.number(), request: request, traceparent: traceparent)
            #expect(try ClientRequestFrame(decoding: body(of: frame.frame())) == frame, "seed \(seed)")
        }
    }

    @Test("every answer comes back as it was sent", arguments: 0..<30)
    func responses(seed: UInt64) throws {
        var values = RandomValues(seed: seed)
        for response in values.clientResponses() {
            let frame = ClientResponseFrame(id: values.number(), response: response)
            #expect(try ClientResponseFrame(decoding: body(of: frame.frame())) == frame, "seed \(seed)")
        }
    }

    @Test("every peer frame comes back as it was sent", arguments: 0..<30)
    func peers(seed: UInt64) throws {
        var values = RandomValues(seed: seed)
        for frame in values.peerFrames() {
            #expect(try PeerFrame(decoding: body(of: frame.frame())) == frame, "seed \(seed)")
        }
        for message in values.raftMessages() {
            let frame = PeerFrame.messages([message])
            #expect(try PeerFrame(decoding: body(of: frame.frame())) == frame, "seed \(seed)")
        }
    }

    @Test("the length in front is the size of the body, big-endian, and frames follow each other")
    func lengths() throws {
        var values = RandomValues(seed: 1)
        var buffer = ByteBuffer()
        let frames = values.peerFrames()
        for frame in frames { frame.encode(into: &buffer) }
        var decoded: [PeerFrame] = []
        while let length = buffer.readInteger(as: UInt32.self) {
            guard let body = buffer.readSlice(length: Int(length)) else {
                Issue.record("\(length) bytes announced, \(buffer.readableBytes) there")
                return
            }
            decoded.append(try PeerFrame(decoding: body))
        }
        #expect(decoded == frames)
    }

    @Test("no message takes more than its estimate, so that a sender who adds them up stays below the cap")
    func estimates() {
        for seed in 0..<50 as Range<UInt64> {
            var values = RandomValues(seed: seed)
            for message in values.raftMessages() {
                let frame = PeerFrame.messages([message])
                let estimate = PeerFrame.approximateBytes(of: message)
                #expect(frame.frame().count <= estimate, "seed \(seed): \(message)")
            }
        }
        let largest = UInt64.max
        let previous = LogPosition(index: LogIndex(largest - 2000), term: Term(largest))
        let entries = (1...1000).map { count in
            Entry(term: Term(largest), index: previous.index.advanced(by: count), kind: .command, payload: [])
        }
        let message = Message(
            from: NodeID(largest), to: NodeID(largest), term: Term(largest),
            kind: .append(previous: previous, entries: entries, commit: LogIndex(largest)))
        #expect(PeerFrame.messages([message]).frame().count <= PeerFrame.approximateBytes(of: message))
    }

    @Test("an answer that is too large for a frame becomes a failure that says so")
    func oversizedAnswer() throws {
        let value = String(repeating: "v", count: Limits.configValueBytesMax)
        let entry = ConfigEntry(resource: .cluster, name: "n", value: value, version: Version(1))
        let page = Page(items: [ConfigEntry](repeating: entry, count: 200), hasMore: false)
        let frame = ClientResponseFrame(id: 9, response: .read(.configs(page), appliedIndex: 1)).frame()
        let decoded = try ClientResponseFrame(decoding: body(of: frame))
        #expect(decoded.id == 9)
        guard case .failure(let failure) = decoded.response else {
            Issue.record("not a failure: \(decoded)")
            return
        }
        #expect(failure.code == .invalidRequest)
        #expect(failure.isDefinite)
    }

    @Test("a request that is too large for a frame is refused and nothing is written")
    func oversizedRequest() throws {
        let write = WriteRequest(
            session: nil, sequence: 0, acknowledgedBelow: 0,
            command: [UInt8](repeating: 1, count: WireLimits.clientFrameBytesMax), timeoutMilliseconds: 0)
        var buffer = ByteBuffer()
        #expect(throws: WireError.self) {
            try ClientRequestFrame(id: 1, request: .write(write)).encode(into: &buffer)
        }
        #expect(buffer.readableBytes == 0)
    }

    @Test("the largest command fits a request, the largest chunk and the largest entry fit a peer frame")
    func limitsFit() throws {
        let command = [UInt8](repeating: 1, count: Limits.commandBytesMax)
        let write = WriteRequest(
            session: SessionID(.max), sequence: .max, acknowledgedBelow: .max, command: command,
            timeoutMilliseconds: .max)
        #expect(try ClientRequestFrame(id: .max, request: .write(write)).frame().count > Limits.commandBytesMax)
        let chunk = SnapshotChunk(
            snapshotID: .max, term: Term(.max), position: .zero, configuration: .empty, offset: 0,
            totalBytes: .max, checksum: .max, bytes: [UInt8](repeating: 1, count: WireLimits.snapshotChunkBytesMax))
        #expect(PeerFrame.snapshotChunk(chunk).frame().count > WireLimits.snapshotChunkBytesMax)
    }
}
