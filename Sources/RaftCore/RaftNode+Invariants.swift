import DequeModule

extension RaftNode {
    /// Stops the program if a rule that must hold between inputs does not. Called after each input in tests and simulation.
    public func checkInvariants() {
        checkIndexes()
        checkPersistence()
        checkConfigurations()
        checkState()
    }

    private func checkIndexes() {
        precondition(log.base.index <= appliedIndex, "base \(log.base) is after applied \(appliedIndex)")
        precondition(appliedIndex <= handedOutIndex, "applied \(appliedIndex) is after handed out \(handedOutIndex)")
        precondition(handedOutIndex <= commitIndex, "handed out \(handedOutIndex) is after commit \(commitIndex)")
        precondition(commitIndex <= log.lastIndex, "commit \(commitIndex) is after the last entry \(log.last)")
        precondition(log.last.term <= term, "the last entry \(log.last) is of a later term than \(term)")
        var last = log.base
        for entry in log.entries {
            precondition(entry.index == last.index.next, "entry \(entry.position) follows \(last)")
            precondition(entry.term >= last.term, "entry \(entry.position) follows \(last)")
            last = entry.position
        }
    }

    private func checkPersistence() {
        precondition(
            handedOutIndex <= persistence.syncedIndex,
            "handed out \(handedOutIndex), but only \(persistence.syncedIndex) is synced")
        precondition(
            persistence.syncedIndex < persistence.nextIndex,
            "synced \(persistence.syncedIndex), next to write \(persistence.nextIndex)")
        precondition(
            persistence.nextIndex <= log.lastIndex.next, "next to write \(persistence.nextIndex), last \(log.lastIndex)"
        )
        precondition(persistence.syncedHardState.term <= term, "synced a term after \(term)")
        var sequence = persistence.doneSequence
        for message in held {
            precondition(
                message.sequence > persistence.doneSequence, "a message is held for the synced \(message.sequence)")
            precondition(message.sequence >= sequence, "held messages are out of order")
            sequence = message.sequence
        }
        precondition(sequence <= persistence.lastSequence, "a message waits for \(sequence), which was not handed out")
    }

    private func checkConfigurations() {
        var expected: LogIndex?
        for entry in log.entries where entry.kind == .configuration { expected = entry.index }
        precondition(
            configurations.currentIndex == expected ?? log.base.index,
            "the configuration at \(configurations.currentIndex) is in effect, the last in the log is at "
                + "\(expected ?? log.base.index)")
    }

    private func checkState() {
        if isRecovering {
            guard case .follower = state else { preconditionFailure("a \(role.rawValue) has lost its log") }
        }
        switch state {
        case .follower(let following):
            precondition(following.leader?.id != id, "\(id) follows itself")
            precondition(following.timeoutTicks > 0, "an election timeout of \(following.timeoutTicks) ticks")
        case .preCandidate(let canvass):
            precondition(canvass.granted.contains(id), "a pre-candidate is for itself")
        case .candidate(let canvass):
            precondition(hardState.vote == id, "a candidate of term \(term) did not vote for itself")
            precondition(
                !canvass.granted.contains(id) || persistence.syncedHardState == hardState,
                "a candidate counts a vote that is not synced")
        case .leader(let leadership):
            check(leadership)
        }
    }

    private func check(_ leadership: Leadership) {
        precondition(hardState.vote == id, "the leader of term \(term) did not vote for itself")
        precondition(persistence.syncedHardState == hardState, "the leader's own vote is not synced")
        let others = configuration.members.lazy.filter { [id] in $0.id != id }
        precondition(
            leadership.progress.elementsEqual(others) { $0.id == $1.id },
            "progress is kept for \(leadership.progress.map(\.id)), members are \(configuration.members.map(\.id))")
        precondition(
            leadership.uncommittedBytes == log.cost(of: commitIndex.next..<log.lastIndex.next),
            "\(leadership.uncommittedBytes) uncommitted bytes counted")
        // Its own no-op is still there, unless it is applied and compacted (Raft §8).
        precondition(
            log.term(at: leadership.firstIndex).map { $0 == term } ?? (leadership.firstIndex < log.base.index),
            "the leader of term \(term) lost its first entry, \(leadership.firstIndex)")
        precondition(
            configuration.isVoter(id) || max(configurations.currentIndex, leadership.firstIndex) > commitIndex,
            "\(id) leads without a vote, by the committed configuration at \(configurations.currentIndex)")
        if let target = leadership.transfer?.target {
            precondition(target != id && configuration.isVoter(target), "leadership is handed to \(target)")
        }
        for peer in leadership.progress {
            precondition(peer.match < peer.next, "\(peer.id): match \(peer.match), next \(peer.next)")
            precondition(peer.match <= log.lastIndex, "\(peer.id) holds \(peer.match), the log ends at \(log.last)")
            precondition(peer.next <= log.lastIndex.next, "\(peer.id): next \(peer.next), the log ends at \(log.last)")
            if peer.state != .replicate(checkDue: true) && peer.state != .replicate(checkDue: false) {
                precondition(peer.inflight.count == 0, "\(peer.id) is not replicating and has appends in flight")
            }
            precondition(peer.ackedRound <= leadership.round, "\(peer.id) answered round \(peer.ackedRound)")
        }
    }
}
