/// What a member still owes that lost its log, or whose log was damaged and begun anew.
///
/// Entries that it acknowledged before may have been committed because of that, and may be missing here now. So it grants no
/// vote and no pre-vote and never campaigns until it provably holds all of them again (Alagappan et al., Protocol-Aware
/// Recovery for Consensus-Based Storage, FAST 2018). Everything else goes on: what it acknowledges it holds.
struct Recovery: Sendable {
    enum State: Sendable, Equatable {
        /// No leader of this term has said yet how far its log reaches. Exits: `catchingUp` by the answer to this life's
        /// latest attempt.
        case asking
        /// Exits: the end of the recovery when the log is committed and synced here up to `target`; `asking` when another
        /// term begins, since its leader's log may be shorter than `target` for long.
        case catchingUp(target: LogIndex)
    }

    var state = State.asking
    /// Unique for each attempt, as with `ForwardedReads`: an answer to an earlier life must not satisfy this one. Nil when
    /// none was sent in this term.
    var attempt: UInt64?
    /// What was committed and synced here when the attempt left.
    var reported: LogIndex = .zero
    var elapsedTicks = 0
}

extension RaftNode {
    /// True while this member may lack entries that it acknowledged in an earlier life: it takes no part in elections.
    public var isRecovering: Bool { recovery != nil }

    // The recovering member

    /// Asks the leader how far its log reaches, and asks again when nothing comes of it.
    mutating func askForTarget() {
        guard var current = recovery, let leader = following?.leader else { return }
        let held = recoveredIndex
        guard current.attempt == nil || isStuck(current, held: held) else { return }
        current.attempt = nextReadAttempt
        nextReadAttempt &+= 1
        current.reported = held
        current.elapsedTicks = 0
        recovery = current
        send(.recoveryRequest(id: nextReadAttempt &- 1, held: held), to: leader.id)
    }

    /// A request or its answer may get lost; and a leader that has not heard of the loss believes this member to hold what it
    /// once acknowledged, and would send nothing that fits.
    private func isStuck(_ current: Recovery, held: LogIndex) -> Bool {
        switch current.state {
        case .asking: current.elapsedTicks >= options.heartbeatTicks * Self.readRetryHeartbeats
        case .catchingUp: held == current.reported && current.elapsedTicks >= options.electionTimeoutTicks
        }
    }

    mutating func handleRecoveryResponse(_ message: Message, attempt: UInt64, target: LogIndex) {
        guard message.term == term, following?.leader?.id == message.from, recovery?.attempt == attempt,
            case .asking? = recovery?.state, target <= Self.indexMax
        else { return }
        recovery?.state = .catchingUp(target: target)
    }

    /// Takes part again once everything that may have been counted is here: committed, so that it is what the leader has and
    /// not what an earlier one left at these indexes, and synced.
    mutating func concludeRecovery() {
        guard case .catchingUp(let target)? = recovery?.state, recoveredIndex >= target else { return }
        recovery = nil
        isRecovered = true
    }

    /// What an answer in an earlier term said still holds, but nobody may reach it in this one.
    mutating func restartRecovery() {
        if recovery != nil { recovery = Recovery() }
    }

    private var recoveredIndex: LogIndex { min(commitIndex, persistence.syncedIndex) }

    // The leader

    /// A member has lost its log: what it once acknowledged is no measure any more. Its target is the end of the log of a
    /// leader that has committed in its term: every entry that was committed in this term or before is in there, and the
    /// asking member has acknowledged nothing in a later one.
    mutating func handleRecoveryRequest(_ message: Message, attempt: UInt64, held: LogIndex) {
        guard let offset = offsetOfAnswering(message), held <= log.lastIndex else { return }
        leadership?.progress[offset].lostLog(after: held)
        guard let firstIndex = leadership?.firstIndex, commitIndex >= firstIndex else { return }
        send(.recoveryResponse(id: attempt, target: log.lastIndex), to: message.from)
    }
}
