import RaftCore
import Wire

/// The membership of the quorum, for operators' tools. All of it is the leader's business, and all changes are goals: after an
/// error with an unknown outcome the same call may be made again.
extension MetadataClient {
    /// The members as the leader sees them.
    package func members(timeout: Duration? = nil) async throws(MetadataError) -> MemberList {
        let answer = await ask(.list, timeout: timeout)
        guard case .members(let list) = try Self.unwrap(answer, "members") else {
            throw MetadataError(
                CallFailure(.protocolViolation, .definite, "a list of members was answered without one"),
                operation: "members")
        }
        return list
    }

    /// Changes the members; returns when the change is committed.
    ///
    /// - Returns: why it was refused; nil when it was made.
    package func changeMembers(
        _ change: MembershipChange, isForced: Bool, timeout: Duration? = nil
    ) async throws(MetadataError) -> MembershipRefusal? {
        let request = MembershipRequest(change, isForced: isForced)
        return Self.refusal(try Self.unwrap(await ask(.change(request), timeout: timeout), "changeMembers"))
    }

    /// Has another voter lead; returns when it does.
    ///
    /// - Returns: why it was refused, or did not come about; nil when `target` leads.
    package func transferLeadership(
        to target: NodeID, timeout: Duration? = nil
    ) async throws(MetadataError) -> MembershipRefusal? {
        Self.refusal(try Self.unwrap(await ask(.transfer(to: target), timeout: timeout), "transferLeadership"))
    }

    private static func unwrap(
        _ answer: Result<MembershipAnswer, CallFailure>, _ operation: String
    ) throws(MetadataError) -> MembershipAnswer {
        try answer.mapError { MetadataError($0, operation: operation) }.get()
    }

    private static func refusal(_ answer: MembershipAnswer) -> MembershipRefusal? {
        switch answer {
        case .members, .done: nil
        case .refused(let refusal): refusal
        }
    }
}
