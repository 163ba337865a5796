internal import Foundation
internal import MetadataModel
internal import MetadataSchema
internal import RaftCore
package import NIOCore

extension ClientRequestFrame {
    /// Appends the frame with its length. What a user asks for may be too large for a frame: then nothing is written.
    package func encode(into buffer: inout ByteBuffer) throws(WireError) {
        let body = encodeMessage(wire)
        guard body.count <= WireLimits.clientFrameBytesMax else {
            throw .frameTooLarge(bytes: body.count, bytesMax: WireLimits.clientFrameBytesMax)
        }
        buffer.writeFrame(body: body)
    }

    /// Reads the body of a frame, as `FrameDecoder` hands it out.
    package init(decoding body: ByteBuffer) throws(WireError) {
        let wire = try body.message(of: WireClientRequestFrame.self)
        self.init(
            id: wire.id, request: try ClientRequest(wire: wire.request),
            traceparent: wire.traceparent.isEmpty ? nil : wire.traceparent)
    }

    private var wire: WireClientRequestFrame {
        var wire = WireClientRequestFrame()
        wire.id = id
        wire.request = request.wire
        if let traceparent { wire.traceparent = traceparent }
        return wire
    }
}

extension ClientRequest {
    fileprivate init(wire: WireClientRequestFrame.OneOf_Request?) throws(WireError) {
        switch wire {
        case .hello(let hello):
            self = .hello(ClientHello(clusterID: hello.clusterID, clientName: hello.clientName))
        case .write(let write): self = .write(WriteRequest(wire: write))
        case .read(let read): self = .read(try ReadRequest(wire: read))
        case .watch(let watch):
            guard watch.hasFilter else { throw .malformed("watch without filter") }
            let filter = try WireError.converting { () throws(SchemaError) in try WatchFilter(schema: watch.filter) }
            self = .watch(after: Version(watch.after), filter: filter)
        case .cancelWatch(let id): self = .cancelWatch(requestID: id)
        case .heartbeat(let heartbeat): self = .heartbeat(BrokerHeartbeat(wire: heartbeat))
        case .nodeStatus: self = .nodeStatus
        case .members: self = .members
        case .changeMembers(let change): self = .changeMembers(try MembershipRequest(wire: change))
        case .transferLeadership(let transfer):
            self = .transferLeadership(to: transfer.hasTarget ? NodeID(transfer.target) : nil)
        case .breakers: self = .breakers
        case .controlBreaker(let control): self = .controlBreaker(try BreakerControl(wire: control))
        case .control(let control): self = .control(try NodeControl(wire: control))
        case nil: throw .unknownValue("client request")
        }
    }

    fileprivate var wire: WireClientRequestFrame.OneOf_Request {
        switch self {
        case .hello(let hello):
            var wire = WireClientHello()
            wire.clusterID = hello.clusterID
            wire.clientName = hello.clientName
            return .hello(wire)
        case .write(let write): return .write(write.wire)
        case .read(let read): return .read(read.wire)
        case .watch(let after, let filter):
            var wire = WireWatch()
            wire.after = after.rawValue
            wire.filter = filter.schema
            return .watch(wire)
        case .cancelWatch(let id): return .cancelWatch(id)
        case .heartbeat(let heartbeat): return .heartbeat(heartbeat.wire)
        case .nodeStatus: return .nodeStatus(ProtoNothing())
        case .members: return .members(ProtoNothing())
        case .changeMembers(let request): return .changeMembers(request.wire)
        case .transferLeadership(let target):
            var wire = WireTransferLeadership()
            if let target { wire.target = target.rawValue }
            return .transferLeadership(wire)
        case .breakers: return .breakers(ProtoNothing())
        case .controlBreaker(let control): return .controlBreaker(control.wire)
        case .control(let control): return .control(control.wire)
        }
    }
}

extension WriteRequest {
    fileprivate init(wire: WireWriteRequest) {
        self.init(
            session: wire.hasSession ? SessionID(wire.session) : nil, sequence: wire.sequence,
            acknowledgedBelow: wire.acknowledgedBelow, command: [UInt8](wire.command),
            timeoutMilliseconds: wire.timeoutMilliseconds)
    }

    fileprivate var wire: WireWriteRequest {
        var wire = WireWriteRequest()
        if let session { wire.session = session.rawValue }
        wire.sequence = sequence
        wire.acknowledgedBelow = acknowledgedBelow
        wire.command = Data(command)
        wire.timeoutMilliseconds = timeoutMilliseconds
        return wire
    }
}

extension ReadRequest {
    fileprivate init(wire: WireReadRequest) throws(WireError) {
        guard !wire.query.isEmpty else { throw .malformed("read without query") }
        let consistency: ReadConsistency
        switch wire.consistency {
        case .linearizable: consistency = .linearizable
        case .atLeast(let version): consistency = .atLeast(Version(version))
        case .stale(let lag): consistency = .stale(maxLagMilliseconds: lag)
        case nil: throw .unknownValue("read consistency")
        }
        self.init(
            query: try WireError.converting { () throws(SchemaError) in try Query(schemaBytes: [UInt8](wire.query)) },
            consistency: consistency, timeoutMilliseconds: wire.timeoutMilliseconds)
    }

    fileprivate var wire: WireReadRequest {
        var wire = WireReadRequest()
        wire.query = Data(query.schemaBytes())
        switch consistency {
        case .linearizable: wire.consistency = .linearizable(ProtoNothing())
        case .atLeast(let version): wire.consistency = .atLeast(version.rawValue)
        case .stale(let lag): wire.consistency = .stale(lag)
        }
        wire.timeoutMilliseconds = timeoutMilliseconds
        return wire
    }
}

extension BrokerHeartbeat {
    fileprivate init(wire: WireBrokerHeartbeat) {
        self.init(
            broker: BrokerID(wire.broker), epoch: BrokerEpoch(wire.epoch),
            caughtUpVersion: Version(wire.caughtUpVersion), wantsFence: wire.wantsFence,
            wantsShutdown: wire.wantsShutdown, usedBytes: wire.hasUsedBytes ? wire.usedBytes : nil)
    }

    fileprivate var wire: WireBrokerHeartbeat {
        var wire = WireBrokerHeartbeat()
        wire.broker = broker.rawValue
        wire.epoch = epoch.rawValue
        wire.caughtUpVersion = caughtUpVersion.rawValue
        wire.wantsFence = wantsFence
        wire.wantsShutdown = wantsShutdown
        if let usedBytes { wire.usedBytes = usedBytes }
        return wire
    }
}
