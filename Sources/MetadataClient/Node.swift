import NIOCore
import Resilience

/// A node's place in the client's table. Stable for as long as the node is known.
struct NodeKey: Hashable, Comparable, Sendable {
    let index: Int

    static func < (lhs: NodeKey, rhs: NodeKey) -> Bool { lhs.index < rhs.index }
}

/// One attempt to be connected to a node. A new attempt has another generation, so that what is late about an old one is
/// recognized.
struct ConnectionID: Hashable, Sendable {
    let node: NodeKey
    let generation: UInt64
}

/// What the client knows of one node, and its connection to it.
struct Node: Sendable {
    /// The connection's life: closed -> connecting -> greeting -> ready -> closed; any state may go to closed.
    enum Link: Sendable {
        /// Exits: `connecting`, not before the instant unless there is news about the node.
        case closed(notBefore: NIODeadline)
        /// Exits: `greeting` when connected, `closed` on failure or when the time is up.
        case connecting(ConnectionID, until: NIODeadline)
        /// Hello was sent. Exits: `ready` with the answer, `closed` on rejection, failure, or when the time is up.
        case greeting(ConnectionID, until: NIODeadline)
        /// Requests may be sent. Exits: `closed`.
        case ready(ReadyLink)
    }

    /// A connection on which requests may be sent.
    struct ReadyLink: Sendable {
        let connection: ConnectionID
        var writesInFlight = 0
        var readsInFlight = 0
        /// Heartbeats, status requests and session control, which no limit holds back.
        var othersInFlight = 0
        var watches = 0
        var isWritable = true
        /// Since when nothing was heard, or since when something is waited for if that is later.
        var quietSince: NIODeadline
        /// The status request that asks whether the node lives and who leads; one at a time.
        var probe: Probe?
        /// When the connection with watches is probed next whatever else happens on it.
        var nextWatchProbe: NIODeadline
        /// When the node is asked next who the members are, which it tells with its status.
        var nextMembersProbe: NIODeadline
        /// Since when the node says that it knows no leader.
        var leaderlessSince: NIODeadline?
        /// When the connection was last used for something.
        var usedAt: NIODeadline
        /// Whether a request (not only hello) was answered: then the node works, and its backoff starts anew.
        var hasProven = false

        struct Probe: Sendable {
            let id: CallID
            let sentAt: NIODeadline
        }

        var hasWork: Bool { writesInFlight + readsInFlight + othersInFlight + watches > 0 }
        /// Something was asked and not answered: silence means trouble.
        var awaitsAnswer: Bool { writesInFlight + readsInFlight + othersInFlight > 0 || probe != nil }
    }

    var endpoint: MetadataClient.Endpoint
    /// What the node called itself, or what others call the node at this endpoint.
    var nodeID: UInt64?
    /// Given in the options: never forgotten.
    let isConfigured: Bool
    /// Named as a member by the node that was heard last.
    var isMember: Bool
    var link: Link
    var backoff: Backoff
    /// Of connections and reads.
    var breaker: CircuitBreaker
    /// Of the connection that is being made, until it has proven that the node works.
    var permit: CircuitBreaker.Permit?
    /// Why the node is not used although it answers: another cluster, another protocol.
    var rejection: CallFailure?
    /// What went wrong last, for the detail of errors.
    var problem: String?

    /// Known by configuration or membership; others are not dialled.
    var isWanted: Bool { isConfigured || isMember }

    var ready: ReadyLink? {
        guard case .ready(let link) = link else { return nil }
        return link
    }

    var connection: ConnectionID? {
        switch link {
        case .closed: nil
        case .connecting(let id, _), .greeting(let id, _): id
        case .ready(let link): link.connection
        }
    }

    /// Tells the breaker what became of the connection, once.
    mutating func judge(_ outcome: CircuitBreaker.Outcome, now: NIODeadline) {
        guard let permit else { return }
        self.permit = nil
        breaker.record(outcome, of: permit, now: now.sinceStart)
    }

    /// Changes the ready link in place; the link must be ready.
    mutating func updateReady<T>(_ body: (inout ReadyLink) -> T) -> T {
        guard case .ready(var ready) = link else { preconditionFailure("the link to \(endpoint) is not ready") }
        let result = body(&ready)
        link = .ready(ready)
        return result
    }
}

extension NIODeadline {
    /// As breakers count time.
    var sinceStart: Duration { .nanoseconds(Int64(clamping: uptimeNanoseconds)) }
}
