package import RaftCore

/// How much of what a peer says is listened to. Decided from the configuration in effect here, and from how new the
/// configuration is that the peer knows: whoever was away for long must not refuse those who joined meanwhile, and whoever was
/// removed meanwhile must not be listened to.
package enum PeerAdmission: Hashable, Sendable {
    /// A member on the disk that the configuration names.
    case member
    /// Not a member as far as this one knows, or on another disk; but it knows a later configuration, or this one knows none at
    /// all. What it asks is answered; its own answers do not count (KIP-853).
    case newcomer
    /// Not in a configuration that is at least as new as the peer's own.
    case notAMember
    /// In it, but on another disk than the one that joined.
    case anotherDisk
}

extension Replica {
    /// Whether to listen to `peer`, which runs on `disk` and whose configuration stands at `configurationIndex` of its log.
    package func admission(of peer: NodeID, disk: DiskID, configurationIndex: LogIndex) -> PeerAdmission {
        let configuration = core.configuration
        if configuration.voters.isEmpty { return .newcomer }
        let member = configuration.member(peer) ?? core.correspondents.first { $0.id == peer }
        if let member, member.disk == .unknown || member.disk == disk { return .member }
        if configurationIndex > core.configurationIndex { return .newcomer }
        return member == nil ? .notAMember : .anotherDisk
    }

    /// Messages of a peer that is let in as `admission` says.
    package mutating func receive(_ messages: [Message], as admission: PeerAdmission, now time: UInt64) {
        switch admission {
        case .member: receive(messages, now: time)
        case .newcomer: receive(messages.filter { !$0.kind.isAnswer }, now: time)
        case .notAMember, .anotherDisk: return
        }
    }
}

extension Message.Kind {
    /// Counted by who asked, under its own configuration: from another disk it would be taken for that of the known one.
    var isAnswer: Bool {
        switch self {
        case .preVoteResponse, .voteResponse, .appendAccepted, .appendRejected, .heartbeatResponse,
            .readIndexResponse, .recoveryResponse:
            true
        case .preVoteRequest, .voteRequest, .append, .heartbeat, .readIndexRequest, .timeoutNow, .recoveryRequest,
            .installSnapshot:
            false
        }
    }
}
