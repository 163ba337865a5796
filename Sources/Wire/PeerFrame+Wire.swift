internal import Foundation
internal import MetadataModel
internal import MetadataSchema
package import NIOCore
package import RaftCore

extension PeerFrame {
    /// Appends the frame with its length. It has to fit: whoever batches messages keeps the sum of
    /// `approximateBytes(of:)` within `WireLimits.peerFrameBytesMax`, and chunks within `snapshotChunkBytesMax`.
    package func encode(into buffer: inout ByteBuffer) {
        let body = encodeMessage(wire)
        precondition(
            body.count <= WireLimits.peerFrameBytesMax,
            "peer frame of \(body.count) bytes exceeds \(WireLimits.peerFrameBytesMax)")
        buffer.writeFrame(body: body)
    }

    /// Reads the body of a frame, as `FrameDecoder` hands it out.
    package init(decoding body: ByteBuffer) throws(WireError) {
        let messagesMax = WireLimits.messagesPerFrameMax
        guard RaftMessageCount.isWithin(messagesMax, body) else {
            throw .malformed("more than \(messagesMax) messages in a frame")
        }
        let wire = try body.message(of: WirePeerFrame.self)
        switch wire.frame {
        case .hello(let hello): self = .hello(PeerHello(wire: hello))
        case .messages(let batch):
            var entriesLeft = WireLimits.entriesPerFrameMax
            var messages: [Message] = []
            messages.reserveCapacity(batch.messages.count)
            for message in batch.messages {
                messages.append(try Message(wire: message, entriesLeft: &entriesLeft))
            }
            self = .messages(messages, traced: try TracedEntry.list(wire: batch.traced))
        case .snapshotChunk(let chunk): self = .snapshotChunk(try SnapshotChunk(wire: chunk))
        case .snapshotProgress(let progress): self = .snapshotProgress(try SnapshotProgress(wire: progress))
        case .notice(let notice): self = .notice(try PeerNotice(wire: notice))
        case .refusal(let refusal): self = .refusal(try PeerRefusal(wire: refusal))
        case nil: throw .unknownValue("peer frame")
        }
    }

    /// What a message takes in a frame, at most. Cheap: it looks at sizes only.
    package static func approximateBytes(of message: Message) -> Int {
        switch message.kind {
        case .append(_, let entries, _):
            entries.reduce(WireLimits.messageOverheadBytes) { $0 + $1.cost }
        case .installSnapshot(_, let configuration):
            configuration.members.reduce(WireLimits.messageOverheadBytes) { bytes, member in
                bytes + memberBytesMax + member.peerAddress.utf8.count + member.clientAddress.utf8.count
            }
        case .preVoteRequest, .preVoteResponse, .voteRequest, .voteResponse, .appendAccepted, .appendRejected,
            .heartbeat, .heartbeatResponse, .readIndexRequest, .readIndexResponse, .recoveryRequest,
            .recoveryResponse, .timeoutNow:
            WireLimits.messageOverheadBytes
        }
    }

    /// A member without its addresses, and its id in the three lists.
    private static let memberBytesMax = 96

    private var wire: WirePeerFrame {
        var wire = WirePeerFrame()
        switch self {
        case .hello(let hello): wire.frame = .hello(hello.wire)
        case .messages(let messages, let traced):
            var batch = WireRaftMessages()
            batch.messages = messages.map(\.wire)
            if !traced.isEmpty { batch.traced = TracedEntry.wire(of: traced) }
            wire.frame = .messages(batch)
        case .snapshotChunk(let chunk): wire.frame = .snapshotChunk(chunk.wire)
        case .snapshotProgress(let progress): wire.frame = .snapshotProgress(progress.wire)
        case .notice(let notice): wire.frame = .notice(notice.wire)
        case .refusal(let refusal): wire.frame = .refusal(refusal.wire)
        }
        return wire
    }
}

extension PeerHello {
    fileprivate init(wire: WirePeerHello) {
        self.init(
            clusterID: wire.clusterID, node: NodeID(wire.node), disk: DiskID(high: wire.diskHigh, low: wire.diskLow),
            target: NodeID(wire.target), configurationIndex: LogIndex(wire.configurationIndex),
            peerAddress: wire.peerAddress,
            // Builds that do not say understand level 1, the one before it was said.
            featureLevelMax: max(wire.featureLevelMax, 1))
    }

    fileprivate var wire: WirePeerHello {
        var wire = WirePeerHello()
        wire.clusterID = clusterID
        wire.node = node.rawValue
        wire.diskHigh = disk.high
        wire.diskLow = disk.low
        wire.target = target.rawValue
        wire.configurationIndex = configurationIndex.rawValue
        wire.peerAddress = peerAddress
        wire.featureLevelMax = featureLevelMax
        return wire
    }
}

extension PeerRefusal {
    fileprivate init(wire: WirePeerRefusal) throws(WireError) {
        let reason: Reason
        switch wire.reason {
        case .notAMember: reason = .notAMember
        case .anotherDisk: reason = .anotherDisk
        case .wrongCluster: reason = .wrongCluster
        case .wrongTarget: reason = .wrongTarget
        case .unspecified, .UNRECOGNIZED: throw .unknownValue("peer refusal \(wire.reason.rawValue)")
        }
        self.init(reason: reason, detail: wire.detail)
    }

    fileprivate var wire: WirePeerRefusal {
        var wire = WirePeerRefusal()
        wire.detail = detail
        switch reason {
        case .notAMember: wire.reason = .notAMember
        case .anotherDisk: wire.reason = .anotherDisk
        case .wrongCluster: wire.reason = .wrongCluster
        case .wrongTarget: wire.reason = .wrongTarget
        }
        return wire
    }
}

extension SnapshotChunk {
    fileprivate init(wire: WireSnapshotChunk) throws(WireError) {
        guard wire.hasPosition, wire.hasConfiguration else {
            throw .malformed("chunk without position or configuration")
        }
        guard wire.bytes.count <= WireLimits.snapshotChunkBytesMax else {
            throw .frameTooLarge(bytes: wire.bytes.count, bytesMax: WireLimits.snapshotChunkBytesMax)
        }
        guard wire.offset <= wire.totalBytes, UInt64(wire.bytes.count) <= wire.totalBytes - wire.offset else {
            throw .malformed("chunk of \(wire.bytes.count) bytes at \(wire.offset) of \(wire.totalBytes)")
        }
        self.init(
            snapshotID: wire.snapshotID, term: Term(wire.term), position: LogPosition(wire: wire.position),
            configuration: try Configuration(wire: wire.configuration), offset: wire.offset,
            totalBytes: wire.totalBytes, checksum: wire.checksum, bytes: [UInt8](wire.bytes))
    }

    fileprivate var wire: WireSnapshotChunk {
        precondition(
            bytes.count <= WireLimits.snapshotChunkBytesMax,
            "chunk of \(bytes.count) bytes exceeds \(WireLimits.snapshotChunkBytesMax)")
        precondition(
            offset <= totalBytes && UInt64(bytes.count) <= totalBytes - offset,
            "chunk of \(bytes.count) bytes at \(offset) of \(totalBytes)")
        var wire = WireSnapshotChunk()
        wire.snapshotID = snapshotID
        wire.term = term.rawValue
        wire.position = position.wire
        wire.configuration = configuration.wire
        wire.offset = offset
        wire.totalBytes = totalBytes
        wire.checksum = checksum
        wire.bytes = Data(bytes)
        return wire
    }
}

extension SnapshotProgress {
    fileprivate init(wire: WireSnapshotProgress) throws(WireError) {
        let state: State
        switch wire.state {
        case .received(let offset): state = .received(offset: offset)
        case .installed: state = .installed
        case .failed(let reason): state = .failed(reason)
        case nil: throw .unknownValue("snapshot progress")
        }
        self.init(snapshotID: wire.snapshotID, state: state)
    }

    fileprivate var wire: WireSnapshotProgress {
        var wire = WireSnapshotProgress()
        wire.snapshotID = snapshotID
        switch state {
        case .received(let offset): wire.state = .received(offset)
        case .installed: wire.state = .installed(ProtoNothing())
        case .failed(let reason): wire.state = .failed(reason)
        }
        return wire
    }
}
