internal import Coordination
internal import MetadataModel
internal import RaftCore
internal import Replica

/// Everything that happens in a simulated cluster. `life` names the process that it is meant for. What is large is `indirect`:
/// an event is moved about a few times before it happens.
enum ClusterEvent {
    // In a process.
    case tick(NodeID, life: UInt64)
    case endTurn(NodeID, life: UInt64)
    case logDone(NodeID, life: UInt64)
    case tryForRoom(NodeID, life: UInt64)
    case applied(NodeID, life: UInt64)
    case checkpointed(NodeID, life: UInt64)
    indirect case surveyed(NodeID, life: UInt64, SurveyRequest)
    indirect case installed(NodeID, life: UInt64, IncomingSnapshot)
    case snapshotCopied(NodeID, life: UInt64, id: UInt64)
    indirect case snapshotWrote(NodeID, life: UInt64, SnapshotPiece)
    indirect case snapshotVerified(NodeID, life: UInt64, IncomingSnapshot)
    case wakeSender(NodeID, life: UInt64, at: UInt64)
    case answer(NodeID, life: UInt64, [ServedQuery])
    indirect case readFeed(NodeID, life: UInt64, WatchKey, ticket: UInt64, after: Version, WatchFilter)
    case tellProgress(NodeID, life: UInt64)
    // Between members.
    case deliver([Message], over: Connection)
    case notify(PeerNotice, over: Connection)
    case dial(from: NodeID, to: NodeID)
    /// The connection that `at` speaks on to `peer` is gone, or was refused.
    case closed(at: NodeID, life: UInt64, peer: NodeID, refused: Bool)
    /// The peer that `at` calls does not listen to it.
    case refused(at: NodeID, life: UInt64, by: NodeID)
    /// Nothing came back over a path for so long that its connections are given up.
    case silent(from: NodeID, to: NodeID, cut: UInt64)
    indirect case snapshotPiece(SnapshotPiece, over: Connection)
    case snapshotProgress(UInt64, SnapshotAnswer, over: Connection)
    // Between clients and members.
    case nextOperation(Lane)
    case request(Lane, attempt: UInt64, to: NodeID)
    indirect case respond(Lane, attempt: UInt64, Answer)
    case attemptTimedOut(Lane, attempt: UInt64)
    case watch(client: Int)
    case watchTold(client: Int, connection: UInt64, WatchNews)
    case reads(reader: Int)
    /// A read whose answer is judged where it is given.
    case probe(NodeID, ReadConsistency)
    /// A request whose answer nobody waits for.
    case forgottenRequest(WriteIntent, to: NodeID)
    case heartbeat(broker: Int)
    case heartbeatAnswered(broker: Int, sent: UInt64, HeartbeatReply)
    /// A copy of a heartbeat that comes late, or of one that was never sent.
    case copiedHeartbeat(broker: Int, BrokerEpoch, to: NodeID)
    // Between an operator and members.
    case operatorAsks(attempt: UInt64, NodeID)
    case operatorHears(attempt: UInt64, MembershipReply)
    case operatorTimedOut(attempt: UInt64)
    // From outside.
    case strike(FaultKind)
    case lift(Lift)

    /// The machine whose process has to be there for it; what arrives while that is paused waits.
    var process: NodeID? {
        switch self {
        case .tick(let node, _), .endTurn(let node, _), .logDone(let node, _), .tryForRoom(let node, _),
            .applied(let node, _), .checkpointed(let node, _), .surveyed(let node, _, _), .installed(let node, _, _),
            .answer(let node, _, _),
            .readFeed(let node, _, _, _, _, _), .tellProgress(let node, _), .closed(let node, _, _, _),
            .refused(let node, _, _), .request(_, _, let node), .probe(let node, _), .forgottenRequest(_, let node),
            .operatorAsks(_, let node), .copiedHeartbeat(_, _, let node):
            node
        case .snapshotCopied(let node, _, _), .snapshotWrote(let node, _, _), .snapshotVerified(let node, _, _),
            .wakeSender(let node, _, _):
            node
        case .deliver(_, let connection), .notify(_, let connection), .snapshotPiece(_, let connection),
            .snapshotProgress(_, _, let connection):
            connection.to
        case .dial, .silent, .nextOperation, .respond, .attemptTimedOut, .watch, .watchTold, .reads, .heartbeat,
            .heartbeatAnswered, .operatorHears, .operatorTimedOut, .strike, .lift:
            nil
        }
    }

    /// Whence it comes: what comes over one connection stays in order while a process does not read.
    enum Channel: Hashable {
        case itself
        case peer(NodeID)
        case client(Lane)
        case readers
        case nobody
    }

    var channel: Channel {
        switch self {
        case .deliver(_, let connection), .notify(_, let connection), .snapshotPiece(_, let connection),
            .snapshotProgress(_, _, let connection):
            .peer(connection.from)
        case .closed(_, _, let peer, _), .refused(_, _, let peer): .peer(peer)
        case .request(let lane, _, _): .client(lane)
        case .probe: .readers
        case .forgottenRequest, .operatorAsks, .copiedHeartbeat: .nobody
        case .tick, .endTurn, .logDone, .tryForRoom, .applied, .checkpointed, .surveyed, .installed, .snapshotCopied,
            .snapshotWrote, .snapshotVerified, .wakeSender, .answer, .readFeed, .tellProgress, .dial, .silent,
            .nextOperation, .respond,
            .attemptTimedOut, .watch, .watchTold, .reads, .heartbeat, .heartbeatAnswered, .operatorHears,
            .operatorTimedOut, .strike, .lift:
            .itself
        }
    }
}

/// A read whose turn has come.
struct ServedQuery {
    var token: RequestToken
    var query: Query
    var consistency: ReadConsistency
    /// What was committed when the member took it in.
    var committedBefore: Version
}

/// One of the things that a client does at a time.
struct Lane: Hashable, CustomStringConvertible {
    var client: Int
    var number: Int

    var description: String { "client \(client).\(number)" }
}

/// What a request is answered with.
enum Answer {
    case write(WriteReply)
    case read(QueryResult)
    case refused(ReadRefusal)
}

/// What a watcher is told.
enum WatchNews {
    case events([ChangeEvent], through: Version)
    case progress(Version)
    case tooOld(Version)
}

/// The end of something that a fault began. The numbers tell one fault from the next of its kind.
enum Lift {
    case topology(UInt64)
    /// From now on one member alone hears this one; nil: nobody, and it hears nobody.
    case silence(NodeID, but: NodeID?)
    case flap(NodeID, NodeID, left: Int)
    case slowLink(NodeID, NodeID)
    case clientCut(NodeID)
    case resume(NodeID, life: UInt64)
    case start(NodeID)
    /// A process ends while it is about something.
    case crash(NodeID, life: UInt64, FaultKind)
    case fullDisk(NodeID)
    case flippedReads(NodeID)
    case broker(Int)
    /// The operator asks again.
    case order(attempt: UInt64)
    /// A machine that lost its disk is to come back on another.
    case rejoin(NodeID)
}
