package import RaftCore

/// How much of what a peer says is listened to. Decided from the configuration in effect here, and from how new the
/// configuration is that the peer knows: whoever was away for long must not refuse those who joined meanwhile, and whoever was
/// removed meanwhile must not be listened to.
package enum PeerAdmission: Hashable, Sendable {
    /// A member on the disk that the configuration names.
    case member
    /// Not a member as far as this one knows, or on another disk; but it knows a later configuration than the last one that is
    /// known here to be committed, or this one knows none at all. What it asks is answered; its own answers do not count
    /// (KIP-853).
    case newcomer
    /// Not in a committed configuration that is at least as new as the peer's own.
    case notAMember
    /// In it, but on another disk than the one that joined.
    case anotherDisk
}

/// A node that called and was let in, as it described itself.
package struct PeerCaller: Hashable, Sendable {
    package var id: NodeID
    package var disk: DiskID
    /// Where its configuration stands in its log; zero when it knows none.
    package var configurationIndex: LogIndex
    /// Where it can be called; empty when it does not say.
    package var peerAddress: String

    package init(id: NodeID, disk: DiskID, configurationIndex: LogIndex, peerAddress: String) {
        self.id = id
        self.disk = disk
        self.configurationIndex = configurationIndex
        self.peerAddress = peerAddress
    }
}

extension Replica {
    /// How new the configuration is that this member knows, for those whom it calls; zero when it knows none.
    package var knownConfigurationIndex: LogIndex {
        core.configuration.voters.isEmpty ? .zero : core.configurationIndex
    }

    /// Whom to call: those whom Raft talks to, and of the callers those that are listened to. A node that has just been added, or
    /// was away for long, answers those who bring it the log; one that is no member calls nobody else, so that it
    /// disturbs nobody.
    package func peersToCall(_ callers: some Sequence<PeerCaller>) -> [Member] {
        let correspondents = core.correspondents
        let members =
            correspondents.contains { $0.id == id } ? correspondents.filter { $0.id != id } : []
        let others = callers.filter { caller in
            guard !caller.peerAddress.isEmpty, !members.contains(where: { $0.id == caller.id }) else { return false }
            switch admission(of: caller.id, disk: caller.disk, configurationIndex: caller.configurationIndex) {
            case .member, .newcomer: return true
            case .notAMember, .anotherDisk: return false
            }
        }
        return others.map { Member(id: $0.id, disk: $0.disk, peerAddress: $0.peerAddress, clientAddress: "") } + members
    }

    /// Whether to listen to `peer`, which runs on `disk` and whose configuration stands at `configurationIndex` of its log.
    package func admission(of peer: NodeID, disk: DiskID, configurationIndex: LogIndex) -> PeerAdmission {
        let configuration = core.configuration
        if configuration.voters.isEmpty { return .newcomer }
        let member = configuration.member(peer) ?? core.correspondents.first { $0.id == peer }
        if let member, member.disk == .unknown || member.disk == disk { return .member }
        // Where the end of this log comes to nothing its last configuration does too, and may stand behind the real one.
        if configurationIndex > core.committedConfigurationIndex { return .newcomer }
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
