import RaftCore
import Wire

/// What is asked of the membership. Goals, so that asking again after a lost answer does no harm.
enum MembershipCall: Hashable, Sendable {
    case list
    case change(MembershipRequest)
    case transfer(to: NodeID)

    var request: ClientRequest {
        switch self {
        case .list: .members
        case .change(let request): .changeMembers(request)
        case .transfer(let target): .transferLeadership(to: target)
        }
    }
}

enum MembershipAnswer: Hashable, Sendable {
    /// The members: what was asked for, or what a change has led to.
    case members(MemberList)
    /// Done already by an earlier attempt, whose answer was lost.
    case done
    case refused(MembershipRefusal)
}

extension MembershipAnswer {
    /// - Parameter mayHaveHappened: an earlier attempt may have been carried out; that a member is unknown is then the news
    ///   that it was removed.
    init(_ refusal: MembershipRefusal, to call: MembershipCall, mayHaveHappened: Bool) {
        if mayHaveHappened, refusal.reason == .unknownMember, case .change(let request) = call,
            case .remove = request.change
        {
            self = .done
        } else {
            self = .refused(refusal)
        }
    }
}
