extension RaftNode {
    /// Asks for a linearizable read (ReadIndex, Diss. §6.4). On a leader it joins the next round of heartbeats; a follower
    /// asks its leader. The answer comes in `Ready.reads` or `Ready.droppedReads` with this id.
    ///
    /// - Returns: false when no leader is known or too many reads wait; there will be no answer.
    public mutating func read(id: UInt64) -> Bool {
        switch state {
        case .leader(let leadership):
            guard leadership.reads.count < options.pendingReadsMax else { return false }
        case .follower(let following):
            guard let leader = following.leader, leader.reads.count < options.pendingReadsMax else { return false }
        case .preCandidate, .candidate:
            return false
        }
        // The copies above are gone by now: the queues below grow in place.
        leadership?.reads.waiting.append(.local(id))
        following?.leader?.reads.waiting.append(id)
        return true
    }

    // The leader's side

    mutating func handleReadIndexRequest(_ message: Message, attempt: UInt64) {
        guard case .leader = state, configuration.member(message.from) != nil, message.term <= term,
            let count = leadership?.reads.count, count < options.pendingReadsMax
        else {
            send(.readIndexResponse(id: attempt, index: nil), to: message.from)
            return
        }
        leadership?.reads.waiting.append(.peer(message.from, attempt: attempt))
    }

    /// Lets the waiting reads leave with a round of heartbeats, once an entry of this term is committed: before that the
    /// commit index may lag behind what an earlier leader answered.
    mutating func startReadRound() {
        guard case .leader(let leadership) = state, leadership.reads.inFlight == nil,
            !leadership.reads.waiting.isEmpty, commitIndex >= leadership.firstIndex
        else { return }
        precondition(log.term(at: commitIndex) == term, "reads at \(commitIndex), which is not of term \(term)")
        broadcastHeartbeat()
        let round = ReadQueue.Round(
            number: leadership.round + 1, index: commitIndex, reads: leadership.reads.waiting)
        self.leadership?.reads.inFlight = round
        self.leadership?.reads.waiting = []
        concludeReadRound()
    }

    /// Answers the round in flight if a quorum has confirmed that this member still led after it left.
    mutating func concludeReadRound() {
        guard case .leader(let leadership) = state, let round = leadership.reads.inFlight else { return }
        precondition(round.number <= leadership.round, "round \(round.number) is ahead of \(leadership.round)")
        let isConfirmed = configuration.hasMajority { member in
            if member == id { return true }
            guard let offset = leadership.offset(of: member) else { return false }
            return leadership.progress[offset].ackedRound >= round.number
        }
        guard isConfirmed else { return }
        self.leadership?.reads.inFlight = nil
        for read in round.reads {
            switch read {
            case .local(let id): confirmedReads.append(ConfirmedRead(id: id, index: round.index))
            case .peer(let peer, let attempt): send(.readIndexResponse(id: attempt, index: round.index), to: peer)
            }
        }
    }

    /// Leadership is lost: nothing that waits can be confirmed any more.
    mutating func dropLeaderReads() {
        guard case .leader(let leadership) = state else { return }
        for read in leadership.reads.all {
            switch read {
            case .local(let id): droppedReads.append(id)
            case .peer(let peer, let attempt): send(.readIndexResponse(id: attempt, index: nil), to: peer)
            }
        }
        self.leadership?.reads = ReadQueue()
    }

    // The follower's side

    /// Sends one request for all reads that wait, unless one is under way.
    mutating func flushForwardedReads() {
        guard case .follower(let following) = state, let leader = following.leader,
            leader.reads.inFlight == nil, !leader.reads.waiting.isEmpty
        else { return }
        let attempt = nextReadAttempt
        nextReadAttempt &+= 1
        self.following?.leader?.reads = ForwardedReads(
            waiting: [], inFlight: ForwardedReads.Attempt(id: attempt, reads: leader.reads.waiting))
        send(.readIndexRequest(id: attempt), to: leader.id)
    }

    /// A request or its answer may get lost: it is asked again, as another attempt.
    mutating func tickForwardedReads() {
        guard case .follower(let following) = state, let leader = following.leader,
            let attempt = leader.reads.inFlight
        else { return }
        if attempt.elapsedTicks + 1 < options.heartbeatTicks * Self.readRetryHeartbeats {
            self.following?.leader?.reads.inFlight?.elapsedTicks += 1
        } else {
            self.following?.leader?.reads = ForwardedReads(waiting: leader.reads.all, inFlight: nil)
        }
    }

    mutating func handleReadIndexResponse(_ message: Message, attempt: UInt64, index: LogIndex?) {
        guard case .follower(let following) = state, let leader = following.leader, leader.id == message.from,
            let pending = leader.reads.inFlight, pending.id == attempt
        else { return }
        self.following?.leader?.reads.inFlight = nil
        if let index {
            confirmedReads += pending.reads.map { ConfirmedRead(id: $0, index: index) }
        } else {
            droppedReads += pending.reads
        }
    }

    mutating func dropForwardedReads() {
        guard case .follower(let following) = state, let leader = following.leader else { return }
        droppedReads += leader.reads.all
        self.following?.leader?.reads = ForwardedReads()
    }

    /// A forwarded read is asked again after this many heartbeat intervals without an answer.
    static let readRetryHeartbeats = 2
}
