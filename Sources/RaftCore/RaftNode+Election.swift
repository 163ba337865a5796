extension RaftNode {
    // Inputs

    /// Asks for pre-votes at once, as if the election timeout had just run out. For tools and tests: a leader that the others
    /// hear stays in office. Has no effect on a leader, or on a member that does not vote.
    public mutating func campaign() {
        if case .leader = state { return }
        if isElectable { startPreVote() }
    }

    /// A connection to `peer` was closed; `refused` says that connecting again was refused, so its process is gone.
    ///
    /// A hint, never a proof. If `peer` is this member's leader, it stops being a reason to refuse others a vote, and after a
    /// refusal this member asks for pre-votes after a short random delay instead of the full timeout. A leader that the majority
    /// still hears is not disturbed: the majority refuses the pre-vote.
    public mutating func connectionClosed(to peer: NodeID, refused: Bool) {
        guard let leader = following?.leader, leader.id == peer else { return }
        following?.leader?.isLinkLost = true
        if refused { hurry() }
    }

    /// Asks for pre-votes after a short random delay instead of the full timeout.
    private mutating func hurry() {
        guard let current = following else { return }
        let delay = 1 + generator.below(max(1, options.electionTimeoutTicks / 4))
        following?.timeoutTicks = min(current.timeoutTicks, current.elapsedTicks + delay)
    }

    // Ticks

    mutating func tickFollower() {
        following?.elapsedTicks += 1
        tickForwardedReads()
        if let current = following, current.elapsedTicks >= current.timeoutTicks { electionTimedOut() }
    }

    mutating func tickCanvass() {
        switch state {
        case .preCandidate(var canvass):
            canvass.elapsedTicks += 1
            state = .preCandidate(canvass)
            if canvass.elapsedTicks >= canvass.timeoutTicks { electionTimedOut() }
        case .candidate(var canvass):
            canvass.elapsedTicks += 1
            state = .candidate(canvass)
            if canvass.elapsedTicks >= canvass.timeoutTicks { electionTimedOut() }
        case .follower, .leader:
            preconditionFailure("a \(role.rawValue) has no votes to wait for")
        }
    }

    private mutating func electionTimedOut() {
        if isElectable || following?.isSought == true && mayStandWithoutVote {
            startPreVote()
        } else {
            // A member that does not vote only forgets a leader that is silent, so that nobody is sent to it.
            becomeFollower(term: term, leader: nil)
        }
    }

    // Requests for votes

    /// Diss. §9.6: answers for the term asked for, and changes no term or vote here.
    mutating func handlePreVoteRequest(_ message: Message, last: LogPosition) {
        let granted =
            message.term > term && !hearsLeader && isUpToDate(last) && !configuration.voters.isEmpty
            && isMeant(by: configuration) && !isRecovering
        let answer = Message(
            from: id, to: message.from, term: granted ? message.term : term, kind: .preVoteResponse(granted: granted))
        outbox.append(answer)
        if !isUpToDate(last), !hearsLeader, mayStandWithoutVote {
            following?.isSought = true
            hurry()
        }
    }

    mutating func handleVoteRequest(_ message: Message, last: LogPosition, transfer: Bool) {
        if message.term > term {
            // Stickiness (Diss. §4.2.3): while a leader is heard, nobody else makes this member move to another term.
            guard transfer || !hearsLeader else { return }
            becomeFollower(term: message.term, leader: nil)
        }
        guard message.term == term else {
            send(.voteResponse(granted: false), to: message.from)
            return
        }
        // A vote is given once. The request for it is sent once, so another one is a copy, or that of another disk under the name.
        guard hardState.vote != message.from else { return }
        // A member without any configuration has been part of nothing yet: it may be a wiped disk under an old name, and is one if
        // its configuration means another. One that lost its log cannot judge whether the candidate's holds what was committed
        // with its help.
        guard hardState.vote == nil, leader == nil, isUpToDate(last), !configuration.voters.isEmpty,
            isMeant(by: configuration), !isRecovering, case .follower = state
        else {
            send(.voteResponse(granted: false), to: message.from)
            return
        }
        precondition(message.from != id, "a member grants itself its vote only by campaigning")
        hardState.vote = message.from
        following?.elapsedTicks = 0
        following?.isSought = false
        sendOnceSynced(.voteResponse(granted: true), to: message.from)
    }

    /// Diss. §3.10: the leader asks this member to take over.
    mutating func handleTimeoutNow(_ message: Message) {
        guard message.term == term, leader == message.from, isElectable else { return }
        startElection(transfer: true)
    }

    // Answers

    mutating func handlePreVoteResponse(_ message: Message, granted: Bool) {
        guard configuration.isVoter(message.from) else { return }
        if !granted && message.term > term {
            becomeFollower(term: message.term, leader: nil)
            return
        }
        guard case .preCandidate(var canvass) = state, message.term == (granted ? term.next : term) else { return }
        canvass.count(message.from, granted: granted)
        state = .preCandidate(canvass)
        concludePreVote(canvass)
    }

    mutating func handleVoteResponse(_ message: Message, granted: Bool) {
        guard configuration.isVoter(message.from) else { return }
        if message.term > term {
            becomeFollower(term: message.term, leader: nil)
            return
        }
        guard case .candidate(var canvass) = state, message.term == term else { return }
        canvass.count(message.from, granted: granted)
        state = .candidate(canvass)
        concludeElection(canvass)
    }

    /// A write is synced: the candidate's own vote may count from now on.
    mutating func countOwnVote() {
        guard case .candidate(var canvass) = state, persistence.syncedHardState == hardState else { return }
        precondition(
            hardState.vote == id, "a candidate votes for itself, not for \(String(describing: hardState.vote))")
        canvass.count(id, granted: true)
        state = .candidate(canvass)
        concludeElection(canvass)
    }

    // Transitions

    mutating func startPreVote() {
        if case .leader = state { preconditionFailure("leader of term \(term) asks for pre-votes") }
        leaveState()
        let canvass = Canvass(granted: [id], timeoutTicks: randomTimeout())
        state = .preCandidate(canvass)
        // With term and vote still on their way to the disk nobody could be told of another term; a hung disk would
        // otherwise count terms up all alone.
        guard persistence.syncedHardState == hardState else { return }
        for peer in configuration.allVoters where peer != id {
            outbox.append(
                Message(from: id, to: peer, term: term.next, kind: .preVoteRequest(last: log.last)))
        }
        concludePreVote(canvass)
    }

    private mutating func concludePreVote(_ canvass: Canvass) {
        if configuration.hasMajority(where: canvass.granted.contains) {
            // A late snapshot may have told it meanwhile that its removal is committed.
            if isElectable || mayStandWithoutVote {
                startElection(transfer: false)
            } else {
                becomeFollower(term: term, leader: nil)
            }
        } else if !configuration.hasMajority(where: { !canvass.rejected.contains($0) }) {
            becomeFollower(term: term, leader: nil)
        }
    }

    /// Raft §5.2: a new term, a vote for itself, and requests to all voters once both are synced.
    private mutating func startElection(transfer: Bool) {
        precondition(!isRecovering, "\(id) has lost its log")
        precondition(term < Self.termMax, "terms are used up")
        leaveState()
        hardState = HardState(term: term.next, vote: id)
        state = .candidate(Canvass(timeoutTicks: randomTimeout()))
        for peer in configuration.allVoters where peer != id {
            sendOnceSynced(.voteRequest(last: log.last, transfer: transfer), to: peer)
        }
    }

    private mutating func concludeElection(_ canvass: Canvass) {
        if configuration.hasMajority(where: canvass.granted.contains) && canvass.granted.contains(id) {
            becomeLeader()
        } else if !configuration.hasMajority(where: { !canvass.rejected.contains($0) }) {
            becomeFollower(term: term, leader: nil)
        }
    }

    private mutating func becomeLeader() {
        precondition(persistence.syncedHardState == hardState, "elected in \(term) with a vote that is not synced")
        guard case .candidate = state else { preconditionFailure("a \(role.rawValue) cannot win an election") }
        let next = log.lastIndex.next
        let uncommitted = log.cost(of: commitIndex.next..<next)
        let progress = configuration.members.map(\.id).filter { $0 != id }.map { Progress($0, next: next) }
        state = .leader(Leadership(progress: progress, firstIndex: next, uncommittedBytes: uncommitted))
        // An entry of its own term lets it commit those of earlier terms (Raft §5.4.2, §8).
        // Its appends, sent to everyone at once, announce the leader; heartbeats follow.
        appendOwn([[]], kind: .noop)
    }

    /// A message of the leader of `term` has arrived, which is not older than ours.
    ///
    /// - Returns: false when it cannot be what it says it is, and must be ignored.
    mutating func heardLeader(_ leader: NodeID, term: Term) -> Bool {
        precondition(term >= self.term, "a message of term \(term) arrived late, now is \(self.term)")
        if term == self.term {
            switch state {
            case .leader:
                return false
            case .follower(let following):
                if let known = following.leader, known.id != leader { return false }
            case .preCandidate, .candidate:
                break
            }
        }
        if term == self.term, following?.leader != nil {
            let timeout = randomTimeout()
            following?.leader?.isLinkLost = false
            following?.isSought = false
            following?.elapsedTicks = 0
            following?.timeoutTicks = timeout
        } else {
            becomeFollower(term: term, leader: leader)
        }
        return true
    }

    mutating func becomeFollower(term: Term, leader: NodeID?) {
        precondition(term >= self.term, "the term falls from \(self.term) to \(term)")
        precondition(leader != id, "\(id) cannot follow itself")
        if term > self.term {
            hardState = HardState(term: term, vote: nil)
            restartRecovery()
        }
        leaveState()
        state = .follower(
            Following(leader: leader.map { KnownLeader(id: $0) }, elapsedTicks: 0, timeoutTicks: randomTimeout()))
    }

    /// Drops what only the present state can answer for.
    private mutating func leaveState() {
        switch state {
        case .leader:
            dropLeaderReads()
            snapshotsWanted.removeAll()
        case .follower: dropForwardedReads()
        case .preCandidate, .candidate: break
        }
    }

    // Queries

    /// Voters campaign by themselves; a removed member does not (Raft §6).
    var isElectable: Bool { votes(by: configuration) && mayCampaign }

    /// Who lost its log does not campaign. Nor does anybody once the terms are used up, which takes a member that inflates them on
    /// purpose.
    private var mayCampaign: Bool { !isRecovering && term < Self.termMax }

    /// Whether a configuration has a vote for this member.
    func votes(by configuration: Configuration) -> Bool { configuration.isVoter(id) && isMeant(by: configuration) }

    /// Whether a configuration means this member where it has its name. Who comes again with an empty disk receives the whole log
    /// again, and with it configurations by which its name, even alone, was a majority: they mean the disk before it, which
    /// had acknowledged what followed (KIP-853). Disks that are not named yet, which is so until a cluster's first leader names
    /// them, are those of members that began with a log.
    private func isMeant(by configuration: Configuration) -> Bool {
        guard disk != .unknown, let named = configuration.member(id)?.disk else { return true }
        return named == .unknown ? !hasJoined : named == disk
    }

    /// A member without a vote by its own log may stand where somebody asked for its vote who cannot have it. A change that gives
    /// it one, or takes it, may be known to a few only: those who need that vote may go by another configuration, and nobody may
    /// be electable but who holds the later entries that are here. Its own vote does not count (Diss. §4.2.2), and once its first
    /// entry is committed it hands over.
    ///
    /// Not while another disk may vote under its name, by a configuration that is not known to be superseded.
    private var mayStandWithoutVote: Bool {
        let inForce = configurations.inForce(committed: commitIndex)
        return !votes(by: configuration) && mayCampaign
            && inForce.allSatisfy(isMeant) && inForce.contains { $0.member(id) != nil }
    }

    /// Stickiness: this member leads, or has heard its leader within the minimum election timeout and has no sign that
    /// the connection is gone.
    var hearsLeader: Bool {
        switch state {
        case .leader:
            return true
        case .follower(let following):
            guard let leader = following.leader, !leader.isLinkLost else { return false }
            return following.elapsedTicks < options.electionTimeoutTicks
        case .preCandidate, .candidate:
            return false
        }
    }

    /// Raft §5.4.1: the log with the later last term, or the longer one, is the more up-to-date.
    private func isUpToDate(_ last: LogPosition) -> Bool {
        let own = log.last
        return last.term > own.term || last.term == own.term && last.index >= own.index
    }
}

extension RaftNode.Canvass {
    /// Counts an answer; the first one of each member stands.
    mutating func count(_ member: NodeID, granted isGranted: Bool) {
        guard !granted.contains(member), !rejected.contains(member) else { return }
        if isGranted { granted.append(member) } else { rejected.append(member) }
    }
}
