/// What an operator asks of the membership. A goal, not a step: asked for again after it was reached it is simply done.
package enum MembershipChange: Hashable, Sendable {
    /// Adds a member as a learner; `isPromoted`: it votes by itself once it has caught up. A member that is there with the same
    /// disk gets the addresses named here and keeps its vote.
    case add(Member, isPromoted: Bool)
    /// A learner votes from now on.
    case promote(NodeID)
    /// Any member leaves, the leader too.
    case remove(NodeID)
    /// The member `old` is lost or given up. Under its own id comes another disk; or another member takes its place.
    case replace(NodeID, with: Member)
}

extension MembershipChange: CustomStringConvertible {
    /// For logs.
    package var description: String {
        func place(_ member: Member) -> String {
            "node \(member.id) at \(member.clientAddress) and \(member.peerAddress), disk \(member.disk.text)"
        }
        switch self {
        case .add(let member, let isPromoted): return "add \(place(member))\(isPromoted ? "" : " as a learner")"
        case .promote(let id): return "promote node \(id)"
        case .remove(let id): return "remove node \(id)"
        case .replace(let old, let member): return "replace node \(old) by \(place(member))"
        }
    }
}

/// Why a change of members, or a transfer of leadership, is not made; nothing was changed.
package struct MembershipRefusal: Error, Hashable, Sendable {
    package var reason: Reason
    /// A sentence with the names and numbers of the case.
    package var detail: String

    /// The raw values are stable: scripts branch on them.
    package enum Reason: String, Hashable, Sendable, CaseIterable {
        /// Another change is not finished. One at a time (Raft §6).
        case changeUnderWay = "change_under_way"
        /// The leader has committed nothing in its own term yet (erratum of Diss. §4.1). Gone in a moment.
        case leaderNotReady = "leader_not_ready"
        case unknownMember = "unknown_member"
        /// The id belongs to a member on another disk (KIP-853).
        case anotherDisk = "another_disk"
        /// The description of the member makes no sense, or collides with that of another.
        case invalidMember = "invalid_member"
        case tooManyMembers = "too_many_members"
        /// Too few of the voters that would be left were heard within an election timeout.
        case quorumAtRisk = "quorum_at_risk"
        /// The last voter cannot leave.
        case lastVoter = "last_voter"
        /// A learner that is behind would be waited for by every commit.
        case notCaughtUp = "not_caught_up"
        /// The member that is to be replaced lives.
        case memberAlive = "member_alive"
        /// Only a voter can lead.
        case notAVoter = "not_a_voter"
        /// The member was not heard within an election timeout.
        case memberSilent = "member_silent"
        /// The other member did not take over.
        case transferFailed = "transfer_failed"
    }

    package init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }
}
