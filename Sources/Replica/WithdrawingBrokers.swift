internal import MetadataModel

/// The brokers that partitions are being moved off, step by step: they are being fenced, or shut down. What is left to do
/// stands in the state alone, so a new leader goes on where the one before it was.
///
/// One step is under way at a time, for all of them together: what other writes wait for is one step.
struct WithdrawingBrokers {
    /// With their epochs.
    private var fencing: [BrokerID: BrokerEpoch] = [:]
    /// Shutting down, and not known to be done: the state does not say it.
    private var stopping: [BrokerID: BrokerEpoch] = [:]

    init(_ brokers: some Sequence<Broker>) {
        for broker in brokers { changed(broker) }
    }

    mutating func changed(_ broker: Broker) {
        removed(broker.id)
        switch broker.state {
        case .fencing: fencing[broker.id] = broker.epoch
        case .shuttingDown: stopping[broker.id] = broker.epoch
        case .active, .fenced: return
        }
    }

    mutating func removed(_ id: BrokerID) {
        fencing[id] = nil
        stopping[id] = nil
    }

    /// A `beginShutdown` of this leader changed nothing: no partition relies on the broker any more, and none will.
    mutating func stepWasNone(_ id: BrokerID, epoch: BrokerEpoch) {
        if stopping[id] == epoch { stopping[id] = nil }
    }

    /// No partition relies on the broker, as far as this leader knows: one that was told to stop may.
    func hasLeft(_ id: BrokerID) -> Bool { fencing[id] == nil && stopping[id] == nil }

    /// To be proposed, unless it is under way. Those that are dead come first.
    var next: Command? {
        if let first = fencing.min(by: { $0.key < $1.key }) { return .fenceBroker(id: first.key, epoch: first.value) }
        return stopping.min { $0.key < $1.key }.map { .beginShutdown(id: $0.key, epoch: $0.value) }
    }
}
