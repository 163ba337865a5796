internal import MetadataModel

/// The registered brokers, in the order of their numbers: all of them are published several times a second, by every member, and
/// sorting ten thousand each time would cost more than their heartbeats.
struct BrokerTable {
    private(set) var all: [Broker]

    init(_ brokers: [Broker] = []) { all = brokers.sorted { $0.id < $1.id } }

    subscript(_ id: BrokerID) -> Broker? {
        get {
            let place = place(of: id)
            return place < all.endIndex && all[place].id == id ? all[place] : nil
        }
        set {
            let place = place(of: id)
            let isKnown = place < all.endIndex && all[place].id == id
            switch (newValue, isKnown) {
            case (let broker?, true): all[place] = broker
            case (let broker?, false): all.insert(broker, at: place)
            case (nil, true): all.remove(at: place)
            case (nil, false): break
            }
        }
    }

    /// Where it is, or would be.
    private func place(of id: BrokerID) -> Int {
        var (low, high) = (all.startIndex, all.endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if all[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
