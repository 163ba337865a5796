import HeapModule

/// Chooses brokers for the replicas of new partitions.
///
/// - Racks first: no rack holds two replicas of a partition while another has none. A broker without a rack shares its
///   fate with nobody and counts as a rack of its own.
/// - Then load, in proportion to capacity: within those racks the broker with the fewest replicas of this topic, then of
///   all topics, so that a topic is spread over the whole cluster and what is left over goes where there is most room. (By
///   the total alone a broker that was just added would get a replica of every partition of the next topic, and lead them
///   all.)
/// - Then leadership: the first replica, which leads, is the broker with the fewest leaders among those equally loaded,
///   and the others are those with the most; so leaders come out as even as replicas.
/// - Ties are broken by a hash of the seed, the broker and the turn: the same on every node, and different groups of
///   brokers share partitions, so the load of one that fails spreads over many.
///
/// O(partitions × replication factor × log brokers).
package enum Placement {
    /// A broker that may be given replicas.
    package struct Candidate: Hashable, Sendable {
        package var id: BrokerID
        /// Empty when the broker has no rack.
        package var rack: String
        /// See `Broker.capacity`.
        package var capacity: UInt32
        package var replicas: Int
        package var leaders: Int

        package init(
            id: BrokerID, rack: String, capacity: UInt32 = Broker.capacityDefault, replicas: Int, leaders: Int
        ) {
            self.id = id
            self.rack = rack
            self.capacity = capacity
            self.replicas = replicas
            self.leaders = leaders
        }
    }

    /// The replicas of `count` new partitions, each with the preferred leader first. `existing` are the partitions that the
    /// topic already has. There must be at least `replicationFactor` candidates, with distinct ids.
    package static func place(
        partitions count: Int, replicationFactor: Int, candidates: [Candidate], existing: [Partition] = [], seed: UInt64
    ) -> [[BrokerID]] {
        precondition(replicationFactor > 0, "replication factor \(replicationFactor)")
        precondition(
            candidates.count >= replicationFactor,
            "\(candidates.count) candidates for a replication factor of \(replicationFactor)")
        var placer = Placer(candidates: candidates.sorted { $0.id < $1.id }, existing: existing, seed: seed)
        return (0..<count).map { _ in placer.placeOne(replicationFactor: replicationFactor) }
    }
}

/// What a broker, or all brokers of a rack, hold.
private struct Load {
    var topicReplicas = 0
    var topicLeaders = 0
    var replicas = 0
    var leaders = 0

    static func += (sum: inout Load, other: Load) {
        sum.topicReplicas += other.topicReplicas
        sum.topicLeaders += other.topicLeaders
        sum.replicas += other.replicas
        sum.leaders += other.leaders
    }

    mutating func add(leads: Bool) {
        self += Load(topicReplicas: 1, topicLeaders: leads ? 1 : 0, replicas: 1, leaders: leads ? 1 : 0)
    }
}

private struct Placer {
    private struct Rack {
        var members: [Int]
        var queue: PlacementQueue
        var load: Load
        /// Of all members.
        var capacity: Int
        /// Replicas of the partition in hand.
        var taken = 0
    }

    private let candidates: [Placement.Candidate]
    private var loads: [Load]
    private var racks: [Rack] = []
    /// Of each broker: its rack, and its place among the members of the rack.
    private let position: [(rack: Int, place: Int)]
    private var queue: PlacementQueue

    init(candidates: [Placement.Candidate], existing: [Partition], seed: UInt64) {
        self.candidates = candidates
        loads = candidates.map { Load(replicas: $0.replicas, leaders: $0.leaders) }
        var places: [BrokerID: Int] = [:]
        for (index, candidate) in candidates.enumerated() { places[candidate.id] = index }
        for partition in existing {
            for broker in partition.replicas {
                if let index = places[broker] { loads[index].topicReplicas += 1 }
            }
            if let leader = partition.leader, let index = places[leader] { loads[index].topicLeaders += 1 }
        }

        var rackByName: [String: Int] = [:]
        var position: [(rack: Int, place: Int)] = []
        var members: [[Int]] = []
        for (index, candidate) in candidates.enumerated() {
            let known = candidate.rack.isEmpty ? nil : rackByName[candidate.rack]
            let rack = known ?? members.count
            if known == nil { members.append([]) }
            if !candidate.rack.isEmpty { rackByName[candidate.rack] = rack }
            position.append((rack, members[rack].count))
            members[rack].append(index)
        }
        self.position = position
        queue = PlacementQueue(count: members.count, seed: seed)
        for (rack, members) in members.enumerated() {
            var load = Load()
            var capacity = 0
            var brokers = PlacementQueue(count: members.count, seed: seed ^ 0x5bd1_e995)
            for (place, index) in members.enumerated() {
                load += loads[index]
                capacity += Int(candidates[index].capacity)
                brokers.insert(
                    place, name: candidates[index].id, load: loads[index], capacity: Int(candidates[index].capacity))
            }
            racks.append(Rack(members: members, queue: brokers, load: load, capacity: capacity))
            insert(rack)
        }
    }

    mutating func placeOne(replicationFactor: Int) -> [BrokerID] {
        var chosen: [Int] = []
        var waiting: [Int] = []
        while chosen.count < replicationFactor {
            let leads = chosen.isEmpty
            guard let rack = queue.take(leads ? .leader : .follower) else {
                // Every rack has its share: they may be used once more.
                precondition(!waiting.isEmpty, "\(chosen.count) of \(replicationFactor) replicas fit the brokers")
                for rack in waiting where racks[rack].taken < racks[rack].members.count { insert(rack) }
                waiting.removeAll()
                continue
            }
            guard let place = racks[rack].queue.take(leads ? .leader : .follower) else {
                preconditionFailure("rack \(rack) was queued without a broker that is free")
            }
            let index = racks[rack].members[place]
            loads[index].add(leads: leads)
            racks[rack].load.add(leads: leads)
            racks[rack].taken += 1
            waiting.append(rack)
            chosen.append(index)
        }
        putBack(chosen)
        return chosen.map { candidates[$0].id }
    }

    private mutating func putBack(_ chosen: [Int]) {
        for index in chosen {
            let (rack, place) = position[index]
            racks[rack].queue.insert(
                place, name: candidates[index].id, load: loads[index], capacity: Int(candidates[index].capacity))
            if racks[rack].taken > 0 {
                racks[rack].taken = 0
                insert(rack)
            }
        }
    }

    private mutating func insert(_ rack: Int) {
        queue.insert(
            rack, name: candidates[racks[rack].members[0]].id, load: racks[rack].load, capacity: racks[rack].capacity)
    }
}

/// Items to choose from, in two orders at once. Entries that are no longer true stay in the heaps until they surface.
private struct PlacementQueue {
    enum Role { case leader, follower }

    private struct Entry: Comparable {
        var topicReplicas: Int
        var replicas: Int
        var topicLeaders: Int
        var leaders: Int
        var tie: UInt64
        var item: Int
        var stamp: Int

        static func < (lhs: Entry, rhs: Entry) -> Bool {
            if lhs.topicReplicas != rhs.topicReplicas { return lhs.topicReplicas < rhs.topicReplicas }
            if lhs.replicas != rhs.replicas { return lhs.replicas < rhs.replicas }
            if lhs.topicLeaders != rhs.topicLeaders { return lhs.topicLeaders < rhs.topicLeaders }
            if lhs.leaders != rhs.leaders { return lhs.leaders < rhs.leaders }
            if lhs.tie != rhs.tie { return lhs.tie < rhs.tie }
            return lhs.item < rhs.item
        }
    }

    private let seed: UInt64
    private var forLeader = Heap<Entry>()
    private var forFollower = Heap<Entry>()
    /// The stamp of the entry of each item that counts.
    private var stamps: [Int]

    init(count: Int, seed: UInt64) {
        stamps = Array(repeating: 0, count: count)
        self.seed = seed
    }

    /// Offers an item, in place of what was offered of it before. Its load counts in proportion to its capacity; a rack
    /// has that of its brokers together.
    mutating func insert(_ item: Int, name: BrokerID, load: Load, capacity: Int) {
        // 2^24 replicas times 2^36 fit. A rack of 10,000 brokers with the default capacity still tells one replica from two.
        func average(_ sum: Int) -> Int { (sum << 36) / capacity }
        stamps[item] += 1
        var hasher = StateHasher(kind: seed)
        hasher.combine(name.rawValue)
        hasher.combine(UInt64(load.topicReplicas))
        var entry = Entry(
            topicReplicas: average(load.topicReplicas), replicas: average(load.replicas),
            topicLeaders: average(load.topicLeaders), leaders: average(load.leaders), tie: hasher.finish(), item: item,
            stamp: stamps[item])
        forLeader.insert(entry)
        entry.topicLeaders = -entry.topicLeaders
        entry.leaders = -entry.leaders
        forFollower.insert(entry)
    }

    /// Takes out the item that suits best; nil when none is offered.
    mutating func take(_ role: Role) -> Int? {
        while true {
            let top =
                switch role {
                case .leader: forLeader.popMin()
                case .follower: forFollower.popMin()
                }
            guard let entry = top else { return nil }
            guard entry.stamp == stamps[entry.item] else { continue }
            stamps[entry.item] += 1
            return entry.item
        }
    }
}
