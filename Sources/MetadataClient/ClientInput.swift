import MetadataModel
import NIOCore
import Wire

/// Names a call for as long as the client lives. It is also the id of the call's request frames on every connection, so
/// that a late answer to an earlier attempt is recognized.
typealias CallID = UInt64

/// Told once how a call ended. Runs on the client's event loop.
typealias Handler<Value> = @Sendable (Result<Value, CallFailure>) -> Void

/// What callers ask of the client's event loop.
enum ClientInput: Sendable {
    case write(CallID, [UInt8], deadline: NIODeadline, Handler<CommandResult>)
    case read(CallID, Query, ReadConsistency, deadline: NIODeadline, Handler<QueryResult>)
    case heartbeat(CallID, BrokerHeartbeat, deadline: NIODeadline, Handler<HeartbeatAnswer>)
    case status(CallID, MetadataClient.Endpoint, deadline: NIODeadline, Handler<NodeStatus>)
    case control(CallID, MetadataClient.Endpoint, NodeControl, deadline: NIODeadline, Handler<NodeControlAnswer>)
    case membership(CallID, MembershipCall, deadline: NIODeadline, Handler<MembershipAnswer>)
    /// Nil: to look at them.
    case breakers(
        CallID, MetadataClient.Endpoint, BreakerControl?, deadline: NIODeadline, Handler<[BreakerReading]>)
    /// The span that a call belongs to, as W3C Trace Context writes it; ahead of the call itself.
    case trace(CallID, String)
    /// The caller waits no longer.
    case cancel(CallID)
    case watch(CallID, after: Version, WatchFilter, WatchBuffer)
    /// The consumer of a watch has made room in its buffer.
    case resumeWatch(CallID)
    case cancelWatch(CallID)
    case knownEndpoints(@Sendable ([MetadataClient.Endpoint]) -> Void)
    case close(@Sendable () -> Void)
}
