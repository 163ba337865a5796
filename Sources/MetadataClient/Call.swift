import MetadataModel
import NIOCore
import Resilience
import Wire

/// A request that somebody waits for, from its submission until it is answered or given up.
struct Call: Sendable {
    enum Kind: Sendable {
        case write(command: [UInt8], Handler<CommandResult>)
        case read(Query, ReadConsistency, Handler<QueryResult>)
        case heartbeat(BrokerHeartbeat, Handler<HeartbeatAnswer>)
        case status(NodeKey, Handler<NodeStatus>)
        case control(NodeKey, NodeControl, Handler<NodeControlAnswer>)
        case membership(MembershipCall, Handler<MembershipAnswer>)
        /// Nil: to look at them.
        case breakers(NodeKey, BreakerControl?, Handler<[BreakerReading]>)
        /// The client's own, for the first write.
        case openSession
        /// The client's own, when it is closed.
        case closeSession(SessionID)
    }

    /// Exits of each: answered or given up, besides those named.
    enum Place: Sendable {
        /// In one of the queues. Exits: `sent`, `delayed` never.
        case queued
        /// Waits before it is tried again. Exits: `queued`.
        case delayed(until: NIODeadline)
        /// Exits: `queued` when the attempt came to nothing, `delayed` when the node asked to wait.
        case sent(ConnectionID, requestID: CallID, at: NIODeadline)
    }

    /// The identity of a write for the cluster. Kept by all attempts of the write.
    struct Ticket: Hashable, Sendable {
        let session: SessionID
        let sequence: UInt64
    }

    let kind: Kind
    let deadline: NIODeadline
    var place: Place = .queued
    /// Writes only: set with the first attempt.
    var ticket: Ticket?
    /// An attempt left whose fate is not known. Only ever set; the current attempt is not counted while it is `sent`.
    var mayHaveHappened = false
    /// Reads only: a node that did not do well.
    var avoids: NodeKey?
    /// The request ids of the second and later attempts; the first goes under the call's own id.
    var retryIDs: [CallID] = []
    /// Whether there was an attempt.
    var wasAttempted = false
    /// How often the call was delayed, for whatever reason.
    var delays = 0
    /// How often a node did not take it because it had too much to do, or is ill.
    var refusals = 0
    /// What a node said that did not take the call, while it is not under way again: the answer when its time is up.
    var turnedDown: CallFailure?
    /// Reads only: of the breaker of the node that the current attempt was sent to.
    var permit: CircuitBreaker.Permit?

    /// The node that alone can answer it.
    var onlyNode: NodeKey? {
        switch kind {
        case .status(let node, _), .control(let node, _, _), .breakers(let node, _, _): node
        case .write, .read, .heartbeat, .membership, .openSession, .closeSession: nil
        }
    }

    /// Which of the connection's counters the call is counted in.
    enum Counter { case writes, reads, others }

    var counter: Counter {
        switch kind {
        case .write: .writes
        case .read: .reads
        case .heartbeat, .status, .control, .membership, .breakers, .openSession, .closeSession: .others
        }
    }

    /// An attempt is under way, or was lost: what it did is not known.
    var isUnanswered: Bool {
        if case .sent = place { return true }
        return mayHaveHappened
    }

    /// Whether to give up on the call now leaves its effect unknown.
    var isUnresolved: Bool { hasEffect && isUnanswered }

    /// Reads change nothing, so that their failures are always definite.
    var hasEffect: Bool {
        switch kind {
        case .write, .heartbeat, .control, .openSession, .closeSession, .membership(.change, _),
            .membership(.transfer, _), .breakers(_, .some, _):
            true
        case .read, .status, .membership(.list, _), .breakers(_, .none, _): false
        }
    }

    /// A second try after an open outcome does no harm: the cluster recognizes a write by its ticket, and the others say how
    /// things are to be, or leave behind no more than a session that expires.
    var isRepeatable: Bool {
        switch kind {
        case .write: ticket != nil
        case .read, .heartbeat, .status, .control, .membership, .breakers, .openSession, .closeSession: true
        }
    }

    func isSent(on connection: ConnectionID) -> Bool {
        guard case .sent(connection, _, _) = place else { return false }
        return true
    }
}

/// A call in the order of deadlines.
struct DeadlineEntry: Comparable, Sendable {
    let deadline: NIODeadline
    let id: CallID

    static func < (lhs: DeadlineEntry, rhs: DeadlineEntry) -> Bool {
        lhs.deadline != rhs.deadline ? lhs.deadline < rhs.deadline : lhs.id < rhs.id
    }
}
