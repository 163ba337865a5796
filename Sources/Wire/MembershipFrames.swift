package import RaftCore

/// What an operator asks of the membership. `docs/operations/members.md` says what each change does.
package struct MembershipRequest: Hashable, Sendable {
    package var change: MembershipChange
    /// Also when the quorum that would be left was not heard lately.
    package var isForced: Bool

    package init(_ change: MembershipChange, isForced: Bool) {
        self.change = change
        self.isForced = isForced
    }
}
