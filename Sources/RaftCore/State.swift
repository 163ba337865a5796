extension RaftNode {
    /// What this member takes part as, with everything that is valid only then.
    enum State: Sendable {
        /// Follows a leader, known or not; also the state of a learner.
        /// Exits: the timeout to `preCandidate`, of a learner only when it is sought; the leader's `timeoutNow` to
        /// `candidate`.
        case follower(Following)
        /// Asks whether an election could be won, without touching any term (Diss. §9.6).
        /// Exits: a quorum of grants to `candidate`; a quorum of refusals, a leader, or a higher term to `follower`; the
        /// timeout back to itself, or to `follower` where it is not electable.
        case preCandidate(Canvass)
        /// Asks for votes in a term of its own (Raft §5.2).
        /// Exits: a quorum of votes to `leader`; a quorum of refusals, a leader, or a higher term to `follower`; the timeout
        /// to `preCandidate`, or to `follower` where it is not electable.
        case candidate(Canvass)
        /// Exits: a higher term, no quorum heard within an election timeout, or an entry committed by a configuration in which
        /// it does not vote, to `follower`.
        case leader(Leadership)
    }

    struct Following: Sendable {
        var leader: KnownLeader?
        /// Ticks since the leader was heard, a vote was granted, or this state was entered.
        var elapsedTicks: Int
        /// Asks for pre-votes when `elapsedTicks` reaches it, or forgets the leader where it may not.
        var timeoutTicks: Int
        /// Of a member without a vote: its pre-vote was asked for and could not be given, and since then no leader was heard and
        /// no vote granted.
        var isSought = false
    }

    struct KnownLeader: Sendable {
        let id: NodeID
        /// The connection to it was closed and it was not heard since: this member's stickiness is off.
        var isLinkLost = false
        var reads = ForwardedReads()
    }

    struct Canvass: Sendable {
        /// Who said yes, and who said no; disjoint, each member at most once. Includes this member itself once its own vote
        /// is synced (a pre-vote has nothing to sync).
        var granted: [NodeID] = []
        var rejected: [NodeID] = []
        var elapsedTicks = 0
        var timeoutTicks: Int
    }

    struct Leadership: Sendable {
        /// One for each other member of the configuration in effect, ordered by id.
        var progress: [Progress]
        /// The index of the entry that opened this term: nothing may be read, and no configuration changed, before it is
        /// committed (Diss. §6.4, erratum of §4.1).
        let firstIndex: LogIndex
        /// What the entries after the commit index are charged with.
        var uncommittedBytes: Int
        var heartbeatElapsedTicks = 0
        /// Grows by one with each broadcast of heartbeats.
        var round: UInt64 = 0
        var reads = ReadQueue()
        var transfer: Transfer?

        func offset(of peer: NodeID) -> Int? { progress.firstIndex { $0.id == peer } }

        /// Adds everything that may leave for the other members now; returns those that need a snapshot.
        mutating func sendAppends(
            log: EntryLog, commit: LogIndex, options: Options, into appends: inout [(peer: NodeID, kind: Message.Kind)]
        ) -> [NodeID] {
            var kinds: [Message.Kind] = []
            var snapshotsWanted: [NodeID] = []
            for offset in progress.indices {
                let wantsSnapshot = progress[offset].sendAppends(
                    log: log, commit: commit, options: options, into: &kinds)
                let peer = progress[offset].id
                if wantsSnapshot { snapshotsWanted.append(peer) }
                for kind in kinds { appends.append((peer, kind)) }
                kinds.removeAll(keepingCapacity: true)
            }
            return snapshotsWanted
        }

        /// Heartbeats to everyone, in a new round.
        mutating func heartbeats(commit: LogIndex) -> [(peer: NodeID, kind: Message.Kind)] {
            round += 1
            heartbeatElapsedTicks = 0
            return progress.indices.map { (progress[$0].id, progress[$0].heartbeat(commit: commit, round: round)) }
        }

        /// What is known of a member; nil when nothing is.
        func progress(of id: NodeID) -> Progress? { offset(of: id).map { progress[$0] } }
    }

    /// A leadership transfer that is under way (Diss. §3.10).
    struct Transfer: Sendable {
        let target: NodeID
        /// It is given up after an election timeout.
        var elapsedTicks = 0
        /// The target is heard, and has not been asked since.
        var isAskDue = true
    }

    struct HeldMessage: Sendable {
        /// The message leaves once this write is synced.
        var sequence: UInt64
        var message: Message
    }

    /// The leader's part of the state, to be changed in place; nil, and changes are lost, in any other state.
    ///
    /// The payload is moved out of the enum while it is changed, so that its arrays are not copied. Nobody can see the
    /// stand-in: `self` is exclusively accessed for that long.
    var leadership: Leadership? {
        get {
            guard case .leader(let leadership) = state else { return nil }
            return leadership
        }
        _modify {
            var moved: Leadership?
            if case .leader(let leadership) = state {
                moved = leadership
                state = .vacant
            }
            defer { if let moved { state = .leader(moved) } }
            yield &moved
        }
    }

    /// The follower's part of the state, to be changed in place; nil, and changes are lost, in any other state.
    var following: Following? {
        get {
            guard case .follower(let following) = state else { return nil }
            return following
        }
        _modify {
            var moved: Following?
            if case .follower(let following) = state {
                moved = following
                state = .vacant
            }
            defer { if let moved { state = .follower(moved) } }
            yield &moved
        }
    }
}

extension RaftNode.State {
    /// Stands in while a payload is moved out.
    fileprivate static let vacant = RaftNode.State.follower(
        RaftNode.Following(leader: nil, elapsedTicks: 0, timeoutTicks: 1))
}
