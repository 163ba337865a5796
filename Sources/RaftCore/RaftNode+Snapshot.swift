extension RaftNode {
    /// Forgets the entries up to `index`, which has to be applied. The base moves there. An index at or before the base has no
    /// effect. The caller holds back what follows `heldByActiveFollowers`, within a bound of its own.
    public mutating func compact(to index: LogIndex) {
        precondition(index <= appliedIndex, "cannot compact to \(index), applied is \(appliedIndex)")
        guard index > log.base.index else { return }
        precondition(
            index <= persistence.syncedIndex, "cannot compact to \(index), synced is \(persistence.syncedIndex)")
        log.compact(to: index)
        configurations.compact(to: index)
    }

    /// The snapshot transfer to `peer` that `Ready.snapshotsWanted` asked for is over, well or not. After a failure the
    /// peer is named again as soon as it is heard.
    public mutating func snapshotFinished(to peer: NodeID, succeeded: Bool) {
        guard let offset = leadership?.offset(of: peer) else { return }
        leadership?.progress[offset].snapshotReported(succeeded: succeeded)
    }

    /// Raft §7. The state machine is already durable at `position`, so what is left to do is to make the log agree.
    ///
    /// A snapshot holds only what is committed, so it counts whatever the term of its sender is by now; only the sender is
    /// then not taken for a leader.
    mutating func handleInstallSnapshot(_ message: Message, position: LogPosition, configuration: Configuration) {
        guard position.index <= Self.indexMax, position.term <= message.term, configuration.problem() == nil,
            !configuration.voters.isEmpty
        else { return }
        if message.term >= term { _ = heardLeader(message.from, term: message.term) }
        guard position.index > commitIndex else {
            sendOnceSynced(.appendAccepted(match: commitIndex), to: message.from)
            return
        }
        precondition(position.index > handedOutIndex, "\(handedOutIndex) was handed out, commit is \(commitIndex)")
        if log.contains(position) && position.index <= persistence.syncedIndex {
            advanceCommit(to: position.index)
        } else {
            // A log is never replaced under a leader or a candidate.
            switch state {
            case .leader, .candidate, .preCandidate: becomeFollower(term: term, leader: nil)
            case .follower: break
            }
            // Nothing after the base was acknowledged to anyone who could count on it: either it conflicts, or it is not
            // synced. It goes first, with the configurations in it (openraft 1808, 0.7.3).
            log.reset(to: position)
            persistence.replaced(by: position)
            withdrawAcknowledgements(after: position.index)
            configurations = ConfigurationHistory(base: position.index, configuration: configuration)
            commitIndex = position.index
        }
        appliedIndex = position.index
        handedOutIndex = position.index
        sendOnceSynced(.appendAccepted(match: position.index), to: message.from)
    }
}
