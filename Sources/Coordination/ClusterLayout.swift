package import MetadataModel

/// The brokers, and where the replicas of all partitions are, as numbers: a million partitions with three replicas take
/// 10 MB. Partitions are numbered in the order in which they were appended.
package struct ClusterLayout: Sendable {
    /// A broker as a planner sees it.
    package struct Broker: Hashable, Sendable {
        package var id: BrokerID
        /// Empty when the broker has no rack.
        package var rack: String
        /// See `MetadataModel.Broker.capacity`.
        package var capacity: UInt32
        package var role: Role

        package init(id: BrokerID, rack: String, capacity: UInt32 = MetadataModel.Broker.capacityDefault, role: Role) {
            self.id = id
            self.rack = rack
            self.capacity = capacity
            self.role = role
        }
    }

    package enum Role: Hashable, Sendable {
        /// May be given replicas.
        case open
        /// Keeps what it has and is given nothing: it is not active, or the operator says so.
        case closed
        /// Everything is to leave it.
        case draining
    }

    /// By id.
    package let brokers: [Broker]
    /// Of each broker, where they are read for every replica there is.
    let roles: [Role]
    /// The number of each broker's rack. A broker without a rack shares its fate with nobody and is a rack of its own.
    let rackOf: [Int]
    let rackCount: Int
    /// Racks with a broker that may be given replicas.
    let liveRackCount: Int
    let isLiveRack: [Bool]

    /// Where the replicas of each partition begin in `slots`; one more at the end.
    private(set) var starts: [Int32] = [0]
    /// The place of each replica's broker in `brokers`, the preferred leader of a partition first.
    private(set) var slots: [UInt16] = []
    /// The first partition of each topic.
    private(set) var topicStarts: [Int32] = []

    /// An empty layout. Ids are distinct, and there are at most `Limits.brokersMax` of them.
    package init(brokers: [Broker]) {
        precondition(brokers.count <= Limits.brokersMax, "\(brokers.count) brokers are more than the limit")
        let sorted = brokers.sorted { $0.id < $1.id }
        for (one, next) in zip(sorted, sorted.dropFirst()) {
            precondition(one.id < next.id, "broker \(one.id) comes twice")
        }
        var rackByName: [String: Int] = [:]
        var rackOf: [Int] = []
        var isLive: [Bool] = []
        for broker in sorted {
            let known = broker.rack.isEmpty ? nil : rackByName[broker.rack]
            let rack = known ?? isLive.count
            if known == nil { isLive.append(false) }
            if !broker.rack.isEmpty { rackByName[broker.rack] = rack }
            rackOf.append(rack)
            if broker.role == .open { isLive[rack] = true }
        }
        self.brokers = sorted
        roles = sorted.map(\.role)
        self.rackOf = rackOf
        rackCount = isLive.count
        isLiveRack = isLive
        liveRackCount = isLive.count { $0 }
    }

    package var partitionCount: Int { starts.count - 1 }
    package var replicaCount: Int { slots.count }

    package mutating func reserve(partitions: Int, replicas: Int) {
        starts.reserveCapacity(partitions + 1)
        slots.reserveCapacity(replicas)
    }

    /// The next partition, in the order of preference; partitions of a topic follow each other. Answers false, and takes
    /// nothing, when a replica is on a broker that is not there.
    @discardableResult
    package mutating func append(replicas: [BrokerID], beginsTopic: Bool) -> Bool {
        let count = slots.count
        for id in replicas {
            guard let place = place(of: id) else {
                slots.removeLast(slots.count - count)
                return false
            }
            slots.append(UInt16(place))
        }
        if beginsTopic { topicStarts.append(Int32(partitionCount)) }
        starts.append(Int32(slots.count))
        return true
    }

    /// The places of a partition's replicas in `slots`.
    func range(of partition: Int) -> Range<Int> { Int(starts[partition])..<Int(starts[partition + 1]) }

    package func replicas(of partition: Int) -> [BrokerID] { slots[range(of: partition)].map { brokers[Int($0)].id } }

    private func place(of id: BrokerID) -> Int? {
        var low = 0
        var high = brokers.count
        while low < high {
            let middle = low + (high - low) / 2
            if brokers[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < brokers.count && brokers[low].id == id ? low : nil
    }
}

extension ClusterLayout.Broker {
    /// A broker as it is planned for. One that is excluded or not active keeps what it has.
    package init(_ broker: MetadataModel.Broker, excluded: Set<BrokerID>) {
        let role: ClusterLayout.Role
        if broker.isDraining {
            role = .draining
        } else {
            role = broker.takesReplicas && !excluded.contains(broker.id) ? .open : .closed
        }
        self.init(id: broker.id, rack: broker.rack, capacity: broker.capacity, role: role)
    }
}
