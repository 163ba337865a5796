import DequeModule

extension RaftNode {
    /// Every write up to and including `sequence` is on stable storage. A sequence reported before has no effect.
    public mutating func persisted(_ sequence: UInt64) {
        precondition(
            sequence <= persistence.lastSequence,
            "write \(sequence) is reported, but only \(persistence.lastSequence) were handed out")
        guard sequence > persistence.doneSequence else { return }
        persistence.done(sequence)
        while let first = held.first, first.sequence <= sequence {
            held.removeFirst()
            release(first.message)
        }
        switch state {
        case .candidate: countOwnVote()
        case .leader: commitAsLeader()
        case .follower, .preCandidate: break
        }
    }

    /// Ties the messages that wait for the present state to the write that contains it: the last one that was handed out.
    mutating func tieRestingMessages() {
        guard !resting.isEmpty else { return }
        let sequence = persistence.lastSequence
        for message in resting {
            if persistence.isIdle {
                release(message)
            } else if !mergeIntoLastHeld(message, sequence: sequence) {
                held.append(HeldMessage(sequence: sequence, message: message))
            }
        }
        resting.removeAll(keepingCapacity: true)
    }

    /// Entries after `index` were dropped while their write is under way: nobody must be told that they are synced, since the
    /// leader of this very term would count them.
    mutating func withdrawAcknowledgements(after index: LogIndex) {
        func isVoid(_ message: Message) -> Bool {
            if case .appendAccepted(let match) = message.kind { match > index } else { false }
        }
        held.removeAll { isVoid($0.message) }
        resting.removeAll(where: isVoid)
    }

    /// A promise made in an earlier term is worth nothing by now.
    private mutating func release(_ message: Message) {
        if message.term == term { outbox.append(message) }
    }

    /// While a disk hangs, acknowledgements of probes would pile up; the furthest one says it all.
    private mutating func mergeIntoLastHeld(_ message: Message, sequence: UInt64) -> Bool {
        guard let last = held.last, last.sequence == sequence, last.message.to == message.to,
            last.message.term == message.term,
            case .appendAccepted(let earlier) = last.message.kind, case .appendAccepted(let match) = message.kind
        else { return false }
        held[held.count - 1].message.kind = .appendAccepted(match: max(earlier, match))
        return true
    }
}
