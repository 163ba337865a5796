import MetadataModel
import NIOCore
import Wire

/// What the event loop has to do, in the order in which `ClientMachine` says it.
enum ClientAction: Sendable {
    /// Dial; report with `connected` or `connectionLost`.
    case connect(ConnectionID, MetadataClient.Endpoint)
    /// Written now, flushed at the end of the batch.
    case send(ConnectionID, ClientRequestFrame)
    /// Close without a report.
    case disconnect(ConnectionID)
    case answerWrite(Handler<CommandResult>, Result<CommandResult, CallFailure>)
    case answerRead(Handler<QueryResult>, Result<QueryResult, CallFailure>)
    case answerHeartbeat(Handler<HeartbeatAnswer>, Result<HeartbeatAnswer, CallFailure>)
    case answerStatus(Handler<NodeStatus>, Result<NodeStatus, CallFailure>)
    case answerControl(Handler<NodeControlAnswer>, Result<NodeControlAnswer, CallFailure>)
    case answerMembership(Handler<MembershipAnswer>, Result<MembershipAnswer, CallFailure>)
    case answerBreakers(Handler<[BreakerReading]>, Result<[BreakerReading], CallFailure>)
    /// Offer the events to the watch's buffer; report a full one with `watchFilled`.
    case deliver(CallID, WatchBuffer, [WatchEvent])
    case finishWatch(WatchBuffer, CallFailure?)
    /// Call back.
    case tell(@Sendable () -> Void)
    case log(ClientNote)
}

/// Something worth a line in the log.
enum ClientNote: Hashable, Sendable {
    case leaderChanged(MetadataClient.Endpoint, term: UInt64)
    case connectionLost(MetadataClient.Endpoint, reason: String)
    case rejected(MetadataClient.Endpoint, reason: String)
    case sessionOpened(SessionID)
    case sessionLost(SessionID)
}
