internal import MetadataModel
internal import RaftCore

/// A broker that says that it lives, as long as it does.
struct SimulatedBroker {
    enum State {
        /// Nobody knows it, or only an earlier process of it. Exit: `registering`.
        case unregistered
        /// Its registration is under way. Exits: `alive`, `unregistered`.
        case registering
        /// Exits: `unregistered` when it is told so, `leaving`, `paused`, `silent`, `lost`.
        case alive(BrokerEpoch)
        /// It asks to be let go. Exits: `silent` when it is, `unregistered` when nobody knows it any more.
        case leaving(BrokerEpoch)
        /// Stopped by a signal: it goes on as if nothing had happened. Exit: `alive`.
        case paused(BrokerEpoch)
        /// It says nothing. Exit: `unregistered`, as another process.
        case silent
        /// Gone for good.
        case lost
    }

    let id: BrokerID
    var state = State.unregistered
    var incarnation: UInt64 = 1
    var target: NodeID
    /// Counts its heartbeats.
    var beats = 0
    /// Of an earlier process that does not know that it was replaced.
    var replacedEpoch: BrokerEpoch?
    /// The last epoch that it was given.
    var lastEpoch: BrokerEpoch?
    /// Of the process before this one, which was shut down in order.
    var provenEpoch: BrokerEpoch?

    var incarnationID: IncarnationID { IncarnationID(high: UInt64(id.rawValue) + 1, low: incarnation) }

    init(id: BrokerID, target: NodeID) {
        self.id = id
        self.target = target
    }
}
