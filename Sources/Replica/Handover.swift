internal import MetadataModel
internal import RaftCore

/// A change of leader that this member brings about itself (Diss. §3.10). Whoever writes meanwhile waits until it is known who
/// leads, and is then sent there: a client that is refused at once has to search, which takes longer than the change.
struct Handover {
    private enum State {
        /// Exit: `leaving`.
        case none
        /// This member leads in this term and has asked another to take over; writes gather. Exits: `waiting` when somebody has
        /// asked for votes in a later term; `none` when it leads on, gave up by itself, or knows the next leader already.
        case leaving(Term)
        /// Nobody is known to lead. Exit: `none` when somebody is, or after an election timeout.
        case waiting(Waiting)
    }

    struct Waiting {
        /// Writes that stood in the log: nobody knows what becomes of them.
        var lost: [RequestToken] = []
        /// Writes that were never proposed.
        var refused: [RequestToken] = []
        var elapsedTicks = 0
    }

    /// Writes that wait at a time; beyond it they are refused.
    static let writesMax = 4_096
    /// The same in bytes of their commands, as long as they may still be proposed here.
    static let bytesMax = 16 << 20

    private var state = State.none

    /// Writes gather and are not proposed.
    var isLeaving: Bool { if case .leaving = state { true } else { false } }
    /// The successor is not known yet.
    var isWaiting: Bool { if case .waiting = state { true } else { false } }

    mutating func tick() {
        guard case .waiting(var waiting) = state else { return }
        waiting.elapsedTicks += 1
        state = .waiting(waiting)
    }

    /// Takes note of what the core has become.
    ///
    /// - Returns: who has waited for long enough.
    mutating func observe(_ core: borrowing RaftNode) -> Waiting? {
        switch state {
        case .none:
            if core.transferTarget != nil { state = .leaving(core.status.term) }
        case .leaving(let term):
            guard core.transferTarget == nil else { return nil }
            let isSucceeded = core.status.term > term && core.status.leader == nil
            state = isSucceeded ? .waiting(Waiting()) : .none
        case .waiting(let waiting):
            guard core.status.leader != nil || waiting.elapsedTicks >= core.options.electionTimeoutTicks else {
                return nil
            }
            state = .none
            return waiting
        }
        return nil
    }

    /// - Returns: false when the write cannot wait.
    mutating func waits(_ token: RequestToken, wasProposed: Bool) -> Bool {
        guard case .waiting(var waiting) = state, waiting.lost.count + waiting.refused.count < Self.writesMax else {
            return false
        }
        state = .none
        if wasProposed { waiting.lost.append(token) } else { waiting.refused.append(token) }
        state = .waiting(waiting)
        return true
    }
}
