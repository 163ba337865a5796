internal import RaftCore
internal import Replica

/// Somebody with `metactl members`: does one thing at a time, and asks one member after the other until an answer comes.
struct SimulatedOperator {
    enum Order: CustomStringConvertible {
        case change(MembershipChange)
        case transfer(to: NodeID?)

        var change: MembershipChange? {
            switch self {
            case .change(let change): change
            case .transfer: nil
            }
        }

        var description: String {
            switch self {
            case .change(let change): "\(change)"
            case .transfer(let target): "lead: \(target.map { "node \($0)" } ?? "anybody else")"
            }
        }
    }

    struct Task {
        var order: Order
        var target: NodeID
        var attempts = 0
    }

    /// Asked at most so often before it is given up.
    static let attemptsMax = 24

    /// Under way; nil when there is nothing to do.
    var task: Task?
    /// Tells the answer to the latest attempt from late ones.
    var attempt: UInt64 = 0
}
