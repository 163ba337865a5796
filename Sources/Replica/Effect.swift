package import Coordination
package import MetadataModel
package import RaftCore

/// Names a request of a client to whoever runs the replica; the replica only hands it back.
package struct RequestToken: Hashable, Sendable {
    package var connection: UInt64
    package var request: UInt64

    package init(connection: UInt64, request: UInt64) {
        self.connection = connection
        self.request = request
    }
}

/// A write as a client asks for it.
package struct WriteIntent: Hashable, Sendable {
    package var session: SessionID?
    package var sequence: UInt64
    package var acknowledgedBelow: UInt64
    /// The encoded command; the replica does not look into it.
    package var command: [UInt8]
    /// From then on nobody waits for it, on the clock of the replica: it is not proposed any more.
    package var deadline: UInt64

    package init(
        session: SessionID?, sequence: UInt64, acknowledgedBelow: UInt64, command: [UInt8], deadline: UInt64 = .max
    ) {
        self.session = session
        self.sequence = sequence
        self.acknowledgedBelow = acknowledgedBelow
        self.command = command
        self.deadline = deadline
    }
}

/// What became of a write.
package enum WriteReply: Hashable, Sendable {
    case outcome(CommandOutcome)
    /// Not appended anywhere.
    case notLeader(NodeID?)
    /// Not appended anywhere; try again later.
    case overloaded
    /// Not appended anywhere: it would make the state larger, and the disk is nearly full.
    case diskFull
    /// Not appended anywhere: its deadline passed while it waited.
    case expired
    /// Appended, and this member stopped leading before it was applied: the outcome is not known here.
    case leadershipLost(NodeID?)
}

/// Why a read is not served here.
package enum ReadRefusal: Hashable, Sendable {
    case noLeader
    /// Leadership changed or the leader did not answer while the read was being confirmed.
    case unconfirmed
    /// Too many reads wait already.
    case overloaded
    /// `stale(maxLag)`: nothing was heard from a leader for this long.
    case tooStale(milliseconds: UInt64)
    /// This member's state is damaged, or not whole again since it was.
    case repairing
}

/// What whoever runs the replica has to do. Effects are done in order; none has to be waited for before the next input.
package enum Effect: Sendable, Equatable {
    /// To the log thread; reported with `Replica.persisted(_:)`.
    case persist(Persist)
    case send([Message])
    /// To the apply thread; one at a time, reported with `Replica.applied(_:)`.
    case apply([Entry])
    case replyWrite(RequestToken, WriteReply)
    /// The state machine has applied far enough: answer these now.
    case serveReads([RequestToken])
    case refuseReads([RequestToken], ReadRefusal)
    case replyHeartbeat(RequestToken, HeartbeatReply)
    case replyMembership(RequestToken, MembershipReply)
    /// Checkpoint the state machine's database; one at a time, reported with `Replica.checkpointed(_:)`.
    case checkpoint
    /// Entries up to this position are not needed any more.
    case compactLog(LogPosition)
    /// Send the follower a copy of the state machine; reported with `Replica.snapshotSent(to:succeeded:)`.
    case sendSnapshot(NodeID)
    /// Replace the state machine by the snapshot that was announced with `Replica.snapshotReceived`; no apply is under way
    /// and none starts before `Replica.snapshotInstalled(_:)` or `snapshotInstallFailed()`.
    case installSnapshot(IncomingSnapshot)
    /// The snapshot is not needed any more; nothing of it was installed.
    case discardSnapshot(IncomingSnapshot)
    /// Role, term or leader changed.
    case statusChanged(Status)
    /// To another member, as far as it can be reached now; it may get lost.
    case notify(NodeID, PeerNotice)
    /// This member's log and state machine have to begin anew, for this reason: note that durably, then start again.
    case repair(String)
    /// The member holds again whatever it may have acknowledged before its log was lost: take the note away.
    case recovered
    case protection(ProtectionEvent)
    /// Find this out from the state machine, on a thread of its own, however long it takes; one at a time, reported with
    /// `Replica.surveyed(_:)` or `Replica.surveyFailed(ticket:)`.
    case survey(SurveyRequest)
    /// Other members, or the same ones elsewhere, are in effect from now on, or have been committed: `RaftNode.correspondents` are
    /// to be reached, and nobody else. Comes before what is sent to them.
    case configurationChanged(Configuration)
}

/// Something about damage or room that operators should hear of.
package enum ProtectionEvent: Hashable, Sendable {
    /// This member's state is damaged; nothing is answered from it any more.
    case quarantined(String)
    /// The state was damaged, and a snapshot of another member has taken its place.
    case stateReplaced
    /// A member has another digest than the majority.
    case digestDiffers(NodeID, index: UInt64)
    /// Digests differ and none has a majority: nobody can tell who is right.
    case digestsUndecided(index: UInt64)
    case diskLow(freeBytes: UInt64)
    case diskHasRoom
}

/// A verified snapshot file on this member's disk.
package struct IncomingSnapshot: Hashable, Sendable {
    /// Names the file to whoever runs the replica.
    package var id: UInt64
    package var from: NodeID
    package var term: Term
    package var position: LogPosition
    package var configuration: Configuration

    package init(id: UInt64, from: NodeID, term: Term, position: LogPosition, configuration: Configuration) {
        self.id = id
        self.from = from
        self.term = term
        self.position = position
        self.configuration = configuration
    }
}

/// The answer to a broker's heartbeat.
package enum HeartbeatReply: Hashable, Sendable {
    case accepted(state: Broker.State, leaseMilliseconds: UInt64, version: Version, shouldShutDown: Bool)
    /// The broker is not registered, or under another epoch: register again.
    case unknownBroker
    case notLeader(NodeID?)
}

/// What the state machine did with the entries of one `Effect.apply`.
package struct AppliedReport: Hashable, Sendable {
    package var applied: LogPosition
    package var version: Version
    package var logTimeMilliseconds: UInt64
    /// The outcome of each command entry, in log order.
    package var outcomes: [Outcome]
    /// Brokers as the batch left them, and brokers that it removed.
    package var brokers: [Broker]
    package var removedBrokers: [BrokerID]
    /// The digest as of each entry that asked for it, in log order.
    package var digests: [DigestMark]
    /// The latest rebalance, if the batch began or ended one.
    package var rebalance: Rebalance?
    /// The silences that are noted, if the batch changed them.
    package var silences: BrokerSilences?
    /// What is unfinished, if the batch changed it.
    package var unfinished: UnfinishedWork?

    package struct Outcome: Hashable, Sendable {
        package var index: LogIndex
        package var outcome: CommandOutcome

        package init(index: LogIndex, outcome: CommandOutcome) {
            self.index = index
            self.outcome = outcome
        }
    }

    package init(
        applied: LogPosition, version: Version, logTimeMilliseconds: UInt64, outcomes: [Outcome], brokers: [Broker],
        removedBrokers: [BrokerID], digests: [DigestMark] = [], rebalance: Rebalance? = nil,
        silences: BrokerSilences? = nil, unfinished: UnfinishedWork? = nil
    ) {
        self.applied = applied
        self.version = version
        self.logTimeMilliseconds = logTimeMilliseconds
        self.outcomes = outcomes
        self.brokers = brokers
        self.removedBrokers = removedBrokers
        self.digests = digests
        self.rebalance = rebalance
        self.silences = silences
        self.unfinished = unfinished
    }
}

/// The state machine as it stands: at a start, and after a snapshot has replaced it.
package struct StateMachineImage: Hashable, Sendable {
    package var applied: LogPosition
    package var version: Version
    package var logTimeMilliseconds: UInt64
    package var brokers: [Broker]
    package var silences: BrokerSilences
    package var unfinished: UnfinishedWork

    package init(
        applied: LogPosition, version: Version, logTimeMilliseconds: UInt64, brokers: [Broker],
        silences: BrokerSilences = BrokerSilences(), unfinished: UnfinishedWork = UnfinishedWork()
    ) {
        self.applied = applied
        self.version = version
        self.logTimeMilliseconds = logTimeMilliseconds
        self.brokers = brokers
        self.silences = silences
        self.unfinished = unfinished
    }

    package static let empty = StateMachineImage(
        applied: .zero, version: .zero, logTimeMilliseconds: 0, brokers: [])
}
