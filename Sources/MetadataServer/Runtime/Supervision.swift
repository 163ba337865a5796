import NIOCore
import Resilience

/// Judges whether the threads of a node get on. One that has been busy with the same batch for longer than it may be is replaced
/// where that is possible, a few times; where it is not, or does not help, the process ends with the reason: whoever supervises
/// it starts it anew.
struct Supervision: Sendable {
    enum Part: String, CaseIterable, Sendable {
        /// What the coordinator reads.
        case survey
        /// Queries of clients, and the feed for watchers that are behind.
        case read
        /// Checkpoints, and the files of snapshots.
        case background

        /// Longer than any of its batches takes on a disk that works.
        var patience: TimeAmount {
            switch self {
            case .survey: .minutes(5)
            case .read: .minutes(2)
            case .background: .minutes(15)
            }
        }

        /// Whether another thread may take its place while it hangs: it changes nothing that others see.
        var isReplaceable: Bool { self == .survey }
    }

    enum Action: Equatable, Sendable {
        case replace(Part)
        case giveUp(StuckThread)
    }

    private var restarts: [Part: RestartBudget] = [:]
    /// The process ends; once is enough.
    private var hasGivenUp = false

    /// - Parameter busy: since when each is busy with a batch; nil when it is not.
    mutating func check(now: NIODeadline, busy: (Part) -> NIODeadline?) -> [Action] {
        guard !hasGivenUp else { return [] }
        var actions: [Action] = []
        for part in Part.allCases {
            guard let since = busy(part), now - since > part.patience else { continue }
            let stuck = StuckThread(part: part, seconds: (now - since).nanoseconds / 1_000_000_000)
            if part.isReplaceable,
                restarts[part, default: RestartBudget()].spend(now: .nanoseconds(Int64(now.uptimeNanoseconds)))
            {
                actions.append(.replace(part))
            } else {
                hasGivenUp = true
                return actions + [.giveUp(stuck)]
            }
        }
        return actions
    }
}

/// Why a process ended whose thread did not get on.
struct StuckThread: Error, Equatable, CustomStringConvertible {
    var part: Supervision.Part
    var seconds: Int64

    var description: String { "the thread metad-\(part.rawValue) has not got on for \(seconds) s" }
}
