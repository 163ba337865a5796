/// What members tell each other beside Raft. All of it is repeated or comes again at the next occasion: nothing depends on a
/// notice that is lost.
package enum PeerNotice: Hashable, Sendable {
    case condition(PeerCondition)
    /// Of a follower, to the leader: its digest as of a log entry.
    case digestReport(DigestMark)
    /// Of the leader, to a member whose digest differs: what the majority has at that entry.
    case digestVerdict(DigestMark)
}

/// How a member is, as far as it matters to the others.
package struct PeerCondition: Hashable, Sendable {
    /// Its disk has less room than it should: not the first choice to lead.
    package var isDiskLow: Bool
    /// Its log or state is damaged, or was and is not whole again: it must not lead.
    package var isUnfit: Bool

    package init(isDiskLow: Bool, isUnfit: Bool) {
        self.isDiskLow = isDiskLow
        self.isUnfit = isUnfit
    }
}

/// The digest of the state after a log entry.
package struct DigestMark: Hashable, Sendable {
    package var index: UInt64
    package var digest: UInt64

    package init(index: UInt64, digest: UInt64) {
        self.index = index
        self.digest = digest
    }
}
