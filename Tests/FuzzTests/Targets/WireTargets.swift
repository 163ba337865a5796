import MetadataModel
import MetadataSchema
import NIOCore
import RaftCore
import Wire

extension FuzzTarget {
    /// What arrives on the client port and the peer port.
    static let wire = [
        FuzzTarget(name: "client-request", examples: { try exampleRequests().map { try body($0.frame()) } }) { bytes in
            try roundTrip(
                bytes, decode: { try ClientRequestFrame(decoding: ByteBuffer(bytes: $0)) },
                encode: { try body($0.frame()) })
        },
        FuzzTarget(name: "client-response", examples: { exampleResponses().map { body($0.frame()) } }) { bytes in
            try roundTrip(
                bytes, decode: { try ClientResponseFrame(decoding: ByteBuffer(bytes: $0)) },
                encode: { body($0.frame()) }
            )
        },
        FuzzTarget(name: "peer-frame", examples: { examplePeerFrames().map { body($0.frame()) } }) { bytes in
            try roundTrip(
                bytes, decode: { try PeerFrame(decoding: ByteBuffer(bytes: $0)) }, encode: { body($0.frame()) })
        },
        FuzzTarget(
            name: "stream",
            examples: {
                let requests = try exampleRequests().flatMap { try $0.frame() }
                let peers = examplePeerFrames().flatMap { $0.frame() }
                return [
                    [0, 7] + ConnectionPreamble.bytes(for: .client) + requests,
                    [1, 200] + ConnectionPreamble.bytes(for: .peer) + peers,
                    [2, 1] + exampleResponses().flatMap { $0.frame() },
                ]
            }, judge: judgeStream),
    ]

    private static func body(_ frame: [UInt8]) -> [UInt8] { Array(frame.dropFirst(WireLimits.lengthPrefixBytes)) }

    /// The first byte says whose end it is, the second how large the pieces are in which the rest arrives. However it
    /// arrives, the frames are the same, and memory grows only with what has arrived (a length allocated as it stood).
    private static func judgeStream(_ bytes: [UInt8]) throws -> Verdict {
        guard bytes.count > 2 else { return .refused }
        let kind: ConnectionKind = bytes[0] & 1 == 0 ? .client : .peer
        let side: FrameDecoder.Side = bytes[0] & 2 == 0 ? .listener : .dialler
        let rest = Array(bytes[2...])
        let whole = try frames(of: rest, pieces: rest.count, kind, side)
        let pieces = try frames(of: rest, pieces: Int(bytes[1]) + 1, kind, side)
        guard whole.frames == pieces.frames, (whole.error == nil) == (pieces.error == nil) else {
            throw Finding("\(whole.frames.count) frames at once, \(pieces.frames.count) in pieces")
        }
        try judgePreamble(rest, kind)
        return whole.frames.isEmpty ? .refused : .accepted
    }

    private static func frames(
        of bytes: [UInt8], pieces: Int, _ kind: ConnectionKind, _ side: FrameDecoder.Side
    ) throws -> (frames: [[UInt8]], error: WireError?) {
        var decoder = FrameDecoder(kind: kind, side: side)
        var found: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            var buffer = ByteBuffer(bytes: rest.prefix(pieces))
            rest = rest.dropFirst(pieces)
            decoder.append(&buffer)
            do throws(WireError) {
                while let frame = try decoder.next() { found.append(Array(frame.readableBytesView)) }
            } catch {
                return (found, error)
            }
            // A buffer grows by doubling.
            guard decoder.pendingCapacity <= 4 * bytes.count + 1_024 else {
                throw Finding("\(decoder.pendingCapacity) bytes are held after \(bytes.count) arrived")
            }
        }
        return (found, nil)
    }

    /// A stranger is never taken for a friend by sending more.
    private static func judgePreamble(_ bytes: [UInt8], _ kind: ConnectionKind) throws {
        var isRefused = false
        for count in 0...min(bytes.count, ConnectionPreamble.byteCount + 2) {
            switch ConnectionPreamble.parse(bytes.prefix(count), kind: kind) {
            case .garbage, .unsupportedVersion: isRefused = true
            case .ok, .needMore:
                guard !isRefused else { throw Finding("refused, and taken after \(count) bytes") }
            }
        }
    }
}

extension ClientRequestFrame {
    /// The whole frame, length included.
    fileprivate func frame() throws(WireError) -> [UInt8] {
        var buffer = ByteBuffer()
        try encode(into: &buffer)
        return Array(buffer.readableBytesView)
    }
}

extension ClientResponseFrame {
    fileprivate func frame() -> [UInt8] {
        var buffer = ByteBuffer()
        encode(into: &buffer)
        return Array(buffer.readableBytesView)
    }
}

extension PeerFrame {
    fileprivate func frame() -> [UInt8] {
        var buffer = ByteBuffer()
        encode(into: &buffer)
        return Array(buffer.readableBytesView)
    }
}

private func exampleRequests() -> [ClientRequestFrame] {
    let filter = WatchFilter(brokers: [BrokerID(7)], topicPrefixes: ["ord"])
    let queries: [Query] = [
        .summary, .broker(BrokerID(7)), .topic(.name("orders")), .topics(after: "a", limit: 10),
        .partitions(.name("orders"), after: PartitionIndex(1), limit: 5), .configs(.cluster, after: nil, limit: 5),
        .changes(after: Version(3), filter: filter, limit: 5),
    ]
    let requests: [ClientRequest] =
        [
            .hello(ClientHello(clusterID: "cluster", clientName: "fuzz")),
            .watch(after: Version(5), filter: filter), .cancelWatch(requestID: 4),
            .heartbeat(
                BrokerHeartbeat(
                    broker: BrokerID(7), epoch: BrokerEpoch(4), caughtUpVersion: Version(3), wantsFence: true)),
            .nodeStatus,
        ]
        + exampleCommands().map {
            .write(
                WriteRequest(
                    session: SessionID(9), sequence: 3, acknowledgedBelow: 2, command: $0.schemaBytes(),
                    timeoutMilliseconds: 500))
        }
        + queries.map { .read(ReadRequest(query: $0, consistency: .atLeast(Version(4)), timeoutMilliseconds: 500)) }
    return requests.enumerated().map { ClientRequestFrame(id: UInt64($0 + 1), request: $1) }
}

private func exampleResponses() -> [ClientResponseFrame] {
    let leader = LeaderHint(nodeID: 2, address: "node2:7400", term: 5)
    let member = MemberAddress(nodeID: 1, clientAddress: "node1:7400", peerAddress: "node1:7401", isVoter: true)
    let results: [QueryResult] = [
        .broker(exampleBroker(7)), .topic(exampleTopic()), .partition(examplePartition(0)),
        .brokers(Page(items: [exampleBroker(7), exampleBroker(8)], hasMore: true)),
        .changes(.events(exampleEvents(), through: Version(30))), .changes(.notYet(current: Version(3))),
        .notFound(Refusal(.topicNotFound, "topic 'x'")),
    ]
    let responses: [ClientResponse] =
        [
            .hello(ServerHello(clusterID: "cluster", nodeID: 1, leader: leader, members: [member])),
            .watchEvents(exampleEvents(), through: Version(30)), .watchProgress(through: Version(31)),
            .watchTooOld(oldest: Version(9)),
            .heartbeat(HeartbeatAnswer(state: .active, leaseMilliseconds: 30_000, version: Version(3))),
            .failure(
                ServiceFailure(
                    code: ServiceFailure.Code.allCases[0], detail: "no", isDefinite: true, leader: leader,
                    retryAfterMilliseconds: 20)),
        ]
        + exampleOutcomes().map { .write($0) } + results.map { .read($0, appliedIndex: 40) }
    return responses.enumerated().map { ClientResponseFrame(id: UInt64($0 + 1), response: $1) }
}

private func examplePeerFrames() -> [PeerFrame] {
    let position = LogPosition(index: LogIndex(9), term: Term(3))
    let entries = exampleEnvelopes().enumerated().map { offset, envelope in
        Entry(
            term: Term(3), index: LogIndex(UInt64(10 + offset)), kind: .command, payload: envelope.encoded())
    }
    let kinds: [Message.Kind] = [
        .preVoteRequest(last: position), .preVoteResponse(granted: true), .voteRequest(last: position, transfer: true),
        .voteResponse(granted: false), .append(previous: position, entries: entries, commit: LogIndex(8)),
        .append(previous: position, entries: [], commit: LogIndex(9)), .appendAccepted(match: LogIndex(9)),
        .appendRejected(rejected: LogIndex(9), hint: position), .heartbeat(commit: LogIndex(8), round: 4),
        .heartbeatResponse(round: 4), .readIndexRequest(id: 5), .readIndexResponse(id: 5, index: nil),
        .readIndexResponse(id: 5, index: LogIndex(9)), .timeoutNow,
    ]
    let messages = kinds.map { Message(from: NodeID(1), to: NodeID(2), term: Term(3), kind: $0) }
    return [.messages(messages)] + messages.map { .messages([$0]) }
}
