/// The members as the leader sees them.
package struct MemberList: Hashable, Sendable {
    /// The log index of the configuration in effect.
    package var configurationIndex: LogIndex
    package var lastIndex: LogIndex
    /// A change is not finished.
    package var isChanging: Bool
    /// By id.
    package var members: [MemberState]

    package init(configurationIndex: LogIndex, lastIndex: LogIndex, isChanging: Bool, members: [MemberState]) {
        self.configurationIndex = configurationIndex
        self.lastIndex = lastIndex
        self.isChanging = isChanging
        self.members = members
    }
}

/// A member as the leader sees it.
package struct MemberState: Hashable, Sendable {
    package var member: Member
    package var role: Role
    package var promotion: Promotion?
    package var isLeader: Bool
    /// Heard within an election timeout.
    package var isHeard: Bool
    /// The leader knows it to hold the log up to here.
    package var match: LogIndex

    package enum Role: String, Hashable, Sendable, CaseIterable {
        case voter
        /// Votes only until the change that is under way is finished.
        case leaving
        case learner
    }

    package init(
        member: Member, role: Role, promotion: Promotion?, isLeader: Bool, isHeard: Bool, match: LogIndex
    ) {
        self.member = member
        self.role = role
        self.promotion = promotion
        self.isLeader = isLeader
        self.isHeard = isHeard
        self.match = match
    }
}
