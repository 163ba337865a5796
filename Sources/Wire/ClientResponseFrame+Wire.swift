internal import Foundation
internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
package import NIOCore

extension ClientResponseFrame {
    /// Appends the frame with its length. An answer that is too large for a frame (a page of very large configuration
    /// values) is replaced by a failure that says so: the client always gets an answer, and asks for a smaller page.
    package func encode(into buffer: inout ByteBuffer) {
        let body = encodeMessage(wire)
        guard body.count > WireLimits.clientFrameBytesMax else {
            buffer.writeFrame(body: body)
            return
        }
        let failure = ServiceFailure(
            code: .invalidRequest,
            detail:
                "the answer takes \(body.count) bytes, a frame at most \(WireLimits.clientFrameBytesMax): ask for less",
            isDefinite: true)
        let substitute = encodeMessage(ClientResponseFrame(id: id, response: .failure(failure)).wire)
        precondition(
            substitute.count <= WireLimits.helloBytesMax, "a failure of \(substitute.count) bytes fits no frame")
        buffer.writeFrame(body: substitute)
    }

    /// One response for many requests: encoded once, with an id in front for each.
    package struct Shared {
        private let body: [UInt8]

        /// Nil when no frame takes it.
        package init?(_ response: ClientResponse) {
            body = encodeMessage(ClientResponseFrame(id: 0, response: response).wire)
            guard body.count + Shared.idBytesMax <= WireLimits.clientFrameBytesMax else { return nil }
        }

        /// Appends a frame. Protobuf puts messages together by putting their bytes together.
        package func encode(id: UInt64, into buffer: inout ByteBuffer) {
            var head = WireClientResponseFrame()
            head.id = id
            buffer.writeFrame(body: encodeMessage(head) + body)
        }

        /// A tag and a varint.
        private static let idBytesMax = 11
    }

    /// Reads the body of a frame, as `FrameDecoder` hands it out.
    package init(decoding body: ByteBuffer) throws(WireError) {
        let wire = try body.message(of: WireClientResponseFrame.self)
        self.init(id: wire.id, response: try ClientResponse(wire: wire.response))
    }

    private var wire: WireClientResponseFrame {
        var wire = WireClientResponseFrame()
        wire.id = id
        wire.response = response.wire
        return wire
    }
}

extension ClientResponse {
    fileprivate init(wire: WireClientResponseFrame.OneOf_Response?) throws(WireError) {
        switch wire {
        case .hello(let hello): self = .hello(ServerHello(wire: hello))
        case .write(let outcome):
            self = .write(try WireError.converting { () throws(SchemaError) in try CommandOutcome(schema: outcome) })
        case .read(let answer):
            guard !answer.result.isEmpty else { throw .malformed("read answer without result") }
            let result = try WireError.converting { () throws(SchemaError) in
                try QueryResult(schemaBytes: [UInt8](answer.result))
            }
            self = .read(result, appliedIndex: answer.appliedIndex)
        case .watchEvents(let watch):
            var events: [ChangeEvent] = []
            events.reserveCapacity(watch.events.count)
            for event in watch.events {
                events.append(
                    try WireError.converting { () throws(SchemaError) in try ChangeEvent(schema: event) })
            }
            self = .watchEvents(events, through: Version(watch.through))
        case .watchProgress(let through): self = .watchProgress(through: Version(through))
        case .watchTooOld(let oldest): self = .watchTooOld(oldest: Version(oldest))
        case .heartbeat(let answer):
            let state = try WireError.converting { () throws(SchemaError) in try Broker.State(schema: answer.state) }
            self = .heartbeat(
                HeartbeatAnswer(
                    state: state, leaseMilliseconds: answer.leaseMilliseconds, version: Version(answer.version),
                    shouldShutDown: answer.shouldShutDown, featureLevel: answer.featureLevel))
        case .nodeStatus(let status): self = .nodeStatus(try NodeStatus(wire: status))
        case .members(let members): self = .members(try MemberList(wire: members))
        case .membershipRefused(let refusal): self = .membershipRefused(try MembershipRefusal(wire: refusal))
        case .breakers(let breakers):
            var readings: [BreakerReading] = []
            for breaker in breakers.breakers { readings.append(try BreakerReading(wire: breaker)) }
            self = .breakers(readings)
        case .control(let answer): self = .control(NodeControlAnswer(wire: answer))
        case .failure(let failure): self = .failure(try ServiceFailure(wire: failure))
        case nil: throw .unknownValue("client response")
        }
    }

    fileprivate var wire: WireClientResponseFrame.OneOf_Response {
        switch self {
        case .hello(let hello): return .hello(hello.wire)
        case .write(let outcome): return .write(outcome.schema)
        case .read(let result, let appliedIndex):
            var wire = WireReadAnswer()
            wire.result = Data(result.schemaBytes())
            wire.appliedIndex = appliedIndex
            return .read(wire)
        case .watchEvents(let events, let through):
            var wire = WireWatchEvents()
            wire.events = events.map(\.schema)
            wire.through = through.rawValue
            return .watchEvents(wire)
        case .watchProgress(let through): return .watchProgress(through.rawValue)
        case .watchTooOld(let oldest): return .watchTooOld(oldest.rawValue)
        case .heartbeat(let answer):
            var wire = WireHeartbeatAnswer()
            wire.state = answer.state.schema
            wire.leaseMilliseconds = answer.leaseMilliseconds
            wire.version = answer.version.rawValue
            wire.shouldShutDown = answer.shouldShutDown
            wire.featureLevel = answer.featureLevel
            return .heartbeat(wire)
        case .nodeStatus(let status): return .nodeStatus(status.wire)
        case .members(let members): return .members(members.wire)
        case .membershipRefused(let refusal): return .membershipRefused(refusal.wire)
        case .breakers(let readings):
            var wire = WireBreakers()
            wire.breakers = readings.map(\.wire)
            return .breakers(wire)
        case .control(let answer): return .control(answer.wire)
        case .failure(let failure): return .failure(failure.wire)
        }
    }
}
