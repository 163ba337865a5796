package import RaftCore

/// What became of a change of members or of a transfer of leadership.
package enum MembershipReply: Hashable, Sendable {
    /// Committed. For a transfer: the other member leads.
    case done
    case refused(MembershipRefusal)
    /// Nothing was changed.
    case notLeader(NodeID?)
    /// This member stopped leading before the change was committed: whoever leads finishes what stands in its log.
    case leadershipLost(NodeID?)
}
